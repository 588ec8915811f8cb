//! What docs/sources.md says of the vendors that differ from OpenAI's Chat Completions in little.

use crate::decode::about::About;

const IDENTITY: &str = "the answer's `id`, else the capture's `request_id`, else the event's bytes.";

pub(crate) const EMBEDDINGS: About = About {
    format: "openai-embeddings",
    title: "OpenAI Embeddings",
    what: "A captured call, or a bare `list` with `usage`. Reranking in the same shape is read too.",
    recognised_by: "`capture.api` is `openai.embeddings`, or `object` is `list` beside `data` and `usage`, or `results` stand beside `usage.total_tokens`.",
    identity: "the capture's `request_id`, else the event's bytes: the answer has no id.",
    stream: "",
    columns: &[
        ("input_tokens", "`usage.prompt_tokens`, else `usage.total_tokens`"),
        ("output_tokens", "0: vectors and orders are no tokens"),
        ("features", "`proprietary_embedding`, unless Ollama or vLLM serve the model"),
    ],
    cannot_say: &["What was embedded, where the input is token ids."],
};

pub(crate) const AUDIO_IMAGE: About = About {
    format: "openai-audio-image",
    title: "OpenAI audio, images, Realtime",
    what: "A captured transcription, translation, speech, picture or live session; a bare `response.done` or last event of a stream. A session gives an entry for each answer, and one for each transcript that was counted.",
    recognised_by: "`capture.api` is `openai.audio.*`, `openai.images` or `openai.realtime`, or the `type` of an event.",
    identity: "the answer's `id` (Realtime), else the capture's `request_id`, else the event's bytes.",
    stream: "`transcript.text.done`, `speech.audio.done`, `image_generation.completed`, `image_edit.completed`, `response.done`.",
    columns: &[
        ("input_tokens, output_tokens", "`usage`; details are spelt `input_token_details` or `input_tokens_details`"),
        (
            "input_audio_tokens, input_image_tokens",
            "the details, less `cached_tokens_details`; where cached tokens are not split, text is assumed to be cached first",
        ),
        ("output_image_tokens", "the details; where the output of a picture is not split, all of it"),
        ("output_audio_tokens", "the details; of speech, which is not split, all of the output"),
        (
            "meters",
            "`audio_seconds` from `usage.seconds`, else `duration`; `output_images`; `cache_read_audio_tokens`, `cache_read_image_tokens`; `input_characters` of speech without usage, counted here",
        ),
        ("usage_source", "`estimated` for characters counted here"),
        ("request_model", "the request's: transcriptions and pictures name no model"),
        ("status", "a live answer that was interrupted is incomplete; it is billed"),
    ],
    cannot_say: &["The length of speech that came as sound.", "Who spoke first: turns before the capture began."],
};

pub(crate) const AZURE: About = About {
    format: "azure-openai",
    title: "Azure OpenAI",
    what: "A captured call of any endpoint; read like OpenAI's.",
    recognised_by: "`capture.api` begins with `azure`, or a bare answer has `prompt_filter_results`; the host makes it Azure's in other captures.",
    identity: IDENTITY,
    stream: "as at OpenAI. The first chunk has an empty id and model; it names nothing.",
    columns: &[
        (
            "request_model",
            "the deployment the URL names, else `model` of the request: a deployment's name, and no key to a price",
        ),
        ("response_model", "`model` of the answer: model and version"),
        (
            "status",
            "`filtered` when the prompt was refused (400, `content_filter`) or the answer was cut by the filter",
        ),
        (
            "features",
            "`guardrails` where a filter did something: all calls pass through them; `hosted_vector_store` for `data_sources`",
        ),
        ("region", "only of hosts that carry it: `eastus2.api.cognitive.microsoft.com`"),
    ],
    cannot_say: &[
        "Whether a deployment is provisioned, global or of a data zone: the answer does not tell, and a deployment's name is free.",
    ],
};

pub(crate) const DEEPSEEK: About = About {
    format: "deepseek",
    title: "DeepSeek",
    what: "A captured call; read like OpenAI's.",
    recognised_by: "`capture.api` begins with `deepseek`, or `usage.prompt_cache_hit_tokens` of a bare answer.",
    identity: IDENTITY,
    stream: "`usage` of the last chunk.",
    columns: &[
        (
            "input_tokens",
            "`prompt_tokens`, else `prompt_cache_hit_tokens` and `prompt_cache_miss_tokens`, which are its halves",
        ),
        (
            "cache_read_input_tokens",
            "`prompt_tokens_details.cached_tokens`, else `prompt_cache_hit_tokens`: two spellings, counted once",
        ),
        ("reasoning_tokens", "`completion_tokens_details.reasoning_tokens`, a part of the output"),
        ("status", "`insufficient_system_resource` cuts an answer short: incomplete"),
    ],
    cannot_say: &["Cache writes: they are free and not counted."],
};

pub(crate) const XAI: About = About {
    format: "xai",
    title: "xAI",
    what: "A captured call of chat or Responses; read like OpenAI's.",
    recognised_by: "`capture.api` begins with `xai`, `usage.cost_in_usd_ticks` or `num_sources_used` of a bare answer, or its model's name begins with `grok-`.",
    identity: IDENTITY,
    stream: "`usage` of the last chunk.",
    columns: &[
        (
            "output_tokens",
            "`completion_tokens`, and `reasoning_tokens` where `total_tokens` counts them beside it; without a total, where reasoning is more than the output",
        ),
        ("input_image_tokens", "`prompt_tokens_details.image_tokens`"),
        ("reported_cost", "`cost_in_usd_ticks`, of which 10,000,000,000 are a dollar"),
        ("meters", "`num_sources_used` as `search_sources`, and what `server_side_tool_usage_details` counts"),
        ("error_type", "`code`, which stands beside an `error` that is a sentence"),
    ],
    cannot_say: &["The lifetime of cached tokens."],
};

pub(crate) const GROQ: About = About {
    format: "groq",
    title: "Groq",
    what: "A captured call of chat, Responses or transcription; read like OpenAI's.",
    recognised_by: "`capture.api` begins with `groq`, or a bare answer has `x_groq`.",
    identity: IDENTITY,
    stream: "`x_groq.usage` of the last chunk, or the chunk of usage that was asked for: the same counts, taken once.",
    columns: &[
        ("input_tokens, output_tokens", "`usage`"),
        ("service_tier", "the answer's"),
        ("features", "`executed_tools` of compound systems: web search, code"),
        ("extra", "`queue_time`, `prompt_time`, `completion_time`, `total_time` in seconds; `x_groq.usage_breakdown`"),
    ],
    cannot_say: &["Which part of a compound system's tokens is whose price: `usage_breakdown` is kept as it is."],
};

pub(crate) const VLLM: About = About {
    format: "vllm",
    title: "vLLM",
    what: "A captured call of any endpoint; read like OpenAI's. Other servers of one's own that speak OpenAI's APIs are taken for it.",
    recognised_by: "`capture.api` begins with `vllm`, or is `openai.*` at a private address, unless the model is a vendor's: then it is a proxy.",
    identity: IDENTITY,
    stream: "`usage` of the last chunk that has one: with `continuous_usage_stats` every chunk has a running total.",
    columns: &[
        ("input_tokens, output_tokens", "`usage`; where `completion_tokens` is null, what `total_tokens` leaves"),
        ("cache_read_input_tokens", "`prompt_tokens_details.cached_tokens`, if the server tells"),
        ("features", "`prompt_logprobs`, guided decoding"),
    ],
    cannot_say: &["What it costs: the hardware is one's own.", "Reasoning tokens."],
};

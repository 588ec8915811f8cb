//! Who serves and bills: one name per provider, whatever a source calls it.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The ledger's name for a provider known by several; `None` for a name not known here.
pub(super) fn known(name: &str) -> Option<&'static str> {
    Some(match name {
        "openai" | "text-completion-openai" | "openai_responses" => "openai",
        "azure" | "azure_ai" | "azure_text" | "azure_openai" | "azure.ai.openai" | "azure.ai.inference"
        | "az.ai.openai" | "az.ai.inference" => "azure",
        "anthropic" | "anthropic_text" => "anthropic",
        "gemini" | "gcp.gemini" | "gcp.gen_ai" | "google_ai_studio" => "gemini",
        "gcp.vertex_ai" | "vertexai" => "vertex_ai",
        "bedrock" | "aws" | "aws.bedrock" | "aws_bedrock" | "bedrock_converse" | "bedrock_mantle" => "bedrock",
        "mistral" | "mistral_ai" | "mistralai" | "codestral" | "text-completion-codestral" => "mistral",
        "cohere" | "cohere_chat" => "cohere",
        "deepseek" => "deepseek",
        "xai" | "x_ai" => "xai",
        "groq" => "groq",
        "openrouter" => "openrouter",
        "ollama" | "ollama_chat" => "ollama",
        "vllm" | "hosted_vllm" => "vllm",
        "cloudflare" | "workers-ai" | "workers_ai" => "workers-ai",
        "perplexity" => "perplexity",
        "watsonx" | "watsonx_text" | "ibm.watsonx.ai" => "watsonx",
        "moonshot" | "moonshot_ai" => "moonshot",
        "together_ai" => "together_ai",
        "fireworks_ai" => "fireworks_ai",
        "databricks" => "databricks",
        "sagemaker" | "sagemaker_chat" => "sagemaker",
        "huggingface" => "huggingface",
        "cerebras" => "cerebras",
        "voyage" => "voyage",
        _ if name.starts_with("vertex_ai") => "vertex_ai",
        _ => return None,
    })
}

/// The ledger's name for `name`; a name not known here stays as it is.
pub(super) fn canonical(name: Cow<'_, str>) -> Cow<'_, str> {
    // OpenLLMetry writes names as their vendors do: `Anthropic`, `OpenAI`.
    let found = known(&name).or_else(|| known(&name.to_ascii_lowercase()));
    found.map_or(name, Cow::Borrowed)
}

/// What the host of an endpoint tells: who answers there, and in which region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Host<'a> {
    pub provider: Option<&'static str>,
    pub region: Option<&'a str>,
}

impl<'a> Host<'a> {
    /// Reads the host of a URL, or a bare host name.
    pub(super) fn of(endpoint: &'a str) -> Self {
        let name = host_name(endpoint);
        let is = |domain: &str| name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        let label = name.split('.').next().unwrap_or_default();
        if is("api.openai.com") {
            // Regional hosts carry their region in front: `eu.api.openai.com`.
            Self { provider: Some("openai"), region: Some(label).filter(|label| *label != "api") }
        } else if is("api.cognitive.microsoft.com") {
            // Resources without a name of their own are reached by their region.
            Self { provider: Some("azure"), region: Some(label).filter(|label| *label != "api") }
        } else if name.starts_with("bedrock") && (is("amazonaws.com") || is("api.aws")) {
            Self { provider: Some("bedrock"), region: name.split('.').nth(1) }
        } else if let Some(region) = label.strip_suffix("-aiplatform").filter(|_| is("googleapis.com")) {
            Self { provider: Some("vertex_ai"), region: Some(region) }
        } else if label == "aiplatform" && is("rep.googleapis.com") {
            Self { provider: Some("vertex_ai"), region: name.split('.').nth(1) }
        } else {
            let provider = DOMAINS.iter().find(|(domain, _)| is(domain)).map(|(_, provider)| *provider);
            Self { provider, region: None }
        }
    }
}

/// Domains of providers that carry no region.
const DOMAINS: [(&str, &str); 26] = [
    ("openai.azure.com", "azure"),
    ("cognitiveservices.azure.com", "azure"),
    ("services.ai.azure.com", "azure"),
    ("models.ai.azure.com", "azure"),
    ("inference.ai.azure.com", "azure"),
    ("openai.azure.us", "azure"),
    ("api.anthropic.com", "anthropic"),
    ("aiplatform.googleapis.com", "vertex_ai"),
    ("generativelanguage.googleapis.com", "gemini"),
    ("mistral.ai", "mistral"),
    ("cohere.com", "cohere"),
    ("cohere.ai", "cohere"),
    ("deepseek.com", "deepseek"),
    ("x.ai", "xai"),
    ("groq.com", "groq"),
    ("openrouter.ai", "openrouter"),
    ("perplexity.ai", "perplexity"),
    ("together.xyz", "together_ai"),
    ("fireworks.ai", "fireworks_ai"),
    ("cerebras.ai", "cerebras"),
    ("moonshot.ai", "moonshot"),
    ("moonshot.cn", "moonshot"),
    ("voyageai.com", "voyage"),
    ("huggingface.co", "huggingface"),
    ("databricks.com", "databricks"),
    ("azuredatabricks.net", "databricks"),
];

/// The host of a URL without scheme, user, port and path.
fn host_name(endpoint: &str) -> &str {
    let host = host_and_port(endpoint);
    host.split(':').next().unwrap_or_default()
}

fn host_and_port(endpoint: &str) -> &str {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// The port a URL names.
pub(super) fn port_of(endpoint: &str) -> Option<&str> {
    let (_, port) = host_and_port(endpoint).rsplit_once(':')?;
    Some(port).filter(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether the endpoint is in a network of the caller's own: what answers there is no vendor.
pub(super) fn serves_itself(endpoint: &str) -> bool {
    const ZONES: [&str; 9] =
        [".local", ".internal", ".svc", ".lan", ".corp", ".intranet", ".localdomain", ".home", ".home.arpa"];
    let authority = host_and_port(endpoint);
    if let Some(address) = authority.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
        return address.parse::<Ipv6Addr>().is_ok_and(|address| {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        });
    }
    let name = host_name(endpoint);
    if let Ok(address) = name.parse::<Ipv4Addr>() {
        // 100.64.0.0/10 is what carriers and overlay networks hand out.
        let shared = matches!(address.octets(), [100, 64..128, _, _]);
        return address.is_private() || address.is_loopback() || address.is_link_local() || shared;
    }
    !name.is_empty() && (!name.contains('.') || ZONES.iter().any(|zone| name.ends_with(zone)))
}

/// The deployment an Azure URL addresses: `/openai/deployments/{name}/...`.
pub(super) fn deployment(endpoint: &str) -> Option<&str> {
    let (_, rest) = endpoint.split_once("/deployments/")?;
    rest.split(['/', '?']).next().filter(|name| !name.is_empty())
}

/// The model a URL of Google or AWS addresses: `/models/{name}:generateContent`, `/model/{id}/converse`.
///
/// A model that was tuned or deployed is known by its place: `tunedModels/{name}`, `endpoints/{number}`.
pub(super) fn url_model(endpoint: &str) -> Option<String> {
    let path = endpoint.split(['?', '#']).next().unwrap_or_default();
    if let Some((_, rest)) = path.split_once("/model/") {
        let (name, verb) = rest.split_once('/')?;
        let verbs = ["converse", "converse-stream", "invoke", "invoke-with-response-stream"];
        return verbs.contains(&verb.trim_end_matches('/')).then(|| percent_decoded(name));
    }
    let (rest, verb) = path.rsplit_once(':')?;
    let mut parts = rest.rsplit('/');
    let (name, place) = (parts.next()?, parts.next()?);
    let is_verb = !verb.is_empty() && verb.bytes().all(|byte| byte.is_ascii_alphabetic());
    match place {
        _ if !is_verb || name.is_empty() => None,
        "models" => Some(percent_decoded(name)),
        "tunedModels" | "endpoints" => Some(format!("{place}/{}", percent_decoded(name))),
        _ => None,
    }
}

/// `text` with its `%3A` taken back; what is no escape stays.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let escape = tail.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = escape.filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match byte.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// A model name without the prefixes a gateway routes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Model<'a> {
    pub name: Cow<'a, str>,
    /// The provider its prefix names.
    pub provider: Option<&'static str>,
    /// The region its prefix names (`bedrock/us-east-1/...`).
    pub region: Option<Cow<'a, str>>,
}

impl<'a> Model<'a> {
    /// Takes `provider/` off `model` if that is who serves it, or if who serves it is not known and the prefix is a
    /// provider. A vendor's own path (`deepseek/...` at OpenRouter, `openai/gpt-oss` at Groq) stays.
    pub(super) fn of(model: Cow<'a, str>, provider: Option<&str>) -> Self {
        let prefix = model.split_once('/').and_then(|(head, _)| Some((head.len() + 1, known(head)?)));
        let Some((length, named)) = prefix.filter(|(_, named)| provider.is_none_or(|provider| provider == *named))
        else {
            return Self { name: model, provider: None, region: None };
        };
        let mut name = skip(model, length);
        let mut region = None;
        if named == "bedrock" {
            for route in ["converse/", "converse_like/", "invoke/"] {
                if name.starts_with(route) {
                    name = skip(name, route.len());
                }
            }
            if let Some(at) = name.find('/').filter(|at| name.get(..*at).is_some_and(is_aws_region)) {
                region = Some(take(&name, at));
                name = skip(name, at + 1);
            }
        }
        Self { name, provider: Some(named), region }
    }
}

/// `us-east-1`, `ap-southeast-2`, `us-gov-west-1`.
fn is_aws_region(text: &str) -> bool {
    text.split('-').count() >= 3
        && text.ends_with(|last: char| last.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// The text past its first `length` bytes.
fn skip(text: Cow<'_, str>, length: usize) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(length..).unwrap_or(text)),
        Cow::Owned(text) => Cow::Owned(text.get(length..).map(str::to_owned).unwrap_or(text)),
    }
}

/// The first `length` bytes of the text.
fn take<'a>(text: &Cow<'a, str>, length: usize) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..length).unwrap_or_default()),
        Cow::Owned(text) => Cow::Owned(text.get(..length).unwrap_or_default().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_new_names_of_a_provider_are_one() {
        for (name, provider) in [
            ("az.ai.openai", "azure"),
            ("azure.ai.inference", "azure"),
            ("gcp.vertex_ai", "vertex_ai"),
            ("vertex_ai_beta", "vertex_ai"),
            ("vertex_ai-anthropic_models", "vertex_ai"),
            ("gcp.gemini", "gemini"),
            ("aws.bedrock", "bedrock"),
            ("mistral_ai", "mistral"),
            ("x_ai", "xai"),
            ("hosted_vllm", "vllm"),
            ("acme-llm", "acme-llm"),
        ] {
            assert_eq!(canonical(Cow::Borrowed(name)), provider);
        }
    }

    #[test]
    fn a_host_tells_provider_and_region() {
        for (endpoint, provider, region) in [
            ("https://api.openai.com/v1/responses", Some("openai"), None),
            ("https://eu.api.openai.com/v1/responses", Some("openai"), Some("eu")),
            ("https://hl-prod.openai.azure.com/openai/deployments/x", Some("azure"), None),
            ("https://eastus2.api.cognitive.microsoft.com/openai", Some("azure"), Some("eastus2")),
            ("https://bedrock-runtime.eu-west-1.amazonaws.com", Some("bedrock"), Some("eu-west-1")),
            ("https://europe-west4-aiplatform.googleapis.com/v1", Some("vertex_ai"), Some("europe-west4")),
            ("https://bedrock-mantle.us-east-1.api.aws/v1/responses", Some("bedrock"), Some("us-east-1")),
            ("https://aiplatform.eu.rep.googleapis.com/v1/projects/p", Some("vertex_ai"), Some("eu")),
            ("https://api.cerebras.ai/v1/chat/completions", Some("cerebras"), None),
            ("https://generativelanguage.googleapis.com", Some("gemini"), None),
            ("api.anthropic.com:443", Some("anthropic"), None),
            ("https://user:secret@api.x.ai/v1?q=1", Some("xai"), None),
            ("https://notapi.openai.com.example.org", None, None),
            ("https://max.ai", None, None),
            ("http://10.0.4.7:8000/v1", None, None),
            ("", None, None),
        ] {
            assert_eq!(Host::of(endpoint), Host { provider, region }, "{endpoint}");
        }
        assert_eq!(deployment("https://x.openai.azure.com/openai/deployments/support/chat?v=1"), Some("support"));
        assert_eq!(deployment("https://api.openai.com/v1"), None);
    }

    #[test]
    fn the_model_in_a_url_is_found_and_nothing_else_passes_for_one() {
        let google = "https://generativelanguage.googleapis.com/v1beta";
        for (endpoint, model) in [
            (format!("{google}/models/gemini-2.5-pro:generateContent"), Some("gemini-2.5-pro")),
            (format!("{google}/models/gemini-2.5-pro:streamGenerateContent?alt=sse"), Some("gemini-2.5-pro")),
            (format!("{google}/tunedModels/leases-1:generateContent"), Some("tunedModels/leases-1")),
            ("https://x/v1/projects/p/locations/l/endpoints/42:predict".into(), Some("endpoints/42")),
            (
                "https://x/v1/projects/p/publishers/anthropic/models/claude-opus-5:rawPredict".into(),
                Some("claude-opus-5"),
            ),
            ("https://x/model/us.anthropic.claude-v1:0/converse".into(), Some("us.anthropic.claude-v1:0")),
            (
                "https://x/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.claude/invoke".into(),
                Some("arn:aws:bedrock:us-east-1:1:inference-profile/us.claude"),
            ),
            ("https://api.openai.com/v1/chat/completions".into(), None),
            ("http://10.0.4.7:8000/v1/models/llama/chat".into(), None),
            ("https://x/model/a/guardrail".into(), None),
            ("https://x/models/:".into(), None),
            ("models/a:b".into(), Some("a")),
            ("".into(), None),
        ] {
            assert_eq!(url_model(&endpoint).as_deref(), model, "{endpoint}");
        }
        assert_eq!(percent_decoded("a%2Fb%zz%"), "a/b%zz%");
    }

    #[test]
    fn a_private_host_is_told_from_a_public_one() {
        for (endpoint, private) in [
            ("http://10.0.4.7:8000/v1/chat/completions", true),
            ("http://127.0.0.1:11434/api/chat", true),
            ("http://172.31.255.1", true),
            ("http://172.32.0.1", false),
            ("http://100.64.0.1:8000", true),
            ("http://[::1]:8000/v1", true),
            ("http://[fd00::7]/v1", true),
            ("http://[2606:4700::1]/v1", false),
            ("http://vllm:8000/v1", true),
            ("http://llm.ml.svc.cluster.local/v1", true),
            ("https://8.8.8.8/v1", false),
            ("https://gateway.example.org/v1", false),
            ("", false),
        ] {
            assert_eq!(serves_itself(endpoint), private, "{endpoint}");
        }
        assert_eq!(port_of("http://[::1]:8000/v1"), Some("8000"));
        assert_eq!(port_of("https://api.openai.com/v1:x"), None);
        assert_eq!(port_of("http://[::1]/v1"), None);
    }

    #[test]
    fn a_gateway_prefix_goes_and_a_vendor_path_stays() {
        let name = |model, provider| Model::of(Cow::Borrowed(model), provider).name;
        assert_eq!(name("azure/gpt-4o-eu", Some("azure")), "gpt-4o-eu");
        assert_eq!(name("azure/gpt-4o-eu", None), "gpt-4o-eu");
        assert_eq!(name("openrouter/deepseek/deepseek-v4", Some("openrouter")), "deepseek/deepseek-v4");
        assert_eq!(name("deepseek/deepseek-v4", Some("openrouter")), "deepseek/deepseek-v4");
        assert_eq!(name("openai/gpt-oss-120b", Some("groq")), "openai/gpt-oss-120b");
        assert_eq!(name("meta-llama/llama-4", None), "meta-llama/llama-4");
        assert_eq!(name("bedrock/converse/anthropic.claude-v1:0", Some("bedrock")), "anthropic.claude-v1:0");
        let model = Model::of(Cow::Borrowed("bedrock/us-east-1/anthropic.claude"), None);
        assert_eq!((model.name.as_ref(), model.region.as_deref()), ("anthropic.claude", Some("us-east-1")));
        assert_eq!(model.provider, Some("bedrock"));
    }
}

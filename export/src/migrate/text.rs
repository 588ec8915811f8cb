//! What a migration says about itself.

use serde_json::{Value, json};

use super::{Destination, Losses, Migration};

impl Migration {
    /// For `summary.json`, and for the identity of an export.
    pub(crate) fn to_json(&self) -> Value {
        json!({"for": self.destination.as_str(), "model": self.model})
    }

    /// `loss.json`.
    pub(crate) fn account(&self, losses: &Losses) -> Value {
        let mut account = self.to_json();
        if let (Some(account), Ok(Value::Object(losses))) = (account.as_object_mut(), serde_json::to_value(losses)) {
            account.extend(losses);
        }
        account
    }

    /// `README.md` beside the files, for who takes them elsewhere.
    pub(crate) fn readme(&self, losses: &Losses) -> String {
        let name = self.destination.as_str();
        let model = self.model.as_ref().map(|model| format!(" The model is `{model}`.")).unwrap_or_default();
        format!(
            "# `{name}`\n\n{}{model}\n\n{}\n\n\
             One JSON object a line, in the order of `content`, day by day before `content_partial`. Text, arguments and schemas are as they were recorded, to the\n\
             character. `loss.json` has the same account as here, for programs.\n\n\
             ## What came along and what did not\n\n{}",
            self.destination.meaning(),
            self.destination.use_of(),
            losses.markdown(),
        )
    }
}

impl Destination {
    /// What a line is.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::ChatMessages => {
                "One conversation with its answer a line: `{\"messages\": [...], \"tools\": [...]}`, the chat messages of OpenAI, Azure, Together, Fireworks and others."
            }
            Self::Anthropic => {
                "One conversation with its answer a line: `{\"system\": [...], \"messages\": [...], \"tools\": [...]}`, as Anthropic's Messages API takes it."
            }
            Self::Gemini => {
                "One conversation with its answer a line: `{\"systemInstruction\": {...}, \"contents\": [...], \"tools\": [...]}`, as Google's Gemini API and Vertex AI take it."
            }
            Self::Bedrock => {
                "One conversation with its answer a line: `{\"schemaVersion\": \"bedrock-conversation-2024\", \"system\": [...], \"messages\": [...]}`, as Bedrock's Converse and its model customization take it."
            }
            Self::Mistral => {
                "One conversation with its answer a line: `{\"messages\": [...], \"tools\": [...]}`, as Mistral takes it."
            }
            Self::HuggingFace => {
                "One conversation with its answer a line, text alone: `messages` with the same members everywhere, and `tools` as JSON text, so that `datasets` finds one set of columns and TRL reads them."
            }
            Self::OpenAiBatch => "One prompt a line, to be run by OpenAI's Batch API at `/v1/chat/completions`.",
            Self::AnthropicBatch => "One prompt a line, as a request of Anthropic's Message Batches.",
            Self::GeminiBatch => "One prompt a line, to be run by Gemini's batch mode.",
            Self::BedrockBatch => {
                "One prompt a line, to be run by Bedrock's batch inference with the invocation type Converse."
            }
            Self::MistralBatch => "One prompt a line, to be run by Mistral's batches at `/v1/chat/completions`.",
        }
    }

    /// How it is put to use.
    const fn use_of(self) -> &'static str {
        match self {
            Self::ChatMessages | Self::Mistral => "Each file is uploaded as it is.",
            Self::Anthropic => {
                "A line without its last message is the body of a request; add `model` and `max_tokens`."
            }
            Self::Gemini => "A line is an example for tuning; without its last content it is the body of a request.",
            Self::Bedrock => {
                "Each file is an input of model customization; a line without its last message is the body of a request."
            }
            Self::HuggingFace => {
                "    from datasets import load_dataset\n    load_dataset(\"json\", data_files=\"*.jsonl\", split=\"train\")"
            }
            Self::OpenAiBatch => {
                "A file has at most 50,000 lines and 200 MB. `custom_id` is the `entry_id` of the call, by which answers are found again."
            }
            Self::AnthropicBatch => {
                "The lines of a file, at most 100,000 and 256 MB, are the list `requests`. `custom_id` is the `entry_id` of the call."
            }
            Self::GeminiBatch => "`key` is the `entry_id` of the call, by which answers are found again.",
            Self::BedrockBatch => {
                "A file has at most 50,000 records and 1 GB. `recordId` is the `entry_id` of the call."
            }
            Self::MistralBatch => "`custom_id` is the `entry_id` of the call, by which answers are found again.",
        }
    }
}

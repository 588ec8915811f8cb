//! Who sells what: names of providers as bills have them.

/// A provider of `usage`, as a seller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vendor {
    /// Its name on an invoice.
    pub(super) name: String,
    /// Its product.
    pub(super) service: String,
}

/// Provider, name, product. Developers in `models.toml` are spelt as names here, so that who sells its own models is one party.
const KNOWN: [(&str, &str, &str); 12] = [
    ("openai", "OpenAI", "OpenAI API"),
    ("azure", "Microsoft", "Azure OpenAI"),
    ("anthropic", "Anthropic", "Claude API"),
    ("bedrock", "AWS", "Amazon Bedrock"),
    ("gemini", "Google", "Gemini API"),
    ("vertex_ai", "Google", "Vertex AI"),
    ("mistral", "Mistral", "Mistral API"),
    ("cohere", "Cohere", "Cohere API"),
    ("deepseek", "DeepSeek", "DeepSeek API"),
    ("xai", "xAI", "xAI API"),
    ("groq", "Groq", "GroqCloud"),
    ("dashscope", "Alibaba", "DashScope"),
];

impl Vendor {
    /// The seller behind `provider`; one that is not known goes by that name.
    pub(super) fn of(provider: &str) -> Self {
        match KNOWN.iter().find(|(known, ..)| *known == provider) {
            Some((_, name, service)) => Self { name: (*name).into(), service: (*service).into() },
            None => Self { name: provider.into(), service: format!("{provider} API") },
        }
    }
}

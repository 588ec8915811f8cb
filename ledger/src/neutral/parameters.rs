//! Request parameters in the words of OpenTelemetry.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{Json, members};

/// What dialects call one parameter.
const PARAMETERS: [(&str, &[&str]); 10] = [
    (
        "max_tokens",
        &["max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens", "maxTokens", "num_predict"],
    ),
    ("temperature", &["temperature"]),
    ("top_p", &["top_p", "topP"]),
    ("top_k", &["top_k", "topK"]),
    ("frequency_penalty", &["frequency_penalty", "frequencyPenalty"]),
    ("presence_penalty", &["presence_penalty", "presencePenalty"]),
    ("seed", &["seed"]),
    ("stop_sequences", &["stop", "stop_sequences", "stopSequences"]),
    ("choice_count", &["n", "candidateCount"]),
    ("output_schema", &["responseSchema", "responseJsonSchema"]),
];
/// Members that hold parameters: Gemini's, Bedrock's, Ollama's.
const NESTED: [&str; 3] = ["generationConfig", "inferenceConfig", "options"];
/// What is no parameter of the answer: how the call was made, which a replay decides anew, and tools, which stand apart.
const NO_PARAMETERS: [&str; 5] = ["model", "modelId", "stream", "stream_options", "tools"];
/// Where dialects keep the schema of a structured answer.
const SCHEMAS: [(&str, &[&str]); 4] = [
    ("response_format", &["json_schema", "schema"]),
    ("text", &["format", "schema"]),
    ("output_format", &["schema"]),
    ("output_config", &["format", "schema"]),
];

/// The parameters of one request.
#[derive(Clone, Debug, Default)]
pub struct Parameters<'a> {
    /// By their neutral word.
    pub known: BTreeMap<&'static str, Cow<'a, RawValue>>,
    /// Names of those that have no neutral word.
    pub others: Vec<String>,
}

impl<'a> Parameters<'a> {
    /// Reads the column `request_parameters`.
    pub fn read(column: Json<'a>) -> Self {
        let mut parameters = Self::default();
        for (name, value) in members(column) {
            match NESTED.contains(&name.as_ref()) && value.get().starts_with('{') {
                true => members(value).into_iter().for_each(|(name, value)| parameters.take(&name, value)),
                false => parameters.take(&name, value),
            }
        }
        parameters
    }

    fn take(&mut self, name: &str, value: Json<'a>) {
        let schema = SCHEMAS.iter().find(|(member, _)| *member == name).and_then(|(_, path)| member_at(value, path));
        if let Some(schema) = schema {
            self.known.insert("output_schema", Cow::Borrowed(schema));
        } else if let Some((word, _)) = PARAMETERS.iter().find(|(_, names)| names.contains(&name)) {
            let is_one_stop = *word == "stop_sequences" && value.get().starts_with('"');
            let list = || RawValue::from_string(format!("[{}]", value.get())).ok();
            let value = is_one_stop.then(list).flatten().map_or(Cow::Borrowed(value), Cow::Owned);
            self.known.insert(word, value);
        } else if !NO_PARAMETERS.contains(&name) {
            self.others.push(name.into());
        }
    }
}

fn member_at<'a>(json: Json<'a>, path: &[&str]) -> Option<Json<'a>> {
    path.iter().try_fold(json, |json, name| members(json).remove(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, Vec<String>) {
        let column = RawValue::from_string(text.into()).unwrap();
        let parameters = Parameters::read(&column);
        (serde_json::to_string(&parameters.known).unwrap(), parameters.others)
    }

    #[test]
    fn the_same_parameters_in_every_dialect_are_the_same_words() {
        let neutral = r#"{"max_tokens":9,"stop_sequences":["x"],"temperature":0.50}"#;
        for (given, others) in [
            (r#"{"model":"m","stream":true,"max_completion_tokens":9,"temperature":0.50,"stop":"x"}"#, vec![]),
            (r#"{"max_tokens":9,"temperature":0.50,"stop_sequences":["x"],"thinking":{}}"#, vec!["thinking"]),
            (r#"{"generationConfig":{"maxOutputTokens":9,"temperature":0.50,"stopSequences":["x"]}}"#, vec![]),
            (r#"{"inferenceConfig":{"maxTokens":9,"temperature":0.50,"stopSequences":["x"]},"seed":null}"#, vec![]),
            (r#"{"options":{"num_predict":9,"temperature":0.50,"stop":["x"],"mirostat":1}}"#, vec!["mirostat"]),
        ] {
            assert_eq!(read(given), (neutral.into(), others.into_iter().map(String::from).collect()), "{given}");
        }
        for given in [
            r#"{"response_format":{"type":"json_schema","json_schema":{"schema":{"type":"object"}}}}"#,
            r#"{"text":{"format":{"type":"json_schema","schema":{"type":"object"}}}}"#,
            r#"{"output_config":{"format":{"schema":{"type":"object"}}}}"#,
        ] {
            assert_eq!(read(given), (r#"{"output_schema":{"type":"object"}}"#.into(), vec![]), "{given}");
        }
        assert_eq!(read("null"), ("{}".into(), vec![]));
    }
}

//! Request parameters and tools in the words of OpenTelemetry, whichever dialect they were said in.

use serde_json::{Map, Value, json};

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
const SCHEMAS: [(&str, &str); 4] = [
    ("response_format", "/json_schema/schema"),
    ("text", "/format/schema"),
    ("output_format", "/schema"),
    ("output_config", "/format/schema"),
];

/// The neutral parameters, and the names of those that have no neutral word.
pub(super) fn parameters(given: &Value) -> (Value, Vec<String>) {
    let (mut neutral, mut left_out) = (Map::new(), Vec::new());
    for (name, value) in given.as_object().into_iter().flatten() {
        match value {
            Value::Object(inner) if NESTED.contains(&name.as_str()) => {
                inner.iter().for_each(|(name, value)| take(name, value, &mut neutral, &mut left_out));
            }
            _ => take(name, value, &mut neutral, &mut left_out),
        }
    }
    (Value::Object(neutral), left_out)
}

fn take(name: &str, value: &Value, neutral: &mut Map<String, Value>, left_out: &mut Vec<String>) {
    let schema = SCHEMAS.iter().find(|(member, _)| *member == name).and_then(|(_, path)| value.pointer(path));
    if let Some(schema) = schema {
        neutral.insert("output_schema".into(), schema.clone());
    } else if let Some((word, _)) = PARAMETERS.iter().find(|(_, names)| names.contains(&name)) {
        let is_one_stop = *word == "stop_sequences" && value.is_string();
        neutral.insert((*word).into(), if is_one_stop { json!([value]) } else { value.clone() });
    } else if !value.is_null() && !NO_PARAMETERS.contains(&name) {
        left_out.push(name.into());
    }
}

/// Functions offered, and the types of tools that are no functions: those run at one provider only.
pub(super) fn tools(given: &Value) -> (Vec<Value>, Vec<String>) {
    let (mut functions, mut left_out) = (Vec::new(), Vec::new());
    let mut pending: Vec<&Value> = given.as_array().into_iter().flatten().rev().collect();
    while let Some(tool) = pending.pop() {
        if let Some(declared) = tool.get("functionDeclarations").and_then(Value::as_array) {
            pending.extend(declared.iter().rev());
        } else if let Some(function) = function(tool) {
            functions.push(function);
        } else {
            let kind = tool.get("type").and_then(Value::as_str).map(String::from);
            let first = || tool.as_object().and_then(|members| members.keys().next().cloned());
            left_out.extend(kind.or_else(first).map(|kind| format!("tool {kind}")));
        }
    }
    (functions, left_out)
}

fn function(tool: &Value) -> Option<Value> {
    let body = ["function", "toolSpec"].into_iter().find_map(|member| tool.get(member)).unwrap_or(tool);
    let parameters = ["parameters", "input_schema", "parametersJsonSchema"].into_iter().find_map(|key| body.get(key));
    let parameters = parameters.or_else(|| body.pointer("/inputSchema/json"));
    let is_hosted = parameters.is_none() && tool.get("type").is_some_and(|kind| kind != "function");
    let name = body.get("name").filter(|_| !is_hosted)?;
    Some(json!({
        "type": "function",
        "name": name,
        "description": body.get("description"),
        "parameters": parameters,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_parameters_in_every_dialect_are_the_same_words() {
        let neutral = json!({"max_tokens": 9, "temperature": 0.5, "stop_sequences": ["x"]});
        for (given, left_out) in [
            (
                json!({"model": "m", "stream": true, "max_completion_tokens": 9, "temperature": 0.5, "stop": "x"}),
                vec![],
            ),
            (json!({"max_tokens": 9, "temperature": 0.5, "stop_sequences": ["x"], "thinking": {}}), vec!["thinking"]),
            (json!({"generationConfig": {"maxOutputTokens": 9, "temperature": 0.5, "stopSequences": ["x"]}}), vec![]),
            (json!({"inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "stopSequences": ["x"]}}), vec![]),
            (
                json!({"options": {"num_predict": 9, "temperature": 0.5, "stop": ["x"], "mirostat": 1}}),
                vec!["mirostat"],
            ),
        ] {
            assert_eq!(
                parameters(&given),
                (neutral.clone(), left_out.into_iter().map(String::from).collect()),
                "{given}"
            );
        }
        let schema = json!({"type": "object"});
        for given in [
            json!({"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}),
            json!({"text": {"format": {"type": "json_schema", "schema": schema}}}),
            json!({"output_config": {"format": {"schema": schema}}}),
        ] {
            assert_eq!(parameters(&given), (json!({"output_schema": schema}), vec![]), "{given}");
        }
        assert_eq!(parameters(&Value::Null), (json!({}), vec![]));
    }

    #[test]
    fn functions_are_neutral_and_hosted_tools_are_named() {
        let schema = json!({"type": "object"});
        let neutral = json!({"type": "function", "name": "f", "description": "d", "parameters": schema});
        for tool in [
            json!({"type": "function", "function": {"name": "f", "description": "d", "parameters": schema}}),
            json!({"type": "function", "name": "f", "description": "d", "parameters": schema}),
            json!({"name": "f", "description": "d", "input_schema": schema}),
            json!({"functionDeclarations": [{"name": "f", "description": "d", "parameters": schema}]}),
            json!({"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": schema}}}),
        ] {
            assert_eq!(tools(&json!([tool])), (vec![neutral.clone()], vec![]), "{tool}");
        }
        let hosted = json!([{"type": "web_search_20250305", "name": "web_search"}, {"googleSearch": {}}]);
        assert_eq!(tools(&hosted), (vec![], vec!["tool web_search_20250305".into(), "tool googleSearch".into()]));
    }
}

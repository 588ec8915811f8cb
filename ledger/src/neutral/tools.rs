//! Tools offered: functions in neutral words, and the names of tools that run at one vendor only.

use serde::Serialize;

use super::{Json, elements, members, text};

/// What a request offered the model.
#[derive(Clone, Debug, Default)]
pub struct Tools<'a> {
    /// Functions of the client.
    pub functions: Vec<Function<'a>>,
    /// Types of tools that are no functions, as `tool TYPE`.
    pub others: Vec<String>,
}

/// A function of the client.
#[derive(Clone, Debug, Serialize)]
pub struct Function<'a> {
    /// Its name, a JSON string.
    pub name: Json<'a>,
    /// What it does.
    pub description: Option<Json<'a>>,
    /// JSON schema of its arguments.
    pub parameters: Option<Json<'a>>,
}

impl<'a> Tools<'a> {
    /// Reads the column `tool_definitions`, else the tools that some gateways keep among the parameters.
    pub fn read(tool_definitions: Option<Json<'a>>, request_parameters: Option<Json<'a>>) -> Self {
        let among = || members(request_parameters?).remove("tools");
        let mut tools = Self::default();
        tool_definitions.or_else(among).into_iter().flat_map(elements).for_each(|tool| tools.take(tool));
        tools
    }

    fn take(&mut self, json: Json<'a>) {
        let tool = members(json);
        if let Some(declared) = tool.get("functionDeclarations").or(tool.get("function_declarations")) {
            elements(declared).into_iter().for_each(|tool| self.take(tool));
        } else if let Some(function) = Function::read(json) {
            self.functions.push(function);
        } else {
            let kind = tool.get("type").copied().and_then(text).or_else(|| tool.keys().next().cloned());
            self.others.extend(kind.map(|kind| format!("tool {kind}")));
        }
    }
}

impl<'a> Function<'a> {
    fn read(json: Json<'a>) -> Option<Self> {
        let tool = members(json);
        let inner = tool.get("function").or(tool.get("toolSpec")).map(|inner| members(inner));
        let body = inner.as_ref().unwrap_or(&tool);
        let parameters =
            ["parameters", "input_schema", "parametersJsonSchema"].into_iter().find_map(|key| body.get(key));
        let parameters = parameters.copied().or_else(|| members(body.get("inputSchema")?).remove("json"));
        let kind = tool.get("type").copied().and_then(text);
        let is_hosted = parameters.is_none() && kind.is_some_and(|kind| kind != "function");
        let name = body.get("name").copied().filter(|_| !is_hosted)?;
        Some(Self { name, description: body.get("description").copied(), parameters })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn read(text: &str) -> (String, Vec<String>) {
        let column = RawValue::from_string(text.into()).unwrap();
        let tools = Tools::read(Some(&column), None);
        (serde_json::to_string(&tools.functions).unwrap(), tools.others)
    }

    #[test]
    fn functions_are_neutral_and_hosted_tools_are_named() {
        let body = r#""name":"f","description":"d""#;
        for tool in [
            format!(r#"{{"type":"function","function":{{{body},"parameters":{{"type":"object"}}}}}}"#),
            format!(r#"{{"type":"function",{body},"parameters":{{"type":"object"}}}}"#),
            format!(r#"{{{body},"input_schema":{{"type":"object"}}}}"#),
            format!(r#"{{"functionDeclarations":[{{{body},"parameters":{{"type":"object"}}}}]}}"#),
            format!(r#"{{"toolSpec":{{{body},"inputSchema":{{"json":{{"type":"object"}}}}}}}}"#),
        ] {
            let neutral = format!(r#"[{{{body},"parameters":{{"type":"object"}}}}]"#);
            assert_eq!(read(&format!("[{tool}]")), (neutral, vec![]), "{tool}");
        }
        let hosted = r#"[{"type":"web_search_20250305","name":"web_search"},{"googleSearch":{}}]"#;
        assert_eq!(read(hosted), ("[]".into(), vec!["tool web_search_20250305".into(), "tool googleSearch".into()]));
    }
}

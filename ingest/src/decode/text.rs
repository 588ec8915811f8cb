//! The plain text of recorded messages.

use serde::Deserialize;

use super::messages::{elements, shape};
use super::scalar::Text;
use super::source::Json;

/// Text parts of all input messages in order, one per line: no roles, pictures, reasoning or tool arguments.
///
/// `input_messages` is what [`Body::input_messages`](daybook_ledger::Body::input_messages) holds. `None` without text.
pub fn prompt_text(input_messages: &str) -> Option<String> {
    spoken(input_messages)
}

/// Visible text of all choices in order, one part per line; a refusal and a transcript count, reasoning does not.
///
/// `output_messages` is what [`Body::output_messages`](daybook_ledger::Body::output_messages) holds. `None` without text.
pub fn output_text(output_messages: &str) -> Option<String> {
    spoken(output_messages)
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    parts: Option<Json<'a>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Text<'a>>,
    content: Option<Json<'a>>,
    transcript: Option<Json<'a>>,
    response: Option<Json<'a>>,
}

fn spoken(messages: &str) -> Option<String> {
    let messages: Json<'_> = serde_json::from_str(messages).ok()?;
    let mut text = String::new();
    for message in elements(messages) {
        let parts = shape::<Message<'_>>(message).and_then(|message| message.parts);
        parts.into_iter().flat_map(elements).for_each(|part| collect(part, &mut text));
    }
    (!text.is_empty()).then_some(text)
}

fn collect(part: Json<'_>, text: &mut String) {
    let Some(part) = shape::<Part<'_>>(part) else { return };
    let said = match part.kind.as_ref().map(|kind| kind.0.as_ref()) {
        Some("text" | "refusal") => part.content,
        Some("tool_call_response") => {
            return part.response.into_iter().flat_map(elements).for_each(|inner| collect(inner, text));
        }
        _ => part.transcript,
    };
    let said = said.and_then(|said| serde_json::from_str::<Text<'_>>(said.get()).ok());
    if let Some(said) = said.filter(|said| !said.0.is_empty()) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&said.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_refusals_and_transcripts_are_said_and_the_rest_is_not() {
        let messages = r#"[
            {"role":"assistant","parts":[
                {"type":"reasoning","content":"hm"},
                {"type":"text","content":"Gr\u00fc\u00dfe"},
                {"type":"text","content":""},
                {"type":"tool_call","id":"1","name":"f","arguments":{"content":"x"}},
                {"type":"refusal","content":"No."},
                {"type":"blob","modality":"audio","content":"AA==","transcript":"Hello"}]},
            {"role":"assistant","parts":[{"type":"text","content":"second"}]},
            {"role":"assistant"}, 7]"#;
        assert_eq!(output_text(messages).as_deref(), Some("Grüße\nNo.\nHello\nsecond"));
    }

    #[test]
    fn a_tool_messages_own_text_is_prompt_text() {
        let messages = r#"[{"role":"tool","parts":[{"type":"tool_call_response","id":"1",
            "response":[{"type":"text","content":"22 C"}]}]},
            {"role":"user","parts":[{"type":"tool_call_response","response":{"temperature":22}}]}]"#;
        assert_eq!(prompt_text(messages).as_deref(), Some("22 C"));
    }

    #[test]
    fn no_text_is_none() {
        for messages in ["", "[]", "{}", "null", "[{\"role\":\"user\",\"parts\":[]}]", "[{\"parts\":\"x\"}]"] {
            assert_eq!(prompt_text(messages), None, "{messages}");
        }
    }
}

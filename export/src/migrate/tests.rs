use serde_json::{Value, json};

use super::*;

const INPUT: &str = r#"[
 {"role":"system","parts":[{"type":"text","content":"Be brief."}]},
 {"role":"user","name":"ana","parts":[{"type":"text","content":"Wetter in K\u00f6ln \ud83c\udf27?"}]},
 {"role":"assistant","parts":[{"type":"reasoning","content":"look it up"},{"type":"tool_call","id":"call-1","name":"weather","arguments":{"city": "Köln", "days": 1.0}}]},
 {"role":"tool","parts":[{"type":"tool_call_response","id":"call-1","response":[{"type":"text","content":"12 C"}]}]}
]"#;
const OUTPUT: &str = r#"[{"role":"assistant","parts":[{"type":"text","content":"12 °C.","annotations":[{"url":"x"}]}],"finish_reason":"stop"},{"role":"assistant","parts":[{"type":"text","content":"Zwölf."}]}]"#;
const TOOLS: &str = r#"[{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}},{"type":"web_search"}]"#;
const PARAMETERS: &str = r#"{"model":"m","temperature":0.70,"top_k":5,"stop":"END","seed":7,"logprobs":true}"#;
const ID: &str = "000102030405060708090a0b0c0d0e0f";

fn row<'a>(input: &'a str, output: &'a str) -> Row<'a> {
    Row {
        input_messages: Some(input),
        output_messages: Some(output),
        tool_definitions: Some(TOOLS),
        request_parameters: Some(PARAMETERS),
    }
}

/// The line of a row and what it loses, or why there is none.
fn line(shape: &str, row: &Row<'_>) -> Result<(Value, Value), Dropped> {
    let migration = Migration::parse(shape).unwrap();
    let (mut notes, mut out) = (Notes::default(), Vec::new());
    migration.line(ID, row, &mut notes, &mut out)?;
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
    let mut losses = Losses::default();
    losses.keep(notes);
    Ok((serde_json::from_slice(&out).unwrap(), serde_json::to_value(&losses).unwrap()))
}

fn lost(losses: &Value) -> Vec<&str> {
    losses["lost"].as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_conversation_is_the_same_in_every_shape_and_says_what_it_loses() {
    let row = row(INPUT, OUTPUT);
    let common = ["citations", "finish_reason", "further choice"];
    let parameters = [
        "parameter logprobs",
        "parameter seed",
        "parameter stop_sequences",
        "parameter temperature",
        "parameter top_k",
    ];

    let (chat, losses) = line("chat-messages", &row).unwrap();
    let user = json!({"role": "user", "name": "ana", "content": "Wetter in Köln 🌧?"});
    let call = json!({"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Köln\", \"days\": 1.0}"}});
    let result = json!({"role": "tool", "tool_call_id": "call-1", "content": "12 C"});
    assert_eq!(
        chat["messages"],
        json!([
            {"role": "system", "content": "Be brief."}, user,
            {"role": "assistant", "content": null, "tool_calls": [call]}, result,
            {"role": "assistant", "content": "12 °C."},
        ])
    );
    assert_eq!(chat["tools"][0]["function"]["name"], "weather");
    assert_eq!(lost(&losses), [&common[..], &parameters, &["reasoning", "tool web_search"]].concat());

    let (mistral, losses) = line("mistral", &row).unwrap();
    assert_eq!(mistral["messages"][2]["tool_calls"][0]["id"], "call00000", "nine letters and digits");
    assert_eq!(mistral["messages"][3]["tool_call_id"], "call00000");
    assert_eq!(losses["filled"]["tool call id"]["rows"], 1);
    assert!(lost(&losses).contains(&"name"));

    let (hugging_face, _) = line("huggingface", &row).unwrap();
    for message in hugging_face["messages"].as_array().unwrap() {
        assert_eq!(message.as_object().unwrap().len(), 5, "the same members everywhere: {message}");
    }
    let tools: Value = serde_json::from_str(hugging_face["tools"].as_str().unwrap()).unwrap();
    assert_eq!(tools, chat["tools"]);

    let (anthropic, losses) = line("anthropic", &row).unwrap();
    assert_eq!(anthropic["system"], json!([{"type": "text", "text": "Be brief."}]));
    let use_of_tool =
        json!({"type": "tool_use", "id": "call-1", "name": "weather", "input": {"city": "Köln", "days": 1.0}});
    let given = json!([{"type": "text", "text": "12 C"}]);
    assert_eq!(anthropic["messages"][1], json!({"role": "assistant", "content": [use_of_tool]}));
    assert_eq!(
        anthropic["messages"][2],
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call-1", "content": given}]})
    );
    assert_eq!(lost(&losses), [&common[..], &["name"], &parameters, &["reasoning", "tool web_search"]].concat());

    let (gemini, losses) = line("gemini", &row).unwrap();
    let thought = json!({"text": "look it up", "thought": true});
    let call = json!({"functionCall": {"id": "call-1", "name": "weather", "args": {"city": "Köln", "days": 1.0}}});
    assert_eq!(gemini["contents"][1], json!({"role": "model", "parts": [thought, call]}));
    assert_eq!(gemini["contents"][2]["parts"][0]["functionResponse"]["response"], json!({"output": "12 C"}));
    assert!(!lost(&losses).contains(&"reasoning"));

    let (bedrock, _) = line("bedrock", &row).unwrap();
    assert_eq!(bedrock["schemaVersion"], "bedrock-conversation-2024");
    let given = json!({"toolResult": {"toolUseId": "call-1", "content": [{"text": "12 C"}]}});
    assert_eq!(bedrock["messages"][2], json!({"role": "user", "content": [given]}));
    assert_eq!(bedrock["toolConfig"]["tools"][0]["toolSpec"]["name"], "weather");
}

#[test]
fn a_prompt_is_a_request_with_its_parameters_and_without_its_answer() {
    let row = row(INPUT, OUTPUT);
    let (openai, losses) = line("openai-batch=gpt-5.4", &row).unwrap();
    assert_eq!((&openai["custom_id"], &openai["url"]), (&json!(ID), &json!("/v1/chat/completions")));
    let body = &openai["body"];
    assert_eq!(
        (&body["model"], &body["temperature"], &body["seed"], &body["stop"]),
        (&json!("gpt-5.4"), &json!(0.7), &json!(7), &json!(["END"]))
    );
    assert_eq!(body["messages"].as_array().unwrap().len(), 4, "the answer stays out");
    assert_eq!(lost(&losses), ["parameter logprobs", "parameter top_k", "reasoning", "tool web_search"]);

    let (anthropic, losses) = line("anthropic-batch=claude-sonnet-5", &row).unwrap();
    assert_eq!((&anthropic["params"]["max_tokens"], &anthropic["params"]["top_k"]), (&json!(4096), &json!(5)));
    assert_eq!(losses["filled"]["parameter max_tokens (4096)"]["rows"], 1);

    let (gemini, _) = line("gemini-batch", &row).unwrap();
    assert_eq!(gemini["key"], ID);
    assert_eq!(
        gemini["request"]["generationConfig"],
        json!({"seed": 7, "stopSequences": ["END"], "temperature": 0.7, "topK": 5})
    );

    let (bedrock, _) = line("bedrock-batch", &row).unwrap();
    assert_eq!(bedrock["recordId"], ID);
    assert_eq!(bedrock["modelInput"]["inferenceConfig"], json!({"stopSequences": ["END"], "temperature": 0.7}));

    let (mistral, _) = line("mistral-batch", &row).unwrap();
    assert_eq!(mistral["body"]["random_seed"], 7);

    let schema = r#"{"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}}}"#;
    let asked = Row { request_parameters: Some(schema), ..row };
    let object = json!({"type": "object"});
    assert_eq!(line("openai-batch=m", &asked).unwrap().0["body"]["response_format"]["json_schema"]["schema"], object);
    assert_eq!(line("anthropic-batch=m", &asked).unwrap().0["params"]["output_config"]["format"]["schema"], object);
    let config = json!({"responseJsonSchema": object, "responseMimeType": "application/json"});
    assert_eq!(line("gemini-batch", &asked).unwrap().0["request"]["generationConfig"], config);
    let format = &line("bedrock-batch", &asked).unwrap().0["modelInput"]["outputConfig"]["textFormat"];
    assert_eq!(format["structure"]["jsonSchema"]["schema"], r#"{"type":"object"}"#);
}

#[test]
fn what_a_shape_cannot_hold_drops_the_row_with_the_reason() {
    let say = |parts: &str| format!(r#"[{{"role":"user","parts":[{parts}]}}]"#);
    let text = r#"{"type":"text","content":"hi"}"#;
    let sound = r#"{"type":"blob","modality":"audio","mime_type":"audio/wav","content":"AAAA"}"#;
    let picture = r#"{"type":"blob","modality":"image","mime_type":"image/png","content":"AAAA"}"#;
    let file = r#"{"type":"file","modality":"document","file_id":"file-1"}"#;
    let alone = r#"{"type":"tool_call_response","id":"x","response":"1"}"#;
    let dropped = |shape: &str, input: &str| line(shape, &row(input, OUTPUT)).err();
    for (shape, input, reason) in [
        ("chat-messages", say(text), None),
        ("chat-messages", say(sound), None),
        ("gemini", say(sound), None),
        ("anthropic", say(sound), Some(Dropped::Media)),
        ("mistral", say(sound), Some(Dropped::Media)),
        ("anthropic", say(picture), None),
        ("bedrock", say(picture), None),
        ("huggingface", say(picture), Some(Dropped::Media)),
        ("gemini", say(file), Some(Dropped::HostedFile)),
        ("chat-messages", say(alone), Some(Dropped::ResultUnmatched)),
        ("chat-messages", say(r#"{"type":"text","content":"\ud83d"}"#), Some(Dropped::NotUnicode)),
        ("chat-messages", say(r#"{"type":"dance"}"#), Some(Dropped::UnknownPart)),
        ("chat-messages", "{}".into(), Some(Dropped::Unreadable)),
        ("chat-messages", "[]".into(), Some(Dropped::NoPrompt)),
        ("anthropic", say(r#"{"type":"text","content":" \n"}"#), Some(Dropped::AnswerFirst)),
        ("chat-messages", say(text).replace("user", "narrator"), Some(Dropped::UnknownRole)),
        ("anthropic", say(text).replace("user", "assistant"), Some(Dropped::AnswerFirst)),
        (
            "gemini",
            format!(
                "{},{}",
                say(text).trim_end_matches(']'),
                say(text).replace("user", "system").trim_start_matches('[')
            ),
            Some(Dropped::LateSystem),
        ),
    ] {
        assert_eq!(dropped(shape, &input), reason, "{shape} {input}");
    }
    let silent = Row { output_messages: None, ..row(INPUT, "") };
    assert_eq!(line("chat-messages", &silent).err(), Some(Dropped::NoAnswer));
    assert!(line("gemini-batch", &silent).is_ok(), "a prompt needs no answer");
    let untold = Row { tool_definitions: None, ..row(INPUT, OUTPUT) };
    assert_eq!(line("bedrock", &untold).err(), Some(Dropped::ToolsUnknown));
}

#[test]
fn tools_keep_the_names_they_are_run_by_or_the_row_is_dropped() {
    let offered = |name: &str| format!(r#"[{{"type":"function","function":{{"name":"{name}"}}}}]"#);
    let prompt = r#"[{"role":"user","parts":[{"type":"text","content":"hi"}]}]"#;
    let all = ["chat-messages", "anthropic", "gemini", "bedrock", "mistral", "huggingface"];
    let taken_by = |name: &str| {
        let (tools, calls) = (offered(name), INPUT.replace("weather", name));
        let rows = [Row { tool_definitions: Some(&tools), ..row(prompt, OUTPUT) }, row(&calls, OUTPUT)];
        let takes = |shape: &&str| {
            let dropped = rows.map(|row| line(shape, &row).err());
            assert!(dropped == [None; 2] || dropped == [Some(Dropped::ToolName); 2], "{shape} {name}: {dropped:?}");
            dropped == [None; 2]
        };
        all.into_iter().filter(takes).collect::<Vec<_>>()
    };
    assert_eq!(taken_by("get-weather_2"), all);
    assert_eq!(taken_by("files.read"), ["gemini", "huggingface"]);
    assert_eq!(taken_by("2nd"), ["chat-messages", "anthropic", "bedrock", "mistral", "huggingface"]);
    assert_eq!(taken_by(&"n".repeat(65)), ["anthropic", "gemini", "huggingface"]);
    assert_eq!(taken_by("wetter_\u{fc}"), ["huggingface"]);
}

#[test]
fn results_without_ids_find_the_calls_they_answer() {
    let input = r#"[{"role":"user","parts":[{"type":"text","content":"both"}]},
        {"role":"assistant","parts":[{"type":"tool_call","name":"f","arguments":{}},{"type":"tool_call","name":"f","arguments":{}}]},
        {"role":"user","parts":[{"type":"tool_call_response","id":"f","response":{"n":1}},{"type":"tool_call_response","id":"f","response":{"n":2}},{"type":"text","content":"and?"}]}]"#;
    let (chat, losses) = line("chat-messages", &row(input, OUTPUT)).unwrap();
    let ids: Vec<_> =
        (2..4).map(|at| (&chat["messages"][at]["tool_call_id"], &chat["messages"][at]["content"])).collect();
    assert_eq!(ids, [(&json!("call00000"), &json!("{\"n\":1}")), (&json!("call00001"), &json!("{\"n\":2}"))]);
    assert_eq!(chat["messages"][4], json!({"role": "user", "content": "and?"}));
    assert_eq!(losses["filled"]["tool call id"], json!({"rows": 1, "times": 2}));

    let (anthropic, losses) = line("anthropic", &row(input, OUTPUT)).unwrap();
    assert_eq!(anthropic["messages"][2]["content"].as_array().unwrap().len(), 3, "one turn of the user's side");
    assert!(lost(&losses).contains(&"message boundary"));
}

#[test]
fn a_tool_that_found_nothing_is_quoted_and_not_left_without_content() {
    let input = r#"[{"role":"user","parts":[{"type":"text","content":"any?"}]},
        {"role":"assistant","parts":[{"type":"tool_call","id":"c","name":"f","arguments":{}}]},
        {"role":"tool","parts":[{"type":"tool_call_response","id":"c","response":[]}]}]"#;
    let (chat, _) = line("chat-messages", &row(input, OUTPUT)).unwrap();
    assert_eq!(chat["messages"][2]["content"], "[]");
}

#[test]
fn a_migration_names_a_model_where_its_lines_do() {
    for (text, reason) in [
        ("openai-batch", "say which model is to answer: openai-batch=MODEL"),
        ("openai-batch=", "say which model is to answer: openai-batch=MODEL"),
        ("gemini-batch=m", "gemini-batch names no model: whoever starts the job does"),
    ] {
        assert_eq!(Migration::parse(text).unwrap_err(), reason);
    }
    assert!(
        Migration::parse("cohere").unwrap_err().starts_with("no shape is called `cohere`; there are chat-messages, ")
    );
    let of = |texts: &[&str]| texts.iter().map(|text| Migration::parse(text).unwrap()).collect::<Vec<_>>();
    let once = Migration::each_once(&of(&["gemini", "openai-batch=m", "gemini"])).unwrap();
    assert_eq!(once, of(&["gemini", "openai-batch=m"]));
    let twice = Migration::each_once(&of(&["openai-batch=m", "openai-batch=n"]));
    assert!(matches!(twice, Err(Error::TwoModels { destination: "openai-batch" })));
}

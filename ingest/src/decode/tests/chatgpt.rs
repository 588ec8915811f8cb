use daybook_ledger::Instant;

use super::*;

fn turns(name: &str) -> Vec<Entry<'static>> {
    entries(&fixtures(Format::ChatGptExport).into_iter().find(|(case, _)| case == name).unwrap().1).unwrap()
}

#[test]
fn a_turn_tells_when_by_what_and_in_which_conversation_but_no_tokens() {
    let turns = turns("tools");
    let [asked, answered] = turns.as_slice() else { panic!("two turns") };
    assert_eq!((asked.usage_source, asked.tokens.input), (UsageSource::Absent, None));
    assert_eq!(asked.started_at, Instant::parse("2026-11-20T09:13:21Z"));
    assert_eq!(answered.completed_at, Instant::parse("2026-11-20T09:13:27Z"));
    assert_eq!(answered.session_id.as_deref(), Some("c0a8-0002"));
    assert_eq!(answered.tags, [("openai.gizmo_id".into(), "g-p-harbour".into())]);
    assert_eq!(extra(answered), r#"{"is_archived":false,"is_starred":true}"#);
    assert_eq!(answered.body.as_ref().unwrap().request_parameters.as_deref(), Some(r#"{"title":"Tonnage chart"}"#));
    assert_eq!(features(asked), ["vision_input", "hosted_files", "hosted_state", "code_execution"]);
    assert!(asked.raw.starts_with(b"{") && asked.raw.windows(11).any(|part| part == b"Two numbers"));
}

#[test]
fn what_was_said_is_in_the_words_of_the_ledger() {
    let turns = turns("tools");
    assert_eq!(
        output(&turns[0]),
        r#"[{"role":"assistant","parts":[{"type":"reasoning","content":"Two numbers: 40 and 2."},{"type":"tool_call","name":"python","arguments":"print(40 + 2)"}]}]"#
    );
    let asked = r#"{"role":"user","parts":[{"type":"file","modality":"image","file_id":"file-service://file-Qx1"},{"type":"text","content":"Add up the tonnage in the picture."}]}"#;
    assert!(input(&turns[1]).starts_with(&format!("[{asked},")), "{}", input(&turns[1]));
    let heard = r#"{"type":"tool_call_response","name":"python","response":[{"type":"text","content":"42"}]}"#;
    assert!(input(&turns[1]).ends_with(&format!(r#"{{"role":"tool","parts":[{heard}]}}]"#)), "{}", input(&turns[1]));
}

/// A conversation of `turns` questions and answers, with `text` in each.
fn conversation(turns: usize, text: &str) -> String {
    let mut nodes = vec![r#""r":{"id":"r","message":null,"parent":null,"children":["u0"]}"#.to_owned()];
    for turn in 0..turns {
        let before = if turn == 0 { "r".to_owned() } else { format!("a{}", turn - 1) };
        for (id, role, parent, child) in [
            (format!("u{turn}"), "user", before, format!("a{turn}")),
            (format!("a{turn}"), "assistant", format!("u{turn}"), format!("u{}", turn + 1)),
        ] {
            nodes.push(format!(
                r#""{id}":{{"message":{{"id":"{id}","author":{{"role":"{role}"}},"create_time":1795165200.5,"content":{{"content_type":"text","parts":["{text}"]}}}},"parent":"{parent}","children":["{child}"]}}"#
            ));
        }
    }
    format!(r#"{{"conversation_id":"c","mapping":{{{}}}}}"#, nodes.join(","))
}

#[test]
fn a_conversation_that_went_on_has_the_same_calls_and_the_new_one() {
    let ids = |turns| entries(&conversation(turns, "x")).unwrap().iter().map(Entry::id).collect::<Vec<_>>();
    let (before, after) = (ids(3), ids(4));
    assert_eq!((before.len(), after.len()), (3, 4));
    assert_eq!(before, after[..3]);
}

#[test]
fn the_messages_before_each_turn_do_not_grow_with_the_square_of_the_conversation() {
    let text = "x".repeat(1 << 20);
    let bytes = |turns: usize| {
        let entries = entries(&conversation(turns, &text)).unwrap();
        let said = entries.iter().map(|entry| input(entry).len()).sum::<usize>();
        (said >> 20, extra(&entries[turns - 1]).to_owned())
    };
    assert_eq!(bytes(7), (49, String::new()));
    assert_eq!(bytes(9), (9, r#"{"input_messages":"since the turn before"}"#.to_owned()));
}

#[test]
fn a_tree_that_is_none_ends() {
    let said = |id: &str, parent: &str, child: &str| {
        format!(
            r#""{id}":{{"message":{{"id":"{id}","author":{{"role":"assistant"}},"content":{{"parts":["x"]}}}},"parent":"{parent}","children":["{child}"]}}"#
        )
    };
    let circle =
        format!(r#"{{"id":"c","current_node":"a","mapping":{{{},{}}}}}"#, said("a", "b", "b"), said("b", "a", "a"));
    assert_eq!(entries(&circle).unwrap().len(), 0);
    let own_parent = format!(r#"{{"id":"c","current_node":"a","mapping":{{{}}}}}"#, said("a", "a", "none"));
    assert_eq!(entries(&own_parent).unwrap().len(), 1);
}

#[test]
fn what_is_no_conversation_is_refused_with_its_place() {
    assert_eq!(refused_at(r#"{"current_node":"a","mapping":{"a":{"message":[]}}}"#), "$.mapping.a.message");
    assert_eq!(
        refused_at(
            r#"{"current_node":"a","mapping":{"a":{"message":{"author":{"role":"assistant"},"content":{"parts":["x"]},"create_time":"soon"}}}}"#
        ),
        "$.mapping.a.message.create_time"
    );
    assert_eq!(refused_at(r#"{"current_node":"a","mapping":[]}"#), "$.mapping");
    let nobody = r#"{"current_node":"a","mapping":{"a":{"message":{"content":{"parts":["x"]}}}}}"#;
    assert_eq!(refused_at(nobody), "$.mapping.a.message");
    assert_eq!(refused_at(r#"{"current_node":"a","mapping":{"a":{"parent":"r","children":[]}}}"#), "$.mapping.a");
}

#[test]
fn an_answer_that_cannot_be_read_is_a_call_all_the_same() {
    let turn = |content: &str| {
        format!(
            r#"{{"id":"c","current_node":"a","mapping":{{"a":{{"message":{{"id":"a","author":{{"role":"assistant"}},"content":{content}}}}}}}}}"#
        )
    };
    for content in ["null", "7", r#"{"parts":[""]}"#, r#"{"pages":["x"]}"#] {
        assert_eq!(entries(&turn(content)).unwrap().len(), 1, "{content}");
    }
}

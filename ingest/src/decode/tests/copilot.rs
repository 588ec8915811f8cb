use daybook_ledger::Instant;

use super::*;

fn record(name: &str) -> Entry<'static> {
    entry(&fixtures(Format::Copilot).into_iter().find(|(case, _)| case == name).unwrap().1)
}

#[test]
fn a_record_tells_who_where_and_what_it_leaned_on_but_no_tokens() {
    let word = record("word-with-file");
    assert_eq!((word.usage_source, word.tokens.input), (UsageSource::Absent, None));
    assert_eq!(word.started_at, Instant::parse("2026-11-20T09:12:36Z"));
    assert_eq!((word.workload_hint.as_deref(), word.region.as_deref()), (Some("Word"), Some("germany")));
    assert_eq!(word.session_id.as_deref(), Some("19:claims-thread@thread.v2"));
    assert_eq!(features(&word), ["document_input", "hosted_files"]);
    assert!(word.extra.as_deref().unwrap().contains("\"CopilotEventData.AccessedResources\""));
    let chat = record("chat-with-web-plugin");
    assert_eq!(features(&chat), ["hosted_state", "web_search", "guardrails"]);
    assert!(chat.tags.contains(&("gen_ai.agent.name".into(), "Tariffs".into())));
    let row = record("audit-search-row");
    assert_eq!((row.workload_hint.as_deref(), features(&row)), (Some("Teams"), vec!["hosted_state"]));
    assert_eq!(row.started_at, Instant::parse("2026-11-20T11:30:00Z"));
}

#[test]
fn a_record_and_a_row_that_holds_it_are_one_call() {
    let record = r#"{"Id":"r","Operation":"CopilotInteraction","CreationTime":"2026-11-20T09:00:00",
        "CopilotEventData":{"AppHost":"Excel"}}"#;
    let text = serde_json::Value::from(record);
    let ids = [
        entry(record).id(),
        entry(&format!(r#"{{"RecordType":261,"AuditData":{text}}}"#)).id(),
        entry(&format!(r#"{{"id":"q","auditData":{record}}}"#)).id(),
    ];
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[test]
fn records_of_other_operations_are_no_calls_and_one_without_its_data_is_refused() {
    let read = |record: &str| {
        let mut count = 0;
        let event = Event::of(record.as_bytes());
        decode(&event, Some(Format::Copilot), &BODIES, &mut |_| count += 1).map(|_| count).map_err(|error| error.code())
    };
    assert_eq!(read(r#"{"Id":"r","Operation":"FileAccessed","Workload":"SharePoint"}"#), Ok(0));
    assert_eq!(read(r#"{"Id":"r","Operation":"CopilotInteraction"}"#), Err("DECODE-009"));
    assert_eq!(read(r#"{"Id":"r"}"#), Err("DECODE-009"));
    assert_eq!(
        read(r#"{"Operation":"CopilotInteraction","CopilotEventData":{},"CreationTime":"soon"}"#),
        Err("DECODE-010")
    );
    assert_eq!(read(r#"{"Operation":"CopilotInteraction","CopilotEventData":[]}"#), Err("DECODE-010"));
    assert_eq!(
        read(r#"[{"Operation":"CopilotInteraction","CopilotEventData":{}},{"Operation":"FileAccessed"}]"#),
        Ok(1)
    );
}

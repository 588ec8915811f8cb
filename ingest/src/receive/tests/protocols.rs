//! Every protocol in, and what is in Kafka then.

use std::collections::BTreeMap;

use super::*;
use crate::receive::Path;
use crate::receive::otlp::write_field;

fn found(value: &str, key: Option<&str>, headers: &[&str]) -> Found {
    Found {
        value: value.into(),
        key: key.map(String::from),
        headers: headers.iter().map(|header| (*header).to_owned()).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_ndjson_and_arrays_become_one_message_per_event() {
    let rig = Rig::start(|_| {}).await;
    let json = [("content-type", "application/json")];
    let answer = rig.post("/v1/events", &json, "{\"id\": \"a\"}").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, serde_json::json!({"accepted": 1})));
    assert_eq!(answer.header("content-type"), "application/json");
    let answer = rig.post("/v1/events", &[("content-type", "application/x-ndjson")], "{\"b\":1}\n{\"b\":2}\n").await;
    assert_eq!(answer.json()["accepted"], 2);
    let packed = gzip(b"[{\"c\":1},{\"c\":2}]");
    let answer = rig.post("/v1/events", &[json[0], ("content-encoding", "gzip")], packed).await;
    assert_eq!(answer.json()["accepted"], 2);
    let plain = ["content-type=application/json"];
    let expected = [
        found("{\"b\":1}", None, &plain),
        found("{\"b\":2}", None, &plain),
        found("{\"c\":1}", None, &plain),
        found("{\"c\":2}", None, &plain),
        found("{\"id\": \"a\"}", Some("a"), &plain),
    ];
    assert_eq!(rig.messages("events", 5), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_events_keep_their_mode() {
    let rig = Rig::start(|_| {}).await;
    let event = r#"{"specversion":"1.0","id":"1","source":"/g","type":"ai.call","data":{"x":1}}"#;
    let other = event.replace("\"1\"", "\"2\"");
    let structured = [("content-type", "application/cloudevents+json")];
    assert_eq!(rig.post("/v1/events", &structured, event).await.status, 200);
    let batch = [("content-type", "application/cloudevents-batch+json; charset=utf-8")];
    let answer = rig.post("/v1/events", &batch, format!("[{other}]")).await;
    assert_eq!(answer.json()["accepted"], 1);
    let binary = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "3"),
        ("ce-source", "/g"),
        ("ce-type", "ai.call"),
    ];
    assert_eq!(rig.post("/v1/events", &binary, "{\"x\":[1,2]}").await.status, 200);
    let marked = ["content-type=application/cloudevents+json; charset=UTF-8"];
    let attributes =
        ["content-type=application/json", "ce_specversion=1.0", "ce_id=3", "ce_source=/g", "ce_type=ai.call"];
    let mut expected = vec![
        found(event, Some("1"), &marked),
        found(&other, Some("2"), &marked),
        found("{\"x\":[1,2]}", Some("3"), &attributes),
    ];
    expected.sort();
    assert_eq!(rig.messages("events", 3), expected);
}

/// An export request of one span, named `name`, of trace 0101...
fn otlp_protobuf(name: &[u8]) -> Vec<u8> {
    let field = |number, content: &[u8]| {
        let mut out = Vec::new();
        write_field(&mut out, number, content);
        out
    };
    let span = field(2, &[field(1, &[1; 16]), field(5, name)].concat());
    field(1, &field(2, &span))
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_goes_on_as_it_came_with_its_content_type() {
    let rig = Rig::start(|settings| {
        settings.topics.paths = BTreeMap::from([(Path::Traces, "spans".into()), (Path::Logs, "records".into())]);
    })
    .await;
    let body = otlp_protobuf(b"chat");
    let protobuf = [("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
    let answer = rig.post("/v1/traces", &protobuf, gzip(&body)).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/x-protobuf"));
    assert_eq!(answer.body, b"", "an empty ExportTraceServiceResponse");
    let trace = "01".repeat(16);
    let value = String::from_utf8_lossy(&body).into_owned();
    let expected = found(&value, Some(&trace), &["content-type=application/x-protobuf"]);
    assert_eq!(rig.messages("spans", 1), [expected]);

    let json = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"AB","body":{}}]}]}]}"#;
    let answer = rig.post("/v1/logs", &[("content-type", "application/json")], json).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, &b"{}"[..]));
    assert_eq!(rig.messages("records", 1), [found(json, Some("ab"), &["content-type=application/json"])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn otlp_errors_are_a_status_in_the_encoding_of_the_request() {
    let rig = Rig::start(|_| {}).await;
    let answer = rig.post("/v1/traces", &[("content-type", "application/json")], "{").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (400, "application/json"));
    assert_eq!(answer.json()["code"], 3);
    assert!(answer.json()["message"].as_str().unwrap().starts_with("RECEIVE-108: not JSON at line 1"));
    let answer = rig.post("/v1/logs", &[("content-type", "application/x-protobuf")], "{}").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (400, "application/x-protobuf"));
    assert!(answer.body.starts_with(&[1 << 3, 3, 2 << 3 | 2]), "code 3, then a message: {:?}", answer.body);
    let message = usize::from(answer.body[3]);
    assert!(
        answer.body[4..].starts_with(b"RECEIVE-109: not OTLP: broken protobuf") && answer.body.len() == 4 + message
    );
    let answer = rig.post("/v1/traces", &[("content-type", "text/plain")], "{}").await;
    assert_eq!(answer.status, 415);
    // Nothing to record is a success.
    let answer = rig.post("/v1/traces", &[("content-type", "application/x-protobuf")], "").await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_otlp_request_is_cut_and_what_cannot_be_is_counted_as_rejected() {
    let rig = Rig::start(|settings| settings.limits.message_bytes_max = 2000).await;
    let span = |name: &str| format!("{{\"traceId\":\"aa\",\"name\":\"{name}\"}}");
    let request = |spans: Vec<String>| {
        format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{}]}}]}}]}}", spans.join(","))
    };
    let json = [("content-type", "application/json")];
    let answer = rig.post("/v1/traces", &json, request(vec![span(&"x".repeat(900)); 5])).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (200, &b"{}"[..]));
    let messages = rig.messages("events", 5);
    assert_eq!(messages.len(), 5);
    assert!(messages.iter().all(|message| message.key.as_deref() == Some("aa") && message.value.len() < 2000));

    let mixed = request(vec![span("small"), span(&"x".repeat(2000)), span("small")]);
    let answer = rig.post("/v1/traces", &json, mixed).await;
    assert_eq!(answer.status, 200, "a sender must not send the whole again");
    assert_eq!(answer.json()["partialSuccess"]["rejectedSpans"], "1");
    let message = answer.json()["partialSuccess"]["errorMessage"].as_str().unwrap().to_owned();
    assert!(message.starts_with("RECEIVE-105: "), "{message}");
    let alone = rig.post("/v1/traces", &json, request(vec![span(&"x".repeat(2000))])).await;
    assert_eq!(alone.status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stated_format_travels_along_and_chooses_the_topic() {
    let rig = Rig::start(|settings| {
        settings.topics.formats = BTreeMap::from([("litellm-standard", "litellm".into())]);
    })
    .await;
    let answer = rig.post("/v1/events?x=1&format=litellm-standard", &[], "[{\"id\":\"c\"}]").await;
    assert_eq!(answer.status, 200);
    let headers = ["daybook-format=litellm-standard", "content-type=application/json"];
    assert_eq!(rig.messages("litellm", 1), [found("{\"id\":\"c\"}", Some("c"), &headers)]);
    let answer = rig.post("/v1/events", &[("daybook-format", "litelm-standard")], "{}").await;
    assert_eq!(answer.told(), (400, "RECEIVE-110".into()));
    assert!(answer.json()["error"]["hint"].as_str().unwrap().contains("did you mean `litellm-standard`?"));
    let vendor = [("content-type", "application/vnd.daybook.anthropic+json"), ("daybook-key", "call 1")];
    assert_eq!(rig.post("/v1/events", &vendor, "{}").await.status, 200);
    let headers = ["content-type=application/vnd.daybook.anthropic+json"];
    assert_eq!(rig.messages("events", 1), [found("{}", Some("call 1"), &headers)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_line_is_kept_and_named_beside_good_ones() {
    let rig = Rig::start(|_| {}).await;
    let answer = rig.post("/v1/events", &[], "{\"id\":\"a\"}\n{\"id\":\n{\"id\":\"c\"}").await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!(body["accepted"], 3);
    assert_eq!(body["items"].as_array().unwrap().len(), 1);
    assert_eq!((body["items"][0]["index"].as_u64(), body["items"][0]["accepted"].as_bool()), (Some(1), Some(true)));
    assert_eq!(body["items"][0]["code"], "RECEIVE-108");
    let values: Vec<_> = rig.messages("events", 3).into_iter().map(|message| message.value).collect();
    assert_eq!(values, ["{\"id\":", "{\"id\":\"a\"}", "{\"id\":\"c\"}"]);
    assert_eq!(rig.post("/v1/events", &[], "{\"id\":").await.told(), (400, "RECEIVE-108".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_and_methods_say_what_there_is() {
    let rig = Rig::start(|_| {}).await;
    let answer = rig.post("/v1/metrics", &[], "{}").await;
    assert_eq!(answer.told(), (404, "RECEIVE-102".into()));
    assert!(answer.json()["error"]["hint"].as_str().unwrap().contains("/v1/traces"));
    let answer = rig.get("/v1/events").await;
    assert_eq!((answer.told(), answer.header("allow")), ((405, "RECEIVE-102".into()), "POST"));
    assert_eq!(rig.get("/healthz/live").await.status, 200);
    assert_eq!(rig.get("/healthz/ready").await.status, 200);
    assert_eq!(rig.post("/v1/events", &[], "{}").await.status, 200);
    let metrics = rig.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    let text = String::from_utf8(metrics.body).unwrap();
    for line in [
        "daybook_receive_requests_total{path=\"events\",status=\"200\"} 1",
        "daybook_receive_messages_acknowledged_total{path=\"events\"} 1",
        "daybook_receive_body_bytes_total{path=\"events\"} 2",
        "daybook_receive_in_flight_bytes 0",
        "daybook_receive_delivery_seconds_count 1",
        "daybook_receive_ready 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

//! Events over HTTP, through Kafka, into a ledger: the receiver and the worker as processes.

use std::path::Path;

use daybook_ingest::embedded::EmbeddedKafka;

use crate::server::Server;
use crate::{daybook_in, daybook_with};

const TOKEN: &str = "a-token-for-this-test";

/// A running receiver.
struct Receiver(Server);

impl Receiver {
    fn start(dir: &Path, brokers: &str, topics: &str) -> Self {
        let env = [("DAYBOOK_RECEIVE_TOKENS", TOKEN), ("DAYBOOK_RECEIVE_TOPICS", topics)];
        Self(Server::start(dir, &["receive", "--listen", "127.0.0.1:0", "--brokers", brokers], &env))
    }

    /// Posts `body`; the answer's status and text.
    fn post(&self, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
        self.0.ask("POST", path, &format!("authorization: Bearer {TOKEN}\r\n{headers}"), body)
    }
}

fn fixture(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/events").join(path)).unwrap()
}

/// `text` on one line.
fn compact(text: &[u8]) -> Vec<u8> {
    serde_json::to_vec(&serde_json::from_slice::<serde_json::Value>(text).unwrap()).unwrap()
}

fn entries(dir: &Path, ledger: &str) -> String {
    let sql = "SELECT event_id, gateway, provider, request_model, response_model, input_tokens, output_tokens, \
               list_cost, reported_cost, status FROM usage ORDER BY event_id, source";
    daybook_in(dir, &["query", "--ledger", ledger, "--format", "csv", "-c", sql]).done().to_owned()
}

#[test]
fn every_protocol_gives_the_entries_that_kafka_gives() {
    let kafka = EmbeddedKafka::start("direct", 2).unwrap();
    for topic in ["events", "spans"] {
        kafka.create_topic(topic, 2).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(dir.path(), &kafka.brokers(), "events,traces=spans");

    let litellm = ["anthropic-cache", "failure-429", "gateway-cache-hit", "stream-ttft-gemini"]
        .map(|case| fixture(&format!("litellm-standard/{case}.json")));
    let chat = fixture("openai-chat/cached-and-written-prefix.json");
    let batch_line = fixture("anthropic/batch-result-line.json");
    let spans = ["chat-span-content-as-json-string", "deprecated-names", "error-span-429"]
        .map(|case| fixture(&format!("otel-genai/{case}.json")));

    let json = "content-type: application/json\r\n";
    let array = [b"[".to_vec(), litellm[..3].join(&b","[..]), b"]".to_vec()].concat();
    let (status, body) = receiver.post("/v1/events", json, &array);
    assert_eq!((status, body.contains("\"accepted\":3")), (200, true), "LiteLLM's array: {body}");
    assert_eq!(receiver.post("/v1/events?format=litellm-standard", json, &litellm[3]).0, 200, "LiteLLM's single event");
    let lines = [compact(&chat), compact(&batch_line)].join(&b'\n');
    assert_eq!(receiver.post("/v1/events", "content-type: application/x-ndjson\r\n", &lines).0, 200, "NDJSON");
    for span in &spans {
        assert_eq!(receiver.post("/v1/traces", json, span).0, 200, "OTLP JSON");
    }
    assert_eq!(receiver.post("/v1/events", json, b"{\"a\":").0, 400);
    let (code, out) = receiver.0.stop();
    assert_eq!(code, Some(0));
    let summary: Vec<_> = out.lines().map(|line| line.split_whitespace().last().unwrap()).collect();
    assert_eq!(summary, ["7", "9"], "requests, messages: {out}");

    let producer = kafka.producer("direct").unwrap();
    for event in litellm.iter().chain([&chat, &batch_line]).chain(&spans) {
        producer.send("", event).unwrap();
    }
    producer.flush().unwrap();
    let ingest = |ledger: &str, topics: &[&str]| {
        let brokers = kafka.brokers();
        let mut args = vec!["ingest", "--brokers", &brokers, "--ledger", ledger, "--until-end"];
        topics.iter().for_each(|topic| args.extend(["--topic", topic]));
        daybook_in(dir.path(), &args).done().to_owned()
    };
    let over_http = ingest("over-http", &["events", "spans"]);
    assert!(over_http.lines().any(|line| line.split_whitespace().eq(["quarantined", "0"])), "{over_http}");
    ingest("direct", &["direct"]);
    let found = entries(dir.path(), "over-http");
    assert_eq!(found.lines().count(), 1 + 9, "{found}");
    assert_eq!(found, entries(dir.path(), "direct"));
}

#[test]
fn a_receiver_that_cannot_be_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let env = [("DAYBOOK_RECEIVE_TOKENS", "short")];
    let run = daybook_with(dir.path(), &["receive", "--topic", "t"], &env, "");
    run.refused(2, "error[RECEIVE-003]: token 1 in DAYBOOK_RECEIVE_TOKENS is shorter than 16 characters");
    assert!(!run.stderr.contains("short\n"));
    let run = daybook_in(dir.path(), &["receive", "--topic", "t", "--listen", "0.0.0.0:0"]);
    run.refused(2, "error[RECEIVE-002]: 0.0.0.0:0 can be reached from other machines, and no token is set");
    let run = daybook_in(dir.path(), &["receive"]);
    run.refused(2, "error[RECEIVE-004]: no topic is named for any path");
    let run = daybook_in(dir.path(), &["receive", "--topic", "t", "-X", "acks=1"]);
    assert!(run.stderr.contains("error[INGEST-003]: librdkafka setting `acks`"), "{}", run.stderr);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let kafka = EmbeddedKafka::start("t", 1).unwrap();
    let brokers = kafka.brokers();
    let run = daybook_in(dir.path(), &["receive", "--topic", "t", "--brokers", &brokers, "--listen", &address]);
    run.refused(2, &format!("error[RECEIVE-001]: cannot listen on {address}"));
}

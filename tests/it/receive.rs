//! Events over HTTP, through Kafka, into a ledger: the receiver and the worker as processes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use daybook_ingest::embedded::EmbeddedKafka;

use crate::{daybook_in, daybook_with};

const TOKEN: &str = "a-token-for-this-test";

/// A running receiver.
struct Receiver {
    process: Child,
    address: String,
}

impl Receiver {
    fn start(dir: &Path, brokers: &str, topics: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_daybook"))
            .args(["receive", "--listen", "127.0.0.1:0", "--brokers", brokers, "--log-format", "json"])
            .env_clear()
            .envs([("DAYBOOK_RECEIVE_TOKENS", TOKEN), ("DAYBOOK_RECEIVE_TOPICS", topics)])
            .current_dir(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("\"address\"") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "the receiver did not start");
        }
        // Whoever logs into a full pipe waits.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let address = line.split("\"address\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        Self { process, address }
    }

    /// Posts `body`; the answer's status and text.
    fn post(&self, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: receiver\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\n\
             content-length: {length}\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// SIGTERM; the exit code and stdout.
    fn stop(self) -> (Option<i32>, String) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let output = self.process.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
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
    let (code, out) = receiver.stop();
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

//! Running it: metrics and health of a worker, the state of a ledger, and what the doctor says.

use std::path::Path;
use std::time::{Duration, Instant};

use daybook_ingest::embedded::EmbeddedKafka;

use crate::daybook_in;
use crate::server::Server;

/// A running worker that serves metrics.
struct Worker(Server);

impl Worker {
    fn start(dir: &Path, brokers: &str) -> Self {
        let args = ["ingest", "--brokers", brokers, "--topic", "calls", "--cluster", "test"];
        let often = ["--flush-interval-ms", "100", "--metrics-listen", "127.0.0.1:0"];
        Self(Server::start(dir, &[&args[..], &often].concat(), &[]))
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.0.ask("GET", path, "", b"")
    }

    /// Scrapes until every one of `lines` is there.
    #[track_caller]
    fn wait_for(&self, lines: &[&str]) -> String {
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            let text = self.get("/metrics").1;
            let missing: Vec<_> = lines.iter().filter(|wanted| !text.lines().any(|line| line == **wanted)).collect();
            if missing.is_empty() {
                return text;
            }
            assert!(Instant::now() < patience, "{missing:?} not in\n{text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn event(id: usize) -> String {
    format!(
        r#"{{"id":"call-{id}","call_type":"acompletion","status":"success","custom_llm_provider":"openai","model":"gpt-4o",
        "startTime":1795170000.0,"endTime":1795170001.0,"prompt_tokens":10,"completion_tokens":1,"total_tokens":11,
        "response_cost":0.5,"messages":[{{"role":"user","content":"call {id}"}}],"metadata":{{}}}}"#
    )
}

#[test]
fn a_worker_tells_what_it_does_and_how_far_it_is() {
    let kafka = EmbeddedKafka::start("calls", 1).unwrap();
    let producer = kafka.producer("calls").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let worker = Worker::start(dir.path(), &kafka.brokers());
    for id in (0..20).chain([3, 4]) {
        producer.send("", event(id).as_bytes()).unwrap();
    }
    producer.send("", b"{poison").unwrap();
    producer.flush().unwrap();
    let text = worker.wait_for(&[
        "daybook_ingest_entries_total 20",
        "daybook_ingest_messages_total 23",
        "daybook_ingest_duplicates_total 2",
        "daybook_ingest_quarantined_total{code=\"DECODE-003\"} 1",
        "daybook_ingest_unpriced_total 0",
        "daybook_ingest_position{topic=\"calls\",partition=\"0\"} 23",
        "daybook_ingest_lag{topic=\"calls\",partition=\"0\"} 0",
        "daybook_ingest_uncommitted_age_seconds 0.0",
        "daybook_ingest_ready 1",
    ]);
    let value = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().unwrap()
    };
    assert!(value("daybook_ingest_read_bytes_total") > 22.0 * event(0).len() as f64);
    assert!(value("daybook_ingest_stored_bytes_total") > 1_000.0);
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("daybook_ingest_last_commit_timestamp_seconds") > 1.7e9);
    assert_eq!(worker.get("/healthz/live"), (200, "live\n".into()));
    assert_eq!(worker.get("/healthz/ready"), (200, "ready\n".into()));
    assert_eq!(worker.get("/none").0, 404);

    // Without its store a worker lives, and is not ready.
    let log = dir.path().join("ledger/usage/_delta_log");
    std::fs::rename(&log, dir.path().join("away")).unwrap();
    worker.wait_for(&["daybook_ingest_ready 0"]);
    assert_eq!(worker.get("/healthz/ready").0, 503);
    assert_eq!(worker.get("/healthz/live").0, 200);
    std::fs::rename(dir.path().join("away"), &log).unwrap();
    worker.wait_for(&["daybook_ingest_ready 1"]);
    assert_eq!(worker.0.stop().0, Some(0));

    let brokers = kafka.brokers();
    let args = ["status", "--brokers", &brokers, "--topic", "calls", "--cluster", "test", "--format", "json"];
    let run = daybook_in(dir.path(), &args);
    let status: serde_json::Value = serde_json::from_str(run.done()).unwrap();
    assert_eq!(status["newest_call_at"], "2026-11-20T10:20:00.000000Z");
    assert_eq!(status["coverage"]["calls"], 20);
    assert_eq!(status["lag"][0]["position"], 23);
    assert_eq!(status["lag"][0]["lag"], 0);
    let usage = status["tables"].as_array().unwrap().iter().find(|table| table["table"] == "usage").unwrap();
    assert_eq!(usage["rows"], 20);
    assert!(daybook_in(dir.path(), &["status"]).done().contains("not known, of 20 calls"));

    let run = daybook_in(dir.path(), &["doctor", "--brokers", &brokers, "--topic", "calls", "--cluster", "test"]);
    assert!(run.done().contains("one of 16 writers won in each of 20 races"), "{}", run.stdout);
    assert!(run.stdout.contains("1 partitions, 0 messages behind"), "{}", run.stdout);
    let run = daybook_in(dir.path(), &["doctor", "--brokers", &brokers, "--topic", "call"]);
    assert_eq!(run.code, 1, "{}", run.stdout);
    assert!(run.stdout.contains("topic `call` does not exist; did you mean `calls`?"), "{}", run.stdout);
}

#[test]
fn settings_of_operation_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let run = daybook_in(dir.path(), &["ingest", "--topic", "t", "--metrics-listen", "9464", "--on-gap", "skip"]);
    run.refused(2, "error[CLI-002]: `kafka.on_gap` is `skip`; it takes `stop`, `continue`");
    assert!(run.stderr.contains("`ingest.metrics_listen` is `9464`; it takes an address and a port"), "{}", run.stderr);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let kafka = EmbeddedKafka::start("t", 1).unwrap();
    let brokers = kafka.brokers();
    let run = daybook_in(dir.path(), &["ingest", "--topic", "t", "--brokers", &brokers, "--metrics-listen", &address]);
    run.refused(2, &format!("error[INGEST-007]: cannot listen on {address} for metrics"));
}

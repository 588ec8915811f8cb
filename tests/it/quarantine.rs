//! What could not be read is found again, shown whole, and read after all: each message exactly once.

use std::path::Path;

use daybook_ingest::embedded::EmbeddedKafka;

use crate::daybook_in;

fn fixture(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/events").join(path)).unwrap()
}

fn lines(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn messages_read_as_the_wrong_format_are_replayed_as_the_right_one() {
    let kafka = EmbeddedKafka::start("calls", 1).unwrap();
    let producer = kafka.producer("calls").unwrap();
    for case in ["anthropic-cache", "failure-429", "stream-ttft-gemini"] {
        producer.send(case, &fixture(&format!("litellm-standard/{case}.json"))).unwrap();
    }
    producer.send("broken", b"\x00{poison").unwrap();
    producer.flush().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let daybook = |args: &[&str]| daybook_in(dir.path(), args);
    let brokers = kafka.brokers();
    let wrong = ["ingest", "--brokers", &brokers, "--topic", "calls", "--until-end", "--format", "kong"];
    assert!(lines(daybook(&wrong).done()).contains(&vec!["quarantined", "4"]));

    let listed = daybook(&["quarantine", "list", "--format", "csv"]).done().to_owned();
    assert!(listed.starts_with("error_code,topic,messages,bytes,first_at,last_at\n"), "{listed}");
    let each = daybook(&["quarantine", "list", "--each", "--format", "csv"]).done().to_owned();
    assert!(each.contains("\ncalls/0@0,DECODE-") && each.lines().count() == 5, "{each}");
    let shown = daybook(&["quarantine", "show", "calls/0@1"]).done().to_owned();
    assert!(shown.contains("place        calls/0@1\n") && shown.contains("read as      kong\n"), "{shown}");
    let shown = daybook(&["quarantine", "show", "calls/0@3"]).done().to_owned();
    assert!(shown.contains("00000000  00 7b 70 6f 69 73 6f 6e"), "{shown}");
    assert_eq!(daybook(&["quarantine", "show", "calls/0@3", "--raw"]).done(), "\0{poison");
    daybook(&["quarantine", "show", "calls/0@9"])
        .refused(2, "error[CLI-021]: no message of calls/0@9 is in quarantine");

    let slip = |args: &[&str], valid: &str| {
        let run = daybook(&[&["quarantine", "replay"], args].concat());
        assert!(run.code == 2 && run.stderr.contains(valid), "{}", run.stderr);
    };
    slip(&["--format", "kog"], "did you mean `kong`?");
    slip(&["--code", "NOPE-1"], "DECODE-003");
    slip(&["calls/0@1", "calls/0@9"], "error[CLI-021]: no message of calls/0@9 is in quarantine");

    let replay = |args: &[&str]| {
        let run = daybook(&[&["quarantine", "replay"], args].concat());
        (run.code, lines(&run.stdout).into_iter().map(|line| line.join(" ")).collect::<Vec<_>>())
    };
    let (code, dry) = replay(&["--dry-run"]);
    assert_eq!((code, &dry[..2]), (3, &["read now 3".to_owned(), "calls 3".into()][..]));
    let (code, one) = replay(&["calls/0@1"]);
    assert_eq!((code, &one[..3]), (0, &["read now 1".to_owned(), "calls 1".into(), "entries 1".into()][..]));
    let (code, rest) = replay(&[]);
    assert_eq!(code, 3, "the poison is still poison");
    assert_eq!(rest[..6], ["read now 2", "calls 2", "entries 2", "duplicates 0", "read before 1", "unreadable 1"]);
    let (_, again) = replay(&[]);
    assert_eq!(again[..6], ["read now 0", "calls 0", "entries 0", "duplicates 0", "read before 3", "unreadable 1"]);

    let query = |sql: &str| daybook(&["query", "--format", "csv", "-c", sql]).done().to_owned();
    assert_eq!(
        query("SELECT count(*) AS n, min(kafka_offset) AS f, max(kafka_offset) AS l FROM usage"),
        "n,f,l\n3,0,2\n"
    );
    assert_eq!(query("SELECT count(*) AS n FROM quarantine"), "n\n4\n");
    assert_eq!(
        query("SELECT kafka_offset, entries FROM resolutions ORDER BY 1"),
        "kafka_offset,entries\n0,1\n1,1\n2,1\n"
    );
    assert_eq!(query("SELECT calls FROM coverage WHERE gap = 'quarantined'"), "calls\n1\n");
    let left = daybook(&["quarantine", "list", "--each", "--format", "csv"]).done().to_owned();
    assert!(left.lines().count() == 2 && left.contains("calls/0@3"), "{left}");
}

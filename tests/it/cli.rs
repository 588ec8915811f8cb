//! What is wrong is said with a code, a place and a hint, and the exit code tells a script how to react.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::{daybook_in, daybook_with};

#[test]
fn a_ledger_that_is_a_file_or_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "x").unwrap();
    let run = daybook_in(dir.path(), &["query", "--ledger", "file", "-c", "SELECT 1"]);
    run.refused(2, "error[LEDGER-002]: the ledger path file is a file, not a folder");
    let run = daybook_in(dir.path(), &["query", "--ledger", "none", "-c", "SELECT 1"]);
    run.refused(2, "error[LEDGER-003]: there is no ledger at none");
    let run = daybook_in(dir.path(), &["verify", "file"]);
    run.refused(2, "error[EXPORT-006]: file is not a bundle: neither one nor a ledger is there");
    let run = daybook_in(dir.path(), &["ingest", "--topic", "t", "--ledger", "gs://bucket/x"]);
    run.refused(2, "error[LEDGER-001]: `gs://bucket/x` is not a ledger address: `gs` is not supported");
}

#[test]
fn a_broker_that_is_down_is_unavailable_within_seconds() {
    let dir = tempfile::tempdir().unwrap();
    // A port nobody listens on: bound, then given back.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let brokers = format!("127.0.0.1:{port}");
    let run = daybook_in(dir.path(), &["ingest", "--brokers", &brokers, "--topic", "t"]);
    assert_eq!(run.code, 4, "{}", run.stderr);
    assert!(
        run.stderr.starts_with(&format!("error[INGEST-001]: no broker of {brokers} answered within ")),
        "{}",
        run.stderr
    );
}

#[test]
fn settings_out_of_range_are_named_with_what_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    let run = daybook_in(dir.path(), &["ingest"]);
    run.refused(2, "error[CLI-002]: no topic is named");
    let run = daybook_in(dir.path(), &["ingest", "--topic", "t", "--flush-interval-ms", "99"]);
    run.refused(2, "error[CLI-002]: `ingest.flush_interval_ms` is `99`; it takes a whole number from 100 to 3600000");
    let run = daybook_in(dir.path(), &["ingest", "--topic", "t", "--format", "t=openai-chta"]);
    assert!(run.stderr.contains("openai-chat"), "{}", run.stderr);
    let run = daybook_in(dir.path(), &["ingest", "--topic", "t", "-X", "enable.auto.commit=true"]);
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stderr.contains("error[INGEST-003]: librdkafka setting `enable.auto.commit`"), "{}", run.stderr);
    daybook_in(dir.path(), &["import", "/nope"])
        .refused(2, "error[IMPORT-001]: /nope: there is no such file or folder");
    assert!(!dir.path().join("ledger").exists(), "a slip makes no ledger");
}

#[test]
fn what_is_wrong_is_said_in_the_words_of_who_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x.tar.zst"), "abc, not an archive").unwrap();
    let run = daybook_in(dir.path(), &["verify", "x.tar.zst"]);
    assert!(run.stdout.starts_with("x.tar.zst: it is not compressed with zstd; "), "{}", run.stdout);

    let event = include_str!("../fixtures/events/litellm-standard/anthropic-cache.json");
    let too_many = event.replacen("\"prompt_tokens\":", "\"prompt_tokens\": 9223372036854775808, \"x\":", 1);
    let run = daybook_with(dir.path(), &["decode", "-"], &[], &too_many);
    assert!(run.code == 3 && run.stderr.contains(": 9223372036854775808 is larger than any count\n"), "{}", run.stderr);

    // A machine of a cloud that has no role: it is asked since no credentials are given.
    let machine = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", machine.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in machine.incoming().map(Result::unwrap) {
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        }
    });
    let query = ["query", "--ledger", "s3://b/l", "-c", "SELECT 1"];
    let run = daybook_with(dir.path(), &query, &[("AWS_METADATA_ENDPOINT", &endpoint)], "");
    assert!(run.code == 4 && run.stderr.contains("AWS_ACCESS_KEY_ID"), "{}", run.stderr);
}

#[test]
fn unsafe_renames_are_refused_for_a_bucket() {
    let dir = tempfile::tempdir().unwrap();
    let env = [("AWS_S3_ALLOW_UNSAFE_RENAME", "true")];
    let run = daybook_with(dir.path(), &["verify", "s3://bucket/x"], &env, "");
    run.refused(
        2,
        "error[LEDGER-007]: AWS_S3_ALLOW_UNSAFE_RENAME is set; with it two writers can overwrite each other's commits",
    );
}

#[test]
fn config_show_says_where_each_value_came_from_and_hides_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let file = "[kafka]\ngroup = 'finance'\n[kafka.librdkafka]\n'sasl.password' = 'hunter2'\n";
    std::fs::write(dir.path().join("daybook.toml"), file).unwrap();
    let env = [("KAFKA_BROKERS", "b:9092"), ("AWS_SECRET_ACCESS_KEY", "swordfish"), ("AWS_REGION", "eu-west-1")];
    let run = daybook_with(dir.path(), &["config", "show"], &env, "");
    let shown: Vec<Vec<&str>> = run.done().lines().map(|line| line.split_whitespace().collect()).collect();
    for line in [
        ["kafka.brokers", "b:9092", "$KAFKA_BROKERS"],
        ["kafka.group", "finance", "daybook.toml"],
        ["ingest.flush_interval_ms", "10000", "default"],
        ["kafka.librdkafka.sasl.password", "********", "daybook.toml"],
        ["AWS_SECRET_ACCESS_KEY", "********", "$AWS_SECRET_ACCESS_KEY"],
        ["AWS_REGION", "eu-west-1", "$AWS_REGION"],
    ] {
        assert!(shown.contains(&line.to_vec()), "{line:?} is not in\n{}", run.stdout);
    }
    assert!(!run.stdout.contains("hunter2") && !run.stdout.contains("swordfish"));
}

#[test]
fn a_price_sheet_is_checked_imported_and_listed() {
    let dir = tempfile::tempdir().unwrap();
    let header = "provider,model,effective_from,effective_to,unit,usd_per_million,source\n";
    std::fs::write(dir.path().join("bad.csv"), format!("{header}acme,m,2026-01-01,,input,cheap,contract\n")).unwrap();
    std::fs::write(dir.path().join("good.csv"), format!("{header}acme,m,2026-01-01,,input,1.25,contract\n")).unwrap();

    let run = daybook_in(dir.path(), &["prices", "import", "bad.csv"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(run.stderr.starts_with("error[PRICES-003]") && run.stderr.contains("line 2"), "{}", run.stderr);
    assert!(!dir.path().join("ledger").exists(), "a bad sheet makes no ledger");

    daybook_in(dir.path(), &["prices", "check", "good.csv"]).done();
    daybook_in(dir.path(), &["prices", "import", "good.csv"]).done();
    let run = daybook_in(dir.path(), &["prices", "list", "--provider", "acme"]);
    assert_eq!(run.done(), format!("{header}acme,m,2026-01-01,,input,1.25,contract\n"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("{} prices list | head -n 1", env!("CARGO_BIN_EXE_daybook"));
    let output = std::process::Command::new("bash")
        .args(["-o", "pipefail", "-c", &script])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

//! A bundle in a bucket that stops taking it: told, nothing that passes for a bundle, and gone on with.

use std::path::Path;

use axum::http::{Method, StatusCode};

use crate::s3::{Bucket, Refusal};
use crate::{Run, daybook_in, daybook_with, files};

const DENIED: Refusal = Refusal {
    asks: |method| method != Method::GET && method != Method::HEAD,
    from: 0,
    times: usize::MAX,
    status: StatusCode::FORBIDDEN,
    code: "AccessDenied",
    message: "Access Denied.",
};

/// A ledger of some calls, one of them longer than a part of an upload.
fn company() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let event = include_str!("../fixtures/events/litellm-standard/anthropic-cache.json");
    let mut noise = 1_u64;
    let mut long = |_| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{noise:016x}")
    };
    let prompt: String = (0..(9 << 20) / 16).map(&mut long).collect();
    let events = [event.to_owned(), event.replace("call-l1", "call-l2").replace(QUESTION, &prompt)];
    std::fs::write(dir.path().join("events.json"), events.concat()).unwrap();
    daybook_in(dir.path(), &["import", "events.json"]).done();
    dir
}

/// What is asked in the fixture.
const QUESTION: &str = "Returns?";

fn run(dir: &Path, bucket: &Bucket, args: &[&str]) -> Run {
    daybook_with(dir, args, &bucket.env(), "")
}

fn export(out: &str) -> [&str; 7] {
    ["export", "--formats", "jsonl,parquet", "--shard-bytes", "1MiB", "--out", out]
}

#[test]
fn an_upload_that_is_refused_anywhere_is_no_bundle_and_goes_on_to_the_same_bytes() {
    let dir = company();
    daybook_in(dir.path(), &export("whole")).done();
    let whole = files(&dir.path().join("whole"));
    let bucket = Bucket::start();
    let mut refused = 0;
    for from in (0..).step_by(7) {
        let out = format!("s3://b/from-{from}");
        bucket.refuse(Refusal { from, ..DENIED });
        let stopped = run(dir.path(), &bucket, &export(&out));
        bucket.allow();
        if stopped.code == 0 {
            break;
        }
        refused += 1;
        let said = stopped.stderr.lines().next().unwrap();
        assert!(stopped.code == 2 && said.starts_with(&format!("error[LEDGER-005]: {out}/")), "{}", stopped.stderr);
        assert!(stopped.stderr.contains("AccessDenied: ") && stopped.stderr.contains("\nhint: "), "{}", stopped.stderr);
        let verified = run(dir.path(), &bucket, &["verify", &out]);
        assert_ne!(verified.code, 0, "refused from {from}: {}", verified.stdout);

        run(dir.path(), &bucket, &export(&out)).done();
        assert!(bucket.objects(&format!("from-{from}/")) == whole, "refused from {from}");
        assert_eq!(bucket.uploads(), 0, "parts that nobody sees and everybody pays for");
    }
    assert!(refused >= 4, "{refused}");
}

#[test]
fn a_part_that_is_refused_takes_the_others_with_it() {
    let dir = company();
    let bucket = Bucket::start();
    let parts = |method: &Method| method == Method::PUT;
    // The journal, the mark and what is short are written before, or beside, the second part.
    let export = ["export", "--formats", "jsonl", "--out", "s3://b/out"];
    bucket.refuse(Refusal { asks: parts, from: usize::MAX, ..DENIED });
    run(dir.path(), &bucket, &export).done();
    let asked = bucket.asked();
    bucket.clear();
    for from in 2..asked.min(12) {
        bucket.refuse(Refusal { asks: parts, from, ..DENIED });
        assert_eq!(run(dir.path(), &bucket, &export).code, 2, "refused from {from}");
        assert_eq!(bucket.uploads(), 0, "refused from {from}");
    }
}

#[test]
fn a_full_disk_behind_a_bucket_is_told_in_its_own_words() {
    let dir = company();
    let bucket = Bucket::start();
    let export = ["export", "--formats", "jsonl", "--out", "s3://b/out"];
    let full = Refusal {
        from: 5,
        status: StatusCode::INSUFFICIENT_STORAGE,
        code: "XMinioStorageFull",
        message: "Storage backend has reached its minimum free drive threshold.",
        ..DENIED
    };
    bucket.refuse(full);
    let stopped = run(dir.path(), &bucket, &export);
    assert_eq!(stopped.code, 4, "{}", stopped.stderr);
    assert!(stopped.stderr.starts_with("error[LEDGER-004]: s3://b/out"), "{}", stopped.stderr);
    assert!(stopped.stderr.contains("XMinioStorageFull: Storage backend has reached"), "{}", stopped.stderr);
    assert_ne!(run(dir.path(), &bucket, &["verify", "s3://b/out"]).code, 0);

    // A store that is busy is asked again.
    let busy = Refusal { from: 3, times: 2, status: StatusCode::SERVICE_UNAVAILABLE, code: "SlowDown", ..DENIED };
    bucket.refuse(busy);
    run(dir.path(), &bucket, &export).done();
    run(dir.path(), &bucket, &["verify", "s3://b/out"]).done();
}

#[test]
fn a_bundle_that_may_not_be_read_is_told_from_one_that_is_not_there() {
    let dir = company();
    let bucket = Bucket::start();
    run(dir.path(), &bucket, &["export", "--formats", "parquet", "--out", "s3://b/out"]).done();
    bucket.refuse(Refusal { asks: |method| method == Method::GET || method == Method::HEAD, ..DENIED });
    for args in [
        &["verify", "s3://b/out"][..],
        &["import", "s3://b/out", "--ledger", "new"],
        &["export", "--formats", "parquet", "--out", "s3://b/out"],
    ] {
        let refused = run(dir.path(), &bucket, args);
        let said = refused.stderr.lines().next().unwrap();
        assert!(said.starts_with("error[LEDGER-005]: s3://b/out") && refused.code == 2, "{args:?}: {}", refused.stderr);
    }
    assert!(!dir.path().join("new").exists());
    // Names may be read, files may not.
    bucket.refuse(Refusal { asks: |method| method == Method::GET, from: 2, ..DENIED });
    let refused = run(dir.path(), &bucket, &["verify", "s3://b/out"]);
    assert!(refused.code == 2 && refused.stderr.contains("AccessDenied: "), "{}", refused.stderr);
    bucket.allow();
    run(dir.path(), &bucket, &["import", "s3://b/out", "--ledger", "new"]).done();
}

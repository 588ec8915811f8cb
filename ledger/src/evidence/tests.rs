use super::*;
use crate::Root;

const LINE: &str = r#"{"date":"2026-11-20","workload":"bot","provider":"mistral","model":"m","runs":100,"passed":95,"scores":{"judge":"4.5/5","accuracy":0.930000000001},"details":{"seed": 7}}"#;

fn now() -> Instant {
    Instant::parse("2026-11-21T09:00:00Z").unwrap()
}

fn test_run() -> Evidence {
    Evidence::read_lines(LINE, "results.jsonl", now()).unwrap().remove(0)
}

#[test]
fn a_line_keeps_every_digit_of_its_scores() {
    let fact = test_run();
    let usd = |text: &str| Usd::parse(text).unwrap();
    assert_eq!(fact.kind, EvidenceKind::PortabilityTest);
    assert_eq!(fact.scores["accuracy"], Score { value: usd("0.930000000001"), scale: None });
    assert_eq!(fact.scores["judge"], Score { value: usd("4.5"), scale: Some(usd("5")) });
    assert_eq!(fact.details.as_deref(), Some(r#"{"seed": 7}"#));
}

#[test]
fn a_bad_line_is_named_with_its_number_and_fault() {
    for (line, reason) in [
        (r#"{"provider":"p"}"#, "missing field `date` at column 16"),
        (r#"{"date":"20.11.2026"}"#, "`20.11.2026` is not a day (YYYY-MM-DD)"),
        (
            r#"{"date":"2026-11-20","kind":"test"}"#,
            "`test` is none of portability_test, export, rehearsal, audit, erasure, artifact",
        ),
        (r#"{"date":"2026-11-20","scores":{"a":"6/5"}}"#, "`6/5` is better than the best it can be"),
        (r#"{"date":"2026-11-20","scores":{"a":"1/0"}}"#, "`1/0`: the best a score can be is more than 0"),
        (r#"{"date":"2026-11-20","scores":{"a":true}}"#, "`true` is not a decimal number"),
        (r#"{"date":"2026-12-20","kind":"audit","note":"n"}"#, "2026-12-20 is yet to come"),
        ("nonsense", "it is not JSON, from column 2 on"),
    ] {
        let error = Evidence::read_lines(&format!("{LINE}\n\n{line}"), "f", now()).unwrap_err();
        assert_eq!(error.to_string(), format!("f line 3: {reason}"));
    }
    let unknown = Evidence::read_lines(r#"{"date":"2026-11-20","pased":1}"#, "f", now()).unwrap_err().to_string();
    assert!(unknown.starts_with("f line 1: unknown field `pased`, expected one of `date`, "), "{unknown}");
}

#[tokio::test]
async fn what_proves_nothing_is_refused_and_nothing_of_its_batch_is_recorded() {
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    let changed = |change: &dyn Fn(&mut Evidence)| {
        let mut fact = test_run();
        change(&mut fact);
        fact
    };
    for (fact, reason) in [
        (changed(&|f| f.workload = None), "a portability_test needs a workload"),
        (changed(&|f| f.model = None), "a portability_test needs a model"),
        (changed(&|f| f.date = Date::parse("2026-11-23").unwrap()), "2026-11-23 is yet to come"),
        (changed(&|f| f.runs = Some(0)), "0 runs are none"),
        (changed(&|f| f.runs = None), "`passed` needs `runs`: passed of how many?"),
        (changed(&|f| f.passed = Some(101)), "101 passed of 100 runs"),
        (changed(&|f| f.passed = Some(-1)), "-1 cases cannot have passed"),
        (
            changed(&|f| f.kind = EvidenceKind::Artifact),
            "no artifact (it has no name, no SHA-256 or no details); `daybook artifacts add` records one",
        ),
        (changed(&|f| f.artifact_sha256 = Some("AB".into())), "`AB` is not 64 lower-case hexadecimal digits"),
    ] {
        let error = ledger.record(&[test_run(), fact], now()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("fact 2: {reason}"));
    }
    assert_eq!(ledger.evidence().load(None).await.unwrap().rows(), 0);
    let boundary = changed(&|f| (f.date, f.passed) = (Date::parse("2026-11-22").unwrap(), Some(100)));
    assert_eq!(ledger.record(&[boundary], now()).await.unwrap(), Recorded { added: 1, already: 0 });
}

#[tokio::test]
async fn a_fact_is_recorded_once_by_its_id_or_by_what_it_states() {
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    let named = |note: &str| Evidence { id: Some("run-7".into()), note: Some(note.into()), ..test_run() };
    let first = ledger.record(&[test_run(), test_run(), named("a")], now()).await.unwrap();
    assert_eq!(first, Recorded { added: 2, already: 1 });
    let again = ledger.record(&[named("b"), test_run()], Instant::from_micros(now().micros() + 1)).await.unwrap();
    assert_eq!(again, Recorded { added: 0, already: 2 });
    let other = Evidence { passed: Some(94), ..test_run() };
    assert_eq!(ledger.record(&[other], now()).await.unwrap().added, 1);
    assert_eq!(ledger.evidence().load(None).await.unwrap().rows(), 3);
    assert_ne!(named("").entry_id(), Evidence { kind: EvidenceKind::Audit, ..named("") }.entry_id());
}

#[tokio::test]
async fn of_many_who_record_the_same_one_adds_it() {
    let ledger = Ledger::create_at(Root::memory()).await.unwrap();
    let fact = [test_run()];
    let all = (0..4).map(|at| ledger.record(&fact, Instant::from_micros(now().micros() + at)));
    let added: usize = futures::future::join_all(all).await.into_iter().map(|recorded| recorded.unwrap().added).sum();
    assert_eq!(added, 1);
    assert_eq!(ledger.evidence().load(None).await.unwrap().rows(), 1);
}

#[tokio::test]
async fn a_ledger_from_before_evidence_gets_the_table_with_its_first_fact() {
    let dir = tempfile::tempdir().unwrap();
    let address = dir.path().join("ledger").display().to_string();
    Ledger::open_or_create(&address).await.unwrap();
    std::fs::remove_dir_all(dir.path().join("ledger/evidence")).unwrap();
    let ledger = Ledger::open(&address).await.unwrap();
    assert!(!ledger.evidence().exists().await.unwrap());
    assert_eq!(ledger.record(&[test_run()], now()).await.unwrap().added, 1);
}

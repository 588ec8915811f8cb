//! What was said, in a bundle: before and after the end of a call, and in the shapes of others.

use super::*;

fn every_migration() -> Vec<Migration> {
    let of = |destination: &Destination| {
        let model = destination.needs_model().then(|| "model-x".to_owned());
        Migration { destination: *destination, model }
    };
    Destination::ALL.iter().map(of).collect()
}

#[tokio::test]
async fn what_was_said_before_the_end_goes_along_and_is_nothing_to_learn_from() {
    let place = Place::new();
    let ledger = Ledger::open_or_create(place.path("ledger").to_str().unwrap()).await.unwrap();
    let turn = |id: &'static str, status: Status| {
        let mut entry = said(id, "2026-11-20T09:00:00Z", (1, 1));
        let body = entry.body.as_mut().unwrap();
        body.output_messages = Some(r#"[{"role":"assistant","parts":[{"type":"text","content":"so"}]}]"#.into());
        (entry.status, entry.operation) = (status, Some(Operation::Chat));
        (entry, None)
    };
    let (pending, cut, whole) = (Status::Pending, Status::Incomplete, Status::Success);
    append_partial(&ledger, "b1", &[turn("a", pending), turn("b", pending), turn("c", pending)]).await;
    append_partial(&ledger, "b2", &[turn("b", cut)]).await;
    // Versions before put what a pending call said into `content`; of one of them a correction told the end.
    append(&ledger, "b3", &[turn("c", whole), turn("d", pending), turn("e", pending)]).await;
    correct(&ledger, "b3", &[turn("e", whole)]).await;
    let rows = [turn("a", pending), turn("b", cut)].map(|(entry, cost)| (Entry { body: None, ..entry }, cost));
    append(&ledger, "b4", &rows).await;
    let out = place.path("out");
    let request = Request { migrations: every_migration(), ..Request::new(&out) };
    let summary = write(&ledger, &request).await.unwrap();
    let rows: Vec<_> = summary.rows.iter().filter(|(_, rows)| *rows > 0).copied().collect();
    assert_eq!(rows, [(Part::Usage, 5), (Part::Content, 3), (Part::Corrections, 1), (Part::ContentPartial, 4)]);
    for done in &summary.migrations {
        let name = done.migration.destination.as_str();
        let account: Value =
            serde_json::from_slice(&fs::read(out.join(format!("data/migration/{name}/loss.json"))).unwrap()).unwrap();
        let dropped = match name.ends_with("-batch") {
            true => serde_json::json!({"repeated_body": 2}),
            false => serde_json::json!({"repeated_body": 2, "unfinished": 3}),
        };
        assert_eq!((done.rows_in, &account["dropped"]), (7, &dropped), "{name}");
    }
    assert_eq!(differences(&out), Vec::<String>::new());
}

/// Changes a file of a bundle, so that its manifests fit again.
type Forge = fn(&Path);

#[tokio::test]
async fn migrations_account_for_every_body_and_no_forgery_of_the_account_holds() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let mut vectors = said("vectors", "2026-11-21T09:00:00Z", (1, 0));
    vectors.operation = Some(Operation::Embeddings);
    append(&ledger, "batch-4", &[(vectors, None)]).await;
    let out = place.path("bundle");
    let formats = vec![Format::Parquet];
    let request = Request { formats, migrations: every_migration(), shard_bytes: 1, ..Request::new(&out) };
    let summary = write(&ledger, &request).await.unwrap();
    assert_eq!(differences(&out), Vec::<String>::new());
    for done in &summary.migrations {
        let name = done.migration.destination.as_str();
        // The bodies have prompts and no answers.
        let expected = if name.ends_with("-batch") { 5 } else { 0 };
        assert_eq!((done.rows_in, done.rows_out), (6, expected), "{name}");
        let account: Value =
            serde_json::from_slice(&fs::read(out.join(format!("data/migration/{name}/loss.json"))).unwrap()).unwrap();
        assert_eq!(
            (&account["rows_dropped"], &account["dropped"]["other_operation"]),
            (&Value::from(6 - expected), &Value::from(1))
        );
        let readme = fs::read_to_string(out.join(format!("data/migration/{name}/README.md"))).unwrap();
        assert!(readme.contains(&format!("| rows in these files | {expected} |")), "{readme}");
        assert!(out.join(format!("data/migration/{name}/{name}-00000.jsonl")).exists(), "{name}");
    }
    let forgeries: [(Forge, &str); 4] = [
        (
            |bundle| edit(bundle, "data/migration/gemini/loss.json", "\"no_answer\": 5", "\"no_answer\": 4"),
            "loss.json: rows_in is not rows_out",
        ),
        (
            |bundle| fs::remove_file(bundle.join("data/migration/openai-batch/openai-batch-00002.jsonl")).unwrap(),
            "loss.json: rows_out is 5, data/migration/openai-batch/*.jsonl have 4",
        ),
        (
            |bundle| edit(bundle, "data/summary.json", "\"gemini-batch\"", "\"gemini-patch\""),
            "summary.json: no migration is called",
        ),
        (
            |bundle| fs::write(bundle.join("data/migration/mistral/mistral-00001.jsonl"), "{}\n").unwrap(),
            "mistral-00001.jsonl: data/datapackage.json does not describe it",
        ),
    ];
    for (number, (forge, expected)) in forgeries.into_iter().enumerate() {
        let bundle = place.path(&number.to_string());
        copy(&out, &bundle);
        forge(&bundle);
        rewrite_manifests(&bundle);
        assert!(
            differences(&bundle).iter().any(|text| text.contains(expected)),
            "{expected}: {:?}",
            differences(&bundle)
        );
    }
}

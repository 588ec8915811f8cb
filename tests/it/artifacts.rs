//! Artifacts: looked at before they are registered, carried as they were, or named with their place.

use std::path::Path;

use serde_json::Value;

use crate::{daybook_in, files};

/// A ledger with a training set, weights and a prompt that is kept elsewhere.
fn company() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let events = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/events/litellm-standard/anthropic-cache.json");
    daybook_in(dir.path(), &["import", events]).done();
    std::fs::write(dir.path().join("set \u{e9}.jsonl"), "{\"messages\":[]}\n").unwrap();
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let weights = [(header.len() as u64).to_le_bytes().as_slice(), header.as_bytes(), &[7; 8]].concat();
    std::fs::write(dir.path().join("adapter.safetensors"), weights).unwrap();
    std::fs::write(dir.path().join("prompt.md"), "You are").unwrap();
    let add = |args: &[&str]| daybook_in(dir.path(), &[&["artifacts", "add"], args].concat()).done().to_owned();
    add(&["fine_tuning_set", "set \u{e9}.jsonl", "--name", "support v3", "--vendor", "openai", "--model", "ft:m"]);
    let told = add(&["weights", "adapter.safetensors", "--vendor", "openai", "--model", "ft:m"]);
    assert!(told.starts_with("adapter.safetensors: 70 bytes, safetensors, 1 tensors, sha256 "), "{told}");
    assert!(told.ends_with(": 1 recorded\n"), "{told}");
    add(&["prompt_template", "prompt.md", "--place", "https://prompts.example/7"]);
    dir
}

fn list(dir: &Path, args: &[&str]) -> (i32, Vec<Value>) {
    let run = daybook_in(dir, &[&["artifacts", "list", "--format", "json"], args].concat());
    (run.code, serde_json::from_str(&run.stdout).unwrap())
}

#[test]
fn a_file_is_registered_once_and_what_it_became_is_told() {
    let dir = company();
    let again = ["artifacts", "add", "weights", "adapter.safetensors", "--vendor", "openai", "--model", "ft:m"];
    assert!(daybook_in(dir.path(), &again).done().ends_with(": 0 recorded, 1 known already\n"));
    let (code, rows) = list(dir.path(), &["--check"]);
    assert_eq!((code, rows.len()), (0, 3), "{rows:?}");
    let found: Vec<_> = rows.iter().map(|row| (row["name"].as_str(), row["found"].as_str())).collect();
    assert_eq!(found[0], (Some("prompt.md"), Some("not looked at")));
    assert_eq!(found[1], (Some("support v3"), Some("as registered")));
    assert_eq!(list(dir.path(), &["--kind", "weights"]).1[0]["holds"], "1 tensors");

    std::fs::write(dir.path().join("set \u{e9}.jsonl"), "{\"messages\":[1]}\n").unwrap();
    std::fs::remove_file(dir.path().join("adapter.safetensors")).unwrap();
    let (code, rows) = list(dir.path(), &["--check"]);
    let found = |row: usize| rows[row]["found"].as_str().unwrap().to_owned();
    assert_eq!(code, 1);
    assert!(found(1).starts_with("has the SHA-256 ") && found(2).starts_with("cannot be read: "), "{rows:?}");

    // What is registered later under the name takes its place.
    daybook_in(
        dir.path(),
        &["artifacts", "add", "fine_tuning_set", "set \u{e9}.jsonl", "--name", "support v3", "--vendor", "openai"],
    )
    .done();
    let (_, rows) = list(dir.path(), &["--kind", "fine_tuning_set", "--check"]);
    assert_eq!((rows.len(), &rows[0]["found"]), (1, &"as registered".into()));
}

#[test]
fn what_is_not_what_its_name_says_is_refused_and_nothing_is_recorded() {
    let dir = company();
    std::fs::write(dir.path().join("pickle.onnx"), b"\x80\x02}q\x00.").unwrap();
    let add = |args: &[&str]| daybook_in(dir.path(), &[&["artifacts", "add"], args].concat());
    let run = add(&["weights", "adapter.safetensors", "pickle.onnx", "--vendor", "mistral"]);
    assert!(
        run.stderr.starts_with("error[EXPORT-030]: pickle.onnx cannot be registered: it is no whole onnx file: "),
        "{}",
        run.stderr
    );
    assert_eq!(run.code, 3);
    add(&["weights", "none.gguf"])
        .refused(3, "error[EXPORT-030]: none.gguf cannot be registered: No such file or directory (os error 2)");
    add(&["weights", "prompt.md", "adapter.safetensors", "--place", "s3://b/x"])
        .refused(2, "error[CLI-037]: one place is given for 2 files");
    add(&["weights", "prompt.md", "--contract", "c"]).refused(2, "error[QUERIES-037]: unknown contract `c`");
    let run = add(&["model", "prompt.md"]);
    assert!(run.stderr.contains("`model` is none of fine_tuning_set, weights"), "{}", run.stderr);
    daybook_in(dir.path(), &["evidence", "add", "--kind", "artifact", "--artifact", "prompt.md"])
        .refused(3, "error[LEDGER-013]: the evidence given: no artifact (it has no name, no SHA-256 or no details); `daybook artifacts add` records one");
    assert_eq!(list(dir.path(), &[]).1.len(), 3);
}

fn index(bundle: &Path) -> Vec<Value> {
    let index: Value =
        serde_json::from_slice(&std::fs::read(bundle.join("data/artifacts/index.json")).unwrap()).unwrap();
    index["artifacts"].as_array().unwrap().clone()
}

#[test]
fn a_bundle_says_where_artifacts_are_or_carries_them() {
    let dir = company();
    let run = daybook_in(dir.path(), &["export", "--out", "b"]);
    assert!(run.done().contains("artifacts       0 carried, 3 by their place and SHA-256\n"), "{}", run.stdout);
    assert!(index(&dir.path().join("b")).iter().all(|artifact| artifact["path"].is_null()));

    for out in ["whole", "whole.tar.zst"] {
        let run = daybook_in(dir.path(), &["export", "--with-artifacts", "--out", out]);
        assert!(run.done().contains("artifacts       2 carried, 1 by their place and SHA-256\n"), "{}", run.stdout);
        daybook_in(dir.path(), &["verify", out]).done();
        let ledger = format!("new-{out}");
        let run = daybook_in(dir.path(), &["import", out, "--ledger", &ledger]);
        assert!(
            run.done().ends_with(&format!("artifacts       2 files in {out}/data/artifacts stay there\n")),
            "{}",
            run.stdout
        );
        daybook_in(dir.path(), &["diff", "ledger", &ledger]).done();
    }
    let bundle = dir.path().join("whole");
    let path = |name: &str| {
        let all = index(&bundle);
        all.iter().find(|artifact| artifact["name"] == name).unwrap()["path"].as_str().unwrap().to_owned()
    };
    let set = path("support v3");
    assert!(set.starts_with("data/artifacts/") && set.ends_with("-set__.jsonl"), "{set}");
    let weights = std::fs::read(bundle.join(path("adapter.safetensors"))).unwrap();
    assert_eq!(weights, std::fs::read(dir.path().join("adapter.safetensors")).unwrap());

    std::fs::write(bundle.join(&set), "{}\n").unwrap();
    let run = daybook_in(dir.path(), &["verify", "whole"]);
    assert!(
        run.code == 1 && run.stdout.contains(&format!("{set}: data/artifacts/index.json says 16 bytes")),
        "{}",
        run.stdout
    );
}

#[test]
fn what_changed_or_is_gone_stops_the_export_before_anything_stands() {
    let dir = company();
    std::fs::write(dir.path().join("set \u{e9}.jsonl"), "{\"messages\":[1]}\n").unwrap();
    let export = ["export", "--with-artifacts", "--out", "b"];
    let run = daybook_in(dir.path(), &export);
    let place = dir.path().join("set \u{e9}.jsonl");
    let said = format!(
        "error[EXPORT-031]: the artifact `support v3` at {} cannot be carried: it has changed since it was registered with the SHA-256 ",
        place.display()
    );
    assert!(run.code == 5 && run.stderr.starts_with(&said) && run.stderr.contains("\nhint: "), "{}", run.stderr);
    std::fs::remove_file(place).unwrap();
    let run = daybook_in(dir.path(), &export);
    assert!(run.code == 5 && run.stderr.contains("cannot be carried: No such file"), "{}", run.stderr);
    assert!(!dir.path().join("b").exists());
    daybook_in(dir.path(), &["export", "--out", "b"]).done();
    assert!(!dir.path().join("b.partial").exists());
}

#[test]
fn an_export_that_was_stopped_goes_on_after_the_artifacts_that_are_whole() {
    let dir = company();
    let set = dir.path().join("set \u{e9}.jsonl");
    let (weights, away) = (dir.path().join("adapter.safetensors"), dir.path().join("away"));
    for out in ["b", "b.tar.zst"] {
        let export =
            |out: &str| daybook_in(dir.path(), &["export", "--with-artifacts", "--for", "chat-messages", "--out", out]);
        let whole = format!("whole-{out}");
        export(&whole).done();
        // By the order of their digests, the weights come first.
        std::fs::rename(&set, &away).unwrap();
        assert_eq!(export(out).code, 5);
        std::fs::rename(&away, &set).unwrap();
        // What is whole is not asked for again.
        std::fs::rename(&weights, &away).unwrap();
        let run = export(out);
        assert!(run.done().contains("artifacts       2 carried"), "{}", run.stdout);
        std::fs::rename(&away, &weights).unwrap();
        assert!(files(&dir.path().join(out)) == files(&dir.path().join(whole)), "{out}");
    }
}

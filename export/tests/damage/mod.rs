//! Damage to a bundle or to the ledger it is made of, and who meant it: each is named.

use super::*;

/// The data files of a table in the ledger at `ledger`.
fn data_files(ledger: &Path, table: &str) -> Vec<PathBuf> {
    let names = files(&ledger.join(table)).into_keys().filter(|name| name.starts_with("event_date="));
    names.map(|name| ledger.join(table).join(name)).collect()
}

fn flip_a_bit(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn damaged_source_data_ends_the_export_and_leaves_nothing() {
    for damage in ["flipped", "cut", "missing"] {
        let place = Place::new();
        let ledger = ledger(&place.path("ledger")).await;
        let file = data_files(&place.path("ledger"), "content").remove(1);
        let expected = match damage {
            "flipped" => {
                flip_a_bit(&file);
                "its SHA-256 is"
            }
            "cut" => {
                let bytes = fs::read(&file).unwrap();
                fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
                "bytes, its commit says"
            }
            _ => {
                fs::remove_file(&file).unwrap();
                "is gone"
            }
        };
        let error = write(&ledger, &Request::new(place.path("bundle"))).await.unwrap_err();
        assert_eq!(error.code(), if damage == "missing" { "LEDGER-014" } else { "LEDGER-011" });
        assert!(error.to_string().contains("/content/event_date="), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!place.path("bundle").exists() && !place.path("bundle.partial").exists());
    }
}

fn assert_named(bundle: &Path, expected: &[&str]) {
    let found = differences(bundle);
    for expected in expected {
        assert!(found.iter().any(|difference| difference.contains(expected)), "no `{expected}` in {found:#?}");
    }
}

#[tokio::test]
async fn every_tampering_is_named() {
    type Tamper = fn(&Path);
    let cases: [(Tamper, &[&str]); 14] = [
        (
            |bundle| flip_a_bit(&bundle.join("data/usage/usage-00000.parquet")),
            &["data/usage/usage-00000.parquet: its sha256 is", "data/usage/usage-00000.parquet: its sha512 is"],
        ),
        (
            |bundle| fs::remove_file(bundle.join("data/content/content-00000.jsonl")).unwrap(),
            &[
                "data/content/content-00000.jsonl: it is missing, manifest-sha256.txt lists it",
                "data/datapackage.json: it describes `data/content/content-00000.jsonl`, which is not there",
                "bag-info.txt: Payload-Oxum is",
            ],
        ),
        (
            |bundle| fs::write(bundle.join("data/usage/more.csv"), "x").unwrap(),
            &[
                "data/usage/more.csv: manifest-sha256.txt does not list it",
                "data/usage/more.csv: manifest-sha512.txt does not list it",
                "data/usage/more.csv: its rows cannot be read",
            ],
        ),
        (
            |bundle| edit(bundle, "manifest-sha512.txt", "  data/README.md\n", "  data/README.txt\n"),
            &[
                "data/README.md: manifest-sha512.txt does not list it",
                "data/README.txt: it is missing, manifest-sha512.txt lists it",
                "manifest-sha512.txt: its sha256 is",
            ],
        ),
        (
            |bundle| edit(bundle, "data/summary.json", "4.050000000001", "4.050000000002"),
            &[
                "data/summary.json: its sha256 is",
                "data/summary.json: usage.list_cost.sum is \"4.050000000002\", data/usage/*.parquet has \"4.050000000001\"",
                "data/usage/*.jsonl has \"4.050000000001\"",
                "data/usage/*.csv has \"4.050000000001\"",
            ],
        ),
        (
            |bundle| edit(bundle, "data/datapackage.json", "\"rowCount\": 6", "\"rowCount\": 7"),
            &["it has 6 rows, data/datapackage.json says 7"],
        ),
        (
            |bundle| edit(bundle, "bag-info.txt", "Payload-Oxum: ", "Payload-Oxum: 1"),
            &["bag-info.txt: Payload-Oxum is 1", "bag-info.txt: its sha256 is"],
        ),
        (
            |bundle| edit(bundle, "bagit.txt", "1.0", "0.97"),
            &["bagit.txt: it does not declare BagIt 1.0", "bagit.txt: its sha512 is"],
        ),
        (
            |bundle| {
                let line = format!("{}  ../../../../etc/passwd\n", "0".repeat(64));
                let text = fs::read_to_string(bundle.join("manifest-sha256.txt")).unwrap();
                fs::write(bundle.join("manifest-sha256.txt"), text + &line).unwrap();
            },
            &["manifest-sha256.txt: line 40 names `../../../../etc/passwd`, which no bundle may contain"],
        ),
        (
            |bundle| {
                fs::remove_file(bundle.join("data/README.md")).unwrap();
                std::os::unix::fs::symlink("/etc/hostname", bundle.join("data/README.md")).unwrap();
            },
            &["data/README.md: it is a symbolic link", "data/README.md: it is missing, manifest-sha256.txt lists it"],
        ),
        (
            |bundle| std::os::unix::fs::symlink("..", bundle.join("data/loop")).unwrap(),
            &["data/loop: it is a symbolic link"],
        ),
        (
            |bundle| edit(bundle, "data/usage/usage-00000.jsonl", "\"input_tokens\":200", "\"input_tokens\":201"),
            &["usage.tokens.input_tokens.sum is \"613\", data/usage/*.jsonl has \"614\""],
        ),
        (
            |bundle| fs::remove_file(bundle.join("tagmanifest-sha256.txt")).unwrap(),
            &["tagmanifest-sha256.txt: it is missing"],
        ),
        (
            |bundle| fs::write(bundle.join("data/summary.json"), "{\"layout\": \"daybook-bundle/3\"").unwrap(),
            &["data/summary.json: it cannot be read"],
        ),
    ];
    let place = Place::new();
    let original = place.bundle().await;
    for (number, (tamper, expected)) in cases.into_iter().enumerate() {
        let bundle = place.path(&number.to_string());
        copy(&original, &bundle);
        tamper(&bundle);
        assert_named(&bundle, expected);
    }
}

#[tokio::test]
async fn forged_manifests_do_not_hide_a_changed_sum() {
    let place = Place::new();
    let original = place.bundle().await;
    let cases = [
        ("data/usage/usage-00000.csv", "2.250000000000", "2.240000000000"),
        ("data/usage/usage-00000.jsonl", "2.250000000000", "2.240000000000"),
        ("data/summary.json", "\"nulls\": 1", "\"nulls\": 0"),
        ("data/summary.json", "\"last_offset\": 2", "\"last_offset\": 1"),
    ];
    for (number, (name, from, to)) in cases.into_iter().enumerate() {
        let bundle = place.path(&number.to_string());
        copy(&original, &bundle);
        edit(&bundle, name, from, to);
        rewrite_manifests(&bundle);
        assert!(differences(&bundle).iter().any(|text| text.starts_with("data/summary.json: usage.")), "{name}");
    }
}

#[tokio::test]
async fn hostile_content_is_a_difference_and_not_a_crash() {
    type Tamper = fn(&Path);
    let cases: [Tamper; 7] = [
        |bundle| fs::write(bundle.join("data/usage/usage-00000.parquet"), b"PAR1\xff\xff\xff\x7fPAR1").unwrap(),
        |bundle| fs::write(bundle.join("data/usage/usage-00000.jsonl"), "[".repeat(200_000) + "\n").unwrap(),
        |bundle| fs::write(bundle.join("data/summary.json"), "[".repeat(1_000_000)).unwrap(),
        |bundle| {
            fs::write(
                bundle.join("data/datapackage.json"),
                "{\"resources\":[{\"path\":\"../../x\",\"bytes\":1,\"hash\":\"\",\"rowCount\":18446744073709551615}]}",
            )
            .unwrap()
        },
        |bundle| fs::write(bundle.join("manifest-sha256.txt"), [0xff; 4096]).unwrap(),
        |bundle| fs::write(bundle.join("data/usage/usage-00000.csv"), "\"".repeat(100_001)).unwrap(),
        |bundle| fs::write(bundle.join("data/\u{202e}name"), "x").unwrap(),
    ];
    let place = Place::new();
    let original = place.bundle().await;
    for (number, tamper) in cases.into_iter().enumerate() {
        let bundle = place.path(&number.to_string());
        copy(&original, &bundle);
        tamper(&bundle);
        assert!(!verify(&bundle).is_whole(), "case {number}");
    }
}

#[tokio::test]
async fn what_is_no_bundle_is_said_to_be_none() {
    let place = Place::new();
    let error = verify::bundle(&place.path("nothing"), &mut Silent).unwrap_err();
    assert_eq!(error.code(), "EXPORT-006");
    assert!(!Bundle::is_at(place.dir.path().to_str().unwrap()).await.unwrap());
}

#[tokio::test]
async fn a_whole_ledger_verifies() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let verdict = verify::ledger(&ledger, &verify::Trust::default(), &mut Silent).await.unwrap();
    assert_eq!((verdict.differences, verdict.notes.len()), (vec![], 1), "it is not sealed");
    assert_eq!(verdict.rows.iter().map(|table| table.rows).sum::<u64>(), 6 + 5 + 1);
    assert_eq!(verdict.files, 4 + 4 + 1);
}

#[tokio::test]
async fn every_damage_of_a_ledger_is_named() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let usage = data_files(&place.path("ledger"), "usage");
    let content = data_files(&place.path("ledger"), "content");
    flip_a_bit(&usage[0]);
    fs::remove_file(&usage[1]).unwrap();
    fs::write(&content[0], "short").unwrap();
    fs::write(place.path("ledger/usage/event_date=2026-11-20/lost-1-0000.parquet"), "x").unwrap();
    let verdict = verify::ledger(&ledger, &verify::Trust::default(), &mut Silent).await.unwrap();
    assert_eq!(verdict.differences_count, 3);
    for expected in ["its SHA-256 is", "it is missing", "it has 5 bytes, its commit says"] {
        assert!(verdict.differences.iter().any(|difference| difference.found.contains(expected)), "{expected}");
    }
    let note = verdict.notes.last().unwrap().to_string();
    assert_eq!(
        note,
        "usage/event_date=2026-11-20/lost-1-0000.parquet: no commit names it: batch lost-1 was lost before it became visible"
    );
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_a_difference() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    fs::write(place.path("ledger/usage/_delta_log/00000000000000000002.json"), "{\"add\":").unwrap();
    let verdict = verify::ledger(&ledger, &verify::Trust::default(), &mut Silent).await.unwrap();
    assert_eq!(verdict.differences[0].place, "usage");
    assert_eq!(verdict.rows.len(), ledger.tables().len() - 1, "the other tables are still checked");
}

#[tokio::test]
async fn digests_survive_a_checkpoint_of_the_log() {
    let place = Place::new();
    let ledger = Ledger::open_or_create(place.path("ledger").to_str().unwrap()).await.unwrap();
    for offset in 0..101 {
        quarantine(&ledger, &format!("batch-{offset}"), offset, b"x").await;
    }
    let log = files(&place.path("ledger/quarantine/_delta_log"));
    assert!(log.keys().any(|name| name.ends_with(".checkpoint.parquet")), "{:?}", log.keys());
    let verdict = verify::ledger(&ledger, &verify::Trust::default(), &mut Silent).await.unwrap();
    assert_eq!((verdict.differences, verdict.notes.len()), (vec![], 1), "no file is without its digest");
    assert_eq!(verdict.files, 101);
}

//! Bundles made to harm: refused with the reason, nothing written, whatever their manifests say.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Date32Array, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::Date32Type;
use daybook_export::{Request, Silent, restore, verify, write};
use daybook_ledger::Report as _;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

use super::common::{files, rewrite_manifests};
use super::fuzz;
use super::{Place, ledger};

/// Changes a bundle, whose manifests are written anew afterwards.
type Harm = fn(&Path);

fn edit(bundle: &Path, name: &str, from: &str, to: &str) {
    let text = fs::read_to_string(bundle.join(name)).unwrap();
    assert!(text.contains(from), "{name} has no {from}");
    fs::write(bundle.join(name), text.replacen(from, to, 1)).unwrap();
}

/// A Parquet file of `rows` rows with the columns called `names`.
fn parquet(names: impl Iterator<Item = String>, rows: i64) -> Vec<u8> {
    let numbers = || -> ArrayRef { Arc::new(Int64Array::from_iter_values(0..rows)) };
    let batch = RecordBatch::try_from_iter(names.map(|name| (name, numbers()))).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// Writes the rows of a table in a bundle anew, with a descriptor that says so.
fn rewrite(bundle: &Path, table: &str, change: fn(RecordBatch) -> RecordBatch) {
    let name = format!("{table}/{table}-00000.parquet");
    let path = bundle.join("data").join(&name);
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(&path).unwrap()).unwrap().build().unwrap();
    let changed = change(reader.map(Result::unwrap).next().unwrap());
    let mut writer = ArrowWriter::try_new(fs::File::create(&path).unwrap(), changed.schema(), None).unwrap();
    writer.write(&changed).unwrap();
    writer.close().unwrap();
    let text = fs::read_to_string(bundle.join("data/datapackage.json")).unwrap();
    let mut package: serde_json::Value = serde_json::from_str(&text).unwrap();
    let resources = package["resources"].as_array_mut().unwrap();
    let file = resources.iter_mut().find(|resource| resource["path"] == name.as_str()).unwrap();
    file["rowCount"] = changed.num_rows().into();
    fs::write(bundle.join("data/datapackage.json"), package.to_string()).unwrap();
}

/// The batch with another column in place of that called `name`.
fn with_column(batch: &RecordBatch, name: &str, column: impl Fn(&ArrayRef) -> ArrayRef) -> RecordBatch {
    let at = batch.schema().index_of(name).unwrap();
    let mut columns = batch.columns().to_vec();
    columns[at] = column(&columns[at]);
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

const CORPUS: [(&str, Harm, &str); 33] = [
    (
        "a link to a file",
        |bundle| {
            fs::remove_file(bundle.join("data/usage/usage-00000.parquet")).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", bundle.join("data/usage/usage-00000.parquet")).unwrap();
        },
        "it is a symbolic link",
    ),
    (
        "a link to a folder",
        |bundle| std::os::unix::fs::symlink("/", bundle.join("data/root")).unwrap(),
        "it is a symbolic link",
    ),
    (
        "a loop of links",
        |bundle| std::os::unix::fs::symlink(".", bundle.join("data/again")).unwrap(),
        "it is a symbolic link",
    ),
    (
        "one name in two spellings",
        |bundle| {
            fs::write(bundle.join("data/caf\u{e9}"), "x").unwrap();
            fs::write(bundle.join("data/cafe\u{301}"), "y").unwrap();
        },
        "no file of a bundle has such a name",
    ),
    (
        "letters that look like others",
        |bundle| fs::write(bundle.join("data/us\u{430}ge.csv"), "x").unwrap(),
        "no file of a bundle has such a name",
    ),
    (
        "folders without end",
        |bundle| fs::create_dir_all(bundle.join("data").join("a/".repeat(200))).unwrap(),
        "folders are nested too deep",
    ),
    (
        "an absurd count",
        |bundle| edit(bundle, "data/datapackage.json", "\"rowCount\": 5", "\"rowCount\": 18446744073709551615"),
        "says 18446744073709551615",
    ),
    (
        "a count below nothing",
        |bundle| edit(bundle, "data/datapackage.json", "\"rowCount\": 5", "\"rowCount\": -5"),
        "invalid value: integer `-5`",
    ),
    (
        "a number past every type",
        |bundle| fs::write(bundle.join("data/datapackage.json"), "{\"resources\":[{\"bytes\":1e999}]}").unwrap(),
        "number out of range",
    ),
    (
        "a file described twice",
        |bundle| {
            let text = fs::read_to_string(bundle.join("data/datapackage.json")).unwrap();
            let mut package: serde_json::Value = serde_json::from_str(&text).unwrap();
            let resources = package["resources"].as_array_mut().unwrap();
            resources.push(resources[0].clone());
            fs::write(bundle.join("data/datapackage.json"), package.to_string()).unwrap();
        },
        "twice",
    ),
    (
        "JSON as deep as it goes",
        |bundle| fs::write(bundle.join("data/summary.json"), "[".repeat(4 << 20)).unwrap(),
        "recursion limit exceeded",
    ),
    (
        "a row as deep as it goes",
        |bundle| {
            let bomb = format!("{{\"tags\":{}\n", "{\"a\":".repeat(1 << 20));
            fs::write(bundle.join("data/usage/usage-00000.jsonl"), bomb).unwrap();
        },
        "usage-00000.jsonl: its rows cannot be read",
    ),
    (
        "a row without end",
        |bundle| {
            let endless = format!("{{\"team\":\"{}\"}}\n", "x".repeat(65 << 20));
            fs::write(bundle.join("data/usage/usage-00000.jsonl"), endless).unwrap();
        },
        "a row is longer than 67108864 bytes",
    ),
    (
        "more columns than a table has",
        |bundle| {
            let header = format!("{}x\r\n", "x,".repeat(1 << 20));
            fs::write(bundle.join("data/usage/usage-00000.csv"), header).unwrap();
        },
        "its first line is not the header of the table",
    ),
    (
        "a quote that never closes",
        |bundle| {
            let text = fs::read_to_string(bundle.join("data/content/content-00000.csv")).unwrap();
            fs::write(bundle.join("data/content/content-00000.csv"), text + "\"").unwrap();
        },
        "its last row has no end",
    ),
    (
        "more columns than a schema has",
        |bundle| {
            let wide = parquet((0..1_100).map(|number| format!("c{number}")), 1);
            fs::write(bundle.join("data/usage/usage-00000.parquet"), wide).unwrap();
        },
        "its schema has 1101 elements, at most 1024 are read",
    ),
    (
        "a table of another kind",
        |bundle| {
            let other = parquet(["entry_id".to_owned(), "said".to_owned()].into_iter(), 5);
            fs::write(bundle.join("data/content/content-00000.parquet"), other).unwrap();
        },
        "its columns are not those of the table",
    ),
    (
        "artifacts without an index",
        |bundle| {
            fs::create_dir(bundle.join("data/artifacts")).unwrap();
            fs::write(bundle.join("data/artifacts/x.gguf"), "GGUF").unwrap();
        },
        "data/artifacts/index.json: it is missing",
    ),
    (
        "an artifact that no index names",
        |bundle| {
            fs::create_dir(bundle.join("data/artifacts")).unwrap();
            fs::write(bundle.join("data/artifacts/index.json"), "{\"artifacts\":[]}").unwrap();
            fs::write(bundle.join("data/artifacts/x.gguf"), "GGUF").unwrap();
        },
        "data/artifacts/x.gguf: data/artifacts/index.json does not name it",
    ),
    (
        "an artifact out of the bundle",
        |bundle| {
            fs::create_dir(bundle.join("data/artifacts")).unwrap();
            let index = r#"{"artifacts":[{"name":"n\u001b[2J","sha256":"0","kind":"weights","bytes":1,"place":"p","registered_on":"d","path":"data/artifacts/../../../../etc/passwd"}]}"#;
            fs::write(bundle.join("data/artifacts/index.json"), index).unwrap();
        },
        "it says that `n\\u{1b}[2J` is in `data/artifacts/../../../../etc/passwd`, which is not there",
    ),
    (
        "a file that is there twice by its case",
        |bundle| fs::write(bundle.join("data/usage/USAGE-00000.parquet"), "PAR1").unwrap(),
        "USAGE-00000.parquet: its rows cannot be read",
    ),
    (
        "a file that nothing describes",
        |bundle| fs::write(bundle.join("data/install.sh"), "exit 1").unwrap(),
        "data/install.sh: no bundle has such a file",
    ),
    (
        "a file that is described and no data file",
        |bundle| {
            fs::create_dir(bundle.join("data/more")).unwrap();
            fs::write(bundle.join("data/more/usage-00000.csv"), "").unwrap();
            let other = r#""resources": [{"path":"more/usage-00000.csv","bytes":0,"hash":"","rowCount":0},"#;
            edit(bundle, "data/datapackage.json", "\"resources\": [", other);
        },
        "data/more/usage-00000.csv: no bundle has such a file",
    ),
    (
        "data files with a gap between them",
        |bundle| {
            let from = bundle.join("data/usage/usage-00000.parquet");
            fs::rename(from, bundle.join("data/usage/usage-00001.parquet")).unwrap();
            edit(bundle, "data/datapackage.json", "usage/usage-00000.parquet", "usage/usage-00001.parquet");
        },
        "usage-00001.parquet: its table has 1 such files, which are numbered from 0 on",
    ),
    (
        "a schema that is not the file's",
        |bundle| edit(bundle, "data/datapackage.json", "\"name\": \"input_tokens\"", "\"name\": \"output_tokens\""),
        "its columns in data/datapackage.json are not those of the table",
    ),
    (
        "calls that are there twice",
        |bundle| {
            rewrite(bundle, "usage", |usage| {
                let twice = UInt32Array::from_iter_values((0..5).flat_map(|row| [row, row]));
                take_record_batch(&usage, &twice).unwrap()
            });
        },
        "data/usage/*.parquet: 5 calls are there twice, the first is ",
    ),
    (
        "calls of another day",
        |bundle| {
            rewrite(bundle, "usage", |usage| {
                with_column(&usage, "event_date", |days| {
                    let moved = days.as_primitive::<Date32Type>().iter().map(|day| day.map(|day| day + 1));
                    Arc::new(Date32Array::from_iter(moved))
                })
            });
        },
        "data/usage/*.parquet: 5 calls are on another day than they began on",
    ),
    (
        "a call with more tokens than any",
        |bundle| {
            rewrite(bundle, "usage", |usage| {
                let most = |old: &ArrayRef| -> ArrayRef { Arc::new(Int64Array::from_value(i64::MAX, old.len())) };
                with_column(&usage, "input_tokens", most)
            });
        },
        "a call has 9223372036854775807 input_tokens, which is beyond any",
    ),
    (
        "a body of no day there is",
        |bundle| {
            rewrite(bundle, "content", |content| {
                let last = |old: &ArrayRef| -> ArrayRef { Arc::new(Date32Array::from_value(i32::MAX, old.len())) };
                with_column(&content, "event_date", last)
            });
        },
        "a row has no `event_date` of the years 1 to 9999",
    ),
    (
        "a body of nobody's call",
        |bundle| {
            rewrite(bundle, "content", |content| {
                let none = |old: &ArrayRef| arrow::array::new_null_array(old.data_type(), old.len());
                with_column(&content, "entry_id", none)
            });
        },
        "a row has no `entry_id` of 16 bytes",
    ),
    (
        "days that go back",
        |bundle| {
            rewrite(bundle, "usage", |usage| {
                take_record_batch(&usage, &UInt32Array::from_iter_values((0..5).rev())).unwrap()
            });
        },
        "data/usage/*.parquet: a day comes before an earlier one",
    ),
    (
        "an earlier layout, which lacks a table",
        |bundle| edit(bundle, "data/summary.json", "daybook-bundle/3", "daybook-bundle/2"),
        "data/content_partial/content_partial-00000.parquet: no bundle has such a file",
    ),
    ("another layout", |bundle| edit(bundle, "data/summary.json", "daybook-bundle/3", "daybook-bundle/4"), "layout is"),
];

#[tokio::test]
async fn no_bundle_made_to_harm_is_read_into_a_ledger_and_each_is_told_why() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let bundle = place.path("bundle");
    for (what, harm, reason) in CORPUS {
        write(&ledger, &Request::new(&bundle), &mut Silent).await.unwrap();
        harm(&bundle);
        rewrite_manifests(&bundle);
        let verdict = verify::bundle(&bundle, &mut Silent).unwrap();
        let found: Vec<String> = verdict.differences.iter().map(ToString::to_string).collect();
        assert!(found.iter().any(|text| text.contains(reason)), "{what}: {found:#?}");
        let error = restore(&bundle, &place.address("new"), &mut Silent).await.unwrap_err();
        assert_eq!(error.code(), "EXPORT-007", "{what}: {error}");
        assert!(!place.path("new").exists(), "{what}");
        fs::remove_dir_all(&bundle).unwrap();
    }
    let left: Vec<_> = fs::read_dir(place.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["ledger"]);
}

#[tokio::test]
async fn no_line_of_a_manifest_leads_out_of_the_bundle() {
    let place = Place::new();
    let ledger = ledger(&place.path("ledger")).await;
    let bundle = place.path("bundle");
    write(&ledger, &Request::new(&bundle), &mut Silent).await.unwrap();
    let genuine = fs::read_to_string(bundle.join("manifest-sha256.txt")).unwrap();
    let twice = genuine.lines().next().unwrap().to_owned();
    for path in ["data/../../escaped", "/etc/passwd", "data/caf\u{e9}", "data\\..\\x", "~/x"] {
        fs::write(bundle.join("manifest-sha256.txt"), format!("{genuine}{}  {path}\n", "a".repeat(64))).unwrap();
        let error = restore(&bundle, &place.address("new"), &mut Silent).await.unwrap_err().to_string();
        assert!(error.contains("which no bundle may contain"), "{path}: {error}");
    }
    fs::write(bundle.join("manifest-sha256.txt"), format!("{genuine}{twice}\n")).unwrap();
    let error = restore(&bundle, &place.address("new"), &mut Silent).await.unwrap_err().to_string();
    assert!(error.contains("a second time"), "{error}");
    assert!(!place.path("new").exists() && !place.path("escaped").exists());
}

#[test]
fn what_fuzzing_asks_of_a_bundle_holds_for_what_it_starts_from() {
    for seed in (0..48).step_by(5) {
        let mut input = fuzz::genuine_file(seed);
        fuzz::check_file(&input);
        let at = input.len() / 2;
        input[at] ^= 1 << (seed % 8);
        fuzz::check_file(&input);
    }
    for seed in 0..2 {
        let mut input = fuzz::genuine_archive(seed);
        fuzz::check_archive(&input);
        input.truncate(input.len() / 2);
        fuzz::check_archive(&input);
    }
}

/// A change of some bytes, at a part of the file.
#[derive(Clone, Debug)]
enum Change {
    Flip(u8),
    Overwrite(Vec<u8>),
    Insert(Vec<u8>),
    CutOff,
}

fn changes() -> impl Strategy<Value = Change> {
    let bytes = || prop::collection::vec(any::<u8>(), 1..24);
    prop_oneof![
        (0..8_u8).prop_map(Change::Flip),
        bytes().prop_map(Change::Overwrite),
        bytes().prop_map(Change::Insert),
        Just(Change::CutOff),
    ]
}

fn changed(mut file: Vec<u8>, at: prop::sample::Index, change: &Change) -> Vec<u8> {
    let at = at.index(file.len());
    match change {
        Change::Flip(bit) => file[at] ^= 1 << bit,
        Change::Overwrite(bytes) => file.iter_mut().skip(at).zip(bytes).for_each(|(old, new)| *old = *new),
        Change::Insert(bytes) => drop(file.splice(at..at, bytes.iter().copied())),
        Change::CutOff => file.truncate(at),
    }
    file
}

#[test]
fn no_bundle_with_changed_bytes_is_whole_and_none_stops_the_reader() {
    let place = Place::new();
    let bundle = place.path("bundle");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let ledger = ledger(&place.path("ledger")).await;
        write(&ledger, &Request::new(&bundle), &mut Silent).await.unwrap();
    });
    // The last manifests are what everything else is held against.
    let is_covered = |(name, bytes): &(String, Vec<u8>)| !name.starts_with("tagmanifest") && !bytes.is_empty();
    let whole: Vec<_> = files(&bundle).into_iter().filter(is_covered).collect();
    // Every second change is to a Parquet file: a reader has to believe more of one than of text.
    let (parquet, _): (Vec<_>, Vec<_>) = whole.iter().cloned().partition(|(name, _)| name.ends_with(".parquet"));
    let file = prop_oneof![prop::sample::select(whole), prop::sample::select(parquet)];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 192, ..ProptestConfig::default() });
    let run = runner.run(&(file, any::<prop::sample::Index>(), changes()), |((name, bytes), at, change)| {
        let other = changed(bytes.clone(), at, &change);
        prop_assume!(other != bytes);
        fs::write(bundle.join(&name), &other).unwrap();
        let verdict = verify::bundle(&bundle, &mut Silent);
        fs::write(bundle.join(&name), &bytes).unwrap();
        prop_assert!(!verdict.unwrap().is_whole(), "{}", name);
        Ok(())
    });
    run.unwrap();
}

//! Every kind of file, however its bytes arrive.

use std::io::{Cursor, Read, Write as _};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use proptest::prelude::*;

use super::kind::open_with;
use super::*;

/// Gives bytes in pieces of the given sizes, over and over.
struct Pieces {
    bytes: Cursor<Vec<u8>>,
    sizes: Vec<usize>,
    next: usize,
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let size = self.sizes[self.next % self.sizes.len()].min(out.len());
        self.next += 1;
        self.bytes.read(&mut out[..size])
    }
}

type Line = (Vec<u8>, Spot, Option<&'static str>);

fn drain(records: &mut dyn Records) -> (Vec<Line>, Option<&'static str>) {
    let mut found = Vec::new();
    loop {
        match records.next_record() {
            Ok(Some(record)) => {
                found.push((record.value.into_owned(), record.spot, record.refused.map(|refused| refused.code)));
            }
            Ok(None) => return (found, None),
            Err(fault) => return (found, Some(daybook_ledger::Report::code(&fault))),
        }
    }
}

/// The records of a file called `name`, read as it is.
fn read_file(name: &str, bytes: &[u8]) -> (Vec<String>, Option<&'static str>) {
    let (records, fault) = read_limited(name, bytes, 1 << 20);
    (records.into_iter().map(|(value, ..)| String::from_utf8(value).unwrap()).collect(), fault)
}

fn read_limited(name: &str, bytes: &[u8], bytes_max: usize) -> (Vec<Line>, Option<&'static str>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let found = runtime.block_on(find(&[path.display().to_string()]));
    match open_with(&found.inputs[0], runtime.handle(), &Arc::new(AtomicU64::new(0)), bytes_max) {
        Ok(mut opened) => drain(opened.records.as_mut()),
        Err(fault) => (Vec::new(), Some(daybook_ledger::Report::code(&fault))),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn one_object_one_a_line_an_array_and_objects_in_a_row_are_the_same_events() {
    let events = ["{\"a\":1}", "{\"b\":\"]},\\\"{\"}", "{\"c\":[{}]}"];
    for (name, text) in [
        ("x.jsonl", format!("{}\n", events.join("\n"))),
        ("x.jsonl", format!("\u{feff}{}\r\n\r\n{}\n \n{}", events[0], events[1], events[2])),
        ("x.log", events.join("\n")),
        ("x.json", format!("[{}]", events.join(","))),
        ("x", format!(" \n[\n {}\n]\n", events.join(" ,\n"))),
        ("x", events.concat()),
        ("x.json", format!("[{}]\n[{},{}]", events[0], events[1], events[2])),
    ] {
        let (found, fault) = read_file(name, text.as_bytes());
        let found: Vec<_> = found.iter().map(|line| line.trim()).collect();
        assert_eq!((found, fault), (events.to_vec(), None), "{text}");
        for packed in [gzip(text.as_bytes()), zstd::encode_all(text.as_bytes(), 1).unwrap()] {
            let (found, _) = read_file("packed", &packed);
            assert_eq!(found.len(), 3, "{text}");
        }
    }
    let pretty = "{\n  \"a\": [\n    1\n  ]\n}\n";
    assert_eq!(read_file("x.json", pretty.as_bytes()), (vec![pretty.trim().to_owned()], None));
    let pair = read_file("x.json", format!("{pretty}{pretty}").as_bytes());
    assert_eq!(pair.0.len(), 2);
}

#[test]
fn a_bad_line_costs_no_other() {
    for first in ["{poison", "garbage", "{\"a\":1} x", "\"text", "[1"] {
        let (found, fault) = read_file("x.jsonl", format!("{first}\n{{\"b\":1}}\n").as_bytes());
        assert_eq!((found, fault), (vec![first.to_owned(), "{\"b\":1}".to_owned()], None));
    }
    let (found, _) = read_file("no-extension", b"garbage\n{\"b\":1}\n");
    assert_eq!(found.len(), 2);
}

#[test]
fn a_last_line_counts_if_it_is_whole() {
    assert_eq!(read_file("x.jsonl", b"{\"a\":1}\n{\"b\":2}").0.len(), 2);
    let (found, fault) = read_file("x.jsonl", b"{\"a\":1}\n{\"b\":2");
    assert_eq!((found.len(), fault), (1, Some("IMPORT-007")));
    let (found, fault) = read_file("x.json", b"[{\"a\":1},{\"b\"");
    assert_eq!((found.len(), fault), (1, Some("IMPORT-007")));
    let (found, fault) = read_file("x.json", b"[{\"a\":1}");
    assert_eq!((found.len(), fault), (1, Some("IMPORT-007")));
}

#[test]
fn what_cannot_be_read_says_so() {
    for (name, bytes, code) in [
        ("x.zip", &b"PK\x03\x04 and so on"[..], "IMPORT-004"),
        ("README.md", b"# Title\n\nText, more text.\n", "IMPORT-004"),
        ("x.bin", b"\x00\x01\x02", "IMPORT-004"),
        ("x.json", b"[{\"a\":1} {\"b\":1}]", "IMPORT-006"),
        ("x.json", b"[{\"a\":1},]", "IMPORT-006"),
        ("x.json", b"{\"a\":\n1}\n}", "IMPORT-006"),
        ("x.parquet", b"PAR1 but nothing else", "IMPORT-008"),
    ] {
        assert_eq!(read_file(name, bytes).1, Some(code), "{name}");
    }
    assert_eq!(read_file("empty.jsonl", b""), (Vec::new(), None));
    assert_eq!(read_file("blank.json", b" \n "), (Vec::new(), None));
    let mut cut = gzip(&b"{\"a\":1}\n".repeat(100_000));
    cut.truncate(cut.len() / 2);
    let (found, fault) = read_file("x.jsonl.gz", &cut);
    assert!(!found.is_empty());
    assert_eq!(fault, Some("IMPORT-003"), "what stands before the damage is read, then it is named");
}

#[test]
fn a_record_past_the_limit_stops_the_file_at_its_place() {
    let long = format!("{{\"a\":1}}\n{{\"b\":\"{}\"}}\n{{\"c\":1}}\n", "x".repeat(2_000));
    for name in ["x.jsonl", "x.log"] {
        let (found, fault) = read_limited(name, long.as_bytes(), 1_000);
        assert_eq!((found.len(), fault), (1, Some("IMPORT-005")), "{name}");
    }
    let (found, fault) = read_limited("x.json", format!("[{}]", long.trim().replace('\n', ",")).as_bytes(), 1_000);
    assert_eq!((found.len(), fault), (1, Some("IMPORT-005")));
    assert_eq!(
        read_limited("x.csv", format!("a,b,c\n\"{}", "x".repeat(2_000)).as_bytes(), 1_000).1,
        Some("IMPORT-005")
    );
    assert_eq!(read_limited("x.jsonl", long.as_bytes(), 4_000).0.len(), 3);
}

#[test]
fn records_know_their_line_and_byte() {
    let (found, _) = read_limited("x.jsonl", b"{\"a\":1}\n\n  {\"b\":1}\n", 1_000);
    let spots: Vec<_> = found.iter().map(|(_, spot, _)| (spot.line, spot.byte.unwrap())).collect();
    assert_eq!(spots, [(1, 0), (3, 9)]);
    let (found, _) = read_limited("x.json", b"[\n {\"a\":\n1},\n {\"b\":1}]", 1_000);
    let spots: Vec<_> = found.iter().map(|(_, spot, _)| (spot.line, spot.byte.unwrap())).collect();
    assert_eq!(spots, [(2, 3), (4, 14)]);
}

#[test]
fn parquet_rows_become_objects() {
    use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, StructArray};
    use arrow::array::{Float64Array, TimestampMicrosecondArray};
    use arrow::datatypes::{DataType, Field};
    let nested = StructArray::from(vec![(
        Arc::new(Field::new("n", DataType::Int64, true)),
        Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef,
    )]);
    let columns: [(&str, ArrayRef); 6] = [
        ("request_id", Arc::new(StringArray::from(vec![Some("a"), None]))),
        ("metadata", Arc::new(StringArray::from(vec!["{\"k\": [1]}", "{broken"]))),
        ("spend", Arc::new(Float64Array::from(vec![0.000_405, 0.1]))),
        ("exact", Arc::new(Decimal128Array::from(vec![12_345, 1]).with_precision_and_scale(10, 4).unwrap())),
        ("startTime", Arc::new(TimestampMicrosecondArray::from(vec![1_795_170_000_250_000, 1_795_170_000_000_000]))),
        ("nested", Arc::new(nested)),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut file = Vec::new();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let (found, fault) = read_file("spend.parquet", &file);
    assert_eq!(fault, None);
    assert_eq!(
        found,
        [
            r#"{"request_id":"a","metadata":{"k": [1]},"spend":0.000405,"exact":1.2345,"startTime":"2026-11-20T10:20:00.250Z","nested":{"n":1}}"#,
            r#"{"request_id":null,"metadata":"{broken","spend":0.1,"exact":0.0001,"startTime":"2026-11-20T10:20:00Z","nested":{"n":null}}"#,
        ]
    );
}

fn any_event() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~é]{0,40}".prop_map(|text| serde_json::json!({ "text": text }).to_string()),
        (any::<i64>(), any::<bool>())
            .prop_map(|(n, b)| serde_json::json!({"n": n, "list": [b, {"x": []}]}).to_string()),
        Just("{}".to_owned()),
    ]
}

proptest! {
    /// The same bytes in any pieces, under any codec, are the same records at the same places.
    #[test]
    fn pieces_do_not_matter(
        events in proptest::collection::vec(any_event(), 0..12),
        kind in 0..4_usize,
        sizes in proptest::collection::vec(1..9_usize, 1..5),
        cut in 0..200_usize,
    ) {
        let mut text = match kind {
            0 => events.join("\n"),
            1 => format!("[{}]", events.join(" , ")),
            2 => events.concat(),
            _ => format!("a,b\n{}\n", events.iter().map(|e| format!("\"{}\",2", e.replace('"', "\"\""))).collect::<Vec<_>>().join("\n")),
        }.into_bytes();
        let whole = cut % 3 != 0;
        if !whole {
            text.truncate(text.len().saturating_sub(cut % 50));
        }
        let records = |source: Box<dyn Read + Send>| -> (Vec<Line>, Option<&'static str>) {
            let window = window::Window::new(source, "x", None, 1 << 20);
            match kind {
                0 => drain(&mut lines::Lines::new(window)),
                1 | 2 => drain(&mut document::Documents::new(window)),
                _ => match table::Table::open(window) {
                    Ok(mut table) => drain(&mut table),
                    Err(fault) => (Vec::new(), Some(daybook_ledger::Report::code(&fault))),
                },
            }
        };
        let expected = records(Box::new(Cursor::new(text.clone())));
        let pieces = Pieces { bytes: Cursor::new(text), sizes, next: 0 };
        prop_assert_eq!(&records(Box::new(pieces)), &expected);
        if whole {
            prop_assert_eq!(expected.1, None);
            prop_assert_eq!(expected.0.len(), events.len());
            if kind < 3 {
                let values: Vec<_> = expected.0.iter().map(|(value, ..)| String::from_utf8_lossy(value).into_owned()).collect();
                prop_assert_eq!(values, events);
            }
        }
    }

    /// Any bytes at all: records or a fault, never a panic, and never more bytes than the file has.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'{'), Just(b'\n'), Just(b'"')], 0..200)) {
        let (found, _) = read_limited("x", &bytes, 1 << 10);
        prop_assert!(found.iter().all(|(value, ..)| value.len() <= 4 * bytes.len() + 64));
    }
}

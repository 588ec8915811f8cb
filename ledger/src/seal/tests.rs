use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::TryStreamExt as _;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};

use super::*;
use crate::testing::{Fault, FaultyStore, append, call, quarantine};
use crate::{EntryId, Ledger, Root, Usd};

const SECRET: [u8; 32] = [9; 32];
const DAY: &str = "2026-11-20";

fn key() -> SigningKey {
    SigningKey::new("example.com/ledger", [7; 32]).unwrap()
}

async fn ledger() -> Ledger {
    Ledger::create_at(Root::memory()).await.unwrap()
}

/// Batch `number` with `rows` calls.
async fn add(ledger: &Ledger, number: usize, rows: usize) {
    let ids: Vec<String> = (0..rows).map(|row| format!("{number}-{row}")).collect();
    let entry = |id| call(id, "openai", "gpt-5", "red", "2026-11-20T09:00:00Z", (10, 5));
    let entries: Vec<_> = ids.iter().map(|id| (entry(id.as_str()), Some(Usd::from_pico(17)))).collect();
    append(ledger, &format!("b{number}"), &entries).await;
}

async fn seal_with(ledger: &Ledger, key: &SigningKey) -> Result<Sealed, Error> {
    seal(ledger, &Request { key, earlier_key: None, last_signed: None, fresh_secret: &SECRET }).await
}

async fn seal_now(ledger: &Ledger) -> Sealed {
    seal_with(ledger, &key()).await.unwrap()
}

/// Every leaf of the log, whose tree must have the root of the newest checkpoint.
async fn leaves(ledger: &Ledger) -> Vec<Vec<u8>> {
    let log = Log::of(ledger);
    let head = log.load_newest().await.unwrap().unwrap().head;
    let mut leaves = Vec::new();
    for bundle in 0..head.size.div_ceil(TILE_WIDTH as u64) {
        leaves.extend(log.load_leaves(bundle, head.size).await.unwrap().into_iter().map(|leaf| leaf.to_vec()));
    }
    let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
    assert_eq!((hashes.len() as u64, root_of(&hashes)), (head.size, head.root));
    let whole = 0..head.size;
    let roots = log.load_roots(std::slice::from_ref(&whole), head.size).await.unwrap();
    assert_eq!(roots, [head.root], "tiles agree with leaves");
    assert_eq!(log.load_published().await.unwrap().unwrap().head, head);
    leaves
}

/// How many leaves of each table there are.
async fn counts(ledger: &Ledger) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for leaf in leaves(ledger).await {
        *counts.entry(split_leaf(&leaf).unwrap().0.to_owned()).or_insert(0) += 1;
    }
    counts
}

#[tokio::test]
async fn every_row_and_every_commit_is_a_leaf_once() {
    let ledger = ledger().await;
    add(&ledger, 1, 300).await;
    quarantine(&ledger, "q1", 5, b"secret words").await;
    let first = seal_now(&ledger).await;
    let tables = ledger.tables().len();
    // Each table's creation, the batch in `usage` and `content`, that in `quarantine`.
    assert_eq!((first.size_before, first.rows, first.commits), (0, 301, tables as u64 + 3));
    let expected = [("commit", tables + 3), ("quarantine", 1), ("usage", 300)];
    assert_eq!(counts(&ledger).await, expected.map(|(name, count)| (name.to_owned(), count)).into());

    add(&ledger, 2, 20).await;
    let second = seal_now(&ledger).await;
    assert_eq!((second.size_before, second.rows, second.commits), (first.checkpoint.head.size, 20, 2));
    assert!(Log::of(&ledger).extends(&first.checkpoint.head, &second.checkpoint.head).await.unwrap());
    assert_eq!(counts(&ledger).await["usage"], 320);

    let third = seal_now(&ledger).await;
    assert_eq!((third.commits, third.checkpoint.to_string()), (0, second.checkpoint.to_string()), "nothing came since");
    let sizes = [first.checkpoint.head.size, second.checkpoint.head.size];
    assert_eq!(Log::of(&ledger).list_checkpoints().await.unwrap(), sizes, "every checkpoint is kept");
}

#[tokio::test]
async fn the_log_shows_neither_rows_nor_what_they_hash_to() {
    let ledger = ledger().await;
    add(&ledger, 1, 3).await;
    quarantine(&ledger, "q1", 5, b"secret words").await;
    seal_now(&ledger).await;
    let root = ledger.root();
    let log = root.prefix.clone().join("log");
    let objects: Vec<_> = root.store.list(Some(&log)).try_collect().await.unwrap();
    assert_eq!(objects.len(), 4, "two checkpoints, a tile, a bundle");
    let row = EntryId::derive("test", b"1-0");
    for object in objects {
        let bytes = root.store.get(&object.location).await.unwrap().bytes().await.unwrap();
        for word in [&b"secret words"[..], b"gpt-5", b"openai", &row.0, row.to_string().as_bytes(), &SECRET] {
            assert!(
                !bytes.windows(word.len()).any(|part| part == word),
                "{} in {}",
                word.escape_ascii(),
                object.location
            );
        }
    }
}

#[tokio::test]
async fn an_entry_is_proven_to_whoever_has_the_proof_and_the_key() {
    let ledger = ledger().await;
    add(&ledger, 1, 700).await;
    seal_now(&ledger).await;
    add(&ledger, 2, 3).await;
    let entry = |id: &str| EntryId::derive("test", id.as_bytes());
    let day = crate::Date::parse(DAY).unwrap();
    let unsealed = prove(&ledger, entry("2-1"), day, "b2").await.unwrap_err();
    assert!(matches!(unsealed, Error::NotSealedYet { .. }), "{unsealed}");
    seal_now(&ledger).await;

    for (id, batch_id) in [("1-0", "b1"), ("1-699", "b1"), ("2-1", "b2")] {
        let text = prove(&ledger, entry(id), day, batch_id).await.unwrap().to_string();
        let proof = Proof::parse("x", &text).unwrap();
        assert!(proof.is_included() && proof.is_signed_by(&key().verifier()));
        let row: serde_json::Value = serde_json::from_slice(&proof.opening.row).unwrap();
        assert_eq!(
            (row["entry_id"].as_str(), row["list_cost"].as_str()),
            (Some(&*entry(id).to_string()), Some("0.000000000017"))
        );
        assert_eq!(
            (row["event_date"].as_str(), row["started_at"].as_str()),
            (Some(DAY), Some("2026-11-20T09:00:00.000000Z"))
        );

        let mut forged = proof.clone();
        forged.opening.row = String::from_utf8(forged.opening.row).unwrap().replace("gpt-5", "gpt-4").into();
        assert!(!forged.is_included(), "another row");
        let mut forged = proof.clone();
        forged.index ^= 1;
        assert!(!forged.is_included(), "another place");
        let mut forged = proof;
        forged.opening.table = "billing".into();
        assert!(!forged.is_included(), "another table");
    }
    let missing = prove(&ledger, entry("3-1"), day, "b2").await.unwrap_err();
    assert!(matches!(missing, Error::NoEntry { .. }), "{missing}");
}

#[tokio::test]
async fn sealers_that_race_write_one_history() {
    let ledger = ledger().await;
    for number in 0..3 {
        add(&ledger, number, 150).await;
        let racers = (0..4).map(|_| async { seal_now(&ledger).await });
        let heads: Vec<_> = futures::future::join_all(racers).await.into_iter().map(|s| s.checkpoint.head).collect();
        assert!(heads.iter().all(|head| *head == heads[0]), "{heads:?}");
    }
    assert_eq!(counts(&ledger).await["usage"], 450);
}

#[tokio::test]
async fn a_log_that_is_not_the_signers_is_not_signed() {
    let ledger = ledger().await;
    add(&ledger, 1, 3).await;
    let first = seal_now(&ledger).await.checkpoint;
    add(&ledger, 2, 3).await;

    let other_name = SigningKey::new("example.com/other", [7; 32]).unwrap();
    assert!(matches!(seal_with(&ledger, &other_name).await, Err(Error::OtherLog { .. })));
    let other_key = SigningKey::new("example.com/ledger", [8; 32]).unwrap();
    assert!(matches!(seal_with(&ledger, &other_key).await, Err(Error::NotSigned { .. })));
    let earlier = key().verifier();
    let changed = Request { key: &other_key, earlier_key: Some(&earlier), last_signed: None, fresh_secret: &SECRET };
    let second = seal(&ledger, &changed).await.unwrap().checkpoint;
    assert!(second.is_signed_by(&other_key.verifier()), "after a change of keys that is stated");

    let root = ledger.root();
    let path = root.prefix.clone().join("log").join("checkpoints").join(second.head.size.to_string());
    root.store.delete(&path).await.unwrap();
    let back = Request { key: &key(), earlier_key: None, last_signed: Some(&second), fresh_secret: &SECRET };
    assert!(matches!(seal(&ledger, &back).await, Err(Error::WentBack { .. })), "a checkpoint was taken away");
    let forged = Checkpoint::sign(Head { root: [1; 32], ..first.head.clone() }, &key());
    let forged = Request { key: &key(), earlier_key: None, last_signed: Some(&forged), fresh_secret: &SECRET };
    assert!(matches!(seal(&ledger, &forged).await, Err(Error::WentBack { .. })), "the beginning is another");
}

#[tokio::test]
async fn a_damaged_edge_is_not_built_upon() {
    let ledger = ledger().await;
    add(&ledger, 1, 3).await;
    let size = seal_now(&ledger).await.checkpoint.head.size;
    let root = ledger.root();
    let path = Path::from(format!("{}/log/tile/0/000.p/{size}", root.prefix));
    let mut tile = root.store.get(&path).await.unwrap().bytes().await.unwrap().to_vec();
    tile[40] ^= 1;
    root.store.put(&path, tile.into()).await.unwrap();
    add(&ledger, 2, 3).await;
    assert!(matches!(seal_with(&ledger, &key()).await, Err(Error::Damaged { .. })));
}

/// More changes than a seal makes.
const CHANGES: u64 = 24;

/// Tiles, checkpoints and the claim: whichever write fails or is the last of its process, the next seal goes on from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seal_under_a_fault_at_every_write_ends_in_one_history() {
    let memory = Arc::new(InMemory::new());
    let ledger = Ledger::create_at(root_at(&memory)).await.unwrap();
    add(&ledger, 1, 20).await;
    let unsealed = memory.fork();
    // Enough for tiles on two levels.
    add(&ledger, 2, 230).await;
    let first = seal_now(&ledger).await.checkpoint.head;
    add(&ledger, 3, 20).await;
    // A sealer that meets an error ends, so these stand for deaths as well.
    let faults = [Fault::Refuse, Fault::LoseReply, Fault::FindItself, Fault::ArriveLate(2), Fault::Tear];
    let (first_seal, second_seal) = ((unsealed, None), (memory.fork(), Some(first)));
    let kinds = faults.iter().map(|fault| (&second_seal, fault)).chain([(&first_seal, &Fault::LoseReply)]);
    let runs = kinds.flat_map(|kind| (0..CHANGES).map(move |change| (kind, change)));
    // Together: a sealer whose store does not answer waits before it asks again.
    let runs = runs.map(async |(((base, first), fault), change)| {
        let store = FaultyStore::over(Arc::new(base.fork()));
        let ledger = Ledger::create_at(store.root()).await.unwrap();
        store.fail_at_change(change, fault.clone());
        seal_with(&ledger, &key()).await.ok();
        let struck = store.struck();
        assert!(struck.is_empty() || change + 1 < CHANGES, "a seal makes more than {CHANGES} changes: {struck:?}");
        if !struck.is_empty() {
            check_next_seal(&store, first.as_ref(), &struck).await;
        }
        usize::from(!struck.is_empty())
    });
    let struck: usize = futures::future::join_all(runs).await.into_iter().sum();
    assert!(struck > 4 * faults.len(), "only {struck} writes failed");
}

/// Starts the sealer again, with one batch more, until what was on its way has arrived.
async fn check_next_seal(store: &FaultyStore, first: Option<&Head>, struck: &[String]) {
    store.heal();
    let ledger = Ledger::create_at(store.root()).await.unwrap();
    let second = seal_now(&ledger).await.checkpoint.head;
    add(&ledger, 4, 20).await;
    let third = seal_now(&ledger).await.checkpoint.head;
    let log = Log::of(&ledger);
    assert!(log.extends(&second, &third).await.unwrap(), "{struck:?}");
    if let Some(first) = first {
        assert!(log.extends(first, &second).await.unwrap(), "{struck:?}");
    }
    assert_eq!(seal_now(&ledger).await.checkpoint.head, third, "{struck:?}");
    let rows = if first.is_some() { 290 } else { 40 };
    assert_eq!(counts(&ledger).await["usage"], rows, "{struck:?}");
}

fn root_at(store: &Arc<InMemory>) -> Root {
    Root { store: Arc::clone(store) as Arc<dyn ObjectStore>, ..Root::memory() }
}

#[test]
fn a_row_is_the_same_text_in_whatever_order_its_maps_lie() {
    let text = |tags: [(&str, &str); 2]| {
        let batch = usage_with(tags);
        let mut out = Vec::new();
        RowTexts::new(&crate::schema::USAGE, crate::Date::parse(DAY).unwrap(), &batch).write(0, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let expected = r#"{"event_date":"2026-11-20","features":["tools","a\"b"],"input_tokens":7,"reported_cost":"-0.500000000000","streamed":true,"tags":{"a":"1\n","b":"ü"},"team":"red"}"#;
    assert_eq!(text([("b", "ü"), ("a", "1\n")]), expected);
    assert_eq!(text([("a", "1\n"), ("b", "ü")]), expected);
}

/// One row of few columns, as a data file has it.
fn usage_with(tags: [(&str, &str); 2]) -> RecordBatch {
    use arrow::array::{
        ArrayRef, BooleanArray, Decimal128Array, Int64Array, ListBuilder, MapBuilder, StringArray, StringBuilder,
    };
    let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for (key, value) in tags {
        map.keys().append_value(key);
        map.values().append_value(value);
    }
    map.append(true).unwrap();
    let mut words = ListBuilder::new(StringBuilder::new());
    words.append_value([Some("tools"), Some("a\"b")]);
    let cost = Decimal128Array::from(vec![-500_000_000_000]).with_precision_and_scale(38, 12).unwrap();
    let columns: [(&str, ArrayRef); 7] = [
        ("team", Arc::new(StringArray::from(vec!["red"]))),
        ("project", Arc::new(StringArray::from(vec![None::<&str>]))),
        ("input_tokens", Arc::new(Int64Array::from(vec![7]))),
        ("streamed", Arc::new(BooleanArray::from(vec![true]))),
        ("tags", Arc::new(map.finish())),
        ("reported_cost", Arc::new(cost)),
        ("features", Arc::new(words.finish())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

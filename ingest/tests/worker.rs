//! A worker on a real consumer: what it does when Kafka is not as it left it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "test code outside test functions"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array as _, AsArray as _};
use arrow::datatypes::Int64Type;
use daybook_ingest::driver::{self, Control};
use daybook_ingest::embedded::{EmbeddedKafka, EmbeddedProducer};
use daybook_ingest::{Capture, Error, FlushLimits, OnGap, SILENCE_MAX, Settings, Start, Totals};
use daybook_ledger::price::Book;
use daybook_ledger::{Clock as _, Ledger, Report as _, Root, SystemClock};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

fn settings(kafka: &EmbeddedKafka) -> Settings {
    Settings {
        brokers: kafka.brokers(),
        topics: vec!["calls".into()],
        formats: [].into(),
        group: "test".into(),
        instance_id: None,
        cluster: Some("test".into()),
        limits: FlushLimits { rows_max: 10_000, bytes_max: 64 << 20, interval_ms: 100 },
        capture: Capture::Off,
        start: Start::Earliest,
        on_gap: OnGap::Stop,
        metrics_listen: None,
        silence_max: SILENCE_MAX,
        until_end: true,
        // The embedded group waits so long for a member that left.
        librdkafka: [("session.timeout.ms".to_owned(), "6000".to_owned())].into(),
    }
}

fn static_member(kafka: &EmbeddedKafka) -> Settings {
    let mut settings = Settings { instance_id: Some("worker-1".into()), until_end: false, ..settings(kafka) };
    settings.librdkafka.insert("heartbeat.interval.ms".to_owned(), "100".to_owned());
    settings
}

async fn run(settings: Settings, ledger: &Ledger) -> Result<Totals, Error> {
    let prices = Arc::new(Book::default_sheet().unwrap());
    driver::run(settings, ledger.clone(), prices, Arc::new(SystemClock), Control::default(), |_| {}).await
}

async fn ledger() -> Ledger {
    Ledger::create_at(Root::memory()).await.unwrap()
}

fn event(id: usize, padding: usize) -> String {
    format!(
        r#"{{"id":"call-{id}","call_type":"acompletion","status":"success","custom_llm_provider":"openai","model":"gpt-4o",
        "startTime":1795170000.0,"endTime":1795170001.0,"prompt_tokens":10,"completion_tokens":1,"total_tokens":11,
        "response_cost":0.5,"messages":[{{"role":"user","content":"{}"}}],"metadata":{{}}}}"#,
        " ".repeat(padding)
    )
}

fn send(producer: &EmbeddedProducer, ids: std::ops::Range<usize>, padding: usize) {
    for id in ids {
        producer.send("", event(id, padding).as_bytes()).unwrap();
        // The cluster keeps whole sets of messages; small sets make its retention fine.
        if padding > 0 {
            producer.flush().unwrap();
        }
    }
    producer.flush().unwrap();
}

/// What the group knows of the first partition.
fn group_offset(kafka: &EmbeddedKafka, group: &str) -> Offset {
    let mut config = ClientConfig::new();
    let consumer: BaseConsumer =
        config.set("bootstrap.servers", kafka.brokers()).set("group.id", group).create().unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition("calls", 0);
    let offsets = consumer.committed_offsets(partitions, Duration::from_secs(30)).unwrap();
    offsets.elements()[0].offset()
}

async fn await_group_offset(kafka: &EmbeddedKafka, offset: i64) {
    let told = async {
        while group_offset(kafka, "test") != Offset::Offset(offset) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), told).await.unwrap();
}

/// Code and offset of every row of quarantine.
async fn quarantined(ledger: &Ledger) -> Vec<(String, i64)> {
    let mut rows = Vec::new();
    for file in ledger.quarantine().load(None).await.unwrap().files() {
        for batch in ledger.quarantine().load_batches(&file).await.unwrap() {
            let codes = batch.column_by_name("error_code").unwrap().as_string::<i32>().clone();
            let offsets = batch.column_by_name("kafka_offset").unwrap().as_primitive::<Int64Type>().clone();
            rows.extend(codes.iter().zip(&offsets).map(|(code, offset)| (code.unwrap().to_owned(), offset.unwrap())));
        }
    }
    rows
}

/// Ends a transaction in the first partition of `topic`: puts what a coordinator would, which the embedded cluster does not.
fn put_marker(kafka: &EmbeddedKafka, topic: &str) {
    let mut batch = vec![0, 0x30];
    batch.extend([0; 4 + 8 + 8]);
    batch.extend(1_i64.to_be_bytes());
    batch.extend([0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1]);
    // One record: key and value are a version with `COMMIT`, and one with the coordinator's epoch.
    batch.extend([0x20, 0, 0, 0, 8, 0, 0, 0, 1, 12, 0, 0, 0, 0, 0, 0, 0]);
    let length = u32::try_from(4 + 1 + 4 + batch.len()).unwrap();
    let mut set = [&[0; 8][..], &length.to_be_bytes(), &[0; 4], &[2], &crc32c(&batch).to_be_bytes()].concat();
    set.extend(batch);

    let text = |text: &str| [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat();
    let sized = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    // Produce, version 3: no transactional id, all replicas, 1 s, one topic with one partition.
    let head =
        [&[0, 0, 0, 3, 0, 0, 0, 1][..], &text("test"), &[0xff, 0xff, 0xff, 0xff, 0, 0, 3, 0xe8, 0, 0, 0, 1]].concat();
    let request = [&head[..], &text(topic), &[0, 0, 0, 1, 0, 0, 0, 0], &sized(&set)].concat();
    let mut broker = TcpStream::connect(kafka.brokers()).unwrap();
    broker.write_all(&sized(&request)).unwrap();
    let mut length = [0; 4];
    broker.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    broker.read_exact(&mut answer).unwrap();
    let error = &answer[4 + 4 + 2 + topic.len() + 4 + 4..][..2];
    assert_eq!(error, [0, 0], "the broker took it");
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_end_in_a_transaction_marker_are_read_to_their_end() {
    let kafka = EmbeddedKafka::start("calls", 1).unwrap();
    kafka.create_topic("more", 1).unwrap();
    send(&kafka.producer("calls").unwrap(), 0..10, 0);
    send(&kafka.producer("more").unwrap(), 10..15, 0);
    put_marker(&kafka, "calls");
    put_marker(&kafka, "more");
    let both = Settings { topics: vec!["calls".into(), "more".into()], ..settings(&kafka) };
    let ledger = ledger().await;
    for (settings, entries) in [(settings(&kafka), 10), (both.clone(), 5), (both, 0)] {
        let totals = tokio::time::timeout(Duration::from_secs(60), run(settings, &ledger)).await.expect("it ends");
        assert_eq!(totals.unwrap().entries, entries);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_crossed_though_the_brokers_do_not_tell_of_it_at_first() {
    let kafka = EmbeddedKafka::start("calls", 1).unwrap();
    let producer = kafka.producer("calls").unwrap();
    let ledger = ledger().await;
    send(&producer, 0..10, 0);
    assert_eq!(run(settings(&kafka), &ledger).await.unwrap().entries, 10);
    send(&producer, 10..26, 700_000);
    kafka.refuse_next_watermark();
    let control = Control::default();
    let prices = Arc::new(Book::default_sheet().unwrap());
    let settings = Settings { on_gap: OnGap::Continue, until_end: false, ..settings(&kafka) };
    let worker = driver::run(settings, ledger.clone(), prices, Arc::new(SystemClock), control.clone(), |_| {});
    let worker = tokio::spawn(worker);
    let crossed = async {
        while quarantined(&ledger).await != [("INGEST-102".to_owned(), 10)] {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), crossed).await.expect("the gap is crossed");
    control.drain();
    let read = worker.await.unwrap().unwrap().entries;
    let rest = run(Settings { group: "rest".into(), ..self::settings(&kafka) }, &ledger).await.unwrap().entries;
    assert!((1..16).contains(&(read + rest)), "what is left is read: {read} + {rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_not_taken_for_an_empty_one_when_a_broker_does_not_tell_where_it_begins() {
    let kafka = EmbeddedKafka::start("calls", 1).unwrap();
    send(&kafka.producer("calls").unwrap(), 0..10, 0);
    kafka.refuse_next_watermark();
    let ledger = ledger().await;
    let error = run(settings(&kafka), &ledger).await.unwrap_err();
    assert_eq!(error.code(), "INGEST-001", "{error:?}");
    assert_eq!(run(settings(&kafka), &ledger).await.unwrap().entries, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_produced_after_the_first_look_at_a_partition_is_read_though_nothing_was_then() {
    let kafka = EmbeddedKafka::start("calls", 1).unwrap();
    let producer = kafka.producer("calls").unwrap();
    send(&producer, 0..10, 0);
    let (ledger, latest) = (ledger().await, Settings { start: Start::Latest, ..settings(&kafka) });
    assert_eq!(run(latest.clone(), &ledger).await.unwrap().entries, 0);
    send(&producer, 10..15, 0);
    let another = Settings { group: "another".into(), ..latest };
    assert_eq!(run(another.clone(), &ledger).await.unwrap().entries, 5);
    assert_eq!(run(another, &ledger).await.unwrap().messages, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_dated_in_microseconds_is_dated_by_its_arrival() {
    let kafka = EmbeddedKafka::start("calls", 1).unwrap();
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", kafka.brokers()).create().unwrap();
    producer.send(BaseRecord::<str, str>::to("calls").payload("{poison").timestamp(1_795_170_000_000_000)).unwrap();
    producer.flush(Duration::from_secs(30)).unwrap();
    let (ledger, today) = (ledger().await, || SystemClock.now().date());
    let began = today();
    assert_eq!(run(settings(&kafka), &ledger).await.unwrap().quarantined, 1);
    let file = ledger.quarantine().load(None).await.unwrap().files().into_iter().next().unwrap();
    let rows = &ledger.quarantine().load_batches(&file).await.unwrap()[0];
    assert!(rows.column_by_name("kafka_timestamp").unwrap().is_null(0));
    assert!((began..=today()).contains(&file.date), "{file:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_kafka_removed_stop_a_worker_or_are_recorded_as_lost() {
    let kafka = EmbeddedKafka::start("calls", 1).unwrap();
    let producer = kafka.producer("calls").unwrap();
    let ledger = ledger().await;
    send(&producer, 0..10, 0);
    assert_eq!(run(settings(&kafka), &ledger).await.unwrap().entries, 10);

    // A partition of the embedded cluster keeps its last 5 MB.
    send(&producer, 10..26, 700_000);
    let error = run(settings(&kafka), &ledger).await.unwrap_err();
    assert_eq!(error.code(), "INGEST-004", "{error:?}");
    let Error::Gap { position, low, high, .. } = error else { panic!("{error:?}") };
    assert_eq!((position, high), (10, 26));
    assert!((11..26).contains(&low), "{low}");

    let go_on = Settings { on_gap: OnGap::Continue, ..settings(&kafka) };
    let totals = run(go_on.clone(), &ledger).await.unwrap();
    assert_eq!((totals.entries, totals.quarantined), (u64::try_from(26 - low).unwrap(), 1));
    assert_eq!(quarantined(&ledger).await, [("INGEST-102".to_owned(), 10)]);
    assert_eq!(run(go_on, &ledger).await.unwrap().messages, 0, "the loss is recorded once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_is_refused_and_nothing_is_doubled() {
    let ledger = ledger().await;
    let kafka = EmbeddedKafka::start("calls", 1).unwrap();
    send(&kafka.producer("calls").unwrap(), 0..10, 0);
    assert_eq!(run(settings(&kafka), &ledger).await.unwrap().entries, 10);
    let anew = EmbeddedKafka::start("calls", 1).unwrap();
    send(&anew.producer("calls").unwrap(), 0..5, 0);
    for (on_gap, until_end) in [(OnGap::Stop, true), (OnGap::Stop, false), (OnGap::Continue, false)] {
        let error = run(Settings { on_gap, until_end, ..settings(&anew) }, &ledger).await.unwrap_err();
        assert_eq!(error.code(), "INGEST-004", "{error:?}");
        assert!(error.hint().unwrap().contains("--cluster"), "{error:?}");
    }
    let renamed = Settings { cluster: Some("test-2".into()), ..settings(&anew) };
    let totals = run(renamed, &ledger).await.unwrap();
    assert_eq!((totals.entries, totals.duplicates), (0, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_with_a_tombstone_and_a_large_message_is_read_to_its_end() {
    let kafka = EmbeddedKafka::start("calls", 1).unwrap();
    let producer = kafka.producer("calls").unwrap();
    producer.send_tombstone("key").unwrap();
    send(&producer, 0..2, 900_000);
    let totals = run(settings(&kafka), &ledger().await).await.unwrap();
    assert_eq!((totals.messages, totals.entries, totals.empty), (3, 2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_member_that_is_fenced_once_reads_on() {
    let kafka = EmbeddedKafka::start("calls", 1).unwrap();
    let producer = kafka.producer("calls").unwrap();
    send(&producer, 0..10, 0);
    let (ledger, control) = (ledger().await, Control::default());
    let prices = Arc::new(Book::default_sheet().unwrap());
    let worker =
        driver::run(static_member(&kafka), ledger.clone(), prices, Arc::new(SystemClock), control.clone(), |_| {});
    let worker = tokio::spawn(worker);
    await_group_offset(&kafka, 10).await;
    kafka.fence_next_heartbeats(1);
    tokio::time::sleep(Duration::from_millis(500)).await;
    send(&producer, 10..20, 0);
    await_group_offset(&kafka, 20).await;
    control.drain();
    assert_eq!(worker.await.unwrap().unwrap().entries, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_member_whose_place_is_taken_ends_and_says_so() {
    let kafka = EmbeddedKafka::start("calls", 1).unwrap();
    kafka.fence_next_heartbeats(2);
    let error = run(static_member(&kafka), &ledger().await).await.unwrap_err();
    assert_eq!(error.code(), "INGEST-008", "{error:?}");
    assert!(error.to_string().contains("`worker-1`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_to_which_nothing_comes_though_there_is_more_reads_on() {
    let kafka = EmbeddedKafka::start("calls", 1).unwrap();
    let producer = kafka.producer("calls").unwrap();
    send(&producer, 0..10, 0);
    let (ledger, control) = (ledger().await, Control::default());
    let prices = Arc::new(Book::default_sheet().unwrap());
    let mut settings = Settings { silence_max: Duration::from_secs(2), until_end: false, ..settings(&kafka) };
    // The consumer does nothing for five minutes after a fetch that was refused, and says nothing.
    settings.librdkafka.insert("fetch.error.backoff.ms".to_owned(), "300000".to_owned());
    let worker = driver::run(settings, ledger.clone(), prices, Arc::new(SystemClock), control.clone(), |_| {});
    let worker = tokio::spawn(worker);
    await_group_offset(&kafka, 10).await;
    kafka.refuse_next_fetch();
    tokio::time::sleep(Duration::from_millis(500)).await;
    send(&producer, 10..20, 0);
    await_group_offset(&kafka, 20).await;
    control.drain();
    assert_eq!(worker.await.unwrap().unwrap().entries, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_that_the_group_refused_are_told_again_though_nothing_more_comes() {
    let kafka = EmbeddedKafka::start("calls", 1).unwrap();
    send(&kafka.producer("calls").unwrap(), 0..10, 0);
    kafka.refuse_next_offsets(3);
    let (ledger, control) = (ledger().await, Control::default());
    let prices = Arc::new(Book::default_sheet().unwrap());
    let settings = Settings { until_end: false, ..settings(&kafka) };
    let worker = driver::run(settings, ledger, prices, Arc::new(SystemClock), control.clone(), |_| {});
    let worker = tokio::spawn(worker);
    await_group_offset(&kafka, 10).await;
    control.drain();
    assert_eq!(worker.await.unwrap().unwrap().entries, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_leaves_when_the_group_knows_where_the_ledger_stands() {
    let kafka = EmbeddedKafka::start("calls", 1).unwrap();
    send(&kafka.producer("calls").unwrap(), 0..10, 0);
    let ledger = ledger().await;
    // The second group finds everything in the ledger.
    for (group, entries) in [("first", 10), ("second", 0)] {
        kafka.refuse_next_offsets(2);
        let totals = run(Settings { group: group.into(), ..settings(&kafka) }, &ledger).await.unwrap();
        assert_eq!((totals.entries, group_offset(&kafka, group)), (entries, Offset::Offset(10)));
    }
}

use daybook_ledger::Report as _;

use super::*;
use crate::embedded::EmbeddedKafka;
use crate::settings::{Capture, FlushLimits, OnGap, SILENCE_MAX};

fn settings(brokers: String) -> Settings {
    Settings {
        brokers,
        topics: vec!["calls".into()],
        formats: [].into(),
        group: "test".into(),
        instance_id: None,
        cluster: None,
        limits: FlushLimits::default(),
        capture: Capture::Off,
        start: Start::Earliest,
        on_gap: OnGap::Stop,
        metrics_listen: None,
        silence_max: SILENCE_MAX,
        until_end: false,
        // The embedded group waits so long for a member that left.
        librdkafka: [("session.timeout.ms".to_owned(), "6000".to_owned())].into(),
    }
}

/// A ledger that knows no partition.
struct Nowhere;

impl Places for Nowhere {
    fn look_up(&self, partitions: &[Partition]) -> Result<Vec<(Partition, Positions)>, Error> {
        Ok(partitions.iter().map(|partition| (partition.clone(), Positions::default())).collect())
    }

    fn begin_at(&self, starts: &[(Partition, NextOffset)]) -> Result<Vec<(Partition, Positions)>, Error> {
        let at = |usage: NextOffset| Positions { usage: Some(usage), ..Positions::default() };
        Ok(starts.iter().map(|(partition, start)| (partition.clone(), at(*start))).collect())
    }
}

/// A consumer of a topic with one message, as far as having it read.
fn reader(kafka: &EmbeddedKafka) -> Source {
    let producer = kafka.producer("calls").unwrap();
    producer.send("", b"{}").unwrap();
    producer.flush().unwrap();
    let source = Source::subscribe(&settings(kafka.brokers()), Arc::new(Nowhere)).unwrap();
    await_message(&source);
    source
}

fn await_message(source: &Source) {
    let until = Instant::now() + Duration::from_secs(60);
    while !matches!(source.poll(Duration::from_millis(100)), Some(Ok(_))) {
        assert!(Instant::now() < until, "no message comes");
    }
}

fn await_change(source: &Source, is_it: impl Fn(&Change) -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !source.next_change().is_some_and(|change| is_it(&change)) {
        assert!(Instant::now() < until, "no such change comes");
        source.poll(Duration::from_millis(100));
    }
}

#[test]
fn a_partition_that_was_paused_when_it_went_is_read_when_it_comes_back() {
    let kafka = EmbeddedKafka::start("calls", 1).unwrap();
    let source = reader(&kafka);
    source.pause().unwrap();
    source.leave();
    await_change(&source, |change| matches!(change, Change::Revoked(_)));
    source.resume().unwrap();
    source.consumer.subscribe(&["calls"]).unwrap();
    await_message(&source);
}

#[test]
fn offsets_that_the_group_refuses_are_reported_and_told_again() {
    let kafka = EmbeddedKafka::start("calls", 1).unwrap();
    let source = reader(&kafka);
    kafka.refuse_next_offsets(1);
    source.store_offsets(&[(Partition { topic: "calls".into(), number: 0 }, NextOffset(1))]);
    await_change(&source, |change| matches!(change, Change::Refused));
    await_change(&source, |change| matches!(change, Change::Told(offsets) if !offsets.is_empty()));
}

#[test]
fn a_setting_that_delivery_rests_on_is_refused() {
    for (key, _) in RESERVED {
        let librdkafka = [((*key).to_owned(), "range".to_owned())].into();
        let error = config(&Settings { librdkafka, ..settings(String::new()) }).unwrap_err();
        assert_eq!(error.code(), "INGEST-003");
        assert!(error.to_string().contains(key), "{error}");
    }
}

//! A receiver in front of the embedded Kafka, spoken to over its router or a socket.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code outside test functions")]

mod limits;
mod protocols;
mod trouble;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Headers as _;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use serde_json::Value;
use tower::ServiceExt as _;

use super::handlers::{Shared, router};
use super::{Limits, Receiver, Settings, Tokens, Topics};
use crate::embedded::EmbeddedKafka;

/// A receiver and its Kafka.
struct Rig {
    kafka: EmbeddedKafka,
    shared: Arc<Shared>,
}

/// An answer, read whole.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// A message as a consumer finds it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    value: String,
    key: Option<String>,
    headers: Vec<String>,
}

fn settings(kafka: &EmbeddedKafka) -> Settings {
    Settings {
        brokers: kafka.brokers(),
        listen: "127.0.0.1:0".parse().unwrap(),
        tokens: Tokens::default(),
        insecure: false,
        topics: Topics { default: Some("events".into()), ..Topics::default() },
        limits: Limits { timeout: Duration::from_secs(5), ..Limits::default() },
        busy_status: super::BusyStatus::default(),
        librdkafka: std::collections::BTreeMap::new(),
    }
}

impl Rig {
    async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let kafka = EmbeddedKafka::start("events", 4).unwrap();
        let mut settings = settings(&kafka);
        change(&mut settings);
        for topic in settings.topics.names() {
            if topic != "events" {
                kafka.create_topic(topic, 1).unwrap();
            }
        }
        let receiver = Receiver::start(settings).await.unwrap();
        Self { kafka, shared: receiver.shared() }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = router(Arc::clone(&self.shared)).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        self.send(post(path, headers, body)).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// The first `count` messages of `topic`, sorted; fewer if no more come.
    fn messages(&self, topic: &str, count: usize) -> Vec<Found> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.kafka.brokers())
            .set("group.id", format!("check-{topic}"))
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).unwrap();
        let mut partitions = TopicPartitionList::new();
        for partition in metadata.topics()[0].partitions() {
            partitions.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
        }
        consumer.assign(&partitions).unwrap();
        let (began, mut found) = (Instant::now(), Vec::new());
        while found.len() < count && began.elapsed() < Duration::from_secs(15) {
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            found.push(Found {
                value: text(message.payload().unwrap_or_default()),
                key: message.key().map(text),
                headers: headers.map(|h| format!("{}={}", h.key, text(h.value.unwrap_or_default()))).collect(),
            });
        }
        found.sort();
        found
    }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Status, and the code of the error in the body.
    fn told(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
    }
}

fn post(path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let request = headers.iter().fold(Request::post(path), |request, (name, value)| request.header(*name, *value));
    request.body(body.into()).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

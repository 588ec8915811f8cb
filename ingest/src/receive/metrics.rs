//! What a receiver counts. Names are constants; counters get `_total` and units their name behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::server::Totals;
use super::settings::Path;

/// Counter by `path` and `status`: requests answered.
pub(super) const REQUESTS: &str = "daybook_receive_requests";
/// Counter by `path` and `code`: requests and single events that were not taken, by the code the sender was told.
pub(super) const REFUSALS: &str = "daybook_receive_refusals";
/// Counter by `path`: messages that Kafka acknowledged. An OTLP request is one message, or several if it is large.
pub(super) const MESSAGES: &str = "daybook_receive_messages_acknowledged";
/// Counter by `path`: bytes of bodies, unpacked.
pub(super) const BODY: &str = "daybook_receive_body";
/// Gauge: bytes of requests that are not answered yet.
pub(super) const IN_FLIGHT: &str = "daybook_receive_in_flight";
/// Histogram: seconds from handing a message to the producer to Kafka's acknowledgement.
pub(super) const DELIVERY: &str = "daybook_receive_delivery";
/// Histogram: seconds from a request's header to its answer.
pub(super) const REQUEST: &str = "daybook_receive_request";
/// Gauge: 1 while brokers answer and have every topic.
pub(super) const READY: &str = "daybook_receive_ready";

const BUCKETS_S: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 10.0, 25.0];

type Labels<const N: usize> = [(&'static str, String); N];

/// The counters of one receiver.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Labels<2>, Counter>,
    refusals: Family<Labels<2>, Counter>,
    messages: Family<Labels<1>, Counter>,
    body_bytes: Family<Labels<1>, Counter>,
    in_flight: Gauge,
    delivery: Histogram,
    request: Histogram,
    ready: Gauge<u64, AtomicU64>,
    request_count: AtomicU64,
    message_count: AtomicU64,
}

impl Metrics {
    pub(super) fn new() -> Arc<Self> {
        let mut registry = Registry::default();
        let requests = Family::default();
        registry.register(REQUESTS, "Requests answered", Family::clone(&requests));
        let refusals = Family::default();
        registry.register(REFUSALS, "Requests and events not taken, by the code told", Family::clone(&refusals));
        let messages = Family::default();
        registry.register(MESSAGES, "Messages that Kafka acknowledged", Family::clone(&messages));
        let body_bytes = Family::default();
        registry.register_with_unit(BODY, "Bodies, unpacked", Unit::Bytes, Family::clone(&body_bytes));
        let in_flight = Gauge::default();
        registry.register_with_unit(IN_FLIGHT, "Requests not answered yet", Unit::Bytes, Gauge::clone(&in_flight));
        let delivery = Histogram::new(BUCKETS_S);
        let help = "From the producer to Kafka's acknowledgement";
        registry.register_with_unit(DELIVERY, help, Unit::Seconds, Histogram::clone(&delivery));
        let request = Histogram::new(BUCKETS_S);
        registry.register_with_unit(REQUEST, "From header to answer", Unit::Seconds, Histogram::clone(&request));
        let ready = Gauge::default();
        registry.register(READY, "1 while brokers answer and have every topic", Gauge::clone(&ready));
        Arc::new(Self {
            registry,
            requests,
            refusals,
            messages,
            body_bytes,
            in_flight,
            delivery,
            request,
            ready,
            request_count: AtomicU64::default(),
            message_count: AtomicU64::default(),
        })
    }

    pub(super) fn answered(&self, path: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&[("path", path.into()), ("status", status.to_string())]).inc();
        self.request.observe(took.as_secs_f64());
        self.request_count.fetch_add(1, Relaxed);
    }

    pub(super) fn refused(&self, path: &'static str, code: &'static str) {
        self.refusals.get_or_create(&[("path", path.into()), ("code", code.into())]).inc();
    }

    pub(super) fn acknowledged(&self, path: Path, messages: u64) {
        self.messages.get_or_create(&[("path", path.as_str().into())]).inc_by(messages);
        self.message_count.fetch_add(messages, Relaxed);
    }

    pub(super) fn body(&self, path: Path, bytes: u64) {
        self.body_bytes.get_or_create(&[("path", path.as_str().into())]).inc_by(bytes);
    }

    pub(super) fn delivered(&self, took: Duration) {
        self.delivery.observe(took.as_secs_f64());
    }

    pub(super) fn set_ready(&self, ready: bool) {
        self.ready.set(u64::from(ready));
    }

    pub(super) fn totals(&self) -> Totals {
        let requests = self.request_count.load(Relaxed);
        Totals { requests, messages: self.message_count.load(Relaxed) }
    }

    /// Everything in OpenMetrics' text form.
    pub(super) fn text(&self, in_flight_bytes: usize) -> String {
        self.in_flight.set(i64::try_from(in_flight_bytes).unwrap_or(i64::MAX));
        let mut text = String::new();
        // Writing to a string cannot fail.
        encode(&mut text, &self.registry).ok();
        text
    }
}

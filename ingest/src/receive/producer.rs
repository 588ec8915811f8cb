//! Messages out, acknowledgements in: an idempotent producer that never waits and never gives up silently.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use super::budget::{EVENT_OVERHEAD_BYTES, Held};
use super::message::Message;
use super::metrics::Metrics;
use super::refusal::Refusal;
use super::settings::Settings;
use crate::Error;

/// How long the brokers may take to say what topics there are.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// A producer is stuck after as many times a message's time.
const STUCK_TIMEOUTS: u32 = 4;

/// Settings an acknowledgement rests on; a passthrough may not change them.
const RESERVED: &[&str] = &[
    "bootstrap.servers",
    "metadata.broker.list",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "message.max.bytes",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "transactional.id",
];

/// How far the messages of one request are.
pub(super) struct Batch {
    state: Mutex<BatchState>,
    began: Instant,
}

struct BatchState {
    waiting: usize,
    failures: Vec<(usize, Refusal)>,
    /// Given back when the last message is done with, whether or not anyone still waits for the answer.
    held: Option<Held>,
    done: Option<oneshot::Sender<()>>,
}

/// One message's place in its batch; travels through librdkafka.
pub(super) struct Ticket {
    batch: Arc<Batch>,
    index: usize,
}

/// The messages of one request on their way.
pub(super) struct Sending {
    batch: Arc<Batch>,
    done: oneshot::Receiver<()>,
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").finish_non_exhaustive()
    }
}

impl Batch {
    fn state(&self) -> MutexGuard<'_, BatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complete(&self, index: usize, outcome: Result<(), Refusal>) {
        let mut state = self.state();
        state.waiting = state.waiting.saturating_sub(1);
        state.failures.extend(outcome.err().map(|refusal| (index, refusal)));
        if state.waiting == 0 {
            state.held = None;
            // Nobody to tell means that the sender went away.
            state.done.take().map(|done| done.send(()));
        }
    }
}

/// How the messages of a request stand when it has to be answered.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Messages that Kafka does not have, in order.
    pub(super) failures: Vec<(usize, Refusal)>,
    /// Messages that are still on their way.
    pub(super) waiting: usize,
}

impl Sending {
    /// Waits until every message is done with, or `wait` is over.
    pub(super) async fn standing(self, wait: Duration) -> Standing {
        // In time or not: the state tells.
        tokio::time::timeout(wait, self.done).await.ok();
        let state = self.batch.state();
        let mut failures = state.failures.clone();
        failures.sort_by_key(|(index, _)| *index);
        Standing { failures, waiting: state.waiting }
    }
}

/// Since when Kafka owes us an acknowledgement.
#[derive(Debug)]
struct Progress {
    waiting: usize,
    since: Instant,
    /// The first and the last message that ended without an answer, since one ended with one.
    unanswered: Option<(Instant, Instant)>,
}

/// Called by librdkafka's thread.
pub(super) struct Context {
    progress: Mutex<Progress>,
    metrics: Arc<Metrics>,
}

impl Context {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sent(&self) {
        let mut progress = self.progress();
        if progress.waiting == 0 {
            progress.since = Instant::now();
        }
        progress.waiting += 1;
    }

    fn note_answer(&self, acknowledged: bool) {
        let mut progress = self.progress();
        progress.waiting = progress.waiting.saturating_sub(1);
        if acknowledged {
            progress.since = Instant::now();
            progress.unanswered = None;
        }
    }

    fn note_time_out(&self) {
        let (now, mut progress) = (Instant::now(), self.progress());
        let first = progress.unanswered.map_or(now, |(first, _)| first);
        progress.unanswered = Some((first, now));
    }
}

impl ClientContext for Context {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(target: "librdkafka", facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, reason, "client error");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        self.note_answer(result.is_ok());
        let outcome = match result {
            Ok(_) => {
                self.metrics.delivered(ticket.batch.began.elapsed());
                Ok(())
            }
            Err((error, message)) => {
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageTimedOut) {
                    self.note_time_out();
                }
                Err(refusal_of(error, message.topic(), message.payload_len()))
            }
        };
        ticket.batch.complete(ticket.index, outcome);
    }
}

/// Sends to Kafka.
pub(super) struct Producer {
    inner: ThreadedProducer<Context>,
    bytes_max: usize,
    slow_after: Duration,
    stuck_after: Duration,
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

impl Producer {
    /// Connects in the background.
    ///
    /// # Errors
    /// [`Error::KafkaSetting`].
    pub(super) fn new(settings: &Settings, metrics: Arc<Metrics>) -> Result<Self, Error> {
        let progress = Mutex::new(Progress { waiting: 0, since: Instant::now(), unanswered: None });
        let context = Context { progress, metrics };
        let inner = config(settings)?.create_with_context(context).map_err(crate::source::kafka::setting_error)?;
        let limits = settings.limits;
        let stuck_after = limits.timeout * STUCK_TIMEOUTS;
        Ok(Self { inner, bytes_max: limits.message_bytes_max, slow_after: limits.slow_after, stuck_after })
    }

    /// Queues `messages` for `topic`. `held` is given back once Kafka has acknowledged or refused all of them.
    pub(super) fn send(&self, topic: &str, messages: &[Message], held: Held) -> Sending {
        let (told, done) = oneshot::channel();
        // One more than there are messages, so that the batch cannot end before it is queued.
        let state =
            BatchState { waiting: messages.len() + 1, failures: Vec::new(), held: Some(held), done: Some(told) };
        let batch = Arc::new(Batch { state: Mutex::new(state), began: Instant::now() });
        for (index, message) in messages.iter().enumerate() {
            if let Err(refusal) = self.queue(topic, message, &batch, index) {
                batch.complete(index, Err(refusal));
            }
        }
        batch.complete(usize::MAX, Ok(()));
        Sending { batch, done }
    }

    fn queue(&self, topic: &str, message: &Message, batch: &Arc<Batch>, index: usize) -> Result<(), Refusal> {
        let bytes = message.bytes();
        if bytes > self.bytes_max {
            return Err(Refusal::EventTooLarge { bytes, bytes_max: self.bytes_max });
        }
        let headers = OwnedHeaders::new_with_capacity(message.headers.len());
        let headers = message
            .headers
            .iter()
            .fold(headers, |all, (key, value)| all.insert(Header { key, value: Some(value.as_str()) }));
        let ticket = Box::new(Ticket { batch: Arc::clone(batch), index });
        let record = BaseRecord::<str, [u8], Box<Ticket>>::with_opaque_to(topic, ticket)
            .payload(message.value.as_ref())
            .headers(headers);
        let record = match &message.key {
            Some(key) => record.key(key.as_str()),
            None => record,
        };
        self.inner.context().sent();
        self.inner.send(record).map_err(|(error, _)| {
            self.inner.context().note_answer(false);
            refusal_of(&error, topic, message.value.len())
        })
    }

    /// Refuses new messages while Kafka acknowledges nothing; otherwise they would only wait, and time out.
    pub(super) fn check_progress(&self) -> Result<(), Refusal> {
        let progress = self.inner.context().progress();
        let waited = progress.since.elapsed();
        match progress.waiting > 0 && waited > self.slow_after {
            true => Err(Refusal::KafkaSlow { waited_ms: waited.as_millis() }),
            false => Ok(()),
        }
    }

    /// Why the producer can never send again, if so.
    pub(super) fn fatal_error(&self) -> Option<String> {
        self.inner.client().fatal_error().map(|(code, reason)| format!("{code}: {reason}"))
    }

    /// Why the producer had better be made anew, of brokers that answer other questions, if so: librdkafka may take a partition to be
    /// without a leader for good, once a broker that shuts down said so (librdkafka, issue 5430).
    pub(super) fn stuck(&self) -> Option<String> {
        let (first, last) = self.inner.context().progress().unanswered?;
        let tried = last.duration_since(first);
        let reason = || format!("brokers answer, but took no message for {} s", tried.as_secs());
        (tried > self.stuck_after).then(reason)
    }

    /// Counts nothing against the producer that was tried so far: the brokers were away.
    pub(super) fn forgive(&self) {
        self.inner.context().progress().unanswered = None;
    }

    /// Asks the brokers whether they have all of `topics`.
    ///
    /// # Errors
    /// [`Error::BrokerUnavailable`], [`Error::NoSuchTopic`].
    pub(super) fn check_topics(&self, brokers: &str, topics: &[String], wait: Duration) -> Result<(), Error> {
        let began = Instant::now();
        // All topics are asked for: asking for one by name would make it where brokers create topics by themselves.
        let metadata = self.inner.client().fetch_metadata(None, wait).map_err(|source| Error::BrokerUnavailable {
            brokers: brokers.to_owned(),
            elapsed_s: began.elapsed().as_secs(),
            source,
        })?;
        let known: Vec<&str> = metadata.topics().iter().map(|topic| topic.name()).collect();
        match topics.iter().find(|topic| !known.contains(&topic.as_str())) {
            None => Ok(()),
            Some(topic) => Err(Error::NoSuchTopic {
                topic: topic.clone(),
                nearest: crate::source::brokers::nearest(topic, &known),
            }),
        }
    }

    /// Waits until nothing is on its way.
    pub(super) fn flush(&self, wait: Duration) {
        if let Err(error) = self.inner.flush(wait) {
            tracing::warn!(%error, "messages were still on their way; their senders were not answered with success");
        }
    }
}

fn config(settings: &Settings) -> Result<ClientConfig, Error> {
    let limits = settings.limits;
    // The budget decides what is taken on, so librdkafka's own queue may never be the tighter limit.
    let queue_kbytes = (limits.in_flight_bytes_max / 1024 + 1024).min(2_147_483_647);
    let queue_messages = (limits.in_flight_bytes_max / EVENT_OVERHEAD_BYTES + 1024).min(2_147_483_647);
    let mut config = ClientConfig::new();
    config
        .set("client.id", "daybook-receive")
        // As Java clients partition, so that one key is in one partition whoever sends it.
        .set("partitioner", "murmur2_random")
        .set("socket.connection.setup.timeout.ms", "10000")
        .set("bootstrap.servers", &settings.brokers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("message.timeout.ms", limits.timeout.as_millis().to_string())
        // librdkafka also counts its framing.
        .set("message.max.bytes", (limits.message_bytes_max + 1024).min(1_000_000_000).to_string())
        .set("queue.buffering.max.kbytes", queue_kbytes.to_string())
        .set("queue.buffering.max.messages", queue_messages.to_string());
    for (key, value) in &settings.librdkafka {
        if RESERVED.contains(&key.as_str()) {
            let reason = "what an answer promises depends on it, so it cannot be changed".into();
            return Err(Error::KafkaSetting { key: key.clone(), reason });
        }
        config.set(key, value);
    }
    config.set_log_level(RDKafkaLogLevel::Info);
    Ok(config)
}

fn refusal_of(error: &KafkaError, topic: &str, bytes: usize) -> Refusal {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
            Refusal::TopicRefused { topic: topic.to_owned(), bytes }
        }
        Some(RDKafkaErrorCode::QueueFull) => Refusal::Busy,
        Some(code) => Refusal::NotAcknowledged { reason: code.to_string() },
        None => Refusal::NotAcknowledged { reason: error.to_string() },
    }
}

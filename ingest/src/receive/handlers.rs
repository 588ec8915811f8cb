//! One request: who sends it, what is in it, where it goes, and whether Kafka has it.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, AUTHORIZATION};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response};
use axum::{Router, routing};
use futures::StreamExt as _;
use tokio::time::timeout_at;

use super::body::{self, Encoding, Sent};
use super::budget::{Budget, EVENT_OVERHEAD_BYTES, Held};
use super::cloud_events::{self, Mode};
use super::message::Message;
use super::metrics::Metrics;
use super::otlp::{self, Form};
use super::producer::{Producer, Standing};
use super::refusal::Refusal;
use super::reply::{self, Dialect, Fault, Outcome};
use super::settings::{Path, Settings};
use super::{events, token::Tokens};
use crate::decode::Format;
use crate::http::{self, Observed};

/// A refused body is read on up to here and thrown away: a sender that is still writing would otherwise see a broken
/// connection in place of the answer.
const DRAINED_BYTES_MAX: usize = 8 << 20;

/// What every request shares.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) producer: Arc<Producer>,
    pub(super) budget: Budget,
    pub(super) metrics: Arc<Metrics>,
    /// Why requests should go elsewhere, if so.
    pub(super) unready: RwLock<Option<String>>,
}

impl Shared {
    pub(super) fn set_unready(&self, reason: Option<String>) {
        self.metrics.set_ready(reason.is_none());
        *self.unready.write().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    pub(super) fn is_ready(&self) -> bool {
        self.unready.read().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    const fn tokens(&self) -> &Tokens {
        &self.settings.tokens
    }
}

impl Observed for Shared {
    /// Each request has its own time limit, so there is nothing that could be stuck as a whole.
    fn stuck(&self) -> Option<String> {
        None
    }

    fn unready(&self) -> Option<String> {
        self.unready.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn metrics(&self) -> String {
        self.metrics.text(self.budget.held_bytes())
    }
}

/// The paths.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route(Path::Events.url(), routing::post(take_events))
        .route(Path::Traces.url(), routing::post(take_traces))
        .route(Path::Logs.url(), routing::post(take_logs))
        .merge(http::probes(Arc::clone(&shared)))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .with_state(shared)
}

async fn take_events(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    take(shared, Path::Events, request).await
}

async fn take_traces(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    take(shared, Path::Traces, request).await
}

async fn take_logs(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    take(shared, Path::Logs, request).await
}

async fn not_found(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let path = request.uri().path().chars().take(100).collect();
    reply::refused(Dialect::Events, &Refusal::NotFound { path }, shared.settings.busy_status)
}

async fn wrong_method(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let path: String = request.uri().path().to_owned();
    let allowed = if path.starts_with("/v1/") { "POST" } else { "GET" };
    let refusal = Refusal::Method { path, allowed };
    let mut response = reply::refused(Dialect::Events, &refusal, shared.settings.busy_status);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Takes one request from header to answer, and counts it.
async fn take(shared: Arc<Shared>, path: Path, request: Request) -> Response<Body> {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let dialect = match path {
        Path::Events => Dialect::Events,
        Path::Traces | Path::Logs => {
            Dialect::Otlp(Form::of(&cloud_events::media_type(&parts.headers)).unwrap_or(Form::Json))
        }
    };
    let busy = shared.settings.busy_status;
    let response = match receive(&shared, path, &parts, body, began).await {
        Ok(outcome) => conclude(&shared, dialect, path, &outcome),
        Err(refusal) => {
            shared.metrics.refused(path.as_str(), refusal.code());
            say(path, &refusal);
            reply::refused(dialect, &refusal, busy)
        }
    };
    shared.metrics.answered(path.as_str(), response.status().as_u16(), began.elapsed());
    response
}

/// The answer to a request whose messages were sent.
fn conclude(shared: &Shared, dialect: Dialect, path: Path, outcome: &Outcome) -> Response<Body> {
    let busy = shared.settings.busy_status;
    for fault in &outcome.failed {
        shared.metrics.refused(path.as_str(), fault.refusal.code());
    }
    let gravest = outcome.gravest(busy);
    if let Some(refusal) = &gravest {
        say(path, refusal);
    }
    // In OTLP, success with a count of what was rejected is how a sender learns that sending it again is no use.
    let partial = matches!(dialect, Dialect::Otlp(_)) && outcome.accepted > 0;
    let error = gravest.filter(|refusal| !partial || refusal.retry_after_s().is_some());
    reply::answer(dialect, error.as_ref(), outcome, path, busy)
}

/// Logs a refusal; what anyone can cause at any rate, quietly.
fn say(path: Path, refusal: &Refusal) {
    match refusal {
        Refusal::Unauthorized | Refusal::Busy | Refusal::KafkaSlow { .. } => {
            tracing::debug!(path = path.url(), code = refusal.code(), "{refusal}");
        }
        _ => tracing::warn!(path = path.url(), code = refusal.code(), "{refusal}"),
    }
}

/// Reads, cuts and sends a request.
async fn receive(
    shared: &Arc<Shared>,
    path: Path,
    parts: &Parts,
    body: Body,
    began: Instant,
) -> Result<Outcome, Refusal> {
    let limits = shared.settings.limits;
    let deadline = tokio::time::Instant::from_std(began + limits.timeout);
    let mut body = body.into_data_stream();
    let arriving = async {
        let planned = plan(shared, path, parts)?;
        Ok((planned, body::read(&parts.headers, &mut body, limits.body_bytes_max, &shared.budget).await?))
    };
    let slow = Refusal::Slow { timeout_ms: limits.timeout.as_millis() };
    let ((plan, topic), sent) = match timeout_at(deadline, arriving).await.unwrap_or(Err(slow)) {
        Ok(arrived) => arrived,
        Err(refusal) => {
            timeout_at(deadline, drain(body)).await.ok();
            return Err(refusal);
        }
    };
    let heavy = sent.bytes.len() > body::HEAVY_BYTES || plan.encoding != Encoding::Identity;
    let (messages, held, bytes) = if heavy {
        let (plan, shared) = (plan.clone(), Arc::clone(shared));
        let cutting = tokio::task::spawn_blocking(move || plan.cut(&shared, sent));
        cutting.await.map_err(|error| Refusal::Unreadable { reason: error.to_string() })??
    } else {
        plan.cut(shared, sent)?
    };
    shared.metrics.body(path, u64::try_from(bytes).unwrap_or(u64::MAX));
    let sending = shared.producer.send(&topic, &messages, held);
    let standing = sending.standing(deadline.saturating_duration_since(tokio::time::Instant::now())).await;
    let outcome = outcome(&messages, standing);
    shared.metrics.acknowledged(path, u64::try_from(outcome.accepted).unwrap_or(u64::MAX));
    Ok(outcome)
}

fn outcome(messages: &[Message], Standing { failures, waiting }: Standing) -> Outcome {
    let has_failed: HashSet<usize> = failures.iter().map(|(index, _)| *index).collect();
    let fault = |(index, refusal): (usize, Refusal)| {
        let items = messages.get(index).map_or(0, |message| message.items);
        Fault { index, items, refusal }
    };
    let doubts = messages.iter().enumerate().filter_map(|(index, message)| Some((index, message.doubt.clone()?)));
    let doubtful = doubts.filter(|(index, _)| !has_failed.contains(index)).map(fault).collect();
    let accepted = messages.len().saturating_sub(waiting + failures.len());
    Outcome { accepted, waiting, failed: failures.into_iter().map(fault).collect(), doubtful }
}

/// What is known of a request before its body is read.
#[derive(Clone, Debug)]
struct Plan {
    path: Path,
    encoding: Encoding,
    form: Form,
    mode: Mode,
    /// The request's own headers, for CloudEvents in binary mode.
    request: axum::http::HeaderMap,
    /// Kafka headers of every message.
    headers: Vec<(String, String)>,
    key: Option<String>,
}

fn plan(shared: &Shared, path: Path, parts: &Parts) -> Result<(Plan, String), Refusal> {
    let request = &parts.headers;
    if !shared.tokens().accept(request.get(AUTHORIZATION).map(HeaderValue::as_bytes)) {
        return Err(Refusal::Unauthorized);
    }
    let format = stated_format(parts)?;
    let topic = shared.settings.topics.of(path, format).ok_or(Refusal::NoTopic { path: path.url() })?;
    let encoding = Encoding::of(request)?;
    let media_type = cloud_events::media_type(request);
    let form = if path == Path::Events { Form::Json } else { Form::of(&media_type)? };
    let mode = if path == Path::Events { Mode::of(request) } else { Mode::Plain };
    let stated = format.map(|format| ("daybook-format".to_owned(), format.as_str().to_owned()));
    let mut headers: Vec<(String, String)> = stated.into_iter().collect();
    match (path, mode) {
        (_, Mode::Binary) => {}
        (_, Mode::Structured) => headers.push(cloud_events::structured_header()),
        (Path::Events, Mode::Plain) => {
            // `application/vnd.daybook.<format>+json` and its like say more than plain JSON.
            let kept = media_type.starts_with("application/") && media_type.ends_with("+json");
            let media_type = if kept { media_type.as_str() } else { "application/json" };
            headers.push(("content-type".to_owned(), media_type.to_owned()));
        }
        (Path::Traces | Path::Logs, Mode::Plain) => {
            headers.push(("content-type".to_owned(), form.media_type().to_owned()));
        }
    }
    let key = request.get("daybook-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
    // Last, so that a request that can never pass is not told to try again.
    shared.producer.check_progress()?;
    Ok((Plan { path, encoding, form, mode, request: request.clone(), headers, key }, topic.to_owned()))
}

/// The format the sender states, in the header `daybook-format` or the query.
fn stated_format(parts: &Parts) -> Result<Option<Format>, Refusal> {
    let header = parts.headers.get("daybook-format").map(|value| value.to_str().unwrap_or("?").trim().to_owned());
    let query = || {
        let mut pairs = url::form_urlencoded::parse(parts.uri.query()?.as_bytes());
        pairs.find(|(name, _)| name == "format").map(|(_, value)| value.into_owned())
    };
    let Some(name) = header.or_else(query) else { return Ok(None) };
    let unknown = |error: crate::decode::DecodeError| Refusal::UnknownFormat {
        given: name.chars().take(60).collect(),
        hint: error.hint(),
    };
    name.parse().map(Some).map_err(unknown)
}

impl Plan {
    /// The messages of a body, what is held for them, and how long the body was when unpacked.
    fn cut(&self, shared: &Shared, sent: Sent) -> Result<(Vec<Message>, Held, usize), Refusal> {
        let limits = shared.settings.limits;
        let Sent { bytes, mut held } = body::unpack(sent, self.encoding, limits.body_bytes_max)?;
        let messages = self.messages(&bytes, limits.events_max, limits.message_bytes_max, &mut held)?;
        let cut: usize = messages.iter().map(|message| message.value.len() + EVENT_OVERHEAD_BYTES).sum();
        let kept = bytes.len().max(cut);
        held.grow_to(kept)?;
        held.shrink_to(kept);
        Ok((messages, held, bytes.len()))
    }

    fn messages(
        &self,
        body: &Bytes,
        events_max: usize,
        bytes_max: usize,
        held: &mut Held,
    ) -> Result<Vec<Message>, Refusal> {
        let key = self.key.as_deref();
        match (self.path, self.mode) {
            (Path::Traces | Path::Logs, _) => {
                otlp::cut(self.path, self.form, body, &self.headers, key, bytes_max, held)
            }
            (Path::Events, Mode::Binary) => {
                Ok(vec![cloud_events::binary(&self.request, body.clone(), key, &self.headers)])
            }
            (Path::Events, _) => events::cut(body, &self.headers, key, events_max),
        }
    }
}

/// Reads on and throws away.
async fn drain(mut body: BodyDataStream) {
    let mut read = 0;
    while let Some(Ok(chunk)) = body.next().await {
        read += chunk.len();
        if read > DRAINED_BYTES_MAX {
            break;
        }
    }
}

//! Answers: JSON for events, and for OTLP what its specification asks for, in the request's own encoding.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::otlp::Form;
use super::otlp::write_field;
use super::refusal::Refusal;
use super::settings::{BusyStatus, Path};

/// Faults listed in an answer; further ones are counted only.
const LISTED_MAX: usize = 100;

/// The language of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Ours: `{"accepted": n, "error": {...}, "items": [...]}`.
    Events,
    /// OTLP's export responses and `google.rpc.Status`.
    Otlp(Form),
}

/// What became of a request's messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Messages that Kafka acknowledged.
    pub(super) accepted: usize,
    /// Messages that were on their way when the request's time was over.
    pub(super) waiting: usize,
    /// Messages that Kafka does not have.
    pub(super) failed: Vec<Fault>,
    /// Events that Kafka has, but that will end in quarantine.
    pub(super) doubtful: Vec<Fault>,
}

/// One event, or one OTLP message's items, with something to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) index: usize,
    pub(super) items: usize,
    pub(super) refusal: Refusal,
}

impl Outcome {
    /// What keeps the request from success: what another try can mend, before what only a change can.
    pub(super) fn gravest(&self, busy: BusyStatus) -> Option<Refusal> {
        let refusals = || self.failed.iter().map(|fault| &fault.refusal);
        let retried = refusals().filter(|refusal| refusal.retry_after_s().is_some());
        let waiting = || {
            let reason = format!("{} messages are still on their way", self.waiting);
            (self.waiting > 0).then_some(Refusal::NotAcknowledged { reason })
        };
        let retried = retried.max_by_key(|refusal| refusal.status(busy).as_u16()).cloned();
        retried.or_else(waiting).or_else(|| refusals().next().cloned())
    }
}

/// An answer to a request that was refused as a whole.
pub(super) fn refused(dialect: Dialect, refusal: &Refusal, busy: BusyStatus) -> Response<Body> {
    answer(dialect, Some(refusal), &Outcome::default(), Path::Events, busy)
}

/// An answer to a request whose messages were sent. `error` decides the status; with none it is success.
pub(super) fn answer(
    dialect: Dialect,
    error: Option<&Refusal>,
    outcome: &Outcome,
    path: Path,
    busy: BusyStatus,
) -> Response<Body> {
    let status = error.map_or(StatusCode::OK, |refusal| refusal.status(busy));
    let (media_type, body) = match (dialect, error) {
        (Dialect::Events, _) => ("application/json", events_body(error, outcome)),
        (Dialect::Otlp(form), Some(refusal)) => (form.media_type(), status_body(form, refusal)),
        (Dialect::Otlp(form), None) => (form.media_type(), export_body(form, outcome, path)),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Some(seconds) = error.and_then(Refusal::retry_after_s) {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// The body of an answer to events.
#[derive(Serialize)]
struct EventsBody {
    accepted: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<ItemBody>,
}

#[derive(Serialize)]
struct ErrorBody {
    code: &'static str,
    message: String,
    hint: String,
}

/// One event with something to say about it.
#[derive(Serialize)]
struct ItemBody {
    index: usize,
    /// Stored all the same: it will be in quarantine.
    accepted: bool,
    code: &'static str,
    message: String,
}

fn events_body(error: Option<&Refusal>, outcome: &Outcome) -> Vec<u8> {
    let item = |accepted: bool| {
        move |Fault { index, refusal, .. }: &Fault| ItemBody {
            index: *index,
            accepted,
            code: refusal.code(),
            message: refusal.to_string(),
        }
    };
    let items = outcome.failed.iter().map(item(false)).chain(outcome.doubtful.iter().map(item(true)));
    let error =
        error.map(|refusal| ErrorBody { code: refusal.code(), message: refusal.to_string(), hint: refusal.hint() });
    let body = EventsBody { accepted: outcome.accepted, error, items: items.take(LISTED_MAX).collect() };
    // Text and numbers always serialise.
    let mut body = serde_json::to_vec(&body).unwrap_or_default();
    body.push(b'\n');
    body
}

/// `google.rpc.Status`: code and message.
fn status_body(form: Form, refusal: &Refusal) -> Vec<u8> {
    let message = format!("{}: {refusal}; {}", refusal.code(), refusal.hint());
    match form {
        Form::Json => json!({ "code": refusal.grpc_code(), "message": message }).to_string().into_bytes(),
        Form::Protobuf => {
            let mut body = vec![1 << 3, refusal.grpc_code()];
            write_field(&mut body, 2, message.as_bytes());
            body
        }
    }
}

/// `Export<signal>ServiceResponse`: empty, or with what was rejected for good.
fn export_body(form: Form, outcome: &Outcome, path: Path) -> Vec<u8> {
    let rejected: usize = outcome.failed.iter().map(|fault| fault.items).sum();
    let message = outcome.failed.first().map(|fault| {
        let refusal = &fault.refusal;
        format!("{}: {refusal}; {}", refusal.code(), refusal.hint())
    });
    let count = if path == Path::Logs { "rejectedLogRecords" } else { "rejectedSpans" };
    match (form, message) {
        (Form::Json, None) => b"{}".to_vec(),
        (Form::Json, Some(message)) => {
            // 64-bit numbers are text in protobuf's JSON.
            json!({ "partialSuccess": { count: rejected.to_string(), "errorMessage": message } }).to_string().into()
        }
        (Form::Protobuf, None) => Vec::new(),
        (Form::Protobuf, Some(message)) => {
            let mut partial = vec![1 << 3];
            super::otlp::write_varint(&mut partial, u64::try_from(rejected).unwrap_or(u64::MAX));
            write_field(&mut partial, 2, message.as_bytes());
            let mut body = Vec::new();
            write_field(&mut body, 1, &partial);
            body
        }
    }
}

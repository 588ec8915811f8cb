//! Accepts connections, watches Kafka, and stops without dropping a request.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::budget::Budget;
use super::error::Error;
use super::handlers::{Shared, router};
use super::metrics::Metrics;
use super::producer::{CONNECT_TIMEOUT, Producer};
use super::settings::Settings;
use crate::http;

/// How often the brokers are asked whether they are there and have the topics.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// A receiver that listens already; connections wait until [`Receiver::run`].
#[derive(Debug)]
pub struct Receiver {
    listener: TcpListener,
    shared: Arc<Shared>,
}

/// What a receiver did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests answered, whatever the answer.
    pub requests: u64,
    /// Messages that Kafka acknowledged.
    pub messages: u64,
}

impl Receiver {
    /// Contacts the brokers, finds every topic, and listens.
    ///
    /// # Errors
    /// [`Error::Open`] for an address that other machines reach, without a token; [`Error::NoTopic`], [`Error::Listen`],
    /// [`Error::Kafka`].
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        if settings.tokens.is_empty() && !settings.insecure && !settings.listen.ip().to_canonical().is_loopback() {
            return Err(Error::Open { listen: settings.listen.to_string() });
        }
        if settings.topics.names().is_empty() {
            return Err(Error::NoTopic);
        }
        let metrics = Metrics::new();
        let producer = Arc::new(Producer::new(&settings, Arc::clone(&metrics))?);
        let budget = Budget::new(settings.limits.in_flight_bytes_max);
        let shared = Arc::new(Shared { settings, producer, budget, metrics, unready: RwLock::new(None) });
        ask_kafka(&shared, CONNECT_TIMEOUT).await?;
        shared.set_unready(None);
        let listen = shared.settings.listen;
        let failed = |source| Error::Listen { listen: listen.to_string(), source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        Ok(Self { listener, shared })
    }

    /// Where it listens; the port is the one chosen if the setting said 0.
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub fn local_addr(&self) -> Result<SocketAddr, Error> {
        let failed = |source| Error::Listen { listen: self.shared.settings.listen.to_string(), source };
        self.listener.local_addr().map_err(failed)
    }

    /// Serves until `stop` completes, then answers what has arrived and waits for Kafka.
    ///
    /// # Errors
    /// [`Error::Producer`] if the producer is beyond repair; requests on their way were answered with an error.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<Totals, Error> {
        let (stopping, stopped) = watch::channel(false);
        let mut connections = JoinSet::new();
        let (router, connections_max) = (router(Arc::clone(&self.shared)), self.shared.settings.limits.connections_max);
        let fatal = tokio::select! {
            () = http::accept(&self.listener, router, connections_max, &stopped, &mut connections) => None,
            reason = watch_kafka(&self.shared) => Some(reason),
            () = stop => None,
        };
        self.shared.set_unready(Some("stopping".into()));
        drop(self.listener);
        stopping.send_replace(true);
        // What is being answered ends within a request's time, the slowest header within its own.
        let patience = self.shared.settings.limits.timeout + Duration::from_secs(5);
        let drained = tokio::time::timeout(patience, async { while connections.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            tracing::warn!(connections = connections.len(), "connections were cut after {patience:?}");
        }
        let producer = Arc::clone(&self.shared.producer);
        tokio::task::spawn_blocking(move || producer.flush(Duration::from_secs(5))).await.ok();
        match fatal {
            Some(reason) => Err(Error::Producer { reason }),
            None => Ok(self.shared.metrics.totals()),
        }
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

async fn ask_kafka(shared: &Arc<Shared>, wait: Duration) -> Result<(), Error> {
    let shared = Arc::clone(shared);
    let asking = tokio::task::spawn_blocking(move || {
        let topics: Vec<String> = shared.settings.topics.names().into_iter().map(String::from).collect();
        shared.producer.check_topics(&shared.settings.brokers, &topics, wait)
    });
    let internal = |error: tokio::task::JoinError| crate::Error::Internal { found: error.to_string() };
    Ok(asking.await.map_err(internal)??)
}

/// Keeps `/healthz/ready` up to date; returns why the producer is beyond repair, once it is.
async fn watch_kafka(shared: &Arc<Shared>) -> String {
    loop {
        tokio::time::sleep(WATCH_INTERVAL).await;
        if let Some(reason) = shared.producer.fatal_error() {
            return reason;
        }
        let unready = ask_kafka(shared, WATCH_INTERVAL).await.err().map(|error| error.to_string());
        match unready {
            Some(_) => shared.producer.forgive(),
            None => {
                if let Some(reason) = shared.producer.stuck() {
                    return reason;
                }
            }
        }
        let was_ready = shared.is_ready();
        if let (true, Some(reason)) = (was_ready, &unready) {
            tracing::warn!(reason, "not ready");
        } else if !was_ready && unready.is_none() {
            tracing::info!("ready again");
        }
        shared.set_unready(unready);
    }
}

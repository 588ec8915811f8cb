//! Health and metrics of a worker over HTTP, and what only a look from outside can tell: how far Kafka reaches, whether
//! the store answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use daybook_ledger::{Clock, Ledger};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Error;
use crate::driver::blocking;
use crate::http::{self, Observed};
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::source::brokers::Brokers;

/// How often brokers and store are asked.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);
/// Monitors are few; more connections than these wait.
const CONNECTIONS_MAX: usize = 32;

/// Serves until it is dropped.
#[derive(Debug)]
pub(crate) struct Observer {
    _tasks: JoinSet<()>,
}

struct Worker {
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
}

impl Observed for Worker {
    fn stuck(&self) -> Option<String> {
        self.metrics.stuck(self.clock.now())
    }

    fn unready(&self) -> Option<String> {
        self.metrics.unready()
    }

    fn metrics(&self) -> String {
        self.metrics.text(self.clock.now())
    }
}

impl Observer {
    /// Listens, and begins to watch.
    ///
    /// # Errors
    /// [`Error::Listen`], [`Error::KafkaSetting`].
    pub(crate) async fn start(
        listen: SocketAddr,
        settings: &Settings,
        ledger: Ledger,
        metrics: &Arc<Metrics>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Listen { listen: listen.to_string(), source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        tracing::info!(address = %listener.local_addr().map_err(failed)?, "metrics");
        let worker = Arc::new(Worker { metrics: Arc::clone(metrics), clock: Arc::clone(clock) });
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let (_stopping, stopped) = watch::channel(false);
            http::accept(&listener, http::probes(worker), CONNECTIONS_MAX, &stopped, &mut JoinSet::new()).await;
        });
        tasks.spawn(watch_world(Arc::new(Brokers::new(settings)?), ledger, Arc::clone(metrics)));
        Ok(Self { _tasks: tasks })
    }
}

async fn watch_world(brokers: Arc<Brokers>, ledger: Ledger, metrics: Arc<Metrics>) {
    loop {
        let (asked, seen) = (Arc::clone(&brokers), Arc::clone(&metrics));
        // A runtime that is shutting down asks nobody.
        blocking(move || ask_kafka(&asked, &seen)).await.ok();
        metrics.store(match ledger.usage().exists().await {
            Ok(true) => None,
            Ok(false) => Some(format!("there is no ledger at {} any more", ledger.root().url)),
            Err(error) => Some(error.to_string()),
        });
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

fn ask_kafka(brokers: &Brokers, metrics: &Metrics) {
    for partition in metrics.owned() {
        match brokers.watermarks(&partition) {
            Ok(log) => metrics.reaches(&partition, log),
            Err(error) => return metrics.kafka(Some(error.to_string())),
        }
    }
    metrics.kafka(None);
}

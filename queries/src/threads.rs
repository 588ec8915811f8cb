//! Threads for queries alone.
//!
//! A plan may compute for minutes without giving way, on as many threads as it has parts. The clock, signals and whatever else
//! the process waits for have other threads, so a deadline or Ctrl-C ends the wait for a query whatever it does. What does not
//! give way goes on until it does, or until the process ends.

use std::future::Future;
use std::sync::LazyLock;

use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use futures::StreamExt as _;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::Error;

static THREADS: LazyLock<Option<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().thread_name("query").enable_all().build().ok());

/// Batches that are made ahead of who reads them.
const AHEAD: usize = 1;

/// The caller's own if there can be no others.
fn threads() -> Handle {
    THREADS.as_ref().map_or_else(Handle::current, |threads| threads.handle().clone())
}

/// Runs `task` there. Who stops waiting stops it, as soon as it gives way.
pub(crate) async fn run<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> Result<T, Error> {
    let task = {
        let threads = threads();
        let _there = threads.enter();
        SpawnedTask::spawn(task)
    };
    let broken = |error: tokio::task::JoinError| Error::Internal {
        invariant: "a query runs until nobody waits for it",
        found: error.to_string(),
    };
    task.join_unwind().await.map_err(broken)
}

/// `rows`, made there.
pub(crate) fn stream(mut rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let mut made = RecordBatchReceiverStreamBuilder::new(rows.schema(), AHEAD);
    let out = made.tx();
    let make = async move {
        while let Some(batch) = rows.next().await {
            if out.send(batch).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    made.spawn_on(make, &threads());
    made.build()
}

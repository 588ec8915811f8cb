//! The task that writes batches, one at a time, seen from the thread that fills them.

use std::sync::mpsc as reply;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::Error;
use crate::batch::ClosedBatch;
use crate::writer::{Writer, Written};

/// The way to the task. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Writing {
    batches: mpsc::Sender<Box<ClosedBatch>>,
    replies: reply::Receiver<Result<Written, Error>>,
}

impl Writing {
    pub(crate) fn start(writer: Writer) -> (Self, JoinHandle<()>) {
        let (batches, batches_in) = mpsc::channel(1);
        let (replies_out, replies) = reply::channel();
        (Self { batches, replies }, tokio::spawn(write_batches(writer, batches_in, replies_out)))
    }

    pub(crate) fn hand_over(&self, batch: Box<ClosedBatch>) -> Result<(), Error> {
        let sent = self.batches.try_send(batch);
        sent.map_err(|error| Error::Internal { found: format!("a batch could not be handed over: {error}") })
    }

    /// What became of a batch, if that is known by now.
    ///
    /// # Errors
    /// Of the ledger; [`Error::Internal`] if the task died, because no answer ever comes then.
    pub(crate) fn reply(&self) -> Result<Option<Written>, Error> {
        match self.replies.try_recv() {
            Ok(written) => written.map(Some),
            Err(reply::TryRecvError::Empty) => Ok(None),
            Err(reply::TryRecvError::Disconnected) => Err(Error::Internal { found: "the writing task died".into() }),
        }
    }
}

async fn write_batches(
    mut writer: Writer,
    mut batches: mpsc::Receiver<Box<ClosedBatch>>,
    replies: reply::Sender<Result<Written, Error>>,
) {
    while let Some(batch) = batches.recv().await {
        let written = writer.write(&batch).await;
        if let Ok(Written::Committed(counts)) = &written {
            tracing::info!(
                batch_id = %batch.id,
                entries = counts.entries,
                duplicates = counts.duplicates,
                quarantined = counts.quarantined,
                table_version = counts.version,
                "batch committed"
            );
        }
        // Memory of the batch goes before the next one is let through.
        drop(batch);
        if replies.send(written).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use daybook_ledger::Report as _;

    use super::*;

    #[test]
    fn a_task_that_died_is_an_error_and_not_waited_for() {
        let (batches, _batches_in) = mpsc::channel(1);
        let (replies_out, replies) = reply::channel();
        let writing = Writing { batches, replies };
        assert!(writing.reply().unwrap().is_none(), "it is at work");
        drop(replies_out);
        assert_eq!(writing.reply().unwrap_err().code(), "INGEST-099");
    }
}

//! Calls: from records to entries, by the same core and writer as messages of Kafka.

use std::sync::Arc;

use daybook_ledger::{Clock, Ledger};

use super::sink::Sink;
use crate::core::{Core, Effect, FileRecord, Input, Opening, Rules};
use crate::partition::{Partition, Positions};
use crate::writer::Writer;
use crate::writing::Writing;
use crate::{Error, Totals};

/// Fills batches on this thread while one is written by a task.
pub(crate) struct Entries {
    core: Core,
    writing: Writing,
    clock: Arc<dyn Clock>,
    overtaken: Vec<(Partition, Positions)>,
    paused: bool,
}

impl Entries {
    /// Opens the ledger for files: the sink, and every file it knows.
    pub(crate) async fn open(
        ledger: Ledger,
        rules: Rules,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Vec<(Partition, Positions)>), Error> {
        let writer = Writer::open_for_files(ledger).await?;
        let files = writer.files();
        let (writing, _) = Writing::start(writer);
        let core = Core::new(rules);
        Ok((Self { core, writing, clock, overtaken: Vec::new(), paused: false }, files))
    }

    fn feed(&mut self, input: Input<'_>) -> Result<(), Error> {
        let mut effects = Vec::new();
        self.core.on(self.clock.now(), input, &mut effects)?;
        for effect in effects {
            match effect {
                Effect::Write(batch) => self.writing.hand_over(batch)?,
                Effect::Restart(positions) => self.overtaken.extend(positions),
                Effect::Pause => self.paused = true,
                Effect::Resume => self.paused = false,
                // The ledger is the record; nobody else is told.
                Effect::CommitOffsets(_) | Effect::Stop => {}
            }
        }
        Ok(())
    }
}

impl Sink for Entries {
    fn open(&mut self, opening: Opening) -> Result<(), Error> {
        self.feed(Input::Opened(opening))
    }

    fn take(&mut self, record: FileRecord<'_>) -> Result<(), Error> {
        self.feed(Input::Record(record))
    }

    fn close(&mut self, partition: &Partition) -> Result<(), Error> {
        self.feed(Input::Revoked(vec![partition.clone()]))
    }

    fn turn(&mut self, flush: bool) -> Result<Vec<(Partition, Positions)>, Error> {
        while let Some(written) = self.writing.reply()? {
            self.feed(Input::Written(written))?;
        }
        self.feed(if flush { Input::Flush } else { Input::Tick })?;
        Ok(std::mem::take(&mut self.overtaken))
    }

    fn is_ready(&self) -> bool {
        !self.paused
    }

    fn holds(&self, partition: &Partition) -> bool {
        self.core.holds(partition)
    }

    fn positions(&self, partition: &Partition) -> Option<Positions> {
        self.core.positions(partition)
    }

    fn is_idle(&self) -> bool {
        self.core.is_idle()
    }

    fn totals(&self) -> Totals {
        self.core.totals().clone()
    }
}

//! Where records go: to the ledger, or nowhere in a dry run.

use crate::core::{FileRecord, Opening};
use crate::partition::{Partition, Positions};
use crate::{Error, Totals};

/// Takes the records of files to a table, each once: positions move in the commit of the rows.
pub(crate) trait Sink: Send {
    /// A file is about to be read.
    fn open(&mut self, opening: Opening) -> Result<(), Error>;
    /// A record of an open file.
    fn take(&mut self, record: FileRecord<'_>) -> Result<(), Error>;
    /// Forgets files that are landed, or overtaken.
    fn close(&mut self, partition: &Partition) -> Result<(), Error>;
    /// Looks at the clock and at what the ledger answered; with `flush`, writes what there is. Returns the files that
    /// another import moved: nothing of them that is not in the ledger counts, and they are read again from there.
    fn turn(&mut self, flush: bool) -> Result<Vec<(Partition, Positions)>, Error>;
    /// Whether it holds records of a file that are not in the ledger yet.
    fn holds(&self, partition: &Partition) -> bool;
    /// Where an open file will stand when everything handed over has landed.
    fn positions(&self, partition: &Partition) -> Option<Positions>;
    /// Whether more records may come now.
    fn is_ready(&self) -> bool;
    /// Whether everything taken is in the ledger.
    fn is_idle(&self) -> bool;
    /// What was written.
    fn totals(&self) -> Totals;
}

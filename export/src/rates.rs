//! The rates that costs in a bundle were made of, whether they were imported or came with Daybook.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use daybook_ledger::price::{Book, Imports, write_used};
use daybook_ledger::{Ledger, TableVersion};

use crate::digest::DigestWriter;
use crate::format::Shard;
use crate::totals::words;
use crate::writer::BundleWriter;
use crate::{Error, Part};

/// A line for each rate behind a `price_id`.
pub(crate) const RATES: &str = "data/rates.csv";

/// The prices of `ledger` before the first import and after each, up to `version` of its table.
pub(crate) async fn load(ledger: &Ledger, version: Option<TableVersion>) -> Result<Vec<Book>, Error> {
    let table = ledger.prices();
    let imports = match version {
        Some(_) => Imports::load(table, &table.load(version).await?).await?,
        // A ledger of an earlier version has no such table.
        None => Imports::default(),
    };
    Ok(imports.history()?)
}

/// What the costs in a bundle call their rates.
#[derive(Debug, Default)]
pub(crate) struct PriceIds(BTreeSet<String>);

impl PriceIds {
    /// Takes in rows of `part`, if they have costs.
    pub(crate) fn add(&mut self, part: Part, batch: &RecordBatch) -> Result<(), Error> {
        if !matches!(part, Part::Usage | Part::Corrections | Part::Valuations) {
            return Ok(());
        }
        let mut last = None;
        for price_id in words(batch, "price_id")?.iter().flatten() {
            if last.replace(price_id) != Some(price_id) && !self.0.contains(price_id) {
                self.0.insert(price_id.into());
            }
        }
        Ok(())
    }

    /// Writes [`RATES`].
    pub(crate) fn write(&self, bundle: &dyn BundleWriter, books: &[Book]) -> Result<Shard, Error> {
        let mut csv = Vec::new();
        let broken = |error: daybook_ledger::price::Error| Error::Internal {
            invariant: "rates can be written as CSV",
            found: error.to_string(),
        };
        let rows = write_used(books, self.0.iter().map(String::as_str), &mut csv).map_err(broken)?;
        Ok(Shard { file: DigestWriter::write_whole(bundle, RATES, &csv)?, rows })
    }
}

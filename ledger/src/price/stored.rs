//! The book of a ledger: the default sheet, overlaid by the sheets imported into its `prices` table.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, TimestampMicrosecondType};
use sha2::{Digest, Sha256};

use super::{Book, Row, Unit};
use crate::schema::PricesBuilder;
use crate::{Commit, CommitOutcome, Date, Error, Instant, Ledger, Snapshot, Table, Usd, file};

/// Lost races an import survives; importing prices is rare, so more is a sign of something else.
const ATTEMPTS_MAX: u32 = 10;

/// A sheet to import.
#[derive(Clone, Copy, Debug)]
pub struct Sheet<'a> {
    /// Its name, for people.
    pub name: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// When it is imported.
    pub imported_at: Instant,
}

/// The sheets imported into a ledger, in order of import: read with the ledger at hand, made into a book when one is needed.
#[derive(Debug, Default)]
pub struct Imports(BTreeMap<i64, Vec<Row>>);

impl Imports {
    /// Reads the rows of `table`, a table `prices`, at `snapshot`.
    ///
    /// # Errors
    /// The ledger's errors; [`Error::Internal`] if a stored row is not a price.
    pub async fn load(table: &Table, snapshot: &Snapshot) -> Result<Self, Error> {
        let mut imports = BTreeMap::new();
        for data_file in snapshot.files() {
            for batch in table.load_batches(&data_file).await? {
                read_rows(&batch, &mut imports)?;
            }
        }
        Ok(Self(imports))
    }

    /// The first instant after every import.
    fn next_instant(&self) -> Instant {
        Instant::from_micros(self.0.last_key_value().map_or(i64::MIN, |(last, _)| last.saturating_add(1)))
    }

    /// The prices in force: later imports win over earlier ones, all of them over the default sheet.
    ///
    /// # Errors
    /// [`Error::Internal`] if stored rows are no sheet.
    pub fn book(&self) -> Result<Book, Error> {
        self.history()?.pop().ok_or_else(|| broken(&"there is no default sheet"))
    }

    /// The prices before the first import and after each. The last are in force.
    ///
    /// # Errors
    /// As [`Imports::book`].
    pub fn history(&self) -> Result<Vec<Book>, Error> {
        let mut books = vec![Book::default_sheet().map_err(|error| broken(&error))?];
        for rows in self.0.values() {
            let sheet = Book::from_rows(rows.clone()).map_err(|error| broken(&error))?;
            let after = books.last().map(|book| book.overlay(&sheet));
            books.extend(after);
        }
        Ok(books)
    }
}

impl Book {
    /// The prices in force for `ledger`, see [`Imports::book`].
    ///
    /// # Errors
    /// The ledger's errors; [`Error::Internal`] if a stored row is not a price.
    pub async fn load(ledger: &Ledger) -> Result<Self, Error> {
        let table = ledger.prices();
        Imports::load(table, &table.load(None).await?).await?.book()
    }

    /// The prices of `ledger` as they were before the first import and after each: what entries may have been priced with.
    /// The last is in force.
    ///
    /// # Errors
    /// As [`Book::load`].
    pub async fn load_history(ledger: &Ledger) -> Result<Vec<Self>, Error> {
        let table = ledger.prices();
        Imports::load(table, &table.load(None).await?).await?.history()
    }

    /// Imports `sheet`, which this book was read from, into the `prices` table of `ledger`. Entries already in the ledger
    /// keep the prices they have.
    ///
    /// The sheet is later than all that are there: if the clock says otherwise, it is recorded a microsecond after the last.
    ///
    /// # Errors
    /// The ledger's errors.
    pub async fn store(&self, ledger: &Ledger, sheet: Sheet<'_>) -> Result<(), Error> {
        let table = ledger.prices();
        // First: what is collected after this is noticed by the commit.
        let mut snapshot = table.load(None).await?;
        for _ in 0..ATTEMPTS_MAX {
            let imports = Imports::load(table, &snapshot).await?;
            let imported_at = sheet.imported_at.max(imports.next_instant());
            let commit = self.store_files(table, Sheet { imported_at, ..sheet }).await?;
            if let CommitOutcome::Committed { .. } = table.try_commit(&mut snapshot, &commit).await? {
                return Ok(());
            }
        }
        Err(Error::RaceLost { table: table.spec().name, version: snapshot.version(), attempts: ATTEMPTS_MAX })
    }

    async fn store_files(&self, table: &Table, sheet: Sheet<'_>) -> Result<Commit, Error> {
        let sha256 = file::hex(&Sha256::digest(sheet.bytes));
        let batch_id = format!("prices-{:016x}-{}", sheet.imported_at.micros(), sha256.get(..8).unwrap_or_default());
        let batch = self.record_batch(sheet, &sha256, &batch_id)?;
        let keep: Vec<u32> = (0..u32::try_from(batch.num_rows()).unwrap_or(u32::MAX)).collect();
        let mut files = Vec::new();
        for (index, encoded) in file::encode(table.spec(), &batch, &keep)?.iter().enumerate() {
            files.push(table.store_file(encoded, &batch_id, index).await?);
        }
        Ok(Commit { batch_id, files, positions: Vec::new(), counts: Vec::new() })
    }

    fn record_batch(&self, sheet: Sheet<'_>, sha256: &str, batch_id: &str) -> Result<RecordBatch, Error> {
        let mut columns = PricesBuilder::default();
        for row in self.rows() {
            columns.event_date.append_value(sheet.imported_at.date().days());
            columns.batch_id.append_value(batch_id);
            columns.imported_at.append_value(sheet.imported_at.micros());
            columns.sheet.append_value(sheet.name);
            columns.sheet_sha256.append_value(sha256);
            columns.provider.append_value(&row.provider);
            columns.model.append_value(&row.model);
            columns.unit.append_value(row.unit.to_string());
            columns.usd_per_million.append_value(row.usd_per_million.pico());
            columns.effective_from.append_value(row.effective_from.days());
            columns.effective_to.append_option(row.effective_to.map(Date::days));
            columns.origin.append_value(&row.source);
        }
        columns.finish()
    }
}

fn read_rows(batch: &RecordBatch, imports: &mut BTreeMap<i64, Vec<Row>>) -> Result<(), Error> {
    let missing = |name: &str| broken(&format!("column {name} is missing"));
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| missing(name));
    let words = |name: &str| cast(column(name)?, &DataType::Utf8).map_err(Error::arrow);
    let (provider, model, unit, source) = (words("provider")?, words("model")?, words("unit")?, words("origin")?);
    let imported_at = column("imported_at")?.as_primitive::<TimestampMicrosecondType>();
    let price = column("usd_per_million")?.as_primitive::<Decimal128Type>();
    let from = column("effective_from")?.as_primitive::<Date32Type>();
    let to = column("effective_to")?.as_primitive::<Date32Type>();
    for at in 0..batch.num_rows() {
        let text = |column: &arrow::array::ArrayRef| column.as_string::<i32>().value(at).to_owned();
        let row = Row {
            provider: text(&provider),
            model: text(&model),
            unit: Unit::parse(&text(&unit)).map_err(|error| broken(&error))?,
            usd_per_million: Usd::from_pico(price.value(at)),
            effective_from: Date::from_days(from.value(at)),
            effective_to: to.is_valid(at).then(|| Date::from_days(to.value(at))),
            source: text(&source),
        };
        imports.entry(imported_at.value(at)).or_default().push(row);
    }
    Ok(())
}

fn broken(found: &dyn std::fmt::Display) -> Error {
    Error::Internal { invariant: "stored prices are valid", found: found.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Root;

    #[tokio::test]
    async fn imported_sheets_win_over_the_default_in_order_of_import() {
        let ledger = Ledger::create_at(Root::memory()).await.unwrap();
        let default = Book::load(&ledger).await.unwrap();
        let header = "provider,model,effective_from,effective_to,unit,usd_per_million,source\n";
        // Clocks of machines differ, and may not have moved.
        for (at, price) in [(2, "5"), (1, "6"), (1, "7")] {
            let csv = format!("{header}acme,m,2026-01-01,,input,{price},contract\n");
            let book = Book::read_csv(csv.as_bytes(), "contract").unwrap();
            let imported_at = Instant::from_micros(at);
            book.store(&ledger, Sheet { name: "contract", bytes: csv.as_bytes(), imported_at }).await.unwrap();
        }
        let book = Book::load(&ledger).await.unwrap();
        assert_eq!(book.rows().count(), default.rows().count() + 1);
        let row = book.rows().find(|row| row.provider == "acme").unwrap();
        assert_eq!((row.usd_per_million, row.source.as_str()), (Usd::parse("7").unwrap(), "contract"));

        let history = Book::load_history(&ledger).await.unwrap();
        let prices: Vec<_> = history.iter().map(|book| book.rows().find(|row| row.provider == "acme")).collect();
        assert_eq!(
            prices.iter().map(|row| row.map(|row| row.usd_per_million)).collect::<Vec<_>>(),
            [None, Usd::parse("5").ok(), Usd::parse("6").ok(), Usd::parse("7").ok()]
        );
    }
}

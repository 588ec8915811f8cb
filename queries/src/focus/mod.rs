//! FOCUS: the ledger as a bill of the FinOps Open Cost and Usage Specification, 1.2 or 1.4.
//!
//! A charge is a day's use of one meter at one unit price by one set of dimensions. Each recorded call is priced again with the
//! book it was priced with, which gives what it used of which meter at which rate. A month's charges are added up, written and
//! forgotten. Where calls were rounded to twelve places one by one, a charge of category `Adjustment` holds the difference, so
//! that unit price times quantity is exact in every row and all rows add up to the recorded costs.
//!
//! | module | holds |
//! |---|---|
//! | `column` | a column, and how it becomes an array |
//! | `charge`, `commitment` | the two datasets: every column once, and the rows they are filled from |
//! | `read` | recorded calls of a month, corrections of closed months apart |
//! | `sum` | calls to charges |
//! | `sku` | what is metered, in the spec's words |
//! | `vendor` | who sells what |
//! | `capacity` | what contracts pay by the hour |
//! | `drawdown` | how far commitments are used |
//! | `metadata` | the object beside the file |

mod capacity;
mod charge;
mod column;
mod commitment;
mod drawdown;
mod metadata;
mod read;
mod sku;
mod sum;
mod vendor;

use std::collections::BTreeMap;
use std::io::Write;

use daybook_ledger::price::Book;
use daybook_ledger::{Date, Usd, words};

use crate::render::Writer;
use crate::{Drawing, Error, Format, Session};

words! {
    /// A version of the specification.
    FocusVersion {
        /// 1.2: the one the FinOps Foundation's validator checks without a network.
        V1_2 = "1.2",
        /// 1.4.
        V1_4 = "1.4",
    }
}

words! {
    /// A dataset of the specification.
    Dataset {
        /// What was used and what it costs.
        CostAndUsage = "cost-and-usage",
        /// What was promised; since 1.3.
        ContractCommitment = "contract-commitment",
    }
}

/// `amount` in 10⁻¹⁸ dollars, which a unit price times a quantity needs.
fn atto(amount: Usd) -> i128 {
    amount.pico() * 1_000_000
}

impl Dataset {
    /// Whether `version` of the specification has it.
    pub fn is_in(self, version: FocusVersion) -> bool {
        self == Self::CostAndUsage || version == FocusVersion::V1_4
    }
}

/// What to write.
#[derive(Clone, Copy, Debug)]
pub struct FocusOptions {
    /// In the words of which version.
    pub version: FocusVersion,
    /// What of it.
    pub dataset: Dataset,
    /// The first day of charges: of calls, and of corrections of calls of earlier months; from the first entry on if `None`.
    pub from: Option<Date>,
    /// The first day of charges not to write any more; to the last entry if `None`.
    pub to: Option<Date>,
}

/// What was written, and what could not be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Focus {
    /// Rows.
    pub rows: u64,
    /// Calls in them.
    pub calls: i64,
    /// Calls without a price, by provider, model and `price_status`: they are in no row, because a row needs a cost. Less those of
    /// earlier months that a correction gave one.
    pub unpriced: BTreeMap<(String, String, String), i64>,
    /// Calls the gateway answered from its own cache: nobody charges for them.
    pub gateway_cache: i64,
    /// Calls whose recorded price is in no sheet of the ledger: their cost is in rows without a unit price.
    pub unexplained: i64,
}

/// Writes a dataset to `out` as `format`. `books` are the prices calls may have been priced with, the newest last.
///
/// The same state of the ledger gives the same bytes in a session of one partition. Memory: the charges of a month, at most
/// about 128 MiB of them; beyond that a charge may be written in several rows.
///
/// # Errors
/// [`Error::NotInFormat`] for a dataset the version has not; those of queries and of writing.
pub async fn focus(
    session: &Session,
    books: &[Book],
    options: &FocusOptions,
    format: Format,
    out: &mut (dyn Write + Send),
) -> Result<Focus, Error> {
    let mut writer = Writer::new(format, options.schema(), Drawing::default(), out)?;
    let focus = match options.dataset {
        Dataset::CostAndUsage => sum::write(session, books, options, &mut writer).await?,
        Dataset::ContractCommitment => commitment::write(session, &mut writer).await?,
    };
    Ok(Focus { rows: writer.finish()?.rows, ..focus })
}

impl FocusOptions {
    fn schema(&self) -> arrow::datatypes::SchemaRef {
        match self.dataset {
            Dataset::CostAndUsage => column::schema(charge::COLUMNS, self.version),
            Dataset::ContractCommitment => column::schema(commitment::COLUMNS, self.version),
        }
    }

    /// The metadata object of the specification, about what [`focus`] wrote.
    pub fn metadata(&self, session: &Session, focus: &Focus) -> serde_json::Value {
        metadata::metadata(session, self, focus)
    }
}

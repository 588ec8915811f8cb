//! Why a sheet is refused.

use std::fmt;

use crate::{Date, Kind, Report};

use super::{Unit, UnknownUnit};

/// A price sheet that cannot be used. Nothing of it is: a book is built from all rows of a sheet or from none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes could not be read, or are not CSV in UTF-8.
    #[error("cannot read price sheet {sheet}")]
    Unreadable {
        /// What the caller calls the sheet.
        sheet: String,
        /// What the reader said.
        source: csv::Error,
    },
    /// The JSON is not LiteLLM's price file.
    #[error("price sheet {sheet} is JSON, but not an object of models as in LiteLLM's price file")]
    NotLiteLlm {
        /// What the caller calls the sheet.
        sheet: String,
        /// What the reader said.
        source: serde_json::Error,
    },
    /// The first line does not name our columns.
    #[error(
        "price sheet {sheet} has the wrong columns: missing {}, unknown {}",
        list(.missing.iter().map(|column| (*column).to_owned())),
        list(.unknown.iter().map(UnknownColumn::to_string))
    )]
    WrongColumns {
        /// What the caller calls the sheet.
        sheet: String,
        /// Columns that must be there and are not.
        missing: Vec<&'static str>,
        /// Columns that are there and mean nothing, or come twice.
        unknown: Vec<UnknownColumn>,
    },
    /// Some rows cannot be believed.
    #[error("price sheet {sheet} has {count} faults{}", Listed(.faults, *.count))]
    Faulty {
        /// What the caller calls the sheet.
        sheet: String,
        /// The first faults, in the order of the sheet.
        faults: Vec<Fault>,
        /// How many there are in all.
        count: usize,
    },
    /// There is no row below the header.
    #[error("price sheet {sheet} has no rows")]
    NoRows {
        /// What the caller calls the sheet.
        sheet: String,
    },
    /// A valuation cannot be called so.
    #[error("`{name}` cannot name a valuation")]
    NotAValuationName {
        /// What was given, cut to 80 characters.
        name: String,
    },
    /// The name stands for other prices.
    #[error("valuation `{name}` was made with other prices: theirs have SHA-256 {recorded}, these {given}")]
    OtherPrices {
        /// The valuation.
        name: String,
        /// SHA-256 of the prices it was made with.
        recorded: String,
        /// SHA-256 of the prices given now.
        given: String,
    },
    /// Someone else added to the valuation meanwhile.
    #[error("valuation `{name}` was added to by someone else at the same time")]
    ValuationMoved {
        /// The valuation.
        name: String,
    },
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] crate::Error),
    /// A sheet could not be written.
    #[error("cannot write the price sheet")]
    Unwritable {
        /// What the writer said.
        source: csv::Error,
    },
}

impl Error {
    /// Every code, for the check that `docs/errors.md` describes it.
    pub const CODES: &'static [&'static str] = &[
        "PRICES-001",
        "PRICES-002",
        "PRICES-003",
        "PRICES-004",
        "PRICES-005",
        "PRICES-006",
        "PRICES-007",
        "PRICES-008",
        "PRICES-009",
    ];

    /// The most faults one error lists.
    pub const FAULTS_MAX: usize = 50;

    pub(super) fn faulty(sheet: &str, mut faults: Vec<Fault>) -> Self {
        let count = faults.len();
        faults.truncate(Self::FAULTS_MAX);
        Self::Faulty { sheet: sheet.to_owned(), faults, count }
    }
}

impl Report for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "PRICES-001",
            Self::WrongColumns { .. } => "PRICES-002",
            Self::Faulty { .. } => "PRICES-003",
            Self::NoRows { .. } => "PRICES-004",
            Self::Unwritable { .. } => "PRICES-005",
            Self::NotAValuationName { .. } => "PRICES-006",
            Self::OtherPrices { .. } => "PRICES-007",
            Self::ValuationMoved { .. } => "PRICES-008",
            Self::NotLiteLlm { .. } => "PRICES-009",
            Self::Ledger(error) => error.code(),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Unwritable { .. } => Kind::Unavailable,
            Self::NotAValuationName { .. } | Self::OtherPrices { .. } => Kind::Usage,
            Self::ValuationMoved { .. } => Kind::Conflict,
            Self::Ledger(error) => error.kind(),
            _ => Kind::Refused,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unreadable { .. } => "give a CSV file in UTF-8, comma separated, with our header line",
            Self::WrongColumns { .. } => {
                "the columns are provider, model, effective_from, effective_to, unit, usd_per_million, source, in any order"
            }
            Self::Faulty { .. } => "nothing was imported; correct these rows and import the sheet again",
            Self::NoRows { .. } => "check that this is the file you meant; a book without rows would price nothing",
            Self::NotLiteLlm { .. } => "give our CSV, or model_prices_and_context_window.json as LiteLLM publishes it",
            Self::NotAValuationName { .. } => {
                "use 1 to 64 lower-case letters, digits, `.`, `_` and `-`; `recorded` is the ledger's own cost"
            }
            Self::OtherPrices { .. } => "nothing was added; give a name of its own to what these prices make",
            Self::ValuationMoved { .. } => "nothing was added; run the command again: it adds what is still missing",
            Self::Ledger(error) => return error.hint(),
            Self::Unwritable { .. } => "check the disk or the reader of the pipe, then run the command again",
        };
        Some(hint.into())
    }
}

/// A column of a sheet that means nothing to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownColumn {
    /// What was given, cut to 60 characters.
    pub given: String,
    /// The column it resembles.
    pub nearest: Option<&'static str>,
}

impl fmt::Display for UnknownColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.given)?;
        self.nearest.map_or(Ok(()), |nearest| write!(f, " (did you mean `{nearest}`?)"))
    }
}

/// Where a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A line of a file, the header being line 1.
    Line(u64),
    /// The n-th of the rows handed over, counted from 1.
    Row(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

/// One thing wrong with one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The row.
    pub place: Place,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// What can be wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// More or fewer fields than the header.
    #[error("{found} fields where the header has {expected}")]
    FieldCount {
        /// Fields of this row.
        found: usize,
        /// Fields of the header.
        expected: usize,
    },
    /// A provider or model name no call can have.
    #[error("{column} `{given}` is not a name: 1 to {max} characters without spaces, a provider in lower case", max = super::book::NAME_CHARS_MAX)]
    NotAName {
        /// `provider` or `model`.
        column: &'static str,
        /// What was given, cut to 60 characters.
        given: String,
    },
    /// A unit we do not know.
    #[error("unit {0}")]
    NotAUnit(
        /// What was given, and what was probably meant.
        UnknownUnit,
    ),
    /// A rate that is no decimal, negative, too large, or finer than we keep.
    #[error("usd_per_million `{given}` is not a plain decimal from 0 to {max} with at most {places} decimals", max = super::book::RATE_MAX_USD, places = super::book::RATE_PLACES_MAX)]
    NotARate {
        /// What was given, cut to 60 characters.
        given: String,
    },
    /// The number of a term that cannot be.
    #[error("{unit} `{given}` is not {range}")]
    NotATerm {
        /// The term.
        unit: Unit,
        /// What was given.
        given: String,
        /// What is valid.
        range: &'static str,
    },
    /// A pattern where a model is meant.
    #[error("{unit} is of one model; only capacity_hour and discount_percent take a pattern with `*`")]
    NotForAPattern {
        /// The unit.
        unit: Unit,
    },
    /// A date that is none.
    #[error("{column} `{given}` is not a date, YYYY-MM-DD")]
    NotADate {
        /// `effective_from` or `effective_to`.
        column: &'static str,
        /// What was given, cut to 60 characters.
        given: String,
    },
    /// A period without a day in it: `effective_to` is the first day on which the row no longer holds.
    #[error("effective_to {to} is not after effective_from {from}")]
    EmptyPeriod {
        /// First day.
        from: Date,
        /// First day after.
        to: Date,
    },
    /// Two rates for the same unit on the same day.
    #[error("{provider} {model} {unit} already has a rate on {day}, {other}")]
    Overlap {
        /// Provider of both rows.
        provider: String,
        /// Model of both rows.
        model: String,
        /// Unit of both rows.
        unit: Unit,
        /// The first day on which both hold.
        day: Date,
        /// The other row.
        other: Place,
    },
}

fn list(words: impl Iterator<Item = String>) -> String {
    let words: Vec<_> = words.collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

/// The faults below each other, and how many were left out.
struct Listed<'a>(&'a [Fault], usize);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))?;
        match self.1 - self.0.len() {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

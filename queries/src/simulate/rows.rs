//! What a simulation found, as rows of tables that queries can read.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use daybook_ledger::Usd;

use super::scenario::parts;
use crate::registry::tables::{amounts, texts, whole};
use crate::{Error, Session};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Whole,
    Dollars,
    /// A decimal with 4 places.
    Number,
}

/// A value in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Text(Option<String>),
    Whole(Option<i128>),
    Decimal(Option<Usd>),
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(Some(text.into()))
    }

    pub(super) fn count(number: u64) -> Self {
        Self::Whole(Some(i128::from(number)))
    }

    pub(super) const fn dollars(amount: Usd) -> Self {
        Self::Decimal(Some(amount))
    }
}

/// A table of a simulation: names of columns, and rows of as many cells.
pub(super) struct Table {
    name: &'static str,
    columns: &'static [(&'static str, Type)],
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(super) const fn new(name: &'static str, columns: &'static [(&'static str, Type)]) -> Self {
        Self { name, columns, rows: Vec::new() }
    }

    pub(super) fn push(&mut self, row: impl IntoIterator<Item = Cell>) {
        self.rows.push(row.into_iter().collect());
    }

    /// Puts it into the session, where queries find it under its name.
    pub(super) fn register(&self, session: &Session) -> Result<(), Error> {
        let broken = |found: String| Error::Internal { invariant: "a table of a simulation is whole", found };
        let columns = self.columns.iter().enumerate();
        let arrays: Vec<ArrayRef> = columns.map(|(at, (_, holds))| self.array(at, *holds)).collect();
        let fields = self.columns.iter().zip(&arrays);
        let fields = fields.map(|((name, _), array)| Field::new(*name, array.data_type().clone(), true));
        let fields: Vec<_> = fields.collect();
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(|error| broken(error.to_string()))?;
        let table = MemTable::try_new(schema, vec![vec![batch]]).map_err(|error| broken(error.to_string()))?;
        let context = session.context();
        // A simulation made again in the session takes the place of the one before.
        context.deregister_table(self.name).map_err(|error| broken(error.to_string()))?;
        context.register_table(self.name, Arc::new(table)).map(drop).map_err(|error| broken(error.to_string()))
    }

    fn array(&self, at: usize, holds: Type) -> ArrayRef {
        let cells = || self.rows.iter().map(|row| row.get(at));
        let decimals = || {
            cells().map(|cell| match cell {
                Some(Cell::Decimal(decimal)) => *decimal,
                _ => None,
            })
        };
        match holds {
            Type::Text => texts(cells().map(|cell| match cell {
                Some(Cell::Text(text)) => text.as_deref(),
                _ => None,
            })),
            Type::Whole => whole(cells().map(|cell| match cell {
                Some(Cell::Whole(number)) => number.and_then(|number| i64::try_from(number).ok()),
                _ => None,
            })),
            Type::Dollars => amounts(decimals()),
            Type::Number => {
                let numbers = decimals().map(|number| number.map(|number| number.pico() / parts(1).pico()));
                Arc::new(numbers.collect::<Decimal128Array>().with_data_type(DataType::Decimal128(22, 4)))
            }
        }
    }
}

//! Whether a ledger can hold the rows: what no ledger of ours has would break the one it is restored into.

use std::ops::RangeInclusive;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{Date32Type, Int64Type};
use daybook_ledger::schema::PARTITION;
use daybook_ledger::{EntryId, Tokens};

use crate::Part;

const ID: &str = "entry_id";
/// Of the years 1 to 9999, in days since 1970.
const DAYS: RangeInclusive<i32> = -719_162..=2_932_896;
/// A bucket may be the sum of a few counts, each within what an event may state.
const TOKENS_MAX: u64 = 16 * Tokens::EVENT_MAX.unsigned_abs();

/// The columns [`check`] looks at, beside those that are summed.
pub(super) fn columns(part: Part) -> impl Iterator<Item = &'static str> {
    part.spec().columns.iter().map(|column| column.name).filter(|name| [ID, PARTITION].contains(name))
}

/// Whether every row has an id and a day, and no more tokens than one call can have.
///
/// # Errors
/// What is wrong with one of them.
pub(super) fn check(part: Part, batch: &RecordBatch) -> Result<(), String> {
    if let Some(ids) = batch.column_by_name(ID) {
        let ids = ids.as_binary_view_opt().ok_or("it has no ids")?;
        if ids.iter().any(|id| id.and_then(EntryId::from_slice).is_none()) {
            return Err(format!("a row has no `{ID}` of 16 bytes"));
        }
    }
    let days = batch.column_by_name(PARTITION).and_then(|days| days.as_primitive_opt::<Date32Type>());
    if days.ok_or("it has no days")?.iter().any(|day| day.is_none_or(|day| !DAYS.contains(&day))) {
        return Err(format!("a row has no `{PARTITION}` of the years 1 to 9999"));
    }
    // A usage report sums many calls.
    if matches!(part, Part::Usage | Part::Corrections) {
        for column in part.spec().columns.iter().filter(|column| column.unit == "tokens") {
            let counts = batch.column_by_name(column.name).and_then(|counts| counts.as_primitive_opt::<Int64Type>());
            let mut counts = counts.into_iter().flatten().flatten();
            if let Some(count) = counts.find(|count| count.unsigned_abs() > TOKENS_MAX) {
                return Err(format!("a call has {count} {}, which is beyond any", column.name));
            }
        }
    }
    Ok(())
}

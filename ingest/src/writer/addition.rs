//! What a batch has that the ledger lacks.

use daybook_ledger::{EntryId, Finality};

use crate::batch::{BodyMeta, ClosedBatch, RowMeta};
use crate::index::{Index, Known};

/// What a batch adds without positions to be fenced by: true at once, whatever becomes of the batch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Addition {
    /// What was said in calls that ended.
    Content,
    /// What was said in calls before their end.
    ContentPartial,
    /// What is told of calls beyond their rows.
    Corrections,
}

impl Addition {
    /// What the ledger lacks of it.
    pub(super) fn lacking(self, index: &Index, batch: &ClosedBatch) -> Vec<Lacking> {
        let lacks = |body: &BodyMeta| body.alive && index.known(body.day, &body.id).lacks_body(body.finality);
        let is_taken = |finality: Finality| (finality == Finality::Final) == matches!(self, Self::Content);
        match self {
            Self::Content | Self::ContentPartial => {
                let bodies = (0_u32..).zip(&batch.bodies).filter(|(_, body)| is_taken(body.finality) && lacks(body));
                let lacking = |(place, body): (u32, &BodyMeta)| Lacking {
                    place,
                    day: body.day,
                    id: body.id,
                    told: Known::body(body.finality),
                };
                bodies.map(lacking).collect()
            }
            Self::Corrections => rows(batch, |row| index.known(row.day, &row.id).tells_less(row.completeness)),
        }
    }
}

/// A row of a batch that a table lacks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lacking {
    /// Its place among the batch's rows of the table.
    pub(super) place: u32,
    pub(super) day: i32,
    pub(super) id: EntryId,
    /// What is known once it is there.
    pub(super) told: Known,
}

/// The rows of `batch` that are `lacking`.
pub(super) fn rows(batch: &ClosedBatch, lacking: impl Fn(&RowMeta) -> bool) -> Vec<Lacking> {
    let rows = (0_u32..).zip(&batch.rows).filter(|(_, row)| row.alive && lacking(row));
    let told = |row: &RowMeta| Known::entry(row.completeness);
    rows.map(|(place, row)| Lacking { place, day: row.day, id: row.id, told: told(row) }).collect()
}

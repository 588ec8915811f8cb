//! A proof that an entry is in the log (C2SP tlog-proof), checkable without the ledger.

use std::fmt;

use arrow::array::{Array as _, AsArray as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::leaf::{Opening, Secret, leaf};
use super::log::{IN_FLIGHT, Log};
use super::note::{Checkpoint, VerifierKey};
use super::row::RowTexts;
use super::tile::TILE_WIDTH;
use super::tree::{Hash, includes, inclusion_ranges, leaf_hash};
use super::{Error, RESTORED};
use crate::file::{hex, unhex};
use crate::schema::USAGE;
use crate::{Date, EntryId, Ledger};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A row, the salt of its leaf, where the leaf is, and the hashes that lead from it to the root of a checkpoint.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The row and its salt.
    pub opening: Opening,
    /// The leaf's index in the log.
    pub index: u64,
    /// From the leaf's sibling up.
    pub hashes: Vec<Hash>,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
}

impl Proof {
    /// Reads a proof; `place` is named if it is none.
    ///
    /// # Errors
    /// [`Error::NotAProof`], [`Error::NotACheckpoint`].
    pub fn parse(place: &str, text: &str) -> Result<Self, Error> {
        let refused = |reason| Error::NotAProof { place: place.into(), reason };
        let (proof, checkpoint) = text.split_once("\n\n").ok_or_else(|| refused("no empty line is in it"))?;
        let mut lines = proof.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(refused("its first line is not `c2sp.org/tlog-proof@v1`"));
        }
        let extra = lines.next().and_then(|line| STANDARD.decode(line.strip_prefix("extra ")?).ok());
        let opening = extra.and_then(|extra| read_opening(&extra));
        let index = lines.next().and_then(|line| line.strip_prefix("index ")?.parse().ok());
        let hash = |line: &str| STANDARD.decode(line).ok().and_then(|hash| hash.try_into().ok());
        Ok(Self {
            opening: opening.ok_or_else(|| refused("its second line is not `extra` with a table, a salt and a row"))?,
            index: index.ok_or_else(|| refused("its third line is not `index` with a number"))?,
            hashes: lines
                .map(hash)
                .collect::<Option<_>>()
                .ok_or_else(|| refused("a hash is not base64 of 32 bytes"))?,
            checkpoint: Checkpoint::parse(place, checkpoint.as_bytes())?,
        })
    }

    /// Whether the row is in the log that the checkpoint is of.
    pub fn is_included(&self) -> bool {
        let head = &self.checkpoint.head;
        includes(&head.root, head.size, leaf_hash(&self.opening.leaf()), self.index, &self.hashes)
    }

    /// Whether `key` signed the checkpoint.
    pub fn is_signed_by(&self, key: &VerifierKey) -> bool {
        self.checkpoint.is_signed_by(key)
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Opening { table, salt, row } = &self.opening;
        let extra = [format!("{table}\n{}\n", hex(salt)).as_bytes(), row].concat();
        writeln!(f, "{HEADER}\nextra {}\nindex {}", STANDARD.encode(extra), self.index)?;
        for hash in &self.hashes {
            writeln!(f, "{}", STANDARD.encode(hash))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

/// The table, the salt in hexadecimal and the row, a line each.
fn read_opening(extra: &[u8]) -> Option<Opening> {
    let mut lines = extra.splitn(3, |byte| *byte == b'\n');
    let table = std::str::from_utf8(lines.next()?).ok()?.into();
    let salt = unhex(std::str::from_utf8(lines.next()?).ok()?)?;
    Some(Opening { table, salt, row: lines.next()?.into() })
}

/// Proves the row of `entry` in `usage`, which is of the day `date` and the batch `batch_id`, against the newest checkpoint.
///
/// # Errors
/// [`Error::NoLog`], [`Error::NoEntry`], [`Error::NotSealedYet`], [`Error::NotInLog`], [`Error::Damaged`], the store's errors.
pub async fn prove(ledger: &Ledger, entry: EntryId, date: Date, batch_id: &str) -> Result<Proof, Error> {
    let log = Log::of(ledger);
    let no_log = || Error::NoLog { place: log.place().into() };
    let checkpoint = log.load_newest().await?.ok_or_else(no_log)?;
    let secret = log.load_secret().await?.ok_or_else(no_log)?;
    let opening = load_opening(ledger, &secret, entry, date, batch_id).await?;
    let opening = opening.ok_or_else(|| Error::NoEntry { place: log.place().into(), entry: entry.to_string() })?;
    let size = checkpoint.head.size;
    let index = find(&log, &opening, batch_id, size).await?;
    let index = match index {
        Found::At(index) => index,
        Found::NoBatch => return Err(Error::NotSealedYet { entry: entry.to_string(), batch_id: batch_id.into() }),
        Found::Nowhere => return Err(Error::NotInLog { entry: entry.to_string(), batch_id: batch_id.into() }),
    };
    let hashes = log.load_roots(&inclusion_ranges(index, size), size).await?;
    let proof = Proof { opening, index, hashes, checkpoint };
    match proof.is_included() {
        true => Ok(proof),
        false => Err(log.damaged(format!("its tiles do not lead from leaf {index} to the root of its checkpoint"))),
    }
}

async fn load_opening(
    ledger: &Ledger,
    secret: &Secret,
    entry: EntryId,
    date: Date,
    batch_id: &str,
) -> Result<Option<Opening>, Error> {
    let table = ledger.usage();
    let snapshot = table.load(None).await?;
    for file in snapshot.files().into_iter().filter(|file| file.date == date) {
        if !table.load_entry_ids(&file).await?.contains(&entry) {
            continue;
        }
        for batch in table.load_batches(&file).await? {
            let (ids, batches) = (batch.column_by_name("entry_id"), batch.column_by_name("batch_id"));
            let (Some(ids), Some(batches)) =
                (ids.and_then(|ids| ids.as_binary_opt::<i32>()), batches.and_then(|ids| ids.as_string_opt::<i32>()))
            else {
                continue;
            };
            let is_it =
                |row: &usize| ids.is_valid(*row) && ids.value(*row) == entry.0 && batches.value(*row) == batch_id;
            if let Some(row) = (0..batch.num_rows()).find(is_it) {
                let mut text = Vec::new();
                RowTexts::new(&USAGE, date, &batch).write(row, &mut text)?;
                return Ok(Some(secret.opening(USAGE.name, &text)));
            }
        }
    }
    Ok(None)
}

enum Found {
    At(u64),
    NoBatch,
    Nowhere,
}

/// Where the leaf is: among those of its batch, which are sorted. Newer segments are looked at first.
async fn find(log: &Log, opening: &Opening, batch_id: &str, size: u64) -> Result<Found, Error> {
    let wanted = leaf(&opening.table, &opening.commitment());
    let starts = log.list_segments().await?.into_iter().rev().filter(|from| *from < size);
    let mut segments = std::pin::pin!(stream::iter(starts).map(|from| log.load_segment(from)).buffered(IN_FLIGHT));
    let mut found = Found::NoBatch;
    while let Some(segment) = segments.try_next().await? {
        let rows_of = |is_it: &dyn Fn(&str) -> bool| segment.as_ref().map(|known| known.rows_of(&opening.table, is_it));
        let own = rows_of(&|id| id == batch_id).unwrap_or_default();
        if !own.is_empty() {
            found = Found::Nowhere;
        }
        let restored = rows_of(&|id| id.starts_with(RESTORED)).unwrap_or_default();
        for (first, rows) in own.into_iter().chain(restored) {
            let (mut low, mut high) = (first, first + rows);
            while low < high {
                let middle = low + (high - low) / 2;
                let leaves = log.load_leaves(middle / TILE_WIDTH as u64, size).await?;
                let at = usize::try_from(middle % TILE_WIDTH as u64).unwrap_or(0);
                match leaves.get(at).map(|leaf| leaf.as_ref().cmp(&wanted)) {
                    Some(std::cmp::Ordering::Equal) => return Ok(Found::At(middle)),
                    Some(std::cmp::Ordering::Less) => low = middle + 1,
                    _ => high = middle,
                }
            }
        }
    }
    Ok(found)
}

//! Two ledgers, row by row.
//!
//! Rows are compared as a set with repetitions, table by table and day by day, each as the line it is in JSONL. Memory is 16
//! bytes a row of the fullest day of each ledger, two data files, and what is said of the first thousand differences.

use std::collections::{BTreeMap, BTreeSet};

use daybook_ledger::{DataFile, Date, Ledger};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::format::json_rows;
use crate::manifest::shown;
use crate::source::{Rows, Step};
use crate::verify::{DIFFERENCES_MAX, TableRows, Verdict};
use crate::{Error, Part, Progress};

/// Names of two ledgers in what is said of them.
const SIDES: [&str; 2] = ["the first", "the second"];

/// The first bytes of a row's SHA-256.
type RowDigest = [u8; 16];

/// Compares every row of every table of two ledgers at their newest versions.
///
/// Positions, versions and seals belong to a ledger's place and are not compared.
///
/// # Errors
/// The ledgers'. What differs is in the verdict.
pub async fn diff(a: &Ledger, b: &Ledger, progress: &mut dyn Progress) -> Result<Verdict, Error> {
    let mut tables = Vec::new();
    for part in Part::ALL {
        tables.push((part, [files(a, part).await?, files(b, part).await?]));
    }
    let all = tables.iter().flat_map(|(_, sides)| sides).flat_map(|days| days.values().flatten());
    progress.start(all.map(|file| file.size).sum());
    let mut verdict = Verdict::default();
    for (part, [a_days, b_days]) in &tables {
        let days: BTreeSet<Date> = a_days.keys().chain(b_days.keys()).copied().collect();
        let mut rows = 0;
        for day in days {
            let none = Vec::new();
            let of_day = |days: &'_ Days| days.get(&day).cloned().unwrap_or_else(|| none.clone());
            let pair = Pair { part: *part, day, sides: [(a, of_day(a_days)), (b, of_day(b_days))] };
            rows += pair.compare(&mut verdict, progress).await?;
        }
        verdict.rows.push(TableRows { table: part.name().into(), rows });
    }
    Ok(verdict)
}

type Days = BTreeMap<Date, Vec<DataFile>>;

async fn files(ledger: &Ledger, part: Part) -> Result<Days, Error> {
    let mut days = Days::new();
    // A ledger of an earlier version lacks tables: it has no rows of them.
    if part.table(ledger).exists().await? {
        for file in part.table(ledger).load(None).await?.files() {
            days.entry(file.date).or_default().push(file);
        }
    }
    Ok(days)
}

/// One day of one table in both ledgers.
struct Pair<'a> {
    part: Part,
    day: Date,
    sides: [(&'a Ledger, Vec<DataFile>); 2],
}

impl Pair<'_> {
    /// Notes what differs; answers the rows of the first.
    async fn compare(&self, verdict: &mut Verdict, progress: &mut dyn Progress) -> Result<u64, Error> {
        let [a, b] = &self.sides;
        let mut a_rows = self.digests(a, verdict, progress).await?;
        let mut b_rows = self.digests(b, verdict, progress).await?;
        a_rows.sort_unstable();
        b_rows.sort_unstable();
        if a_rows != b_rows {
            let found = [
                self.describe(a, only_in(&a_rows, &b_rows)).await?,
                self.describe(b, only_in(&b_rows, &a_rows)).await?,
            ];
            self.tell(found, verdict);
        }
        Ok(a_rows.len() as u64)
    }

    async fn digests(
        &self,
        side: &(&Ledger, Vec<DataFile>),
        verdict: &mut Verdict,
        progress: &mut dyn Progress,
    ) -> Result<Vec<RowDigest>, Error> {
        let mut digests = Vec::new();
        for file in &side.1 {
            self.rows(side.0, file, |line| digests.push(digest(line))).await?;
            verdict.files += 1;
            verdict.bytes += file.size;
            progress.advance(file.size);
        }
        Ok(digests)
    }

    async fn rows(&self, ledger: &Ledger, file: &DataFile, mut take: impl FnMut(&[u8])) -> Result<(), Error> {
        let bytes = self.part.table(ledger).load_whole(file).await?;
        let step = Step { part: self.part, file: file.clone(), is_look_ahead: false };
        let mut rows = Rows::open(step, bytes)?;
        while let Some(batch) = rows.next()? {
            json_rows(self.part.spec(), &batch, &mut take)?;
        }
        Ok(())
    }

    /// What is said of the rows with these digests, and how many there are.
    async fn describe(
        &self,
        (ledger, files): &(&Ledger, Vec<DataFile>),
        mut wanted: BTreeMap<RowDigest, u64>,
    ) -> Result<(Vec<Described>, u64), Error> {
        let count = wanted.values().sum();
        let mut described = Vec::new();
        for file in files {
            self.rows(ledger, file, |line| {
                if let Some(left @ 1..) = wanted.get_mut(&digest(line))
                    && described.len() < DIFFERENCES_MAX
                {
                    *left -= 1;
                    described.extend(Described::read(line));
                }
            })
            .await?;
        }
        described.sort_by(|one, other| one.name.cmp(&other.name));
        Ok((described, count))
    }

    /// Rows of one name on both sides are one row that differs in columns; others are on one side alone.
    fn tell(&self, [(a, a_count), (b, b_count)]: [(Vec<Described>, u64); 2], verdict: &mut Verdict) {
        let place = format!("{} {}", self.part.name(), self.day);
        let mut others: BTreeMap<String, Vec<Described>> = BTreeMap::new();
        let told = (a.len() + b.len()) as u64;
        b.into_iter().for_each(|row| others.entry(row.name.clone()).or_default().push(row));
        for row in a {
            match others.get_mut(&row.name).and_then(Vec::pop) {
                Some(other) => verdict.differs(&place, format!("{}: {}", row.name, row.changes(&other))),
                None => verdict.differs(&place, format!("{}: only in {}", row.name, SIDES[0])),
            }
        }
        for row in others.into_values().flatten() {
            verdict.differs(&place, format!("{}: only in {}", row.name, SIDES[1]));
        }
        for _ in told..a_count + b_count {
            verdict.differs(&place, "a row is in one ledger alone");
        }
    }
}

fn digest(line: &[u8]) -> RowDigest {
    let mut short = RowDigest::default();
    short.iter_mut().zip(Sha256::digest(line)).for_each(|(to, from)| *to = from);
    short
}

/// What sorted `rows` has beyond sorted `others`, with how often.
fn only_in(rows: &[RowDigest], others: &[RowDigest]) -> BTreeMap<RowDigest, u64> {
    let mut others = others.iter().peekable();
    let mut only = BTreeMap::new();
    for row in rows {
        while others.next_if(|other| *other < row).is_some() {}
        if others.next_if_eq(&row).is_none() {
            *only.entry(*row).or_default() += 1;
        }
    }
    only
}

/// A row as a person is told of it: its name, and its columns cut short.
struct Described {
    name: String,
    columns: Vec<(String, String)>,
}

impl Described {
    fn read(line: &[u8]) -> Option<Self> {
        let Value::Object(fields) = serde_json::from_slice(line).ok()? else { return None };
        let text = |name: &str| fields.get(name).filter(|value| !value.is_null()).map(value_text);
        let name = match text("entry_id") {
            Some(id) => format!("entry {id}"),
            None => {
                let names = ["batch_id", "topic", "kafka_partition", "kafka_offset", "sheet", "model", "unit", "file"];
                let known = names.iter().filter_map(|name| Some(format!("{name} {}", text(name)?)));
                known.collect::<Vec<_>>().join(", ")
            }
        };
        let columns = fields.iter().map(|(name, value)| (name.clone(), value_text(value))).collect();
        Some(Self { name, columns })
    }

    fn changes(&self, other: &Self) -> String {
        let pairs = self.columns.iter().zip(&other.columns).filter(|(one, other)| one != other);
        let changes =
            pairs.map(|((name, one), (_, other))| format!("{name} is {one} in {}, {other} in {}", SIDES[0], SIDES[1]));
        changes.collect::<Vec<_>>().join("; ")
    }
}

/// A value, or how it begins, its length and its digest.
fn value_text(value: &Value) -> String {
    let text = value.to_string();
    match text.len() {
        0..=80 => shown_json(&text),
        length => {
            let start: String = text.chars().take(40).collect();
            let digest: String = daybook_ledger::file::hex(&digest(text.as_bytes())).chars().take(12).collect();
            format!("{}... ({length} bytes, sha256 {digest}...)", shown_json(&start))
        }
    }
}

/// JSON, whose own escapes stay as they are, fit for one line.
fn shown_json(text: &str) -> String {
    shown(text).replace(r"\\", r"\")
}

//! Our CSV, in and out.

use std::io::{Read, Write};

use csv::{ReaderBuilder, StringRecord, Trim, Writer};

use crate::{Date, Usd};

use super::book::{RATE_PLACES_MAX, plain};
use super::error::{Error, Fault, Place, Problem, UnknownColumn};
use super::{Book, Row, Unit};

/// The columns of a sheet. A file may have them in any order.
pub const COLUMNS: [&str; 7] =
    ["provider", "model", "effective_from", "effective_to", "unit", "usd_per_million", "source"];

const DEFAULT_SHEET: &str = include_str!("default_sheet.csv");

impl Book {
    /// The sheet that ships with Daybook.
    ///
    /// # Errors
    /// [`Error::Faulty`] cannot happen in a released build: a test reads the sheet.
    pub fn default_sheet() -> Result<Self, Error> {
        Self::read_csv(DEFAULT_SHEET.as_bytes(), "default")
    }

    /// Reads a sheet: CSV in UTF-8 with a header line naming [`COLUMNS`]. `name` is how errors call it.
    ///
    /// The order of rows means nothing; blank around a field does not count; an empty `effective_to` is open.
    ///
    /// # Errors
    /// [`Error::Unreadable`], [`Error::WrongColumns`], [`Error::NoRows`], and [`Error::Faulty`] with all faults of all rows.
    pub fn read_csv(reader: impl Read, name: &str) -> Result<Self, Error> {
        let unreadable = |source| Error::Unreadable { sheet: name.to_owned(), source };
        let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(reader);
        let columns = Columns::find(reader.headers().map_err(unreadable)?, name)?;
        let (mut rows, mut faults) = (Vec::new(), Vec::new());
        let mut record = StringRecord::new();
        while reader.read_record(&mut record).map_err(unreadable)? {
            let place = Place::Line(record.position().map_or(0, csv::Position::line));
            if let Some(row) = columns.parse(&record, place, &mut faults) {
                rows.push((place, row));
            }
        }
        if rows.is_empty() && faults.is_empty() {
            return Err(Error::NoRows { sheet: name.to_owned() });
        }
        Self::from_placed_rows(rows, faults, name)
    }

    /// Writes all rows in the shape that [`Book::read_csv`] reads, in the book's order.
    ///
    /// # Errors
    /// [`Error::Unwritable`].
    pub fn write_csv(&self, writer: impl Write) -> Result<(), Error> {
        let unwritable = |source| Error::Unwritable { source };
        let mut writer = Writer::from_writer(writer);
        writer.write_record(COLUMNS).map_err(unwritable)?;
        for row in self.rows() {
            writer.write_record(fields(row)).map_err(unwritable)?;
        }
        writer.flush().map_err(|error| unwritable(error.into()))
    }
}

/// What a row has in each of [`COLUMNS`].
pub(super) fn fields(row: &Row) -> [String; COLUMNS.len()] {
    [
        row.provider.clone(),
        row.model.clone(),
        row.effective_from.to_string(),
        row.effective_to.map(|date| date.to_string()).unwrap_or_default(),
        row.unit.to_string(),
        plain(row.usd_per_million),
        row.source.clone(),
    ]
}

/// Where each of [`COLUMNS`] stands in a file.
struct Columns {
    positions: [usize; COLUMNS.len()],
    width: usize,
}

impl Columns {
    fn find(header: &StringRecord, sheet: &str) -> Result<Self, Error> {
        let position = |column: &str| header.iter().position(|name| name == column);
        let missing: Vec<_> = COLUMNS.into_iter().filter(|column| position(column).is_none()).collect();
        let is_ours = |(at, name): &(usize, &str)| COLUMNS.contains(name) && position(name) == Some(*at);
        let unknown: Vec<_> =
            header.iter().enumerate().filter(|column| !is_ours(column)).map(|(_, name)| unknown_column(name)).collect();
        if missing.is_empty() && unknown.is_empty() {
            let positions = COLUMNS.map(|column| position(column).unwrap_or(usize::MAX));
            return Ok(Self { positions, width: header.len() });
        }
        Err(Error::WrongColumns { sheet: sheet.to_owned(), missing, unknown })
    }

    /// The row of `record`, or none and at least one fault more.
    fn parse(&self, record: &StringRecord, place: Place, faults: &mut Vec<Fault>) -> Option<Row> {
        if record.len() != self.width {
            faults.push(Fault { place, problem: Problem::FieldCount { found: record.len(), expected: self.width } });
            return None;
        }
        let [provider, model, from, to, unit, rate, source] =
            self.positions.map(|position| record.get(position).unwrap_or_default());
        let mut keep = |problem| faults.push(Fault { place, problem });
        let from = parse_date("effective_from", from).map_err(&mut keep).ok();
        let to =
            if to.is_empty() { Some(None) } else { parse_date("effective_to", to).map(Some).map_err(&mut keep).ok() };
        let unit = Unit::parse(unit).map_err(|error| keep(Problem::NotAUnit(error))).ok();
        let rate = parse_rate(rate).map_err(&mut keep).ok();
        Some(Row {
            provider: provider.to_owned(),
            model: model.to_owned(),
            unit: unit?,
            usd_per_million: rate?,
            effective_from: from?,
            effective_to: to?,
            source: source.to_owned(),
        })
    }
}

fn unknown_column(name: &str) -> UnknownColumn {
    let distance = |column: &&str| strsim::damerau_levenshtein(column, name);
    let nearest = COLUMNS.into_iter().min_by_key(distance).filter(|column| (1..=3).contains(&distance(column)));
    UnknownColumn { given: name.chars().take(60).collect(), nearest }
}

fn parse_date(column: &'static str, text: &str) -> Result<Date, Problem> {
    // chrono also takes `2026-7-5`; a sheet has one spelling for one day.
    Date::parse(text)
        .filter(|date| date.to_string() == text)
        .ok_or_else(|| Problem::NotADate { column, given: text.chars().take(60).collect() })
}

/// Plain decimals only: `1e-5` and digits to round away are how a sheet that went through a spreadsheet loses its rates.
fn parse_rate(text: &str) -> Result<Usd, Problem> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_kept = |fraction: &str| fraction.bytes().skip(RATE_PLACES_MAX).all(|byte| byte == b'0');
    Some(text)
        .filter(|_| is_digits(whole) && is_digits(fraction) && is_kept(fraction))
        .and_then(|text| Usd::parse(text).ok())
        .ok_or_else(|| Problem::NotARate { given: text.chars().take(60).collect() })
}

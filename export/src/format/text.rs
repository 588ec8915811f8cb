//! Rows as lines of text.

use std::borrow::Cow;
use std::sync::mpsc::{Receiver, SyncSender};

use arrow::array::RecordBatch;
use daybook_ledger::schema::Table;
use serde_json::ser::{CompactFormatter, Formatter as _};

use super::cell::{Cell, TextColumn, cells, text_columns};
use super::shards::{Shard, Shards};
use super::{Passed, Target, pass_over};
use crate::{Error, Part};

/// How a line and its values are put together.
pub(crate) trait Dialect {
    /// What a file starts with.
    fn header(&self, columns: &[TextColumn]) -> Vec<u8>;
    /// What stands before the value of the column at `index`.
    fn before(&self, column: &TextColumn, index: usize) -> Vec<u8>;
    /// What ends a row.
    fn row_end(&self) -> &'static [u8];
    /// No value.
    fn null(&self, out: &mut Vec<u8>);
    /// Text of any characters.
    fn text(&self, out: &mut Vec<u8>, text: &str);
    /// Text that needs no escape, written by `write`.
    fn plain(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>));
    /// A list or map, given as JSON.
    fn nested(&self, out: &mut Vec<u8>, json: &[u8]);
}

/// JSON Lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json;

impl Dialect for Json {
    fn header(&self, _columns: &[TextColumn]) -> Vec<u8> {
        Vec::new()
    }

    fn before(&self, column: &TextColumn, index: usize) -> Vec<u8> {
        format!("{}\"{}\":", if index == 0 { '{' } else { ',' }, column.name).into_bytes()
    }

    fn row_end(&self) -> &'static [u8] {
        b"}\n"
    }

    fn null(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"null");
    }

    fn text(&self, out: &mut Vec<u8>, text: &str) {
        // Writing to a Vec cannot fail.
        serde_json::to_writer(out, text).ok();
    }

    fn plain(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        out.push(b'"');
        write(out);
        out.push(b'"');
    }

    fn nested(&self, out: &mut Vec<u8>, json: &[u8]) {
        out.extend_from_slice(json);
    }
}

/// RFC 4180: nothing between commas is null, `""` is empty text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Csv {
    /// Texts that a spreadsheet would take for a formula have a [`SHIELD`].
    pub(crate) is_formula_safe: bool,
}

/// What stands before a text that a spreadsheet would take for a formula, and before one that begins with it, so that the first
/// of every text can be taken away again.
pub(crate) const SHIELD: char = '\'';

fn is_shielded(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', SHIELD])
}

impl Dialect for Csv {
    fn header(&self, columns: &[TextColumn]) -> Vec<u8> {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_ref()).collect();
        [names.join(",").as_bytes(), self.row_end()].concat()
    }

    fn before(&self, _column: &TextColumn, index: usize) -> Vec<u8> {
        if index == 0 { Vec::new() } else { vec![b','] }
    }

    fn row_end(&self) -> &'static [u8] {
        b"\r\n"
    }

    fn null(&self, _out: &mut Vec<u8>) {}

    fn text(&self, out: &mut Vec<u8>, text: &str) {
        let shielded = (self.is_formula_safe && is_shielded(text)).then(|| format!("{SHIELD}{text}"));
        let text = shielded.as_deref().unwrap_or(text);
        if text.is_empty() || text.bytes().any(|byte| matches!(byte, b'"' | b',' | b'\r' | b'\n')) {
            push_quoted(out, text.as_bytes());
        } else {
            out.extend_from_slice(text.as_bytes());
        }
    }

    fn plain(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        write(out);
    }

    fn nested(&self, out: &mut Vec<u8>, json: &[u8]) {
        push_quoted(out, json);
    }
}

fn push_quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for (at, run) in bytes.split(|byte| *byte == b'"').enumerate() {
        if at > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(run);
    }
    out.push(b'"');
}

/// Writes every row of every batch.
pub(super) fn write(
    dialect: &impl Dialect,
    part: Part,
    target: Target,
    passed: Passed,
    batches: Receiver<RecordBatch>,
    filled: &SyncSender<Vec<Shard>>,
) -> Result<Option<Shard>, Error> {
    let spec = part.spec();
    let columns = text_columns(spec);
    let before = befores(dialect, &columns);
    let mut left = passed.rows;
    let mut shards = Shards::new(target, passed.files, dialect.header(&columns));
    let mut row_text = Vec::new();
    for batch in batches {
        let mut cells = cells(spec, &batch, dialect)?;
        for row in pass_over(&mut left, batch.num_rows())..batch.num_rows() {
            row_text.clear();
            push_row(dialect, &mut row_text, &before, &mut cells, row);
            shards.write_row(&row_text)?;
        }
        // An export that failed elsewhere does not ask any more.
        filled.send(shards.take_full()).ok();
    }
    shards.finish()
}

fn befores(dialect: &impl Dialect, columns: &[TextColumn]) -> Vec<Vec<u8>> {
    columns.iter().enumerate().map(|(index, column)| dialect.before(column, index)).collect()
}

/// Hands each row of `batch` to `take` as the line it is in JSONL.
pub(crate) fn json_rows(table: &'static Table, batch: &RecordBatch, mut take: impl FnMut(&[u8])) -> Result<(), Error> {
    let before = befores(&Json, &text_columns(table));
    let mut cells = cells(table, batch, &Json)?;
    let mut text = Vec::new();
    for row in 0..batch.num_rows() {
        text.clear();
        push_row(&Json, &mut text, &before, &mut cells, row);
        take(&text);
    }
    Ok(())
}

fn push_row(dialect: &impl Dialect, out: &mut Vec<u8>, before: &[Vec<u8>], cells: &mut [Cell<'_>], row: usize) {
    for (before, cell) in before.iter().zip(cells) {
        out.extend_from_slice(before);
        cell.push(dialect, out, row);
    }
    out.extend_from_slice(dialect.row_end());
}

/// Decimal digits of `number`.
pub(crate) fn push_int(out: &mut Vec<u8>, number: i64) {
    // Writing to a Vec cannot fail.
    CompactFormatter.write_i64(out, number).ok();
}

/// A count of 10⁻¹² as plain decimal text with its twelve places.
pub(crate) fn push_decimal(out: &mut Vec<u8>, pico: i128) {
    const ONE: u128 = 1_000_000_000_000;
    if pico < 0 {
        out.push(b'-');
    }
    let (whole, fraction) = (pico.unsigned_abs() / ONE, pico.unsigned_abs() % ONE);
    CompactFormatter.write_u128(out, whole).ok();
    push_fraction(out, fraction + ONE);
}

/// `.` and the digits of `marked` after its first: a fraction with its leading zeros.
fn push_fraction(out: &mut Vec<u8>, marked: u128) {
    let point = out.len();
    CompactFormatter.write_u64(out, u64::try_from(marked).unwrap_or_default()).ok();
    if let Some(first) = out.get_mut(point) {
        *first = b'.';
    }
}

/// RFC 3339, UTC, microseconds; `day` is the day last printed and its text.
pub(crate) fn push_instant(out: &mut Vec<u8>, micros: i64, day: &mut DayText) {
    const SECOND: i64 = 1_000_000;
    let (date, time) = (micros.div_euclid(86_400 * SECOND), micros.rem_euclid(86_400 * SECOND));
    let seconds = time / SECOND;
    out.extend_from_slice(day.of(i32::try_from(date).unwrap_or_default()).as_bytes());
    for (mark, part) in [(b'T', seconds / 3_600), (b':', seconds / 60 % 60), (b':', seconds % 60)] {
        let part = u8::try_from(part).unwrap_or_default();
        out.extend_from_slice(&[mark, b'0' + part / 10, b'0' + part % 10]);
    }
    push_fraction(out, u128::from((time % SECOND + SECOND).unsigned_abs()));
    out.push(b'Z');
}

/// The text of the day last asked for: most rows of a file share theirs.
#[derive(Debug, Default)]
pub(crate) struct DayText {
    days: i32,
    text: Cow<'static, str>,
}

impl DayText {
    pub(crate) fn of(&mut self, days: i32) -> &str {
        if self.text.is_empty() || self.days != days {
            self.days = days;
            self.text = daybook_ledger::Date::from_days(days).to_string().into();
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use daybook_ledger::{Instant, Usd};

    use super::*;

    fn pushed(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_and_instants_print_as_the_ledger_prints_them() {
        for pico in [0, 1, -1, 50_000_000_000, -1_000_000_000_001, 10_i128.pow(38) - 1, 1 - 10_i128.pow(38)] {
            assert_eq!(pushed(|out| push_decimal(out, pico)), Usd::from_pico(pico).to_string());
        }
        let mut day = DayText::default();
        for micros in [0, -1, 1_795_170_000_000_001, 1_795_170_000_123_456, 4_102_444_799_999_999] {
            let text = pushed(|out| push_instant(out, micros, &mut day));
            assert_eq!(text, Instant::from_micros(micros).to_string());
        }
        assert_eq!(pushed(|out| push_int(out, i64::MIN)), i64::MIN.to_string());
    }

    #[test]
    fn csv_quotes_what_would_be_misread() {
        let csv = |text: &str| pushed(|out| Csv { is_formula_safe: false }.text(out, text));
        assert_eq!(csv("plain text"), "plain text");
        assert_eq!(csv(""), "\"\"");
        assert_eq!(csv("a,b"), "\"a,b\"");
        assert_eq!(csv("say \"hi\"\n"), "\"say \"\"hi\"\"\n\"");
        assert_eq!(csv("\""), "\"\"\"\"");
        assert_eq!(csv("=1+1"), "=1+1");
    }

    #[test]
    fn a_formula_gets_a_shield_that_can_be_taken_away() {
        let csv = |text: &str| pushed(|out| Csv { is_formula_safe: true }.text(out, text));
        for text in ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\t=1", "'", "'=1"] {
            assert_eq!(csv(text), format!("'{text}"));
        }
        assert_eq!(csv("\r=1"), "\"'\r=1\"");
        assert_eq!((csv("a=1"), csv("")), ("a=1".into(), "\"\"".into()));
    }
}

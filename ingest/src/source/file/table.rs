//! CSV: each row becomes an object with the columns' names as keys.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::fault::Fault;
use super::window::Window;
use super::{Record, Records, Refusal, Spot};

/// Code of rows that are no rows of their table.
pub(crate) const BAD_ROW: &str = "IMPORT-101";

/// A CSV file.
#[derive(Debug)]
pub(crate) struct Table {
    window: Window,
    separator: u8,
    /// The columns' names as JSON keys, colon included.
    keys: Vec<String>,
    given: usize,
    row: Vec<u8>,
}

/// Finds the end of one row (RFC 4180): a quote counts only at the start of a cell, so a stray one costs no other row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    CellStart,
    Plain,
    Quoted,
    QuoteInQuoted,
}

impl State {
    const fn after(self, byte: u8, separator: u8) -> Self {
        match (self, byte) {
            (Self::CellStart | Self::QuoteInQuoted, b'"') => Self::Quoted,
            (Self::Quoted, b'"') => Self::QuoteInQuoted,
            (Self::Quoted, _) => Self::Quoted,
            _ if byte == separator => Self::CellStart,
            _ => Self::Plain,
        }
    }
}

impl Table {
    /// Reads the row of names.
    pub(crate) fn open(mut window: Window) -> Result<Self, Fault> {
        window.find_newline()?;
        let first = window.text().split(|byte| *byte == b'\n').next().unwrap_or_default();
        let separator = separator_of(first);
        let mut table = Self { window, separator, keys: Vec::new(), given: 0, row: Vec::new() };
        let Some((length, with_end)) = table.find_row()? else { return Ok(table) };
        let names = table.window.text().get(..length).unwrap_or_default();
        table.keys = cells(names, separator).iter().map(|name| key(&String::from_utf8_lossy(name))).collect();
        table.given = with_end;
        Ok(table)
    }

    /// The length of the row at the start of the window, without and with its end.
    fn find_row(&mut self) -> Result<Option<(usize, usize)>, Fault> {
        let (mut searched, mut state) = (0, State::default());
        loop {
            let text = self.window.text();
            for (at, byte) in text.iter().enumerate().skip(searched) {
                if *byte == b'\n' && state != State::Quoted {
                    let length = if at > 0 && text.get(at - 1) == Some(&b'\r') { at - 1 } else { at };
                    return Ok(Some((length, at + 1)));
                }
                state = state.after(*byte, self.separator);
            }
            searched = text.len();
            if !self.window.read_more()? {
                return match state {
                    _ if searched == 0 => Ok(None),
                    State::Quoted => {
                        Err(Fault::CutOff { file: self.window.file().to_owned(), spot: self.window.spot() })
                    }
                    _ => Ok(Some((searched, searched))),
                };
            }
        }
    }
}

impl Records for Table {
    fn next_record(&mut self) -> Result<Option<Record<'_>>, Fault> {
        let (length, with_end) = loop {
            self.window.consume(std::mem::take(&mut self.given));
            match self.find_row()? {
                None => return Ok(None),
                Some((0, end)) => self.given = end,
                Some(found) => break found,
            }
        };
        self.given = with_end;
        let text = self.window.text().get(..length).unwrap_or_default();
        let is_last_and_open = with_end == length;
        let cells = cells(text, self.separator);
        if is_last_and_open && cells.len() < self.keys.len() {
            return Err(Fault::CutOff { file: self.window.file().to_owned(), spot: self.window.spot() });
        }
        let refused = write_row(&mut self.row, &self.keys, &cells).err();
        let spot: Spot = self.window.spot();
        let value = if refused.is_some() { text } else { &self.row };
        Ok(Some(Record { value: Cow::Borrowed(value), spot, timestamp: None, refused }))
    }
}

fn write_row(row: &mut Vec<u8>, keys: &[String], cells: &[Cow<'_, [u8]>]) -> Result<(), Refusal> {
    let refused = |message: String| Refusal { code: BAD_ROW, message };
    if cells.len() != keys.len() {
        return Err(refused(format!("the row has {} cells, its table {} columns", cells.len(), keys.len())));
    }
    row.clear();
    row.push(b'{');
    for (key, cell) in keys.iter().zip(cells) {
        let text = std::str::from_utf8(cell).map_err(|_| refused(format!("the cell of column {key} is not UTF-8")))?;
        if row.len() > 1 {
            row.push(b',');
        }
        row.extend_from_slice(key.as_bytes());
        match text {
            "" => row.extend_from_slice(b"null"),
            text => write_text(row, text),
        }
    }
    row.push(b'}');
    Ok(())
}

/// `name` as a JSON key with its colon.
pub(crate) fn key(name: &str) -> String {
    let mut key = serde_json::Value::from(name).to_string();
    key.push(':');
    key
}

/// Appends the text of a cell as JSON: text that holds an object or array as what it holds, a time without a zone as
/// one in UTC, everything else as text, digits and all.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    let trimmed = text.trim();
    let is_nested = trimmed.starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(trimmed).is_ok();
    if is_nested {
        out.extend_from_slice(trimmed.as_bytes());
        return;
    }
    let stamp = timestamp(text);
    let text = stamp.as_deref().unwrap_or(text);
    let start = out.len();
    // Text always becomes JSON; writing to memory does not fail.
    if serde_json::to_writer(&mut *out, text).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

/// `2026-11-20 08:00:00.25`, as databases print it, in RFC 3339; their times without a zone are UTC.
fn timestamp(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let pattern = b"dddd-dd-dd?dd:dd:dd";
    let head = bytes.get(..pattern.len())?;
    let fits = head.iter().zip(pattern).all(|(byte, wanted)| match wanted {
        b'd' => byte.is_ascii_digit(),
        b'?' => matches!(byte, b' ' | b'T'),
        wanted => byte == wanted,
    });
    if !fits {
        return None;
    }
    let rest = text.get(pattern.len()..)?;
    let digits = rest.strip_prefix('.').map_or(0, |rest| 1 + rest.bytes().take_while(u8::is_ascii_digit).count());
    let (fraction, zone) = (rest.get(..digits)?, rest.get(digits..)?);
    let zone = match zone.trim_start() {
        "" | "Z" | "UTC" | "+00" | "+00:00" | "+0000" => "Z".to_owned(),
        zone => {
            let (sign, hours) = zone.split_at_checked(1)?;
            let hours = hours.replace(':', "");
            let is_zone = matches!(sign, "+" | "-") && hours.bytes().all(|byte| byte.is_ascii_digit());
            match (is_zone, hours.len()) {
                (true, 2) => format!("{sign}{hours}:00"),
                (true, 4) => format!("{sign}{}:{}", hours.get(..2)?, hours.get(2..)?),
                _ => return None,
            }
        }
    };
    Some(format!("{}T{}{fraction}{zone}", text.get(..10)?, text.get(11..19)?))
}

/// The cells of one row, quotes taken off.
fn cells(row: &[u8], separator: u8) -> Vec<Cow<'_, [u8]>> {
    let mut cells = Vec::new();
    let (mut start, mut state) = (0, State::default());
    for (at, byte) in row.iter().enumerate() {
        if *byte == separator && state != State::Quoted {
            cells.push(unquoted(row.get(start..at).unwrap_or_default()));
            start = at + 1;
        }
        state = state.after(*byte, separator);
    }
    cells.push(unquoted(row.get(start..).unwrap_or_default()));
    cells
}

fn unquoted(cell: &[u8]) -> Cow<'_, [u8]> {
    let Some(inner) = cell.strip_prefix(b"\"") else { return Cow::Borrowed(cell) };
    let inner = inner.strip_suffix(b"\"").unwrap_or(inner);
    if memchr::memchr(b'"', inner).is_none() {
        return Cow::Borrowed(inner);
    }
    let mut text = Vec::with_capacity(inner.len());
    let mut after_quote = false;
    for byte in inner {
        after_quote = *byte == b'"' && !after_quote;
        if !after_quote {
            text.push(*byte);
        }
    }
    Cow::Owned(text)
}

/// The separator that makes the most columns of the row of names.
fn separator_of(names: &[u8]) -> u8 {
    let count = |separator: &u8| names.iter().filter(|byte| *byte == separator).count();
    [b'|', b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

/// Whether a line can be a row of names: several different words, as columns are called.
pub(crate) fn is_header(line: &str) -> bool {
    let cells = cells(line.as_bytes(), separator_of(line.as_bytes()));
    let is_name = |cell: &Cow<'_, [u8]>| {
        let starts_well = cell.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./: ()".contains(byte);
        starts_well && cell.len() <= 64 && cell.iter().all(is_word) && cell.iter().filter(|b| **b == b' ').count() < 4
    };
    cells.len() >= 3 && cells.iter().all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Result<Vec<String>, Fault> {
        let mut table = Table::open(Window::new(Box::new(std::io::Cursor::new(text.to_owned())), "x", None, 1 << 20))?;
        let mut rows = Vec::new();
        while let Some(record) = table.next_record()? {
            let mark = record.refused.as_ref().map_or("", |_| "refused ");
            rows.push(format!("{}:{mark}{}", record.spot.line, String::from_utf8_lossy(&record.value)));
        }
        Ok(rows)
    }

    #[test]
    fn rows_become_objects_and_json_in_cells_stays_json() {
        let text = "id,at,n,metadata,t\r\na,2026-11-20 08:00:00.25,007,\"{\"\"k\"\":[1]}\",\"two\nlines, \"\"quoted\"\"\"\r\n\r\nb,,x,{broken,\n";
        assert_eq!(
            rows(text).unwrap(),
            [
                r#"2:{"id":"a","at":"2026-11-20T08:00:00.25Z","n":"007","metadata":{"k":[1]},"t":"two\nlines, \"quoted\""}"#,
                r#"5:{"id":"b","at":null,"n":"x","metadata":"{broken","t":null}"#,
            ]
        );
    }

    #[test]
    fn a_row_of_another_width_is_set_aside_alone() {
        let found = rows("a;b;c\n1;2\n1;2;3\n1;2;3;4\n1;5\" disk;3\n").unwrap();
        assert_eq!(
            found,
            [
                "2:refused 1;2",
                r#"3:{"a":"1","b":"2","c":"3"}"#,
                "4:refused 1;2;3;4",
                r#"5:{"a":"1","b":"5\" disk","c":"3"}"#
            ]
        );
    }

    #[test]
    fn a_last_row_without_its_end_counts_only_if_it_is_as_wide_as_the_table() {
        assert_eq!(rows("a,b\n1,2\n3,4").unwrap().len(), 2);
        assert!(matches!(rows("a,b\n1,2\n3"), Err(Fault::CutOff { spot: Spot { line: 3, byte: Some(8) }, .. })));
        assert!(matches!(rows("a,b\n1,\"2\n"), Err(Fault::CutOff { .. })));
        assert_eq!(rows("a,b\n").unwrap(), [""; 0]);
    }

    #[test]
    fn times_as_databases_print_them_are_in_utc() {
        for (text, read) in [
            ("2026-11-20 08:00:00", Some("2026-11-20T08:00:00Z")),
            ("2026-11-20T08:00:00.123456", Some("2026-11-20T08:00:00.123456Z")),
            ("2026-11-20 08:00:00+00", Some("2026-11-20T08:00:00Z")),
            ("2026-11-20 08:00:00 UTC", Some("2026-11-20T08:00:00Z")),
            ("2026-11-20 08:00:00-05", Some("2026-11-20T08:00:00-05:00")),
            ("2026-11-20 08:00:00.5+0530", Some("2026-11-20T08:00:00.5+05:30")),
            ("2026-11-20", None),
            ("2026-11-20 08:00:00 and more", None),
            ("2026-11-20 08:00:00é", None),
        ] {
            assert_eq!(timestamp(text).as_deref(), read, "{text}");
        }
    }

    #[test]
    fn prose_is_no_row_of_names() {
        assert!(is_header("request_id,call_type,spend"));
        assert!(is_header("\"BilledCost\"\t\"Tags\"\t\"x_Custom\""));
        for text in ["Hello, world", "one, two, three and then four more words of it!", "1,2,3", "a,b", "# A,B,C"] {
            assert!(!is_header(text), "{text}");
        }
    }
}

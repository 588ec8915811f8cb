//! The deadlines of contracts as an iCalendar file (RFC 5545).

use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type};
use daybook_ledger::{Date, EntryId};

use crate::{Error, Session};

/// Octets of a line before it is folded (RFC 5545, 3.1).
const LINE_OCTETS_MAX: usize = 75;
/// How many days before the deadline one is reminded.
const ALARM_DAYS: [u32; 3] = [30, 7, 1];

/// Every deadline as an event of a whole day, with alarms. `on` is the day the file says it is from.
///
/// An event keeps its UID when its day moves, so that a calendar that imports the file again moves it too.
///
/// # Errors
/// Those of queries.
pub async fn calendar(session: &Session, on: Date) -> Result<String, Error> {
    let sql = "SELECT contract, vendor, deadline, name, what, due_on FROM deadlines \
               ORDER BY due_on, contract, deadline, name";
    let mut text = String::new();
    for line in ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Daybook//Contracts//EN", "CALSCALE:GREGORIAN"] {
        push(&mut text, line);
    }
    for batch in session.run(sql).await?.collect().await? {
        push_events(&mut text, &batch, on)?;
    }
    push(&mut text, "END:VCALENDAR");
    Ok(text)
}

fn push_events(text: &mut String, batch: &RecordBatch, on: Date) -> Result<(), Error> {
    let broken = |found: String| Error::Internal { invariant: "deadlines have their columns", found };
    let columns = batch.columns().iter().take(5).map(|column| cast(column, &DataType::Utf8));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(|error| broken(error.to_string()))?;
    let days = batch.columns().get(5).and_then(|column| column.as_primitive_opt::<Date32Type>());
    let days = days.ok_or_else(|| broken("due_on is no day".into()))?;
    for row in 0..batch.num_rows() {
        let texts = columns.iter().map(|column| {
            let column = column.as_string::<i32>();
            if column.is_valid(row) { column.value(row) } else { "" }
        });
        let [contract, vendor, deadline, name, what] = <[&str; 5]>::try_from(texts.collect::<Vec<_>>())
            .map_err(|texts| broken(format!("{} texts", texts.len())))?;
        push_event(
            text,
            &Deadline { contract, vendor, deadline, name, what, due_on: Date::from_days(days.value(row)) },
            on,
        );
    }
    Ok(())
}

struct Deadline<'a> {
    contract: &'a str,
    vendor: &'a str,
    deadline: &'a str,
    name: &'a str,
    what: &'a str,
    due_on: Date,
}

fn push_event(text: &mut String, due: &Deadline<'_>, on: Date) {
    let Deadline { contract, vendor, deadline, name, what, due_on } = due;
    let identity = format!("{contract}\0{deadline}\0{name}");
    let subject = if name.is_empty() { (*contract).to_owned() } else { format!("{contract}, {}", words(name)) };
    let summary = escape(&format!("{what}: {subject}"));
    push(text, "BEGIN:VEVENT");
    push(text, &format!("UID:{}@daybook", EntryId::derive("deadline", identity.as_bytes())));
    push(text, &format!("DTSTAMP:{}T000000Z", basic(on)));
    push(text, &format!("DTSTART;VALUE=DATE:{}", basic(*due_on)));
    push(text, &format!("SUMMARY:{summary}"));
    push(text, &format!("DESCRIPTION:{}", escape(&format!("{what}\nContract: {contract}\nVendor: {vendor}"))));
    push(text, &format!("CATEGORIES:{}", escape(&words(deadline))));
    push(text, "TRANSP:TRANSPARENT");
    for days in ALARM_DAYS {
        push(text, "BEGIN:VALARM");
        push(text, "ACTION:DISPLAY");
        push(text, &format!("DESCRIPTION:{summary}"));
        push(text, &format!("TRIGGER:-P{days}D"));
        push(text, "END:VALARM");
    }
    push(text, "END:VEVENT");
}

fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// `20261231`.
fn basic(day: Date) -> String {
    day.to_string().replace('-', "")
}

/// Text as a value (RFC 5545, 3.3.11).
fn escape(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace(';', "\\;").replace(',', "\\,").replace('\n', "\\n");
    escaped.replace(|c: char| c.is_control(), "")
}

/// Adds a line, folded between characters.
fn push(text: &mut String, line: &str) {
    let mut octets = 0;
    for character in line.chars() {
        if octets + character.len_utf8() > LINE_OCTETS_MAX {
            text.push_str("\r\n ");
            octets = 1;
        }
        text.push(character);
        octets += character.len_utf8();
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_folded_between_characters_and_unfold_to_themselves() {
        let line = format!("SUMMARY:{}", "\u{e4}b".repeat(80));
        let mut text = String::new();
        push(&mut text, &line);
        assert!(text.split("\r\n").all(|part| part.len() <= LINE_OCTETS_MAX), "{text}");
        assert_eq!(text.replace("\r\n ", "").trim_end(), line);
    }

    #[test]
    fn what_separates_values_is_escaped() {
        assert_eq!(escape("a,b;c\\d\ne\r"), "a\\,b\\;c\\\\d\\ne");
    }
}

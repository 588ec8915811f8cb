//! A table for people.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::FormatOptions;

use super::{Drawing, Encode, Format, cells, not_in, printable};
use crate::Error;

/// Widths need all rows at once, so a table holds them; what does not fit here is counted and left out.
const TABLE_BYTES_MAX: usize = 64 << 20;

const NULL: &str = "NULL";

pub(super) struct Table {
    schema: SchemaRef,
    rows: Vec<Vec<String>>,
    drawing: Drawing,
    bytes: usize,
    left_out: u64,
}

impl Table {
    pub(super) fn new(schema: SchemaRef, drawing: Drawing) -> Self {
        Self { schema, rows: Vec::new(), drawing, bytes: 0, left_out: 0 }
    }

    /// What EXPLAIN answers with: lines too long for columns.
    fn is_plan(&self) -> bool {
        self.schema.fields().iter().map(|field| field.name().as_str()).eq(["plan_type", "plan"])
    }

    fn is_full(&self) -> bool {
        self.rows.len() as u64 >= self.drawing.rows_max || self.bytes >= TABLE_BYTES_MAX
    }
}

impl Encode for Table {
    fn encode(&mut self, batch: &RecordBatch, _: &mut Vec<u8>) -> Result<(), Error> {
        let batch = cells::flat(batch).map_err(not_in(Format::Table))?;
        let options = FormatOptions::new().with_null(NULL);
        let schema = batch.schema();
        let columns = schema.fields().iter().zip(batch.columns());
        let columns = columns.map(|(field, column)| cells::Texts::new(field, column, &options, self.drawing.rounded));
        let columns: Vec<_> = columns.collect::<Result<_, _>>().map_err(not_in(Format::Table))?;
        for at in 0..batch.num_rows() {
            if self.is_full() {
                self.left_out += (batch.num_rows() - at) as u64;
                break;
            }
            let row: Vec<String> = columns.iter().map(|column| printable(&column.text(at)).into_owned()).collect();
            self.bytes += row.iter().map(String::len).sum::<usize>();
            self.rows.push(row);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<u64, Error> {
        if self.is_plan() {
            self.rows
                .iter()
                .flatten()
                .for_each(|text| out.extend_from_slice(format!("{}\n", text.trim_end()).as_bytes()));
            return Ok(self.left_out);
        }
        for (at, field) in self.schema.fields().iter().enumerate() {
            if self.drawing.rounded && cells::money_places(field).is_some() {
                pad_to_points(&mut self.rows, at);
            } else if let DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) = field.data_type() {
                cut_zeros(&mut self.rows, at, usize::try_from(*scale).unwrap_or(0));
            }
        }
        let names: Vec<String> =
            self.schema.fields().iter().map(|field| printable(field.name()).into_owned()).collect();
        let widths = widths(&names, &self.rows);
        // A blank on either side of each cell, and a rule between two.
        if widths.iter().map(|width| width + 3).sum::<usize>() > self.drawing.width_max.saturating_add(1) {
            self.rows.iter().enumerate().for_each(|(at, row)| write_block(&names, row, at > 0, out));
            return Ok(self.left_out);
        }
        let right: Vec<bool> = self.schema.fields().iter().map(|field| is_number(field.data_type())).collect();
        draw(&names, &widths, &right, out);
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
        out.extend_from_slice(rule.join("+").as_bytes());
        out.push(b'\n');
        for row in &self.rows {
            draw(row, &widths, &right, out);
        }
        Ok(self.left_out)
    }
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// Places that every money amount keeps.
const PLACES_MIN: usize = 2;

/// Takes from a column of decimals the last places that are zeros in every row. No digit that says something goes, and points
/// stay below each other.
fn cut_zeros(rows: &mut [Vec<String>], column: usize, scale: usize) {
    let cells = rows.iter().filter_map(|row| row.get(column)).filter(|cell| cell.as_str() != NULL);
    let zeros = cells.map(|cell| cell.len() - cell.trim_end_matches('0').len()).min().unwrap_or(0);
    let cut = zeros.min(scale.saturating_sub(PLACES_MIN));
    for cell in rows.iter_mut().filter_map(|row| row.get_mut(column)).filter(|cell| cell.as_str() != NULL) {
        cell.truncate(cell.len().saturating_sub(cut));
    }
}

/// Fills up a column of rounded amounts so that points stay below each other.
fn pad_to_points(rows: &mut [Vec<String>], column: usize) {
    let places = |cell: &str| cell.split_once('.').map_or(0, |(_, places)| places.len());
    let is_amount = |cell: &&mut String| cell.as_str() != NULL;
    let most = rows.iter().filter_map(|row| row.get(column)).map(|cell| places(cell)).max().unwrap_or(0);
    for cell in rows.iter_mut().filter_map(|row| row.get_mut(column)).filter(is_amount) {
        cell.push_str(&" ".repeat(most - places(cell)));
    }
}

/// One row of a table wider than the screen: a line for each column, after an empty one if it is not the first.
fn write_block(names: &[String], row: &[String], is_next: bool, out: &mut Vec<u8>) {
    let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut text = String::from(if is_next { "\n" } else { "" });
    for (name, cell) in names.iter().zip(row) {
        let label = format!("{name}:");
        text += &format!("{label:<width$} {}", cell.trim_end(), width = widest + 1);
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    out.extend_from_slice(text.as_bytes());
}

fn widths(names: &[String], rows: &[Vec<String>]) -> Vec<usize> {
    let width = |cell: &String| cell.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    let mut widths: Vec<usize> = names.iter().map(width).collect();
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    widths
}

/// One row, as many lines as its tallest cell has; no blanks at a line's end.
fn draw(row: &[String], widths: &[usize], right: &[bool], out: &mut Vec<u8>) {
    let height = row.iter().map(|cell| cell.lines().count()).max().unwrap_or(0).max(1);
    for line in 0..height {
        let cells = row.iter().zip(widths).zip(right).map(|((cell, &width), &right)| {
            let text = cell.lines().nth(line).unwrap_or_default();
            if right { format!(" {text:>width$} ") } else { format!(" {text:<width$} ") }
        });
        let text = cells.collect::<Vec<_>>().join("|");
        out.extend_from_slice(text.trim_end().as_bytes());
        out.push(b'\n');
    }
}

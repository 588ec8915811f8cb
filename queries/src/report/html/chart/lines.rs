//! Lines over days, with a band for what may be.

use daybook_ledger::Date;

use super::super::svg::{Across, Picture, legend, scaled};
use super::Labels;
use super::scale::Scale;
use crate::render::html::{Column, Text, heading};

/// Pixels of the field the lines run in.
const HEIGHT: i128 = 180;
/// Units across that field: whole numbers finer than any screen.
const WIDTH: i128 = 10_000;
/// Room above for the highest label, below for the days.
const ABOVE: i128 = 20;
const BELOW: usize = 24;
/// More pictures than these are left to the table.
const PICTURES_MAX: usize = 8;

/// What is drawn.
pub(super) struct Lines<'a> {
    pub(super) day: &'a Column,
    pub(super) lines: Vec<&'a Column>,
    pub(super) band: Option<(&'a Column, &'a Column)>,
}

/// A picture for each run of rows of one name, under one legend.
pub(super) fn pictures(section: &str, title: &str, labels: &Labels<'_>, lines: &Lines<'_>, rows: usize) -> String {
    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    for row in 0..rows {
        let label = labels.of_row(row);
        match groups.last_mut() {
            Some((last, rows)) if *last == label => rows.push(row),
            _ => groups.push((label, vec![row])),
        }
    }
    let drawn = (1..).zip(groups.into_iter().take(PICTURES_MAX));
    let pictures = drawn.filter_map(|(number, (label, rows))| {
        let name = if label.is_empty() { String::new() } else { format!("<p class=\"name\">{}</p>\n", Text(&label)) };
        let title = if label.is_empty() { title.to_owned() } else { format!("{title}: {label}") };
        let picture = lines.picture(format!("picture-{section}-{number}"), title, &rows)?;
        Some(format!("<div class=\"picture\">\n{name}{picture}</div>\n"))
    });
    let pictures: String = pictures.collect();
    if pictures.is_empty() { pictures } else { lines.legend() + &pictures }
}

impl Lines<'_> {
    /// The picture of `rows`; none if they have no two days with a value.
    fn picture(&self, id: String, title: String, rows: &[usize]) -> Option<Picture> {
        let days: Vec<i128> = rows.iter().filter_map(|row| self.day.number(*row)).collect();
        let (first, last) = (*days.iter().min()?, *days.iter().max()?);
        let columns = self.lines.iter().copied().chain(self.band.into_iter().flat_map(|(low, high)| [low, high]));
        let values: Vec<i128> = columns.flat_map(|column| rows.iter().filter_map(|row| column.number(*row))).collect();
        if first == last || values.is_empty() {
            return None;
        }
        let scale = Scale::around(values.into_iter(), HEIGHT);
        let point = |row: usize, column: &Column| {
            let x = scaled(self.day.number(row)? - first, last - first, WIDTH);
            Some((x, scale.y(column.number(row)?)))
        };
        let body = [
            self.grid_lines(scale),
            field(&self.band(rows, point)),
            field(&self.paths(rows, point)),
            self.labels(scale),
            days_below(first, last),
        ];
        let height = usize::try_from(ABOVE + HEIGHT).unwrap_or_default() + BELOW;
        Some(Picture { id, title, description: self.description(rows), height, body: body.concat() })
    }

    fn grid_lines(&self, scale: Scale) -> String {
        let line = |tick: i128| {
            let (y, class) = (scale.y(tick) + ABOVE, if tick == 0 { "zero" } else { "tick" });
            format!("<line class=\"{class}\" x1=\"0\" x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/>\n")
        };
        scale.ticks().map(line).collect()
    }

    fn labels(&self, scale: Scale) -> String {
        let label = |tick: i128| {
            let text = self.lines.first().map(|column| column.unit.display(tick)).unwrap_or_default();
            let text = text.strip_suffix(".00").unwrap_or(&text);
            format!("<text class=\"axis\" y=\"{}\">{}</text>\n", scale.y(tick) + ABOVE - 4, Text(text))
        };
        scale.ticks().map(label).collect()
    }

    fn band(&self, rows: &[usize], point: impl Fn(usize, &Column) -> Option<(i128, i128)>) -> String {
        let Some((low, high)) = self.band else { return String::new() };
        let there = rows.iter().filter_map(|row| point(*row, high));
        let back = rows.iter().rev().filter_map(|row| point(*row, low));
        let points: Vec<_> = there.chain(back).map(|(x, y)| format!("{x},{y}")).collect();
        format!("<polygon class=\"band\" points=\"{}\"/>\n", points.join(" "))
    }

    fn paths(&self, rows: &[usize], point: impl Fn(usize, &Column) -> Option<(i128, i128)>) -> String {
        let line = |(number, column): (usize, &&Column)| {
            // A gap in the values is a gap in the line.
            let mut path = String::new();
            let mut pen = 'M';
            for row in rows {
                match point(*row, column) {
                    Some((x, y)) => path += &format!("{}{x} {y}", std::mem::replace(&mut pen, 'L')),
                    None => pen = 'M',
                }
            }
            format!("<path class=\"line-{number}\" d=\"{path}\"/>\n")
        };
        (1..).zip(&self.lines).map(line).collect()
    }

    fn legend(&self) -> String {
        let line = |(number, column): (usize, &&Column)| {
            (format!("<path class=\"line-{number}\" d=\"M0 5L22 5\"/>"), heading(&column.name))
        };
        let band = self.band.map(|(low, high)| {
            let label = format!("{} to {}", heading(&low.name), heading(&high.name).to_lowercase());
            ("<rect class=\"band\" width=\"22\" height=\"10\"/>".to_owned(), label)
        });
        legend((1..).zip(&self.lines).map(line).chain(band))
    }

    /// From where to where each line goes.
    fn description(&self, rows: &[usize]) -> String {
        let of_line = |column: &&Column| {
            let mut known = rows.iter().copied().filter(|row| column.number(*row).is_some());
            let first = known.next()?;
            let last = known.next_back().unwrap_or(first);
            let at = |row: usize| format!("{} on {}", column.display(row), self.day.display(row));
            Some(format!("{}: {} to {}", heading(&column.name), at(first), at(last)))
        };
        let texts: Vec<_> = self.lines.iter().filter_map(of_line).collect();
        texts.join("; ") + ". The table below has every row."
    }
}

/// A field that stretches with the picture, whose lines keep their width.
fn field(body: &str) -> String {
    if body.is_empty() {
        return String::new();
    }
    format!(
        "<svg y=\"{ABOVE}\" width=\"100%\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\">\n\
         {body}</svg>\n"
    )
}

fn days_below(first: i128, last: i128) -> String {
    let middle = i128::midpoint(first, last);
    let label = |(day, anchor): (i128, &str)| {
        let text = i32::try_from(day).map_or_else(|_| day.to_string(), |day| Date::from_days(day).to_string());
        let (x, y) = (Across::of(day - first, last - first), ABOVE + HEIGHT + 18);
        format!("<text class=\"axis {anchor}\" x=\"{x}\" y=\"{y}\">{text}</text>\n")
    };
    [(first, "start"), (middle, "middle"), (last, "end")].into_iter().map(label).collect()
}

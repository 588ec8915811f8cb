//! The drawings of [`Chart`], each from the rows its table shows.

mod bars;
mod lines;
mod ranges;
mod scale;

use super::super::Chart;
use crate::Error;
use crate::render::html::{Column, Grid};

/// The drawing of `section` as a figure; nothing if there is nothing to draw.
pub(super) fn draw(section: &str, title: &str, chart: &Chart, grid: &Grid) -> Result<String, Error> {
    let pictures = match chart {
        Chart::Figures => String::new(),
        Chart::Bars { label, value, tone } => {
            bars::bars(section, title, &Labels::of(grid, label)?, column(grid, value)?, *tone, grid.rows)
        }
        Chart::Stack { label, total, parts } => {
            let parts = parts.iter().map(|part| Ok((part, column(grid, part.value)?)));
            let parts = parts.collect::<Result<Vec<_>, Error>>()?;
            bars::stack(section, title, &Labels::of(grid, label)?, column(grid, total)?, &parts, grid.rows)
        }
        Chart::Ranges { label, low, middle, high, against } => {
            let [low, middle, high, against] = [*low, *middle, *high, *against].map(|name| column(grid, name));
            let ranges = ranges::Ranges { low: low?, middle: middle?, high: high?, against: against? };
            ranges.picture(section, title, &Labels::of(grid, label)?, grid.rows)
        }
        Chart::Lines { by, day, lines, band } => {
            let lines = lines.iter().map(|name| column(grid, name)).collect::<Result<Vec<_>, _>>()?;
            let band = band.map(|(low, high)| Ok::<_, Error>((column(grid, low)?, column(grid, high)?))).transpose()?;
            let chart = lines::Lines { day: column(grid, day)?, lines, band };
            lines::pictures(section, title, &Labels::of(grid, by)?, &chart, grid.rows)
        }
    };
    Ok(if pictures.is_empty() { pictures } else { format!("<figure>\n{pictures}</figure>\n") })
}

/// What rows are called: some columns, read together.
struct Labels<'a>(Vec<&'a Column>);

impl<'a> Labels<'a> {
    fn of(grid: &'a Grid, names: &[&str]) -> Result<Self, Error> {
        names.iter().map(|name| column(grid, name)).collect::<Result<_, _>>().map(Self)
    }

    fn of_row(&self, row: usize) -> String {
        let texts: Vec<_> = self.0.iter().map(|column| column.display(row)).collect();
        texts.join(" · ")
    }
}

fn column<'a>(grid: &'a Grid, name: &str) -> Result<&'a Column, Error> {
    grid.column(name).ok_or_else(|| Error::Internal {
        invariant: "a drawing's columns are those of its query",
        found: format!("no column `{name}`"),
    })
}

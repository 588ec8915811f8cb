//! A report as one HTML page: every table with its query, every drawing with its table, and what all of it was made from.

mod chart;
mod sources;
mod svg;

use std::io::Write;

use super::document::{Report, ReportPart};
use super::{Chart, Section};
use crate::render::html::{Column, Grid, PAGE_END, Text, body, head, heading, page_head, value};
use crate::{Error, Session};

/// In place of what would have no rows: headings over nothing would be taken for a fault.
const NONE: &str = "<p class=\"none\">None.</p>\n";

/// Writes `report` to `out`, a section at a time.
pub(super) async fn render(session: &Session, report: &Report, out: &mut (dyn Write + Send)) -> Result<(), Error> {
    let mut write = |text: &str| out.write_all(text.as_bytes()).map_err(|source| Error::Output { source });
    write(&page_head(&report.title))?;
    write(svg::FILLS)?;
    write(&sources::header(session, report).await?)?;
    write(&contents(report))?;
    write("<main id=\"content\">\n")?;
    for (number, part) in (1..).zip(&report.parts) {
        write(&part_head(number, part))?;
        for section in &part.sections {
            write(&block(session, section, part.title.is_empty()).await?)?;
        }
        write("</section>\n")?;
    }
    write("</main>\n")?;
    write(&sources::footer(session, report))?;
    write(PAGE_END)
}

fn contents(report: &Report) -> String {
    let entry =
        |(number, part): (usize, &ReportPart)| format!("<li><a href=\"#part-{number}\">{}</a></li>", Text(part.title));
    let entries: String = (1..).zip(&report.parts).filter(|(_, part)| !part.title.is_empty()).map(entry).collect();
    if entries.is_empty() {
        return String::new();
    }
    format!("<nav aria-label=\"Contents\"><ol>{entries}</ol></nav>\n")
}

fn part_head(number: usize, part: &ReportPart) -> String {
    if part.title.is_empty() {
        return "<section class=\"part\">\n".into();
    }
    let lead =
        if part.lead.is_empty() { String::new() } else { format!("<p class=\"lead\">{}</p>\n", prose(part.lead)) };
    format!(
        "<section class=\"part\" aria-labelledby=\"part-{number}\">\n<h2 id=\"part-{number}\">{}</h2>\n{lead}",
        Text(part.title)
    )
}

/// One section: heading, note, drawing, table, query.
async fn block(session: &Session, section: &Section, is_top: bool) -> Result<String, Error> {
    let grid = Grid::load(session, &section.sql).await?;
    let Section { name, title, note, sql, chart } = section;
    let (level, title) = (if is_top { 2 } else { 3 }, Text(title));
    let shown = match chart {
        Some(Chart::Figures) => figures(name, &grid),
        Some(chart) if grid.rows > 0 => chart::draw(name, section.title, chart, &grid)? + &table(section, &grid),
        _ => table(section, &grid),
    };
    Ok(format!(
        "<section class=\"block\" id=\"{name}\" aria-labelledby=\"title-{name}\">\n\
         <h{level} id=\"title-{name}\">{title}</h{level}>\n<p class=\"note\">{note}</p>\n{shown}\
         <details class=\"query\" id=\"query-{name}\"><summary>Query<span class=\"hidden\"> of {title}</span></summary>\
         <pre id=\"sql-{name}\" tabindex=\"0\"><code>{sql}</code></pre></details>\n</section>\n",
        note = prose(note),
        sql = Text(sql),
    ))
}

/// The first row, each value a link to the query.
fn figures(name: &str, grid: &Grid) -> String {
    if grid.rows == 0 {
        return NONE.into();
    }
    let figure = |column: &Column| {
        let (term, value) = (heading(&column.name), value(column, 0));
        format!("<div><dt>{}</dt><dd><a href=\"#sql-{name}\">{value}</a></dd></div>\n", Text(&term))
    };
    format!("<dl class=\"figures\">\n{}</dl>\n", grid.columns.iter().map(figure).collect::<String>())
}

fn table(section: &Section, grid: &Grid) -> String {
    let Section { name, title, .. } = section;
    if grid.rows == 0 {
        return NONE.into();
    }
    let rows = match (grid.rows, grid.left_out) {
        (1, 0) => "1 row".into(),
        (rows, 0) => format!("{rows} rows"),
        (rows, more) => format!("the first {rows} rows; the query gives {more} more"),
    };
    let caption = format!(
        "<caption id=\"caption-{name}\">{}: {rows}. <a href=\"#sql-{name}\">Query</a></caption>\n",
        Text(title)
    );
    format!(
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-labelledby=\"caption-{name}\">\n\
         <table>\n{caption}{}<tbody>\n{}</tbody>\n</table>\n</div>\n",
        head(grid),
        body(grid)
    )
}

/// Running text, in which backticks set off what is a name.
fn prose(text: &str) -> String {
    let parts = (0..).zip(text.split('`'));
    parts
        .map(|(at, part)| match at % 2 {
            0 => Text(part).to_string(),
            _ => format!("<i>{}</i>", Text(&part.replace('_', " "))),
        })
        .collect()
}

//! HTML: pages that need nothing but themselves. No script, no request; light, dark and on paper.

mod grid;
mod table;

use std::fmt::{self, Write as _};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::{Encode, Format, not_in};
use crate::Error;

pub(super) use grid::Unit;
pub(crate) use grid::{Column, Grid};

pub(crate) use super::number::heading;
pub(crate) use table::{body, head, value};

/// Forbids what a page of ours never does, so that a browser would refuse it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";
const STYLE: &str = include_str!("style.css");

/// Text that stays text: markup is written as references, and control characters as U+FFFD.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            '\n' | '\t' => f.write_char(c),
            c if c.is_control() => f.write_char(char::REPLACEMENT_CHARACTER),
            c => f.write_char(c),
        })
    }
}

/// What a page begins with, up to its first heading. Empty elements close themselves, so that a page is XML, too.
pub(crate) fn page_head(title: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n<title>{title}</title>\n\
         <link rel=\"icon\" href=\"data:,\"/>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        title = Text(title)
    )
}

/// What a page ends with.
pub(crate) const PAGE_END: &str = "</body>\n</html>\n";

/// A page that holds one result.
pub(super) struct Html {
    /// Until the table has begun.
    schema: Option<SchemaRef>,
}

impl Html {
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self { schema: Some(schema) }
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        let Some(schema) = self.schema.take() else { return };
        let begin = "<main>\n<h1>Result</h1>\n<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Result\">\n\
                     <table>\n<caption>Result of a query</caption>\n";
        out.extend_from_slice((page_head("Result") + begin + &head(&Grid::new(&schema)) + "<tbody>\n").as_bytes());
    }
}

impl Encode for Html {
    fn encode(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), Error> {
        self.begin(out);
        let mut grid = Grid::new(batch.schema_ref());
        grid.push(batch).map_err(not_in(Format::Html))?;
        out.extend_from_slice(body(&grid).as_bytes());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<u64, Error> {
        self.begin(out);
        out.extend_from_slice(format!("</tbody>\n</table>\n</div>\n</main>\n{PAGE_END}").as_bytes());
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn text_stays_text() {
        assert_eq!(
            Text("<script>alert(\"a\" & 'b')</script>\u{1b}[2J\0").to_string(),
            "&lt;script&gt;alert(&quot;a&quot; &amp; &#39;b&#39;)&lt;/script&gt;\u{fffd}[2J\u{fffd}"
        );
    }
}

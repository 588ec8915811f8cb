//! How each source is read, as its users read it: docs/sources.md is made of this.

use std::fmt::Write as _;

/// One source: what arrives, which column comes from where, what it cannot say.
///
/// It stands beside the decoder it describes, so that who changes the one sees the other.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The format's name in settings and headers.
    pub format: &'static str,
    /// What users call the source.
    pub title: &'static str,
    /// What arrives and who sends it.
    pub what: &'static str,
    /// How an event of it is told from others when nobody states the format.
    pub recognised_by: &'static str,
    /// What makes two events the same call.
    pub identity: &'static str,
    /// Where in a stream the counts stand; empty where nothing is streamed.
    pub stream: &'static str,
    /// Column, or columns, and how it is derived from the source's own fields.
    pub columns: &'static [(&'static str, &'static str)],
    /// What the source does not tell, so that nobody reads meaning into a NULL.
    pub cannot_say: &'static [&'static str],
}

/// The text of docs/sources.md.
pub fn markdown<'s>(sources: impl IntoIterator<Item = &'s About>) -> String {
    let (mut index, mut sections) = (HEAD.to_owned(), String::new());
    for source in sources {
        // Writing to a String cannot fail.
        writeln!(index, "| `{}` | [{}](#{}) |", source.format, source.title, anchor(source.title)).ok();
        section(&mut sections, source).ok();
    }
    index + CAPTURE + &sections
}

const HEAD: &str = "# Sources

How Daybook reads each source. Generated from the decoders (`DAYBOOK_WRITE_DOCS=1 cargo test -p daybook-ingest`).

Every source is converted to one convention: `input_tokens` and `output_tokens` are totals; every other count is a part of one of them.
NULL is what the event does not say; 0 is what it says is zero. What no column has survives in `extra`, under its path in the event; a value
of more than 256 bytes only by its size. A total of the source's own that the parts contradict is kept and flagged in `usage_check`.

One message holds one JSON object, a list of them, or a page of a gateway's API (`data`, `result`): all of it is recorded, or none. Its
format is the topic's setting, else the header `daybook-format`, else the header `content-type: application/vnd.daybook.<format>+json`,
else what its keys look like. A message that cannot be read goes to `quarantine` with its bytes, coordinates and reason, and the worker
goes on.

| format | source |
|---|---|
";

const CAPTURE: &str = "
## The capture envelope

A provider's bare response has neither prompt nor latency. Whoever captures calls puts request and response, as they are, into

```json
{
  \"capture\": {
    \"api\": \"openai.chat.completions\", \"endpoint\": \"https://api.openai.com/v1/chat/completions\",
    \"started_at\": \"2026-11-20T09:00:00.250Z\", \"duration_ms\": 812, \"time_to_first_token_ms\": 140,
    \"http_status\": 200, \"request_id\": \"req-1\"
  },
  \"request\": {},
  \"response\": {}
}
```

A stream has, in place of `response`, `\"stream\"`: an array of its parsed events in order. Every member of `capture` but `api` may be missing.
`started_at` is RFC 3339 or seconds since 1970; the host of `endpoint` tells the provider and its region.
";

fn section(text: &mut String, source: &About) -> std::fmt::Result {
    writeln!(text, "\n## {}\n\n`{}`. {}\n", source.title, source.format, source.what)?;
    writeln!(text, "- Recognised by: {}", source.recognised_by)?;
    writeln!(text, "- Same call: {}", source.identity)?;
    if !source.stream.is_empty() {
        writeln!(text, "- Streams: {}", source.stream)?;
    }
    writeln!(text, "\n| column | from |\n|---|---|")?;
    for (column, from) in source.columns {
        writeln!(text, "| {} | {} |", quoted(column), from.replace('|', "\\|"))?;
    }
    if !source.cannot_say.is_empty() {
        writeln!(text, "\nIt cannot say:\n")?;
        source.cannot_say.iter().try_for_each(|what| writeln!(text, "- {what}"))?;
    }
    Ok(())
}

/// Where a heading is linked to: letters, digits and `-` of it, blanks as `-`.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// `a, b` as `` `a`, `b` ``.
fn quoted(columns: &str) -> String {
    columns.split(", ").map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;

    #[test]
    fn every_format_is_described() {
        let described: Vec<_> = Format::ABOUT.iter().map(|about| about.format).collect();
        for format in Format::ALL {
            assert!(described.contains(&format.as_str()), "{format} has no section in docs/sources.md");
        }
    }

    /// Events, then bills.
    fn all() -> String {
        markdown(Format::ABOUT.iter().chain(crate::billing::Source::ABOUT))
    }

    #[test]
    fn the_published_sources_are_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sources.md");
        if std::env::var_os("DAYBOOK_WRITE_DOCS").is_some() {
            std::fs::write(path, all()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), all(), "run with DAYBOOK_WRITE_DOCS=1");
    }
}

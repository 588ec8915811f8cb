//! Price sheets from files, in whatever form they have.

use std::path::Path;

use daybook_ledger::price::{Book, LiteLlm, Period};
use daybook_ledger::{Date, Kind};

use crate::failure::Failure;
use crate::output::counted;

/// A file with prices.
#[derive(Debug)]
pub(crate) struct SheetFile {
    /// Its bytes, as they were read.
    pub(crate) bytes: Vec<u8>,
    /// Its prices.
    pub(crate) book: Book,
    /// What it was, if it was LiteLLM's.
    pub(crate) litellm: Option<LiteLlmNotes>,
}

/// What is to be said of a LiteLLM file beside its rows.
#[derive(Debug)]
pub(crate) struct LiteLlmNotes {
    models: usize,
    pub(super) left_out: Vec<daybook_ledger::price::LeftOut>,
}

impl LiteLlmNotes {
    /// One line for each key that has no row, and why.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let head = format!("{} of LiteLLM's price file; not imported:", counted(self.models, "model"));
        let lines = self.left_out.iter().map(|left| {
            let daybook_ledger::price::LeftOut { key, reason, count, example } = left;
            format!("  {count:>5} {key}: {reason} ({example})")
        });
        std::iter::once(head).chain(lines)
    }
}

/// The days for which the rates of a file without dates are taken, as far as the person said.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dates {
    pub(crate) from: Option<Date>,
    pub(crate) to: Option<Date>,
}

/// Reads a sheet: our CSV, or LiteLLM's price file, whose rates then hold from `default_from` on unless `dates` say otherwise.
pub(crate) fn read_sheet(file: &Path, dates: Dates, default_from: Date) -> Result<SheetFile, Failure> {
    let bytes = std::fs::read(file).map_err(|error| Failure::file(file.display(), "read", error))?;
    let name = file.display().to_string();
    if !LiteLlm::recognise(&bytes) {
        if dates.from.is_some() || dates.to.is_some() {
            let message = format!("{name} is a sheet with dates of its own");
            let hint = "--effective-from and --effective-to are for LiteLLM's price file, which has none".into();
            return Err(Failure::plain("CLI-012", Kind::Usage, message, Some(hint)));
        }
        let book = Book::read_csv(bytes.as_slice(), &name)?;
        return Ok(SheetFile { bytes, book, litellm: None });
    }
    let period = Period { from: dates.from.unwrap_or(default_from), to: dates.to };
    if period.to.is_some_and(|to| to <= period.from) {
        let message = format!("the period from {} ends before it begins", period.from);
        let hint = "--effective-to is the first day on which the rates no longer hold".into();
        return Err(Failure::plain("CLI-012", Kind::Usage, message, Some(hint)));
    }
    let short = file.file_name().map_or_else(|| name.clone(), |name| name.to_string_lossy().into_owned());
    let LiteLlm { book, models, left_out } = LiteLlm::read(&bytes, &short, period)?;
    Ok(SheetFile { bytes, book, litellm: Some(LiteLlmNotes { models, left_out }) })
}

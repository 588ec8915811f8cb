//! Bills and usage reports of providers: the other side of the ledger, kept apart from spend.
//!
//! [`read`] gives the lines of a file, [`Importer`] writes them to the table `billing`, each once. A file is read whole
//! before anything of it is written.

mod about;
mod anthropic;
mod cur;
mod error;
mod files;
mod focus;
mod import;
mod input;
mod members;
pub mod names;
mod openai;
mod page;
mod table;

use std::collections::HashMap;
use std::fmt;

use daybook_ledger::{BillingLine, EntryId};

use crate::decode::About;

pub use error::{Error, Problem};
pub use files::BillFile;
pub(crate) use files::{count_bills, import_bills, take_bills};
pub use import::{Imported, Importer};
pub use input::{Held, Input, read, recognise};

/// A kind of bill or report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Pages of OpenAI's admin API: usage and costs.
    OpenAiAdmin,
    /// Pages of Anthropic's admin API: usage and cost reports.
    AnthropicAdmin,
    /// AWS Cost and Usage Report.
    AwsCur,
    /// FOCUS cost and usage data.
    Focus,
}

impl Source {
    /// Every kind.
    pub const ALL: &'static [Self] = &[Self::OpenAiAdmin, Self::AnthropicAdmin, Self::AwsCur, Self::Focus];

    /// How each is read, in the order of docs/sources.md.
    pub const ABOUT: &'static [About] = &[about::OPENAI, about::ANTHROPIC, about::CUR, about::FOCUS];

    /// Its name in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAiAdmin => openai::SOURCE,
            Self::AnthropicAdmin => anthropic::SOURCE,
            Self::AwsCur => cur::SOURCE,
            Self::Focus => focus::SOURCE,
        }
    }

    /// What it is, for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::OpenAiAdmin => "pages of OpenAI's usage and costs APIs (JSON)",
            Self::AnthropicAdmin => "pages of Anthropic's usage and cost report APIs (JSON)",
            Self::AwsCur => "an AWS Cost and Usage Report (CSV or Parquet)",
            Self::Focus => "FOCUS cost and usage data (CSV or Parquet)",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Numbers lines that are about the same thing, because a bill may state such a line several times.
#[derive(Debug, Default)]
struct Occurrences(HashMap<EntryId, u32>);

impl Occurrences {
    fn number(&mut self, mut line: BillingLine) -> BillingLine {
        let seen = self.0.entry(line.line_id()).or_default();
        *seen += 1;
        line.occurrence = *seen;
        line
    }
}

#[cfg(test)]
mod tests;

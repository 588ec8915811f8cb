//! What a migration could not take along: rows with the reason, fields with their number. Every row is accounted for once.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use daybook_ledger::words;
use serde::{Deserialize, Serialize};

/// Names that senders chose are counted apart up to this many, the rest together.
const NAMES_MAX: usize = 500;
const OTHER_NAMES: &str = "(other names)";

words! {
    /// Why a row is not among those of a migration.
    Dropped {
        /// The entry's body is there already.
        RepeatedBody = "repeated_body",
        /// Its answer is not whole: the call was cut short, or no event told its end.
        Unfinished = "unfinished",
        /// It is no turn of a conversation.
        OtherOperation = "other_operation",
        /// Nothing was asked, or it was not kept.
        NoPrompt = "no_prompt",
        /// Nothing was answered, or it was not kept.
        NoAnswer = "no_answer",
        /// Messages of another shape.
        Unreadable = "unreadable",
        /// An escape stands for half a character.
        NotUnicode = "not_unicode",
        /// A role no destination knows.
        UnknownRole = "unknown_role",
        /// A part that no destination has.
        UnknownPart = "unknown_part",
        /// Media of a kind or place the destination does not take.
        Media = "media",
        /// A file that is with the vendor alone.
        HostedFile = "hosted_file",
        /// System text after the first turn.
        LateSystem = "late_system",
        /// The model speaks first.
        AnswerFirst = "answer_first",
        /// A tool call without a name.
        ToolUnnamed = "tool_unnamed",
        /// A tool whose name the destination does not take.
        ToolName = "tool_name",
        /// Arguments that are no JSON object.
        ToolArguments = "tool_arguments",
        /// A tool's result whose call is not in the conversation.
        ResultUnmatched = "result_unmatched",
        /// A tool was called, and which were offered is not recorded.
        ToolsUnknown = "tools_unknown",
    }
}

impl Dropped {
    /// In words, for who receives the files.
    const fn meaning(self) -> &'static str {
        match self {
            Self::RepeatedBody => "the call has a row already: its body was recorded twice, or first in part",
            Self::Unfinished => "the answer is not whole: the call was cut short, or no event told its end",
            Self::OtherOperation => "the call was no turn of a conversation (embedding, transcription, picture ...)",
            Self::NoPrompt => "the prompt was not recorded",
            Self::NoAnswer => "the answer was not recorded, or there was none",
            Self::Unreadable => "its messages have a shape that is not known",
            Self::NotUnicode => "its text has half a character (a lone surrogate), which no reader takes",
            Self::UnknownRole => "a role that the destination does not have",
            Self::UnknownPart => "a part that the destination does not have",
            Self::Media => "a picture, sound, video or document that the destination does not take as recorded",
            Self::HostedFile => "a file that only its vendor has",
            Self::LateSystem => "system text after the first turn, which the destination has no place for",
            Self::AnswerFirst => "the model speaks first, which the destination refuses",
            Self::ToolUnnamed => "a tool call without the tool's name",
            Self::ToolName => "a tool's name has characters or a length that the destination refuses",
            Self::ToolArguments => "arguments of a tool call that are no JSON object",
            Self::ResultUnmatched => "a tool's result whose call is not in the conversation",
            Self::ToolsUnknown => "a tool is called, and the tools that were offered were not recorded",
        }
    }
}

/// What one row loses and what was put in where the destination insists.
#[derive(Debug, Default)]
pub(super) struct Notes {
    lost: BTreeMap<Cow<'static, str>, u64>,
    filled: BTreeMap<&'static str, u64>,
}

impl Notes {
    pub(super) fn lost(&mut self, field: impl Into<Cow<'static, str>>) {
        *self.lost.entry(field.into()).or_default() += 1;
    }

    pub(super) fn filled(&mut self, field: &'static str) {
        *self.filled.entry(field).or_default() += 1;
    }
}

/// The account of one migration: `rows_in` is `rows_out` and all dropped ones.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Losses {
    pub(crate) rows_in: u64,
    pub(crate) rows_out: u64,
    pub(crate) rows_dropped: u64,
    /// Rows by reason.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// What rows that are in had and the files do not.
    pub(crate) lost: BTreeMap<String, Count>,
    /// What the files have and the rows had not.
    pub(crate) filled: BTreeMap<String, Count>,
}

/// Rows with a field, and how often it is there in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Count {
    rows: u64,
    times: u64,
}

impl Losses {
    pub(super) fn drop(&mut self, reason: Dropped) {
        self.rows_in += 1;
        self.rows_dropped += 1;
        *self.dropped.entry(reason.as_str().into()).or_default() += 1;
    }

    pub(super) fn keep(&mut self, notes: Notes) {
        self.rows_in += 1;
        self.rows_out += 1;
        for (field, times) in notes.lost {
            let is_known = self.lost.len() < NAMES_MAX || self.lost.contains_key(field.as_ref());
            let field = if is_known { field } else { OTHER_NAMES.into() };
            self.lost.entry(field.into()).or_default().add(times);
        }
        for (field, times) in notes.filled {
            self.filled.entry(field.into()).or_default().add(times);
        }
    }

    /// Whether every row is accounted for once.
    pub(crate) fn adds_up(&self) -> bool {
        let dropped = self.dropped.values().try_fold(0_u64, |sum, rows| sum.checked_add(*rows));
        dropped == Some(self.rows_dropped) && self.rows_out.checked_add(self.rows_dropped) == Some(self.rows_in)
    }

    /// For the README of the migration.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!(
            "| bodies in the bundle (`content`, `content_partial`) | {} |\n| --- | --- |\n| rows in these files | {} |\n| dropped | {} |\n",
            self.rows_in, self.rows_out, self.rows_dropped
        );
        for reason in Dropped::ALL {
            if let Some(rows) = self.dropped.get(reason.as_str()) {
                writeln!(text, "| - `{}`: {} | {rows} |", reason.as_str(), reason.meaning()).ok();
            }
        }
        let mut table = |title: &str, counts: &BTreeMap<String, Count>| {
            writeln!(text, "\n| {title} | rows | times |\n| --- | --- | --- |").ok();
            for (field, count) in counts {
                // A name that a sender chose must not break the table.
                let field = field.replace(['|', '\n', '`'], " ");
                writeln!(text, "| {field} | {} | {} |", count.rows, count.times).ok();
            }
            if counts.is_empty() {
                text.push_str("| nothing | 0 | 0 |\n");
            }
        };
        table("what the rows in these files had and does not carry over", &self.lost);
        table("what was put in because the destination insists on it", &self.filled);
        text
    }
}

impl Count {
    fn add(&mut self, times: u64) {
        self.rows += 1;
        self.times += times;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_accounted_for_once_and_names_are_bounded() {
        let mut losses = Losses::default();
        losses.drop(Dropped::NoAnswer);
        for number in 0..NAMES_MAX * 2 {
            let mut notes = Notes::default();
            notes.lost("name");
            notes.lost("name");
            notes.lost(format!("parameter p{number}"));
            losses.keep(notes);
        }
        assert_eq!((losses.rows_in, losses.rows_out), (1 + NAMES_MAX as u64 * 2, NAMES_MAX as u64 * 2));
        assert_eq!(losses.lost["name"], Count { rows: 1_000, times: 2_000 });
        assert_eq!(losses.lost.len(), NAMES_MAX + 1);
        assert_eq!(losses.lost[OTHER_NAMES].rows, 1 + NAMES_MAX as u64);
        assert!(losses.adds_up());
        losses.rows_out += 1;
        assert!(!losses.adds_up());
    }
}

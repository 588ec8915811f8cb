//! What is wrong with a registry's files, all of it at once.

use std::fmt;

/// A fault and its place, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The file.
    pub file: String,
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Fault {
    /// The fault at byte `offset` of `text`.
    pub(crate) fn at(file: &str, text: &str, offset: usize, message: String) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Self { file: file.into(), line, column, message }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// Every fault on a line of its own, after their number.
pub(crate) fn list(faults: &[Fault]) -> String {
    let count = match faults.len() {
        1 => "1 fault".into(),
        more => format!("{more} faults"),
    };
    faults.iter().fold(count, |text, fault| format!("{text}\n  {fault}"))
}

//! How a page draws a section beside its table.

/// What is drawn of a section's rows. Columns go by their names in the query.
///
/// A drawing shows nothing its table does not: formats without pictures leave it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chart {
    /// The first row as a few large numbers, in place of a table.
    Figures,
    /// A bar a row.
    Bars {
        /// What names a row.
        label: &'static [&'static str],
        /// Its length.
        value: &'static str,
        /// How it is filled.
        tone: Tone,
    },
    /// A bar a row, of parts that add up.
    Stack {
        /// What names a row.
        label: &'static [&'static str],
        /// The sum, written at its end.
        total: &'static str,
        /// From left to right.
        parts: &'static [Part],
    },
    /// A span a row, from low to high, with a mark at the middle and one at what it is compared with.
    Ranges {
        /// What names a row.
        label: &'static [&'static str],
        /// Its left end.
        low: &'static str,
        /// Its mark.
        middle: &'static str,
        /// Its right end.
        high: &'static str,
        /// What it is compared with.
        against: &'static str,
    },
    /// Lines over days, a picture for each of what `by` names.
    Lines {
        /// What names a picture; one for all rows if empty.
        by: &'static [&'static str],
        /// The column of days, rising.
        day: &'static str,
        /// The columns drawn; the first stands out.
        lines: &'static [&'static str],
        /// Columns of the lower and the upper edge of what may be.
        band: Option<(&'static str, &'static str)>,
    },
}

/// One part of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its column.
    pub value: &'static str,
    /// Its name in the legend.
    pub label: &'static str,
    /// How it is filled.
    pub tone: Tone,
}

/// A fill that can be told from the others without colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// What holds: dark.
    Firm,
    /// What takes effort: hatched.
    Effort,
    /// What is free: the accent.
    Free,
    /// What nobody knows: dotted.
    Unknown,
}

impl Chart {
    /// The three segments of a row, under their columns in the view `lockin`.
    pub(super) const SEGMENTS: &[Part] = &[
        Part { value: "locked_in_cost", label: "Locked in", tone: Tone::Firm },
        Part { value: "movable_cost", label: "Movable with effort", tone: Tone::Effort },
        Part { value: "portable_cost", label: "Portable", tone: Tone::Free },
    ];
}

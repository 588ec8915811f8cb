//! Pictures as inline SVG. Lengths run in parts of the whole width, so a picture fits any screen and its text stays as
//! large as the text around it.

use std::fmt;

use super::super::chart::Tone;
use crate::render::html::Text;

/// The fills of [`Tone`], defined once a page.
pub(super) const FILLS: &str = "\
<svg class=\"fills\" width=\"0\" height=\"0\" aria-hidden=\"true\" focusable=\"false\"><defs>\
<pattern id=\"hatch\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
<rect class=\"ground\" width=\"5\" height=\"5\"/><rect class=\"stripe\" width=\"2\" height=\"5\"/></pattern>\
<pattern id=\"dots\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">\
<rect class=\"ground\" width=\"5\" height=\"5\"/><circle class=\"dot\" cx=\"2.5\" cy=\"2.5\" r=\"1\"/></pattern></defs></svg>\n";

/// A position or length across a picture, in hundredths of a per cent of its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Across(i128);

impl Across {
    /// The part `value` is of `whole`, between nothing and everything.
    pub(super) fn of(value: i128, whole: i128) -> Self {
        Self(scaled(value, whole, 10_000))
    }
}

impl fmt::Display for Across {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}%", self.0 / 100, self.0 % 100)
    }
}

/// `value` of `whole` as that part of `length`, between 0 and `length`.
pub(super) fn scaled(value: i128, whole: i128, length: i128) -> i128 {
    if whole <= 0 {
        return 0;
    }
    (value.clamp(0, whole).saturating_mul(length) / whole).clamp(0, length)
}

impl Tone {
    /// The class that fills.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Firm => "firm",
            Self::Effort => "effort",
            Self::Free => "free",
            Self::Unknown => "unknown",
        }
    }
}

/// A picture with a name and a description in words.
pub(super) struct Picture {
    /// Unique in the page.
    pub(super) id: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) height: usize,
    pub(super) body: String,
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, title, description, height, body } = self;
        write!(
            f,
            "<svg width=\"100%\" height=\"{height}\" role=\"img\" aria-labelledby=\"{id}-title {id}-text\">\
             <title id=\"{id}-title\">{}</title><desc id=\"{id}-text\">{}</desc>\n{body}</svg>\n",
            Text(title),
            Text(description)
        )
    }
}

/// What each fill or line means, beside the picture.
pub(super) fn legend(entries: impl Iterator<Item = (String, String)>) -> String {
    let entry = |(sample, label): (String, String)| {
        format!(
            "<li><svg width=\"22\" height=\"10\" aria-hidden=\"true\" focusable=\"false\">{sample}</svg> {}</li>",
            Text(&label)
        )
    };
    format!("<ul class=\"legend\">{}</ul>\n", entries.map(entry).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_stays_within_the_picture() {
        assert_eq!(Across::of(1, 3).to_string(), "33.33%");
        assert_eq!(Across::of(3, 3).to_string(), "100.00%");
        assert_eq!(Across::of(-1, 3).to_string(), "0.00%");
        assert_eq!(Across::of(5, 3).to_string(), "100.00%");
        assert_eq!(Across::of(1, 0).to_string(), "0.00%");
        assert_eq!(Across::of(i128::MAX, i128::MAX).to_string(), "0.01%", "too large to scale, and no panic");
    }
}

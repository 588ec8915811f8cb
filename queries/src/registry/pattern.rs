//! Patterns of the registry: text in which `*` stands for any run of characters, everything else for itself.

use std::fmt;

use datafusion::common::ScalarValue;
use datafusion::functions::string::expr_fn::starts_with;
use datafusion::logical_expr::Case;
use datafusion::prelude::{Expr, lit};

/// A pattern. Case counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern `text`.
    pub fn new(text: &str) -> Self {
        Self(text.trim().into())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether all of `text` fits.
    pub fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else { return self.0 == text };
        let Some(mut text) = text.strip_prefix(first) else { return false };
        let mut parts = rest.split('*').peekable();
        while let Some(part) = parts.next() {
            // The part behind the last star must end the text; each before it is taken where it comes first.
            if parts.peek().is_none() {
                return text.ends_with(part);
            }
            match text.split_once(part) {
                Some((_, rest)) => text = rest,
                None => return false,
            }
        }
        true
    }

    /// The same question as SQL; null for a null text.
    pub(super) fn to_expr(&self, text: Expr) -> Expr {
        match self.0.split_once('*') {
            None => text.eq(word(&self.0)),
            Some(("", "")) => text.is_not_null(),
            Some((prefix, "")) => starts_with(text, word(prefix)),
            Some(_) => text.like(word(&self.like())),
        }
    }

    /// As a `LIKE` pattern with `\` before what would be a wildcard.
    fn like(&self) -> String {
        self.0.chars().fold(String::new(), |like, c| match c {
            '*' => like + "%",
            '%' | '_' | '\\' => format!("{like}\\{c}"),
            other => like + other.encode_utf8(&mut [0; 4]),
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text in an expression, of the type the ledger's columns have.
pub(super) fn word(text: &str) -> Expr {
    lit(ScalarValue::Utf8View(Some(text.into())))
}

/// The value beside the first condition that holds; null if none does. `None` without any condition.
pub(super) fn first_that_holds(cases: impl Iterator<Item = (Expr, Expr)>) -> Option<Expr> {
    let when_then: Vec<_> = cases.map(|(when, then)| (Box::new(when), Box::new(then))).collect();
    (!when_then.is_empty()).then(|| Expr::Case(Case::new(None, when_then, None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        let matches = |pattern: &str, text: &str| Pattern::new(pattern).matches(text);
        assert!(matches("claude-*", "claude-opus-5") && matches("*", "") && matches("a*", "a"));
        assert!(matches("*sonnet*", "us.anthropic.claude-sonnet-5") && matches("a*b*c", "a-b-b-c"));
        assert!(matches("a*aa", "aaa") && matches("ab*ab", "abab"));
        assert!(!matches("ab*ab", "ab") && !matches("claude", "claude-opus-5") && !matches("a*b*c", "a-c-b"));
        assert!(!matches("gpt_5", "gpt-5") && !matches("100%", "1000") && !matches("Claude*", "claude"));
    }

    #[test]
    fn wildcards_of_like_stand_for_themselves() {
        assert_eq!(Pattern::new(r"*a_b%c\d*").like(), r"%a\_b\%c\\d%");
    }
}

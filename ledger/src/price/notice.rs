//! What a sheet does not do, though it looks as if it did.

use std::collections::BTreeSet;
use std::fmt;

use super::Book;
use super::names::without_date;
use super::terms::matches;

/// A price or discount that reaches fewer calls than one may expect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notice {
    /// A discount that no model with a price has.
    NoModel {
        /// Who bills.
        provider: String,
        /// What the discount is for.
        pattern: String,
    },
    /// A price of an undated name, while a dated one has a price of its own, which the sheet leaves as it is.
    DatedApart {
        /// Who bills.
        provider: String,
        /// The undated name.
        model: String,
        /// The dated names.
        dated: Vec<String>,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoModel { provider, pattern } => write!(
                f,
                "the discount for {provider} `{pattern}` is for no model with a price: `daybook prices list` prints their names"
            ),
            Self::DatedApart { provider, model, dated } => {
                let dated: Vec<_> = dated.iter().map(|name| format!("`{name}`")).collect();
                write!(
                    f,
                    "the price of {provider} `{model}` is not that of {}, priced by rows of its own: where calls name it, add rows",
                    dated.join(" nor of ")
                )
            }
        }
    }
}

impl Book {
    /// What of `sheet`, which is laid over this book already, does less than it seems to.
    pub fn notices(&self, sheet: &Self) -> BTreeSet<Notice> {
        let models: BTreeSet<(&str, &str)> = self.rows().filter(|row| row.is_of_product()).map(product).collect();
        let priced: BTreeSet<_> = sheet.rows().filter(|row| row.is_of_product()).map(product).collect();
        let idle = sheet
            .discounts()
            .map(product)
            .filter(|(provider, pattern)| !models.iter().any(|(of, model)| of == provider && matches(pattern, model)));
        let idle =
            idle.map(|(provider, pattern)| Notice::NoModel { provider: provider.into(), pattern: pattern.into() });
        let apart = priced.iter().filter_map(|(provider, model)| {
            let is_dated = |(of, name): &&(&str, &str)| of == provider && without_date(name) == Some(*model);
            let apart = models.difference(&priced).filter(is_dated);
            let dated: Vec<String> = apart.map(|(_, name)| (*name).into()).collect();
            let notice =
                Notice::DatedApart { provider: (*provider).into(), model: (*model).into(), dated: dated.clone() };
            (!dated.is_empty()).then_some(notice)
        });
        idle.chain(apart).collect()
    }
}

fn product(row: &super::Row) -> (&str, &str) {
    (&row.provider, &row.model)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(rows: &str) -> Book {
        let header = "provider,model,effective_from,effective_to,unit,usd_per_million,source";
        let rows: String = rows.lines().map(|row| format!("{},x\n", row.trim())).collect();
        Book::read_csv(format!("{header}\n{rows}").as_bytes(), "sheet").unwrap()
    }

    #[test]
    fn a_discount_without_a_model_and_a_price_beside_a_dated_one_are_told() {
        let before = book(
            "openai,gpt-4o,2026-01-01,,input,2.5
             azure,gpt-4o-2024-11-20,2026-01-01,,input,2.5
             azure,gpt-4.1-2025-04-14,2026-01-01,,input,2",
        );
        let sheet = book(
            "openai,gpt-4o-2024-11-20,2026-01-01,,discount_percent,10
             openai,gpt-*,2026-01-01,,discount_percent,5
             azure,gpt-4o,2026-01-01,,input,2
             azure,gpt-4.1,2026-01-01,,input,1
             azure,gpt-4.1-2025-04-14,2026-01-01,,input,1",
        );
        let notices = before.overlay(&sheet).notices(&sheet);
        let texts: Vec<_> = notices.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "the discount for openai `gpt-4o-2024-11-20` is for no model with a price: `daybook prices list` prints their names",
                "the price of azure `gpt-4o` is not that of `gpt-4o-2024-11-20`, priced by rows of its own: where calls name it, add rows",
            ]
        );
    }
}

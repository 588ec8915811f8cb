//! Two books on one day, side by side.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Date, Usd};

use super::{Book, Row, Unit};

/// How two books differ on one day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BookDiff {
    /// Rates that differ, of products both have.
    pub changes: Vec<Change>,
    /// Products (provider and model) only the first has on that day.
    pub only_a: Vec<(String, String)>,
    /// Products only the second has.
    pub only_b: Vec<(String, String)>,
    /// Rates that are the same.
    pub same: usize,
}

/// A rate that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Who bills.
    pub provider: String,
    /// The model, or the pattern of a term.
    pub model: String,
    /// What is counted.
    pub unit: Unit,
    /// In the first book; `None`: it has no such row.
    pub a: Option<Usd>,
    /// In the second book.
    pub b: Option<Usd>,
}

type Rates<'b> = BTreeMap<(&'b str, &'b str), BTreeMap<Unit, Usd>>;

fn in_force(book: &Book, day: Date) -> Rates<'_> {
    let mut rates = Rates::new();
    for Row { provider, model, unit, usd_per_million, .. } in book.rows().filter(|row| row.is_in_force(day)) {
        rates.entry((provider, model)).or_default().insert(*unit, *usd_per_million);
    }
    rates
}

impl Book {
    /// What `other` has otherwise than this book on `day`, by the rows in force.
    pub fn diff(&self, other: &Self, day: Date) -> BookDiff {
        let (mine, theirs) = (in_force(self, day), in_force(other, day));
        let mut diff = BookDiff::default();
        let only = |rates: &Rates<'_>, others: &Rates<'_>| -> Vec<(String, String)> {
            let missing = rates.keys().filter(|product| !others.contains_key(*product));
            missing.map(|(provider, model)| ((*provider).to_owned(), (*model).to_owned())).collect()
        };
        diff.only_a = only(&mine, &theirs);
        diff.only_b = only(&theirs, &mine);
        for ((provider, model), a) in &mine {
            let Some(b) = theirs.get(&(*provider, *model)) else { continue };
            for unit in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                let (a, b) = (a.get(unit).copied(), b.get(unit).copied());
                if a == b {
                    diff.same += 1;
                } else {
                    let (provider, model) = ((*provider).to_owned(), (*model).to_owned());
                    diff.changes.push(Change { provider, model, unit: *unit, a, b });
                }
            }
        }
        diff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(lines: &str) -> Book {
        let header = "provider,model,effective_from,effective_to,unit,usd_per_million,source\n";
        Book::read_csv(format!("{header}{lines}").as_bytes(), "test").unwrap()
    }

    #[test]
    fn books_are_compared_by_the_rates_in_force_on_a_day() {
        let a = sheet(
            "p,m,2026-01-01,2026-06-01,input,1,x\np,m,2026-06-01,,input,2,x\np,m,2026-01-01,,output,5,x\n\
             p,m,2026-01-01,,cache_read,1,x\np,old,2026-01-01,,input,1,x\n",
        );
        let b = sheet("p,m,2026-03-01,,input,2,y\np,m,2026-03-01,,output,5.0,y\np,new,2026-03-01,,input,1,y\n");
        let diff = a.diff(&b, Date::parse("2026-05-31").unwrap());
        let change = |unit, a: Option<&str>, b: Option<&str>| Change {
            provider: "p".into(),
            model: "m".into(),
            unit: Unit::parse(unit).unwrap(),
            a: a.map(|text| Usd::parse(text).unwrap()),
            b: b.map(|text| Usd::parse(text).unwrap()),
        };
        assert_eq!(diff.changes, [change("input", Some("1"), Some("2")), change("cache_read", Some("1"), None)]);
        assert_eq!(diff.only_a, [("p".to_owned(), "old".to_owned())]);
        assert_eq!(diff.only_b, [("p".to_owned(), "new".to_owned())]);
        assert_eq!(diff.same, 1, "5 and 5.0 are one rate");

        let later = a.diff(&b, Date::parse("2026-06-01").unwrap());
        assert_eq!(later.changes, [change("cache_read", Some("1"), None)]);
        assert_eq!(a.diff(&a, Date::parse("2026-06-01").unwrap()).changes, []);
    }
}

//! The rows behind recorded costs, by what the costs call them.

use std::io::Write;

use csv::Writer;

use super::import::fields;
use super::{Book, COLUMNS, Error, Row, capacity};

impl Book {
    /// The rows that a cost with this `price_id` was made of: the rate card of a product with the discount on it, or a price of
    /// capacity. None if this book has no such card.
    pub fn rows_behind(&self, price_id: &str) -> Vec<&Row> {
        let Some(version) = self.version_called(price_id) else {
            return self.capacities().filter(|row| capacity::id(row) == price_id).collect();
        };
        let is_own = |row: &&Row| row.is_of_product() && row.is_in_force(version.from) && is_of(price_id, row);
        let discount = version.discount().and_then(|discount| self.row(discount.row));
        self.rows().filter(is_own).chain(discount).collect()
    }
}

/// `provider/model@…`.
fn is_of(price_id: &str, row: &Row) -> bool {
    let model = price_id.strip_prefix(&row.provider).and_then(|rest| rest.strip_prefix('/'));
    model.and_then(|rest| rest.strip_prefix(&row.model)).is_some_and(|rest| rest.starts_with('@'))
}

/// Writes the rows behind each of `price_ids` as CSV, `price_id` before [`COLUMNS`], from the newest of `books` that has them. An
/// id that none has stands alone: those prices are not in these books. Answers how many lines there are below the header.
///
/// # Errors
/// [`Error::Unwritable`].
pub fn write_used<'a>(
    books: &[Book],
    price_ids: impl IntoIterator<Item = &'a str>,
    writer: impl Write,
) -> Result<u64, Error> {
    let unwritable = |source| Error::Unwritable { source };
    let mut writer = Writer::from_writer(writer);
    writer.write_record(["price_id"].iter().chain(&COLUMNS)).map_err(unwritable)?;
    let mut lines = 0;
    for price_id in price_ids {
        let rows = books.iter().rev().map(|book| book.rows_behind(price_id)).find(|rows| !rows.is_empty());
        let rows = rows.map_or_else(|| vec![Default::default()], |rows| rows.into_iter().map(fields).collect());
        for row in rows {
            writer.write_record([price_id].into_iter().chain(row.iter().map(String::as_str))).map_err(unwritable)?;
            lines += 1;
        }
    }
    writer.flush().map_err(|error| unwritable(error.into()))?;
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::Call;
    use crate::{Entry, Instant, Operation, Tokens};

    fn used(books: &[Book], price_ids: &[&str]) -> Vec<String> {
        let mut csv = Vec::new();
        let lines = write_used(books, price_ids.iter().copied(), &mut csv).unwrap();
        let csv = String::from_utf8(csv).unwrap();
        assert_eq!(csv.lines().count(), usize::try_from(lines).unwrap() + 1);
        csv.lines().skip(1).map(String::from).collect()
    }

    fn price_id(book: &Book, provider: &str, model: &str, region: Option<&str>) -> String {
        let mut entry = Entry::new("test", Operation::Chat, b"");
        entry.provider = Some(provider.into());
        entry.response_model = Some(model.into());
        entry.region = region.map(Into::into);
        entry.tokens = Tokens { input: Some(10), output: Some(1), ..Tokens::default() };
        let at = Instant::parse("2026-11-20T09:00:00Z").unwrap();
        book.price(&Call::of(&entry, &entry.tokens.buckets(), at)).price_id.unwrap().to_owned()
    }

    #[test]
    fn every_row_of_the_card_is_there_and_none_of_another() {
        let header = "provider,model,effective_from,effective_to,unit,usd_per_million,source\n";
        let sheet = |rows: &str| Book::read_csv(format!("{header}{rows}").as_bytes(), "sheet").unwrap();
        let old =
            sheet("acme,m,2026-01-01,,input,2,old\nacme,m,2026-01-01,,output,8,old\nacme,m-2,2026-01-01,,input,9,no\n");
        let newer = "acme,m,2026-06-01,,input,1,new\nacme,m,2026-06-01,,output,4,new\n";
        let terms = "acme,*,2026-01-01,,discount_percent,10,terms\n";
        let new = old.overlay(&sheet(&format!("{newer}{terms}")));
        let [was, is] = [&old, &new].map(|book| price_id(book, "acme", "m", None));
        assert_ne!(was, is);
        let lines = used(&[old, new], &[&was, &is, "acme/gone@2020-01-01#0"]);
        assert_eq!(
            lines,
            [
                format!("{was},acme,m,2026-01-01,,input,2,old"),
                format!("{was},acme,m,2026-01-01,,output,8,old"),
                format!("{is},acme,m,2026-06-01,,input,1,new"),
                format!("{is},acme,m,2026-06-01,,output,4,new"),
                format!("{is},acme,*,2026-01-01,,discount_percent,10,terms"),
                "acme/gone@2020-01-01#0,,,,,,,".into(),
            ]
        );
    }

    #[test]
    fn a_card_with_an_uplift_is_the_same_rows() {
        let book = Book::default_sheet().unwrap();
        let [plain, uplifted] = [None, Some("us")].map(|region| price_id(&book, "anthropic", "claude-opus-5", region));
        assert_ne!(plain, uplifted);
        assert!(!book.rows_behind(&plain).is_empty());
        assert_eq!(book.rows_behind(&plain), book.rows_behind(&uplifted));
    }
}

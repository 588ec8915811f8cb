//! The bills among the files of an import.

use daybook_ledger::{Instant, Ledger};
use futures::{StreamExt as _, stream};
use tokio::runtime::Handle;

use super::input::{Input, load_head, may_be_bill};
use super::{Error, Imported, Importer, Source, read, recognise};
use crate::source::file;

/// Files looked at at once.
const LOOKS: usize = 16;

/// A bill that was imported, or would be.
#[derive(Debug)]
pub struct BillFile {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub outcome: Result<(Source, Imported), Error>,
}

/// Takes the bills out of `inputs`. A file that cannot be read stays, to be reported with the others.
pub(crate) async fn take_bills(inputs: &mut Vec<file::Input>) -> Vec<file::Input> {
    let looks = std::mem::take(inputs).into_iter().map(|input| async {
        let is_bill = is_bill(&input).await;
        (input, is_bill)
    });
    let mut looked = stream::iter(looks).buffered(LOOKS);
    let mut bills = Vec::new();
    while let Some((input, is_bill)) = looked.next().await {
        if is_bill { bills.push(input) } else { inputs.push(input) }
    }
    bills
}

async fn is_bill(input: &file::Input) -> bool {
    if !load_head(input).await.is_ok_and(|head| may_be_bill(&head)) {
        return false;
    }
    let (name, stored) = (input.name.clone(), Input::Stored(input.clone(), Handle::current()));
    let recognised = tokio::task::spawn_blocking(move || recognise(&name, &stored)).await;
    matches!(recognised, Ok(Ok(Some(_))))
}

/// Imports `bills` in order; one that cannot be read stops no other.
///
/// # Errors
/// The ledger's.
pub(crate) async fn import_bills(
    bills: Vec<file::Input>,
    ledger: Ledger,
    account: Option<String>,
    imported_at: Instant,
) -> Result<Vec<BillFile>, daybook_ledger::Error> {
    let mut imported = Vec::new();
    if bills.is_empty() {
        return Ok(imported);
    }
    let importer = Importer::open(ledger, imported_at).await;
    let mut importer = importer.map_err(of_the_ledger)?.for_account(account);
    for bill in bills {
        let name = bill.name.clone();
        let outcome = importer.import(&name, &Input::Stored(bill, Handle::current())).await;
        imported.push(BillFile { name, outcome });
    }
    Ok(imported)
}

/// Counts the lines of `bills` and writes nothing.
pub(crate) async fn count_bills(bills: Vec<file::Input>) -> Vec<BillFile> {
    let mut counted = Vec::new();
    for bill in bills {
        let (name, input) = (bill.name.clone(), Input::Stored(bill, Handle::current()));
        let file = name.clone();
        let held = tokio::task::spawn_blocking(move || read(&file, &input, &mut |_| Ok(()))).await;
        let unreadable = |error| Error::Unreadable { file: name.clone(), source: std::io::Error::other(error) };
        let outcome = held.map_err(unreadable).and_then(|held| held);
        let outcome = outcome
            .map(|held| (held.source, Imported { lines: held.lines, others: held.others, ..Imported::default() }));
        counted.push(BillFile { name, outcome });
    }
    counted
}

fn of_the_ledger(error: Error) -> daybook_ledger::Error {
    match error {
        Error::Ledger(error) => error,
        other => {
            daybook_ledger::Error::Internal { invariant: "opening a table reads no bill", found: other.to_string() }
        }
    }
}

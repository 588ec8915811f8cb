//! `daybook prove`: a proof that an entry is in a sealed ledger, for somebody who does not have the ledger.

use std::path::PathBuf;
use std::process::ExitCode;

use arrow::array::AsArray as _;
use arrow::datatypes::Date32Type;
use clap::Args;
use daybook_ledger::seal::{Error, prove};
use daybook_ledger::{Date, EntryId, Ledger};
use daybook_queries::{Session, SessionOptions};

use crate::commands::args::{LedgerArg, parse_entry_id};
use crate::config::Layers;
use crate::failure::Failure;
use crate::output;

/// Flags of `daybook prove`.
#[derive(Debug, Args)]
pub(crate) struct ProveArgs {
    /// The entry, as `entry_id` in hexadecimal.
    #[arg(value_name = "ENTRY_ID", value_parser = parse_entry_id)]
    entry: EntryId,
    #[command(flatten)]
    ledger: LedgerArg,
    /// The file to write; its name should end in `.tlog-proof` [default: standard output].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) async fn run(args: ProveArgs, layers: &mut Layers) -> Result<ExitCode, Failure> {
    let ledger = args.ledger.open(layers).await?;
    let entry = args.entry;
    let unknown = || Error::NoEntry { place: ledger.root().url.to_string(), entry: entry.to_string() };
    let (date, batch_id) = find(&ledger, entry).await?.ok_or_else(unknown)?;
    let proof = prove(&ledger, entry, date, &batch_id).await?;
    match args.out {
        Some(path) => {
            std::fs::write(&path, proof.to_string()).map_err(|error| Failure::file(path.display(), "written", error))?
        }
        None => output::line(proof.to_string().trim_end())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The day and the batch of an entry, as first recorded.
async fn find(ledger: &Ledger, entry: EntryId) -> Result<Option<(Date, String)>, Failure> {
    let session = Session::open(ledger, SessionOptions::default()).await?;
    let sql =
        format!("SELECT event_date, batch_id FROM usage_recorded WHERE entry_id = decode('{entry}', 'hex') LIMIT 1");
    let batches = session.run(&sql).await?.collect().await?;
    Ok(batches.iter().find(|batch| batch.num_rows() > 0).and_then(|batch| {
        let days = batch.column(0).as_primitive_opt::<Date32Type>()?;
        let batch_ids = arrow::compute::cast(batch.column(1), &arrow::datatypes::DataType::Utf8).ok()?;
        Some((Date::from_days(*days.values().first()?), batch_ids.as_string::<i32>().value(0).to_owned()))
    }))
}

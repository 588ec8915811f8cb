//! `daybook seal`: put what came since the last seal into the ledger's log, and sign it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use daybook_ledger::seal::{Request, seal};

use super::keys;
use crate::commands::args::LedgerArg;
use crate::config::Layers;
use crate::failure::Failure;
use crate::output;

/// Flags of `daybook seal`.
#[derive(Debug, Args)]
pub(crate) struct SealArgs {
    #[command(flatten)]
    ledger: LedgerArg,
    /// The key that signs, a file of `daybook keys generate`. The last checkpoint it signed is kept beside it.
    #[arg(short, long, value_name = "FILE", env = "DAYBOOK_SEAL_KEY")]
    key: PathBuf,
    /// The verifier key of the key that signed before, after a change of keys.
    #[arg(long, value_name = "VKEY")]
    earlier_key: Option<String>,
}

pub(crate) async fn run(args: SealArgs, layers: &mut Layers) -> Result<ExitCode, Failure> {
    let key = keys::load(&args.key)?;
    let earlier_key = args.earlier_key.as_deref().map(keys::verifier).transpose()?;
    let last_signed = keys::load_last_signed(&args.key)?;
    let ledger = args.ledger.open(layers).await?;
    let request = Request {
        key: &key,
        earlier_key: earlier_key.as_ref(),
        last_signed: last_signed.as_ref(),
        fresh_secret: &keys::random_bytes(),
    };
    let sealed = seal(&ledger, &request).await?;
    keys::keep_last_signed(&args.key, &sealed.checkpoint)?;
    let (size, place) = (sealed.checkpoint.head.size, &ledger.root().url);
    tracing::info!(rows = sealed.rows, commits = sealed.commits, size, "{place} is sealed");
    output::line(sealed.checkpoint.to_string().trim_end())?;
    Ok(ExitCode::SUCCESS)
}

//! `daybook export --replay-set`: a workload's prompts, to be run elsewhere.

use std::path::Path;
use std::process::ExitCode;

use daybook_ledger::{Kind, Ledger};
use daybook_queries::{ReplayOptions, Session, SessionOptions, replay_set};

use crate::failure::Failure;
use crate::output::{self, OutFile};

/// Flags of a replay set.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ReplaySetArgs {
    /// Write prompts of this workload to a file instead of a bundle, in neutral words, to run on another provider
    /// (docs/evidence.md).
    #[arg(id = "replay_set", long = "replay-set", value_name = "WORKLOAD", conflicts_with_all = [
        "from", "to", "as_of", "formats", "shard_bytes", "dry_run", "contract", "provider", "workload", "team", "subject",
        "rehearse", "clause", "rate_limit", "sign", "migrations", "encrypt_to", "recipients_files", "passphrase",
        "passphrase_file", "csv_formula_safe", "with_artifacts",
    ])]
    pub(super) workload: Option<String>,
    /// The most prompts of a replay set
    #[arg(long, value_name = "N", default_value_t = 200, requires = "replay_set",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sample: u32,
    /// Draw the same prompts again
    #[arg(long, value_name = "S", default_value_t = 0, requires = "replay_set")]
    seed: u64,
}

pub(super) async fn run(
    ledger: &Ledger,
    workload: &str,
    args: &ReplaySetArgs,
    out: &Path,
) -> Result<ExitCode, Failure> {
    // A set that is there was perhaps run already.
    if out.exists() {
        let message = format!("{} is there already", out.display());
        let hint = "name another file with --out: a set that was made before is not replaced".into();
        return Err(Failure::plain("CLI-032", Kind::Usage, message, Some(hint)));
    }
    let session = Session::open(ledger, SessionOptions::default()).await?;
    let options = ReplayOptions { workload: workload.into(), sample: args.sample, seed: args.seed };
    let mut file = OutFile::create(out)?;
    let replayed = replay_set(&session, &options, &mut file).await?;
    file.finish(true)?;
    let without = match replayed.without_prompt {
        0 => String::new(),
        calls => format!("; the ledger has no prompt of {calls} more"),
    };
    let text = format!("{}: {} of {} prompts{without}", out.display(), replayed.prompts, replayed.offered);
    output::line(text)?;
    Ok(ExitCode::SUCCESS)
}

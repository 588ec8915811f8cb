//! `daybook verify`: check a bundle or a ledger.

mod proof;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use daybook_export::Bundle;
use daybook_export::verify::{self, SealCheck, Trust, Verdict};
use daybook_ledger::Ledger;
use daybook_ledger::seal::VerifierKey;

use super::encryption::UnlockArgs;
use super::progress::{bytes_text, progress};
use super::{keys, signing};
use crate::exit;
use crate::failure::Failure;
use crate::output::{self, Form, counted};

/// Flags of `daybook verify`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// A bundle, which is a folder, a file `NAME.tar.zst` or `NAME.tar.zst.age`, or `s3://bucket/prefix`; or a ledger, a folder or `s3://bucket/prefix`.
    #[arg(value_name = "TARGET", required_unless_present = "proof")]
    target: Option<String>,
    /// Of a ledger or a proof, the verifier key that checkpoints must be signed by; repeated after a change of keys. Of a
    /// bundle, a public key of minisign or OpenSSH that must have signed it; repeated if several must. Or a file with it.
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// Check this proof of `daybook prove` in place of a target.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["target", "consistency"])]
    proof: Option<PathBuf>,
    /// Check only that the ledger's log begins with that of this earlier checkpoint.
    #[arg(long, value_name = "FILE")]
    consistency: Option<PathBuf>,
    #[command(flatten)]
    unlock: UnlockArgs,
    /// How the outcome is printed.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Form,
}

/// Checks the target; what it is, its content tells.
pub(crate) async fn run(args: VerifyArgs, quiet: bool) -> Result<ExitCode, Failure> {
    let keys = || args.keys.iter().map(|key| keys::verifier(key)).collect::<Result<Vec<VerifierKey>, _>>();
    let target = args.target.as_deref().unwrap_or_default();
    let proven = match (&args.proof, &args.consistency) {
        (Some(proof), _) => Some(proof::check(proof, &keys()?)?),
        (None, Some(old)) => Some(proof::check_growth(old, &Ledger::open(target).await?, &keys()?).await?),
        (None, None) => None,
    };
    let is_whole = match proven {
        Some(outcome) => {
            outcome.print(args.format, &mut output::data().lock()).map_err(Failure::unprintable)?;
            outcome.holds
        }
        None => {
            let verdict = check_target(target, &args, quiet).await?;
            print(args.format, &verdict, &mut output::data().lock()).map_err(Failure::unprintable)?;
            verdict.is_whole()
        }
    };
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(exit::NO) })
}

async fn check_target(target: &str, args: &VerifyArgs, quiet: bool) -> Result<Verdict, Failure> {
    if Bundle::is_at(target).await? {
        let keys = args.keys.iter().map(|key| signing::public_key(key)).collect::<Result<Vec<_>, _>>()?;
        let bundle = Bundle::open(target, &args.unlock.load(target)?).await?;
        return Ok(verify::opened(&bundle, &keys, progress("verify", quiet).as_mut()).await?);
    }
    let keys = args.keys.iter().map(|key| keys::verifier(key)).collect::<Result<Vec<_>, _>>()?;
    let trust = Trust { keys, nonce: keys::random_bytes() };
    // The bar goes before the verdict comes.
    let mut progress = progress("verify", quiet);
    let ledger = match Ledger::open(target).await {
        Err(daybook_ledger::Error::NotFound { .. } | daybook_ledger::Error::NotAFolder { .. }) => {
            let reason = "neither one nor a ledger is there".into();
            return Err(daybook_export::Error::NotABundle { path: target.into(), reason }.into());
        }
        ledger => ledger?,
    };
    Ok(verify::ledger(&ledger, &trust, progress.as_mut()).await?)
}

pub(super) fn print(format: Form, verdict: &Verdict, out: &mut dyn Write) -> std::io::Result<()> {
    match format {
        Form::Text => print_text(verdict, out),
        Form::Json => output::json(verdict, out),
    }
}

fn print_text(verdict: &Verdict, out: &mut dyn Write) -> std::io::Result<()> {
    for difference in &verdict.differences {
        writeln!(out, "{difference}")?;
    }
    let unlisted = verdict.differences_count.saturating_sub(verdict.differences.len() as u64);
    if unlisted > 0 {
        writeln!(out, "and {unlisted} more")?;
    }
    for note in &verdict.notes {
        writeln!(out, "note: {note}")?;
    }
    for key in &verdict.signed_by {
        writeln!(out, "signed by {key}")?;
    }
    if let Some(SealCheck { origin, size, checkpoints, keys, rows_since }) = &verdict.seal {
        let signed = match keys.is_empty() {
            true => "whose signatures were not checked: give the verifier key with --key".into(),
            false => format!("signatures checked with {}", keys.join(" or ")),
        };
        writeln!(
            out,
            "sealed: {size} leaves of `{origin}`, {}, {signed}; {} since",
            counted(*checkpoints, "checkpoint"),
            counted(*rows_since, "row")
        )?;
    }
    let rows: Vec<_> = verdict.rows.iter().map(|table| format!("{} {}", table.rows, table.table)).collect();
    let checked =
        format!("{}, {}, rows: {}", counted(verdict.files, "file"), bytes_text(verdict.bytes), rows.join(", "));
    match verdict.differences_count {
        0 => writeln!(out, "nothing differs: {checked}"),
        count => writeln!(out, "{}: {checked}", counted(count, "difference")),
    }
}

//! `daybook erase`: remove what was said, for good, and certify it.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use daybook_ledger::maintenance::{Erased, ErasedTable, Run, Wanted, erase};
use daybook_ledger::{Clock as _, Date, EntryId, Instant, Kind, Ledger, SystemClock};
use serde_json::json;

use super::maintain::{MaintainArgs, run_id};
use crate::commands::args::LedgerArg;
use crate::config::Layers;
use crate::exit;
use crate::failure::Failure;
use crate::output::{self, OutFile, counted};

/// Flags of `daybook erase`.
#[derive(Clone, Debug, Args)]
pub(crate) struct EraseArgs {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    ledger: LedgerArg,
    /// Where the certificate goes, a file that does not exist yet [default: `./erasure-ID.json`].
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Say what would be removed, and remove nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// What a certificate says of messages that never became entries, for nothing else says whose they are.
const SEARCHED: &str = "messages in quarantine for the name as a whole string of JSON, whatever its escapes, or of OTLP in \
    protobuf, as their key and as a header; not what is compressed, in base64 or encoded otherwise, and not for other \
    spellings of the name";

#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Of every call made for this person or customer, `end_user` in `usage`; and of messages in quarantine that name it, as a
    /// whole string of JSON or of OTLP in protobuf, as their key or as a header.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    subject: Option<String>,
    /// Of these entries: ids separated by commas, or a file with one a line.
    #[arg(long, value_name = "IDS|FILE")]
    entries: Option<String>,
    /// Of every call of a UTC day that ended more than so many days ago.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    older_than: Option<u32>,
}

pub(crate) async fn run(args: EraseArgs, layers: &mut Layers) -> Result<ExitCode, Failure> {
    let started_at = SystemClock.now();
    let wanted = wanted(&args.what, started_at.date())?;
    let target_bytes = layers.maintain(&MaintainArgs::default())?.target_bytes;
    let ledger = args.ledger.open(layers).await?;
    let id = run_id();
    let run = Run::new(&id, &SystemClock, args.dry_run);
    if args.dry_run {
        let erased = erase(&ledger, &wanted, target_bytes, &run).await?;
        return tell(&wanted, &erased, true, None);
    }
    // Before anything is erased: what cannot be certified is not done.
    let path = args.certificate.unwrap_or_else(|| format!("erasure-{id}.json").into());
    let mut file = claim(&path)?;
    let erased = erase(&ledger, &wanted, target_bytes, &run).await?;
    let certificate = certificate(&ledger, &id, &wanted, started_at, &erased).await?;
    let written = writeln!(file, "{certificate:#}").map_err(|error| output::unwritable(&path, error));
    // The erasure stands all the same.
    written.and_then(|()| file.finish(true)).map_err(|failure| failure.of_kind(Kind::Unavailable))?;
    tell(&wanted, &erased, false, Some(&path))
}

fn wanted(what: &What, today: Date) -> Result<Wanted, Failure> {
    Ok(match what {
        What { subject: Some(name), .. } => Wanted::Subject(name.clone()),
        What { entries: Some(given), .. } => Wanted::Entries(entry_ids(given)?),
        What { older_than, .. } => {
            Wanted::Before(Date::from_days(today.days().saturating_sub_unsigned(older_than.unwrap_or(u32::MAX))))
        }
    })
}

fn entry_ids(given: &str) -> Result<Vec<EntryId>, Failure> {
    // No id has a character of a path's.
    let text = match given.contains(['.', '/', '\\']) || Path::new(given).is_file() {
        true => std::fs::read_to_string(given)
            .map_err(|error| Failure::file(format_args!("the list of entries {given}"), "read", error))?,
        false => given.to_owned(),
    };
    let words: Vec<&str> = text.split([',', '\n']).map(str::trim).filter(|word| !word.is_empty()).collect();
    let refused = |message: String| {
        let hint = "an id has 32 hexadecimal digits; `SELECT encode(entry_id, 'hex') FROM usage` prints them";
        Failure::plain("CLI-002", Kind::Usage, message, Some(hint.into()))
    };
    if words.is_empty() {
        return Err(refused(format!("`{given}` names no entry")));
    }
    words
        .iter()
        .map(|word| EntryId::parse(word).ok_or_else(|| refused(format!("`{word}` is not the id of an entry"))))
        .collect()
}

/// The certificate, which has its name once it is whole: what a run that was stopped left is none, and in nobody's way.
fn claim(path: &Path) -> Result<OutFile, Failure> {
    let is_free = match path.try_exists() {
        Ok(true) => Err(ErrorKind::AlreadyExists.into()),
        found => found,
    };
    is_free.and_then(|_| OutFile::begin(path)).map_err(|error| {
        let message = format!("the certificate {} cannot be made; nothing was erased", path.display());
        Failure::new("CLI-014", &message, error).with_hint("name another file with --certificate")
    })
}

/// What was done, for whoever asks. The ledger itself keeps no name of a subject: only this file does.
async fn certificate(
    ledger: &Ledger,
    id: &str,
    wanted: &Wanted,
    started_at: Instant,
    erased: &Erased,
) -> Result<serde_json::Value, Failure> {
    let usage = ledger.usage().load(None).await?;
    Ok(json!({
        "certificate": "daybook erasure, 1",
        "id": id,
        "ledger": ledger.root().url.as_str(),
        "daybook": env!("CARGO_PKG_VERSION"),
        "request": request(wanted),
        "started_at": started_at.to_string(),
        "finished_at": SystemClock.now().to_string(),
        "entries": erased.entries,
        "entries_sha256": erased.entries_sha256,
        "tables": erased.tables,
        "counts": "of this run alone; rows that a run before it emptied are in the commits of that run",
        "searched": matches!(wanted, Wanted::Subject(_)).then_some(SEARCHED),
        "untouched": {"table": "usage", "version": usage.version().0, "rows": usage.rows()},
        "remains": "ids, digests, counts, costs, owners and tags of the calls; coordinates and error codes of messages in quarantine",
    }))
}

fn request(wanted: &Wanted) -> serde_json::Value {
    match wanted {
        Wanted::Subject(name) => json!({"subject": name}),
        Wanted::Entries(ids) => json!({"entries": ids.len()}),
        Wanted::Before(date) => json!({"before": date.to_string()}),
    }
}

/// Prints what was done. That there was nothing of a subject is an answer a script should not overlook.
fn tell(wanted: &Wanted, erased: &Erased, dry_run: bool, certificate: Option<&Path>) -> Result<ExitCode, Failure> {
    let mut lines = Vec::new();
    match (wanted, erased.entries) {
        (Wanted::Subject(name), Some(0)) => lines.push(format!("no call was made for `{name}`")),
        (_, Some(1)) => lines.push("1 entry".into()),
        (_, Some(count)) => lines.push(format!("{count} entries")),
        (_, None) => {}
    }
    lines.extend(erased.tables.iter().map(|table| describe(table, dry_run)));
    lines.extend(certificate.map(|path| format!("certificate: {}", path.display())));
    output::line(lines.join("\n"))?;
    Ok(if erased.entries == Some(0) && erased.is_nothing() { ExitCode::from(exit::NO) } else { ExitCode::SUCCESS })
}

fn describe(table: &ErasedTable, dry_run: bool) -> String {
    let ErasedTable { table, rows_erased, files_rewritten, objects_found, objects_deleted, .. } = table;
    let (would, old) = if dry_run { ("would be ", objects_found) } else { ("", objects_deleted) };
    format!(
        "{table}: what was said in {} {would}removed; {} {would}written anew, {old} old ones {would}deleted",
        counted(*rows_erased, "row"),
        counted(*files_rewritten, "file")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_ids_or_a_file_of_them() {
        let id = EntryId::derive("test", b"1");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ids");
        std::fs::write(&path, format!("{id}\n\n {id}\n")).unwrap();
        assert_eq!(entry_ids(&format!("{id},{id}")).unwrap(), [id, id]);
        assert_eq!(entry_ids(path.to_str().unwrap()).unwrap(), [id, id]);
        let refused = entry_ids("abc").unwrap_err().to_string();
        assert!(refused.starts_with("error[CLI-002]: `abc` is not the id of an entry"), "{refused}");
        assert!(entry_ids(",").unwrap_err().to_string().contains("names no entry"));
    }
}

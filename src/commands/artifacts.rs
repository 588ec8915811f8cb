//! `daybook artifacts`: register what was made with a vendor beside the calls, and list it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use clap::{Args, Subcommand};
use daybook_export::{Artifact, artifacts, inspect};
use daybook_ledger::{ArtifactKind, Clock as _, Date, Evidence, Kind, SystemClock};
use daybook_queries::registry::Registry;
use daybook_queries::{Format, Rows, Session, SessionOptions, render};

use super::rehearse::HARNESS;
use crate::commands::args::{LedgerArg, formats, parse_day};
use crate::config::Layers;
use crate::failure::Failure;
use crate::{exit, output};

/// Commands about artifacts (docs/evidence.md).
#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactsCommand {
    /// Register files: what they are, their SHA-256, and where they are kept; they stay there.
    ///
    /// Headers of Safetensors, GGUF, ONNX, npy and Parquet files and the lines of JSON Lines are read. The same file given
    /// again adds nothing; another one of the same vendor, kind and name takes its place.
    Add(Box<AddArgs>),
    /// List what is registered.
    List(ListArgs),
}

/// Flags of `daybook artifacts add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// fine_tuning_set, weights, eval_suite, embeddings or prompt_template.
    #[arg(value_name = "KIND", value_parser = ArtifactKind::parse)]
    kind: ArtifactKind,
    /// The files.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Its name; of several files, what stands before `/` and the name of each [default: the file's].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The provider it was made with, as in `usage`.
    #[arg(long, value_name = "PROVIDER")]
    vendor: Option<String>,
    /// The model it is of, or for.
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// The contract it belongs to, by its name in the registry: only so it is part of what is exported under it.
    #[arg(long, value_name = "NAME")]
    contract: Option<String>,
    /// The workload it belongs to, by its name in the registry.
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
    /// Where one file is kept for good, if not where it is now.
    #[arg(long, value_name = "URL|PATH")]
    place: Option<String>,
    /// The UTC day it was made (YYYY-MM-DD) [default: today].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    on: Option<Date>,
    /// In words.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Who says so.
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    #[command(flatten)]
    ledger: LedgerArg,
}

/// Flags of `daybook artifacts list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// List one kind
    #[arg(long, value_name = "KIND", value_parser = ArtifactKind::parse)]
    kind: Option<ArtifactKind>,
    /// List what was made with this provider.
    #[arg(long, value_name = "PROVIDER")]
    vendor: Option<String>,
    /// List what belongs to this contract.
    #[arg(long, value_name = "NAME")]
    contract: Option<String>,
    /// Read each file again and say what is not as it was registered; exit 1 if anything is not
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    ledger: LedgerArg,
    /// How rows are written
    #[arg(long, default_value = "table", value_parser = formats())]
    format: Format,
}

pub(crate) async fn run(command: ArtifactsCommand, layers: &mut Layers) -> Result<ExitCode, Failure> {
    match command {
        ArtifactsCommand::Add(args) => add(*args, layers).await,
        ArtifactsCommand::List(args) => list(args, layers).await,
    }
}

async fn add(args: AddArgs, layers: &mut Layers) -> Result<ExitCode, Failure> {
    if args.place.is_some() && args.files.len() > 1 {
        return Err(Failure::plain(
            "CLI-037",
            Kind::Usage,
            format!("one place is given for {} files", args.files.len()),
            Some("register each with its own `--place`".into()),
        ));
    }
    let ledger = args.ledger.open(layers).await?;
    let (registry, _) = Registry::load(&ledger, None).await?;
    args.workload.as_deref().map(|name| registry.need_workload(name)).transpose()?;
    args.contract.as_deref().map(|name| registry.need_contract(name)).transpose()?;
    let now = SystemClock.now();
    let (facts, told): (Vec<_>, Vec<_>) = args
        .files
        .iter()
        .map(|path| args.evidence(path, now.date()))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .unzip();
    let recorded = ledger.record(&facts, now).await?;
    for line in told {
        output::line(line)?;
    }
    output::line(format_args!("{}: {recorded}", ledger.root().url))?;
    Ok(ExitCode::SUCCESS)
}

impl AddArgs {
    /// The fact that the file at `path` is kept, and a line about what was found in it.
    fn evidence(&self, path: &Path, today: Date) -> Result<(Evidence, String), Failure> {
        let own = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let name = match &self.name {
            None => own.into_owned(),
            Some(name) if self.files.len() == 1 => name.clone(),
            Some(name) => format!("{name}/{own}"),
        };
        let place = self.place.clone().unwrap_or_else(|| {
            let whole = std::path::absolute(path).unwrap_or_else(|_| path.into());
            whole.to_string_lossy().into_owned()
        });
        let found = inspect(path, self.kind, place)?;
        let holds = match (&found.details.format, &found.details.holds) {
            (Some(format), Some(holds)) => format!("{format}, {holds}"),
            _ => "of no format whose header is read".into(),
        };
        let told = format!("{name}: {} bytes, {holds}, sha256 {}", found.details.bytes, found.sha256);
        let fact = Evidence {
            workload: self.workload.clone(),
            contract: self.contract.clone(),
            provider: self.vendor.clone(),
            model: self.model.clone(),
            harness: Some(HARNESS.into()),
            note: self.note.clone(),
            recorded_by: self.by.clone(),
            ..found.details.evidence(name, found.sha256, self.on.unwrap_or(today))
        };
        Ok((fact, told))
    }
}

async fn list(args: ListArgs, layers: &mut Layers) -> Result<ExitCode, Failure> {
    let ledger = args.ledger.open(layers).await?;
    let matches = |asked: &Option<String>, found: &Option<String>| asked.is_none() || asked == found;
    let mut found = artifacts(&ledger).await?;
    found.retain(|artifact| {
        args.kind.is_none_or(|kind| kind.as_str() == artifact.details.kind)
            && matches(&args.vendor, &artifact.vendor)
            && matches(&args.contract, &artifact.contract)
    });
    let state = |artifact: &Artifact| match (artifact.fault(), artifact.is_elsewhere()) {
        (Some(fault), _) => (fault, false),
        (None, true) => ("not looked at".into(), true),
        (None, false) => ("as registered".into(), true),
    };
    let states: Vec<_> = if args.check { found.iter().map(state).collect() } else { Vec::new() };
    let session = Session::open(&ledger, SessionOptions::default()).await?;
    let rows = Rows::of(&session, rows(&found, &states)?);
    render(rows, args.format, output::drawing(), &mut output::data()).await?;
    let is_whole = states.iter().all(|(_, is_fine)| *is_fine);
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(exit::NO) })
}

/// A row for each artifact; what was found at its place too, if it was looked at.
fn rows(artifacts: &[Artifact], states: &[(String, bool)]) -> Result<RecordBatch, Failure> {
    let text = |value: fn(&Artifact) -> Option<&str>| -> ArrayRef {
        Arc::new(artifacts.iter().map(value).collect::<StringArray>())
    };
    let bytes = artifacts.iter().map(|artifact| i64::try_from(artifact.details.bytes).ok());
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("kind", text(|a| Some(&a.details.kind))),
        ("name", text(|a| Some(&a.name))),
        ("vendor", text(|a| a.vendor.as_deref())),
        ("model", text(|a| a.model.as_deref())),
        ("contract", text(|a| a.contract.as_deref())),
        ("workload", text(|a| a.workload.as_deref())),
        ("format", text(|a| a.details.format.as_deref())),
        ("holds", text(|a| a.details.holds.as_deref())),
        ("bytes", Arc::new(bytes.collect::<Int64Array>())),
        ("place", text(|a| Some(&a.details.place))),
        ("sha256", text(|a| Some(&a.sha256))),
        ("day", text(|a| Some(&a.registered_on))),
        ("note", text(|a| a.note.as_deref())),
    ];
    if !states.is_empty() {
        let states = states.iter().map(|(state, _)| Some(state.as_str()));
        columns.push(("found", Arc::new(states.collect::<StringArray>())));
    }
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)));
    batch.map_err(|error| Failure::new("CLI-004", "the result cannot be printed", error))
}

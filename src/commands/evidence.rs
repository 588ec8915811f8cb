//! `daybook evidence`: record what was done beside the calls, and list it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use daybook_ledger::{Clock as _, Date, Evidence, EvidenceKind, Score, SystemClock, file};
use daybook_queries::registry::Registry;
use daybook_queries::{Format, Session, SessionOptions, render};
use sha2::{Digest as _, Sha256};

use crate::commands::args::{LedgerArg, formats, parse_day};
use crate::config::Layers;
use crate::failure::Failure;
use crate::output;

/// Commands about evidence (docs/evidence.md).
#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceCommand {
    /// Record that something was done: a test of an alternative, a rehearsal of the way out, an audit.
    ///
    /// The same fact given again adds nothing.
    Add(Box<AddArgs>),
    /// List what was recorded, newest first.
    List(ListArgs),
}

/// Flags of `daybook evidence add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Read facts from this file, one JSON object a line; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "FactArgs")]
    file: Option<PathBuf>,
    #[command(flatten)]
    fact: FactArgs,
    #[command(flatten)]
    ledger: LedgerArg,
}

#[derive(Debug, Args)]
struct FactArgs {
    /// What was done [default: portability_test]
    #[arg(long, value_name = "KIND", value_parser = EvidenceKind::parse)]
    kind: Option<EvidenceKind>,
    /// The UTC day it was done (YYYY-MM-DD) [default: today].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    on: Option<Date>,
    /// The workload it is about, by its name in the registry.
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
    /// The contract it is about, by its name in the registry.
    #[arg(long, value_name = "NAME")]
    contract: Option<String>,
    /// Where it ran, or whose calls it is about.
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
    /// The model that ran.
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// What a test was run on.
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// What ran it, with its version.
    #[arg(long, value_name = "NAME")]
    harness: Option<String>,
    /// Cases run.
    #[arg(long, value_name = "NUMBER")]
    runs: Option<i64>,
    /// Cases passed.
    #[arg(long, value_name = "NUMBER")]
    passed: Option<i64>,
    /// A score, and the best it could be; may be given several times
    #[arg(long, value_name = "NAME=SCORE[/BEST]", value_parser = parse_score)]
    score: Vec<(String, Score)>,
    /// A file kept as proof: its name and SHA-256 are recorded, it stays where it is.
    #[arg(long, value_name = "FILE")]
    artifact: Option<PathBuf>,
    /// In words.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Who says so.
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    /// Its name in the system it comes from: what has the same kind and id is recorded once.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

/// Flags of `daybook evidence list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// List one kind
    #[arg(long, value_name = "KIND", value_parser = EvidenceKind::parse)]
    kind: Option<EvidenceKind>,
    /// List what is about this workload.
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
    /// List what names this contract.
    #[arg(long, value_name = "NAME")]
    contract: Option<String>,
    #[command(flatten)]
    ledger: LedgerArg,
    /// How rows are written
    #[arg(long, default_value = "table", value_parser = formats())]
    format: Format,
}

fn parse_score(text: &str) -> Result<(String, Score), String> {
    let (name, score) = text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=SCORE or NAME=SCORE/BEST"))?;
    Ok((name.into(), Score::parse(score)?))
}

pub(crate) async fn run(command: EvidenceCommand, layers: &mut Layers) -> Result<ExitCode, Failure> {
    match command {
        EvidenceCommand::Add(args) => add(*args, layers).await?,
        EvidenceCommand::List(args) => list(args, layers).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(args: AddArgs, layers: &mut Layers) -> Result<(), Failure> {
    let now = SystemClock.now();
    let facts = match &args.file {
        Some(path) => Evidence::read_lines(&read(path)?, &path.display().to_string(), now)?,
        None => vec![args.fact.evidence(now.date())?],
    };
    let ledger = args.ledger.open(layers).await?;
    let (registry, _) = Registry::load(&ledger, None).await?;
    for fact in &facts {
        fact.workload.as_deref().map(|name| registry.need_workload(name)).transpose()?;
        fact.contract.as_deref().map(|name| registry.need_contract(name)).transpose()?;
    }
    let recorded = ledger.record(&facts, now).await?;
    output::line(format_args!("{}: {recorded}", ledger.root().url))
}

fn read(path: &Path) -> Result<String, Failure> {
    let text = match path == Path::new("-") {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(path),
    };
    text.map_err(|error| Failure::file(path.display(), "read", error))
}

impl FactArgs {
    fn evidence(self, today: Date) -> Result<Evidence, Failure> {
        let kind = self.kind.unwrap_or(EvidenceKind::PortabilityTest);
        let artifact_sha256 = self.artifact.as_deref().map(sha256).transpose()?;
        let name = |path: &PathBuf| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Evidence {
            id: self.id,
            workload: self.workload,
            contract: self.contract,
            provider: self.provider,
            model: self.model,
            dataset: self.dataset,
            harness: self.harness,
            runs: self.runs,
            passed: self.passed,
            scores: self.score.into_iter().collect(),
            artifact: self.artifact.as_ref().map(name),
            artifact_sha256,
            note: self.note,
            recorded_by: self.by,
            ..Evidence::new(kind, self.on.unwrap_or(today))
        })
    }
}

fn sha256(path: &Path) -> Result<String, Failure> {
    let mut hash = Sha256::new();
    let hashed = std::fs::File::open(path).and_then(|mut open| std::io::copy(&mut open, &mut hash));
    match hashed {
        Ok(_) => Ok(file::hex(&hash.finalize())),
        Err(error) => Err(Failure::file(path.display(), "read", error)),
    }
}

async fn list(args: ListArgs, layers: &mut Layers) -> Result<(), Failure> {
    let ledger = args.ledger.open(layers).await?;
    let session = Session::open(&ledger, SessionOptions::default()).await?;
    let equals = |column: &str, value: Option<&str>| {
        value.map(|value| format!(" AND {column} = '{}'", value.replace('\'', "''"))).unwrap_or_default()
    };
    let sql = format!(
        "SELECT event_date AS day, kind, workload, contract, provider, model, dataset, harness, runs, passed, scores, \
         artifact, artifact_sha256, note, recorded_by FROM evidence WHERE true{}{}{} \
         ORDER BY event_date DESC, recorded_at DESC, entry_id",
        equals("kind", args.kind.map(EvidenceKind::as_str)),
        equals("workload", args.workload.as_deref()),
        equals("contract", args.contract.as_deref()),
    );
    render(session.run(&sql).await?, args.format, output::drawing(), &mut output::data()).await?;
    Ok(())
}

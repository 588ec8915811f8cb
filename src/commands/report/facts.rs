//! `daybook report lockin`, `contracts` and `spend`: reports made of published queries.

use std::process::ExitCode;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use daybook_ledger::price::Book;
use daybook_ledger::{Clock as _, Date, Kind, Ledger, SystemClock};
use daybook_queries::registry::ModelRef;
use daybook_queries::report::{
    Dimension, Grain, Section, SpendOptions, contracts, lockin, re_embedding, render_sections, spend, why,
};
use daybook_queries::{Format, Session, SessionOptions};

use crate::commands::prices::parse_day;
use crate::commands::query::formats;
use crate::commands::registry::RegistryArgs;
use crate::config::Layers;
use crate::output;
use crate::report::Failure;

/// What every such report is made from, and how it is shown.
#[derive(Debug, Args)]
pub(crate) struct FactsArgs {
    /// The ledger, a folder or `s3://bucket/prefix` [default: ./ledger] [env: DAYBOOK_LEDGER].
    #[arg(short, long, value_name = "URL")]
    pub(crate) ledger: Option<String>,
    /// The state to read: a version of `usage` or an RFC 3339 instant [default: the newest].
    #[arg(long, value_name = "VERSION|TIME")]
    as_of: Option<String>,
    #[command(flatten)]
    registry: RegistryArgs,
    /// How tables are written; all but `table`, `markdown` and `json` hold one
    #[arg(long, default_value = "table", value_parser = formats())]
    format: Format,
    /// Prints the queries instead of their answers.
    #[arg(long)]
    pub(crate) sql: bool,
}

/// Flags of `daybook report lockin`.
#[derive(Debug, Args)]
pub(crate) struct LockinArgs {
    /// Shows what decides the segment of this workload: rules, counts, dollars, sample entries.
    #[arg(long, value_name = "WORKLOAD")]
    why: Option<String>,
    /// Also shows what it costs today to embed again, with this model, what was embedded so far.
    #[arg(long, value_name = "PROVIDER/MODEL", value_parser = parse_model, conflicts_with = "why")]
    re_embed: Option<ModelRef>,
    /// Shows one table, by its name in JSON.
    #[arg(long, value_name = "TABLE")]
    only: Option<String>,
    #[command(flatten)]
    facts: FactsArgs,
}

/// Flags of `daybook report contracts`.
#[derive(Debug, Args)]
pub(crate) struct ContractsArgs {
    /// Counts days from this UTC day (YYYY-MM-DD) [default: today].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    on: Option<Date>,
    /// Shows one table, by its name in JSON.
    #[arg(long, value_name = "TABLE")]
    only: Option<String>,
    #[command(flatten)]
    facts: FactsArgs,
}

/// Flags of `daybook report spend`.
#[derive(Debug, Args)]
pub(crate) struct SpendArgs {
    /// One line for each of these
    #[arg(long, value_delimiter = ',', value_parser = dimensions(), default_value = "workload,provider")]
    by: Vec<Dimension>,
    /// And for each of these
    #[arg(long, value_parser = grains())]
    grain: Option<Grain>,
    /// The first day (YYYY-MM-DD), in the zone of --tz [default: that of the first entry].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    from: Option<Date>,
    /// The first day not to count any more [default: none].
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    to: Option<Date>,
    /// The time zone of days and grains (IANA name)
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    tz: String,
    #[command(flatten)]
    facts: FactsArgs,
}

pub(crate) fn parse_model(text: &str) -> Result<ModelRef, String> {
    let (provider, model) = text.split_once('/').ok_or_else(|| format!("`{text}` is not PROVIDER/MODEL"))?;
    Ok(ModelRef { provider: provider.into(), model: model.into() })
}

fn dimensions() -> impl clap::builder::TypedValueParser<Value = Dimension> {
    let words = Dimension::ALL.iter().map(|dimension| dimension.as_str());
    PossibleValuesParser::new(words).try_map(|text| text.parse::<Dimension>())
}

fn grains() -> impl clap::builder::TypedValueParser<Value = Grain> {
    PossibleValuesParser::new(Grain::ALL.iter().map(|grain| grain.as_str())).try_map(|text| text.parse::<Grain>())
}

pub(super) async fn run_lockin(args: LockinArgs, layers: &mut Layers) -> Result<ExitCode, Failure> {
    let session = open(&args.facts, "UTC", layers).await?;
    let mut sections = match &args.why {
        Some(workload) => why(&session, workload)?,
        None => lockin(),
    };
    if let Some(model) = &args.re_embed {
        let ledger = Ledger::open(&layers.ledger(args.facts.ledger.clone())).await?;
        sections.push(re_embedding(&Book::load(&ledger).await?, model, SystemClock.now())?);
    }
    show(&session, sections, args.only.as_deref(), &args.facts).await
}

pub(super) async fn run_contracts(args: ContractsArgs, layers: &mut Layers) -> Result<ExitCode, Failure> {
    let session = open(&args.facts, "UTC", layers).await?;
    let on = args.on.unwrap_or_else(|| SystemClock.now().date());
    show(&session, contracts(on), args.only.as_deref(), &args.facts).await
}

pub(super) async fn run_spend(args: SpendArgs, layers: &mut Layers) -> Result<ExitCode, Failure> {
    let session = open(&args.facts, &args.tz, layers).await?;
    let options = SpendOptions { by: args.by, grain: args.grain, from: args.from, to: args.to };
    show(&session, vec![spend(&options)], None, &args.facts).await
}

pub(crate) async fn open(args: &FactsArgs, time_zone: &str, layers: &mut Layers) -> Result<Session, Failure> {
    let options = SessionOptions {
        as_of: args.as_of.as_deref().map(str::parse).transpose()?,
        time_zone: time_zone.into(),
        registry: args.registry.choice()?,
        ..SessionOptions::default()
    };
    let ledger = Ledger::open(&layers.ledger(args.ledger.clone())).await?;
    Ok(Session::open(&ledger, options).await?)
}

pub(crate) async fn show(
    session: &Session,
    sections: Vec<Section>,
    only: Option<&str>,
    args: &FactsArgs,
) -> Result<ExitCode, Failure> {
    let sections = match only {
        Some(name) => vec![choose(sections, name)?],
        None => sections,
    };
    match args.sql {
        true => {
            let queries: Vec<_> =
                sections.iter().map(|section| format!("-- {}\n{};", section.title, section.sql)).collect();
            output::print(queries.join("\n\n")).map_err(Failure::unprintable)?;
        }
        false => render_sections(session, &sections, args.format, &mut output::data()).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn choose(sections: Vec<Section>, name: &str) -> Result<Section, Failure> {
    let names: Vec<_> = sections.iter().map(|section| format!("`{}`", section.name)).collect();
    let chosen = sections.into_iter().find(|section| section.name == name);
    chosen.ok_or_else(|| {
        let hint = format!("there are {}", names.join(", "));
        Failure::plain("CLI-020", Kind::Usage, format!("the report has no table `{name}`"), Some(hint))
    })
}

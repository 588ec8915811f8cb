//! A file for each command, and below them what several of them use: take the arguments, call the crates, render.

pub(crate) mod artifacts;
pub(crate) mod config;
pub(crate) mod decode;
pub(crate) mod demo;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod erase;
pub(crate) mod evidence;
pub(crate) mod export;
pub(crate) mod gate;
pub(crate) mod import;
pub(crate) mod ingest;
pub(crate) mod keys;
pub(crate) mod maintain;
pub(crate) mod prices;
pub(crate) mod prove;
pub(crate) mod quarantine;
pub(crate) mod query;
pub(crate) mod receive;
pub(crate) mod registry;
pub(crate) mod report;
pub(crate) mod reprice;
pub(crate) mod seal;
pub(crate) mod simulate;
pub(crate) mod status;
pub(crate) mod verify;

mod args;
// Parts of `export`, `import` and `verify`.
mod clause;
mod encryption;
mod rehearse;
mod replay_set;
mod scope;
mod secret;
mod signing;
// The prompt of `query`.
mod prompt;
// Of every command: how far it is, what stops it, the days it is about.
mod progress;
mod signals;
mod window;

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::config::Layers;
use crate::failure::Failure;

/// Runs the command given.
pub(crate) async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let mut layers = Layers::load(cli.config.as_deref())?;
    let quiet = cli.log.quiet;
    after_a_stop(&cli.command).map_or(Ok(()), |hint| signals::stop_at_once(&signals::STOP, hint))?;
    match cli.command {
        Command::Demo(args) => demo::run(args).await,
        Command::Ingest(args) => ingest::run(&args, &mut layers).await,
        Command::Import(args) => import::run(args, &mut layers, quiet).await,
        Command::Status(args) => status::run(args, &mut layers).await,
        Command::Doctor(args) => doctor::run(args, &mut layers).await,
        Command::Quarantine(command) => quarantine::run(command, &mut layers, quiet).await,
        Command::Receive(args) => receive::run(&args, &mut layers).await,
        Command::Diff(args) => diff::run(args, quiet).await,
        Command::Decode(args) => decode::run(&args),
        Command::Query(args) => query::run(args, &mut layers, quiet).await,
        Command::Export(args) => export::run(args, &mut layers, quiet).await,
        Command::Verify(args) => verify::run(args, quiet).await,
        Command::Seal(args) => seal::run(args, &mut layers).await,
        Command::Prove(args) => prove::run(args, &mut layers).await,
        Command::Keys(command) => keys::run(command),
        Command::Maintain(args) => maintain::run(&args, &mut layers).await,
        Command::Erase(args) => Box::pin(erase::run(args, &mut layers)).await,
        Command::Prices(command) => prices::run(command, &mut layers).await,
        Command::Reprice(args) => reprice::run(args, &mut layers).await,
        Command::Report(command) => report::run(command, &mut layers, quiet).await,
        Command::Simulate(args) => simulate::run(*args, &mut layers, quiet).await,
        Command::Evidence(command) => evidence::run(command, &mut layers).await,
        Command::Artifacts(command) => artifacts::run(command, &mut layers).await,
        Command::Gate(args) => gate::run(args, &mut layers).await,
        Command::Registry(command) => registry::run(command, &mut layers).await,
        Command::Config(config::ConfigCommand::Show) => config::show(&mut layers),
    }
}

/// What a person is told who stops `command`; `None` of one that finishes in order and says so itself.
const fn after_a_stop(command: &Command) -> Option<&'static str> {
    match command {
        Command::Ingest(_) | Command::Import(_) | Command::Receive(_) | Command::Query(_) => None,
        Command::Quarantine(quarantine::QuarantineCommand::Replay(_)) => None,
        Command::Export(_) => Some("the same command goes on where it stopped; without it nothing passes for a bundle"),
        _ => Some("what was committed or said to be written stands; give the same command again for the rest"),
    }
}

//! `daybook config show`: each effective setting and where it came from.

use std::collections::HashSet;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Subcommand;

use super::ingest::IngestArgs;
use super::maintain::MaintainArgs;
use super::receive::ReceiveArgs;
use crate::config::{Layers, Origin, Shown, mask};
use crate::failure::Failure;
use crate::output;

/// Commands about settings.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every effective setting and where it came from, secrets masked.
    Show,
}

/// Variables the object store and the log read by themselves.
const FOREIGN: &[&str] = &[
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ALLOW_HTTP",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
    "RUST_LOG",
    "DAYBOOK_LOG_FORMAT",
];

pub(crate) fn show(layers: &mut Layers) -> Result<ExitCode, Failure> {
    layers.ledger(None);
    let faults = layers.ingest(&IngestArgs::default()).err();
    let faults = faults.or(layers.receive(&ReceiveArgs::default()).err());
    let faults = faults.or(layers.maintain_every(None).err());
    let faults = faults.or(layers.maintain(&MaintainArgs::default()).err());
    // Commands share settings.
    let mut seen = HashSet::new();
    layers.shown.retain(|shown| seen.insert(shown.key.clone()));
    for name in FOREIGN {
        if let Ok(value) = std::env::var(name) {
            layers.shown.push(Shown {
                key: (*name).into(),
                value: mask(name, &value),
                origin: Origin::Env((*name).into()),
            });
        }
    }
    let width = |part: fn(&Shown) -> usize| layers.shown.iter().map(part).max().unwrap_or(0);
    let (keys, values) = (width(|shown| shown.key.len()), width(|shown| shown.value.len()));
    let mut out = output::data().lock();
    for Shown { key, value, origin } in &layers.shown {
        writeln!(out, "{key:<keys$}  {value:<values$}  {origin}").map_err(Failure::unprintable)?;
    }
    faults.map_or(Ok(ExitCode::SUCCESS), Err)
}

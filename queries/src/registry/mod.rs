//! The registry: what a company knows about its own calls that the calls do not say.
//!
//! Four files in one folder, each optional. `workloads.toml` groups calls into pieces of work, `contracts.toml` says what
//! was agreed with vendors, `features.toml` what each feature binds to, `models.toml` what is known about models. The
//! latter two ship with defaults ([`Registry::builtin`]). A registry is checked as a whole: every fault of every file at
//! once, each with its place. `daybook registry import` stores it in the ledger under a version; SQL sees it through
//! functions (`workload`, `contract`, `model_family`) and tables (`registry_workloads`, ...).
//!
//! | module | holds |
//! |---|---|
//! | `workload`, `contract`, `feature`, `model` | one file each: its types, how it is read, what it is in SQL |
//! | `fields`, `fault` | TOML tables read with every fault noted; a fault and its place |
//! | `pattern` | text with `*`, and the same as SQL |
//! | `stored` | reading a folder; versions in the ledger |
//! | `functions`, `tables` | what SQL sees |
//! | `explain` | why a call belongs to its workload |

mod contract;
mod explain;
mod fault;
mod feature;
pub(crate) mod fields;
pub(crate) mod functions;
mod model;
mod pattern;
mod stored;
pub(crate) mod tables;
#[cfg(test)]
mod tests;
mod workload;

pub use contract::{
    CapIndex, Capacity, Clause, ClauseKind, Commitment, Contract, Discount, PriceCap, Renewal, Shortfall, Tier,
};
pub use explain::{Explanation, Trial, explain};
pub use fault::Fault;
pub(crate) use fault::list as list_faults;
pub use feature::{FeatureRule, Form};
pub use model::{Modality, ModelRule};
pub use pattern::Pattern;
pub use stored::{Imported, RegistryVersion};
pub use tables::{RegistryTable, TABLES};
pub use workload::{Condition, ModelRef, Rule, Segment, Subject, Workload};

use crate::{Error, names};
use fields::Document;

/// The files of a registry.
pub const FILES: [&str; 4] = ["workloads.toml", "contracts.toml", "features.toml", "models.toml"];

const DEFAULT_FEATURES: &str = include_str!("default_features.toml");
const DEFAULT_MODELS: &str = include_str!("default_models.toml");

/// A checked registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    /// In the order of their rules: the first that fits a call has it.
    pub workloads: Vec<Workload>,
    /// The first that fits a call covers it.
    pub contracts: Vec<Contract>,
    /// One for each feature, in the order of [`daybook_ledger::Feature::ALL`].
    pub features: Vec<FeatureRule>,
    /// The first that fits a model speaks of it.
    pub models: Vec<ModelRule>,
    files: Vec<File>,
}

/// One file as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// One of [`FILES`].
    pub name: String,
    /// Its text.
    pub text: String,
}

impl Registry {
    /// The rules that ship with Daybook: features and models; no workloads, no contracts.
    ///
    /// # Errors
    /// [`Error::Internal`]: the shipped files are tested.
    pub fn builtin() -> Result<Self, Error> {
        let mut faults = Vec::new();
        let features = Document::read("features.toml", DEFAULT_FEATURES, &mut faults, |root| feature::read(root, &[]));
        let models = Document::read("models.toml", DEFAULT_MODELS, &mut faults, |root| model::read(root, &[]));
        match faults.first() {
            None => Ok(Self { features, models, ..Self::default() }),
            Some(fault) => {
                Err(Error::Internal { invariant: "the shipped registry is valid", found: fault.to_string() })
            }
        }
    }

    /// Reads `files` over the shipped rules. `place` is what messages put before a file's name.
    ///
    /// # Errors
    /// [`Error::Registry`] with every fault of every file.
    pub fn read(place: &str, files: Vec<File>) -> Result<Self, Error> {
        let mut registry = Self::builtin()?;
        let mut faults = Vec::new();
        for File { name, text } in &files {
            let path = format!("{place}{name}");
            match name.as_str() {
                "workloads.toml" => {
                    registry.workloads = Document::read(&path, text, &mut faults, workload::read);
                }
                "contracts.toml" => {
                    registry.contracts = Document::read(&path, text, &mut faults, contract::read);
                }
                "features.toml" => {
                    let read = |root: &fields::Fields<'_>| feature::read(root, &registry.features);
                    registry.features = Document::read(&path, text, &mut faults, read);
                }
                "models.toml" => {
                    let read = |root: &fields::Fields<'_>| model::read(root, &registry.models);
                    registry.models = Document::read(&path, text, &mut faults, read);
                }
                _ => faults.push(Fault::at(&path, "", 0, unknown_file(name))),
            }
        }
        registry.files = files;
        if faults.is_empty() {
            return Ok(registry);
        }
        faults.sort();
        Err(Error::Registry { faults })
    }

    /// The workload called `name`.
    ///
    /// # Errors
    /// [`Error::UnknownWorkload`] with the nearest name.
    pub fn need_workload(&self, name: &str) -> Result<&Workload, Error> {
        let known = || self.workloads.iter().map(|workload| workload.name.as_str());
        let found = self.workloads.iter().find(|workload| workload.name == name);
        found.ok_or_else(|| Error::UnknownWorkload {
            name: name.into(),
            nearest: names::nearest(name, known()).map(String::from),
            valid: known().map(String::from).collect(),
        })
    }

    /// The contract called `name`.
    ///
    /// # Errors
    /// [`Error::UnknownContract`] with the nearest name.
    pub fn need_contract(&self, name: &str) -> Result<&Contract, Error> {
        let known = || self.contracts.iter().map(|contract| contract.name.as_str());
        let found = self.contracts.iter().find(|contract| contract.name == name);
        found.ok_or_else(|| Error::UnknownContract {
            name: name.into(),
            nearest: names::nearest(name, known()).map(String::from),
            valid: known().map(String::from).collect(),
        })
    }

    /// Every rule with its workload, in the order in which they are tried.
    pub fn rules(&self) -> impl Iterator<Item = (&Workload, &Rule)> {
        self.workloads.iter().flat_map(|workload| workload.rules.iter().map(move |rule| (workload, rule)))
    }

    /// The files it was read from, in their order; none for the shipped rules.
    pub fn files(&self) -> &[File] {
        &self.files
    }
}

fn unknown_file(name: &str) -> String {
    let nearest = names::nearest(name, FILES);
    let hint = match nearest {
        Some(_) => names::suggestion(nearest),
        None => format!("; a registry has {}", FILES.join(", ")),
    };
    format!("`{name}` is no file of a registry{hint}")
}

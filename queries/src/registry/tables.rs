//! The registry as tables, so that reports join what was declared with what was recorded.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Int64Array, ListBuilder, RecordBatch, StringArray,
    StringBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use datafusion::prelude::SessionContext;
use daybook_ledger::{ColumnKind, Date, Usd};

use super::{ClauseKind, Pattern, Registry};

/// A table of the registry in SQL.
#[derive(Debug)]
pub struct RegistryTable {
    /// Name in every query.
    pub name: &'static str,
    /// What a row is.
    pub about: &'static str,
    /// Names and meanings of the columns.
    pub columns: &'static [(&'static str, &'static str)],
    arrays: fn(&Registry) -> Vec<ArrayRef>,
}

/// Every table of the registry.
pub static TABLES: &[RegistryTable] = &[
    RegistryTable {
        name: "registry_workloads",
        about: "One row per workload, in the order in which their rules are tried.",
        columns: &[
            ("workload", "its name"),
            ("owner", "who answers for it; null if nobody is named"),
            ("declared_segment", "what its owner takes it to be: `portable`, `movable`, `locked_in`; null if not said"),
            ("approved_providers", "patterns; any provider if the list is empty"),
            ("approved_models", "patterns; any model if the list is empty"),
            ("alternatives", "where it could run instead, best first, as `provider/model`"),
            ("fallback", "what it falls back to, as `provider/model`; null if nothing is named"),
            ("option_window_days", "days after which a run on a second provider no longer counts"),
        ],
        arrays: workloads,
    },
    RegistryTable {
        name: "registry_rules",
        about: "One row per rule of a workload. A call belongs to the workload of the first rule that holds.",
        columns: &[
            ("rule", "number, in the order in which rules are tried"),
            ("workload", "whose rule it is"),
            ("line", "line of `workloads.toml` it begins at"),
            ("conditions", "what must hold, all of it"),
        ],
        arrays: rules,
    },
    RegistryTable {
        name: "registry_contracts",
        about: "One row per contract.",
        columns: &[
            ("contract", "its name"),
            ("vendor", "with whom"),
            ("providers", "patterns of the providers whose calls fall under it"),
            ("starts_on", "first day of the term"),
            ("ends_on", "last day of the term; null if it has no end"),
            ("renewal", "`automatic`, `manual`, `none`; null if not said"),
            ("renewal_months", "months it renews for; null if not said"),
            ("notice_on", "last day notice can be given; null if none is asked for"),
            ("gate_on", "day the decision is due; null without an end"),
            ("transition_days", "days the vendor helps with a transition; null if not said"),
            ("retrieval_days", "days after the end during which data can be fetched; null if not said"),
        ],
        arrays: contracts,
    },
    RegistryTable {
        name: "registry_commitments",
        about: "One row per commitment to spend.",
        columns: &[
            ("contract", "the contract"),
            ("commitment", "its name within the contract"),
            ("usd", "US dollars promised"),
            ("starts_on", "first day of the period"),
            ("ends_on", "last day of the period"),
            ("shortfall", "what becomes of the rest: `billed`, `forfeited`, `rolls_over`"),
        ],
        arrays: commitments,
    },
    RegistryTable {
        name: "registry_clauses",
        about: "One row per contract and kind of clause, also those it does not have.",
        columns: &[
            ("contract", "the contract"),
            ("clause", "the kind of clause"),
            ("held", "whether the contract has it"),
            ("days", "days of notice or delivery it grants; null if not said"),
            ("cost_max_usd", "the most it may cost to use it, US dollars; null if not said"),
            ("due_on", "day something of it is due; null if not said"),
            ("note", "where in the contract, or why not"),
        ],
        arrays: clauses,
    },
    RegistryTable {
        name: "registry_features",
        about: "One row per feature a call can lean on.",
        columns: &[
            ("feature", "as in `usage.features`"),
            (
                "form",
                "form of the tie: `proprietary_api`, `fine_tuned_model`, `embeddings`, `hosted_state`, `commitment`",
            ),
            ("segment", "how firmly it ties: `portable`, `movable`, `locked_in`"),
            ("firmness", "the same as a number, 0 to 2"),
            ("share_min", "part of a workload's calls from which it counts, 0 to 1; any call if 0"),
            ("effort_days", "engineering days to move one workload off it, an assumption"),
            ("equivalents", "what others have instead"),
            ("reason", "why it ties"),
            ("moving", "what moving takes"),
        ],
        arrays: features,
    },
    RegistryTable {
        name: "registry_models",
        about: "One row per entry about models; the first that fits a model speaks of it.",
        columns: &[
            ("entry", "number, in the order in which entries are tried"),
            ("models", "patterns of the models it speaks of"),
            ("providers", "patterns of the providers it speaks of; any if the list is empty"),
            ("family", "models that follow one another or differ in size only"),
            ("developer", "who made it"),
            ("open_weights", "whether the weights can be had; null if not known"),
            ("context_tokens_max", "the most tokens of input; null if not known"),
            ("output_tokens_max", "the most tokens of output; null if not known"),
            ("input_modalities", "what it takes in; empty if not known"),
            ("output_modalities", "what it gives out; empty if not known"),
            ("capabilities", "features of calls it serves, as far as known"),
            ("ends_on", "the day the provider ends it, as announced; null if nothing is"),
            ("origin", "where the facts were read"),
        ],
        arrays: models,
    },
];

impl RegistryTable {
    /// The table called `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        TABLES.iter().find(|table| table.name == name)
    }

    fn record_batch(&self, registry: &Registry) -> Result<RecordBatch> {
        // As in the ledger's own tables: text as views, so that joins compare like with like.
        let arrays = (self.arrays)(registry).into_iter().map(|array| match array.data_type() {
            DataType::Utf8 => cast(&array, &DataType::Utf8View),
            _ => Ok(array),
        });
        let arrays = arrays.collect::<std::result::Result<Vec<_>, _>>()?;
        let names = self.columns.iter().map(|(name, _)| *name);
        let fields = names.zip(&arrays).map(|(name, array)| Field::new(name, array.data_type().clone(), true));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        Ok(RecordBatch::try_new(Arc::new(schema), arrays)?)
    }
}

/// Registers every table over `registry`.
pub(crate) fn register(context: &SessionContext, registry: &Registry) -> Result<()> {
    for table in TABLES {
        let batch = table.record_batch(registry)?;
        let provider = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
        context.register_table(table.name, Arc::new(provider))?;
    }
    Ok(())
}

pub(crate) fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

pub(crate) fn whole(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}

fn days(values: impl Iterator<Item = Option<Date>>) -> ArrayRef {
    Arc::new(values.map(|day| day.map(Date::days)).collect::<Date32Array>())
}

pub(crate) fn amounts(values: impl Iterator<Item = Option<Usd>>) -> ArrayRef {
    let amounts = values.map(|amount| amount.map(Usd::pico)).collect::<Decimal128Array>();
    Arc::new(amounts.with_data_type(ColumnKind::Decimal.data_type()))
}

fn lists(values: impl Iterator<Item = Vec<String>>) -> ArrayRef {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for list in values {
        builder.append_value(list.into_iter().map(Some));
    }
    Arc::new(builder.finish())
}

fn as_texts(patterns: &[Pattern]) -> Vec<String> {
    patterns.iter().map(ToString::to_string).collect()
}

fn workloads(registry: &Registry) -> Vec<ArrayRef> {
    let all = || registry.workloads.iter();
    let fallbacks: Vec<_> = all().map(|workload| workload.fallback.as_ref().map(ToString::to_string)).collect();
    vec![
        texts(all().map(|workload| Some(workload.name.as_str()))),
        texts(all().map(|workload| workload.owner.as_deref())),
        texts(all().map(|workload| workload.declared_segment.map(super::Segment::as_str))),
        lists(all().map(|workload| as_texts(&workload.approved_providers))),
        lists(all().map(|workload| as_texts(&workload.approved_models))),
        lists(all().map(|workload| workload.alternatives.iter().map(ToString::to_string).collect())),
        texts(fallbacks.iter().map(Option::as_deref)),
        whole(all().map(|workload| Some(workload.option_window_days))),
    ]
}

fn rules(registry: &Registry) -> Vec<ArrayRef> {
    let all: Vec<_> = registry.rules().collect();
    let conditions: Vec<_> = all.iter().map(|(_, rule)| rule.to_string()).collect();
    vec![
        whole((1..).zip(&all).map(|(number, _)| Some(number))),
        texts(all.iter().map(|(workload, _)| Some(workload.name.as_str()))),
        whole(all.iter().map(|(_, rule)| i64::try_from(rule.line).ok())),
        texts(conditions.iter().map(|conditions| Some(conditions.as_str()))),
    ]
}

fn contracts(registry: &Registry) -> Vec<ArrayRef> {
    let all = || registry.contracts.iter();
    vec![
        texts(all().map(|contract| Some(contract.name.as_str()))),
        texts(all().map(|contract| Some(contract.vendor.as_str()))),
        lists(all().map(|contract| as_texts(&contract.providers))),
        days(all().map(|contract| Some(contract.starts_on))),
        days(all().map(|contract| contract.ends_on)),
        texts(all().map(|contract| contract.renewal.map(super::Renewal::as_str))),
        whole(all().map(|contract| contract.renewal_months)),
        days(all().map(super::Contract::notice_on)),
        days(all().map(super::Contract::gate_on)),
        whole(all().map(|contract| contract.transition_days)),
        whole(all().map(|contract| contract.retrieval_days)),
    ]
}

fn commitments(registry: &Registry) -> Vec<ArrayRef> {
    let contracts = registry.contracts.iter();
    let all: Vec<_> =
        contracts.flat_map(|contract| contract.commitments.iter().map(|one| (contract.name.as_str(), one))).collect();
    vec![
        texts(all.iter().map(|(contract, _)| Some(*contract))),
        texts(all.iter().map(|(_, commitment)| Some(commitment.name.as_str()))),
        amounts(all.iter().map(|(_, commitment)| Some(commitment.usd))),
        days(all.iter().map(|(_, commitment)| Some(commitment.starts_on))),
        days(all.iter().map(|(_, commitment)| Some(commitment.ends_on))),
        texts(all.iter().map(|(_, commitment)| Some(commitment.shortfall.as_str()))),
    ]
}

fn clauses(registry: &Registry) -> Vec<ArrayRef> {
    let contracts = registry.contracts.iter();
    let all: Vec<_> =
        contracts.flat_map(|contract| ClauseKind::ALL.iter().map(move |kind| (contract, *kind))).collect();
    let clause = |at: &(&super::Contract, ClauseKind)| {
        let (contract, kind) = *at;
        contract.clauses.iter().find(|clause| clause.kind == kind).cloned()
    };
    let found: Vec<_> = all.iter().map(clause).collect();
    vec![
        texts(all.iter().map(|(contract, _)| Some(contract.name.as_str()))),
        texts(all.iter().map(|(_, kind)| Some(kind.as_str()))),
        Arc::new(found.iter().map(|clause| Some(clause.as_ref().is_some_and(|c| c.held))).collect::<BooleanArray>()),
        whole(found.iter().map(|clause| clause.as_ref()?.days)),
        amounts(found.iter().map(|clause| clause.as_ref()?.cost_max_usd)),
        days(found.iter().map(|clause| clause.as_ref()?.due_on)),
        texts(found.iter().map(|clause| clause.as_ref()?.note.as_deref())),
    ]
}

fn features(registry: &Registry) -> Vec<ArrayRef> {
    let all = || registry.features.iter();
    vec![
        texts(all().map(|rule| Some(rule.feature.as_str()))),
        texts(all().map(|rule| Some(rule.form.as_str()))),
        texts(all().map(|rule| Some(rule.segment.as_str()))),
        whole(all().map(|rule| Some(rule.segment.firmness()))),
        amounts(all().map(|rule| Some(rule.share_min))),
        amounts(all().map(|rule| Some(rule.effort_days))),
        lists(all().map(|rule| rule.equivalents.clone())),
        texts(all().map(|rule| Some(rule.reason.as_str()))),
        texts(all().map(|rule| Some(rule.moving.as_str()))),
    ]
}

fn models(registry: &Registry) -> Vec<ArrayRef> {
    let all = || registry.models.iter();
    let words = |words: Vec<&'static str>| words.into_iter().map(String::from).collect::<Vec<_>>();
    let modalities = |of: &[super::Modality]| words(of.iter().map(|modality| modality.as_str()).collect());
    vec![
        whole((1..).zip(all()).map(|(number, _)| Some(number))),
        lists(all().map(|rule| as_texts(&rule.models))),
        lists(all().map(|rule| as_texts(&rule.providers))),
        texts(all().map(|rule| Some(rule.family.as_str()))),
        texts(all().map(|rule| rule.developer.as_deref())),
        Arc::new(all().map(|rule| rule.open_weights).collect::<BooleanArray>()),
        whole(all().map(|rule| rule.context_tokens_max)),
        whole(all().map(|rule| rule.output_tokens_max)),
        lists(all().map(|rule| modalities(&rule.input_modalities))),
        lists(all().map(|rule| modalities(&rule.output_modalities))),
        lists(all().map(|rule| words(rule.capabilities.iter().map(|feature| feature.as_str()).collect()))),
        days(all().map(|rule| rule.ends_on)),
        texts(all().map(|rule| rule.origin.as_deref())),
    ]
}

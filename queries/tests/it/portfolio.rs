//! A company of seven workloads, each with one fact planted, a key nobody sanctioned, and failures.

use std::path::Path;

use daybook_ledger::testing::{append, call};
use daybook_ledger::{Entry, Feature, Ledger, Operation, Status, Usd};
use daybook_queries::registry::Registry;

use crate::fixture::{empty, usd};

/// The registry in `tests/portfolio`.
pub(crate) fn registry() -> Registry {
    Registry::read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/portfolio")).unwrap()
}

/// What a group of calls has in common.
struct Group {
    team: &'static str,
    provider: &'static str,
    model: &'static str,
    day: &'static str,
    number: usize,
    cost: &'static str,
    change: fn(usize, &mut Entry<'_>),
}

/// Calls of one day, a minute apart.
const GROUPS: [Group; 12] = [
    // Portable, but the last success elsewhere is longer ago than its window: a stale option.
    Group {
        team: "chat",
        provider: "openai",
        model: "gpt-5",
        day: "2026-11-20",
        number: 18,
        cost: "0.1",
        change: plain,
    },
    Group {
        team: "chat",
        provider: "mistral",
        model: "mistral-small-2603",
        day: "2026-07-01",
        number: 2,
        cost: "0.05",
        change: plain,
    },
    Group {
        team: "chat",
        provider: "mistral",
        model: "mistral-small-2603",
        day: "2026-11-19",
        number: 1,
        cost: "0.05",
        change: failed,
    },
    // Half of the calls lean on tools: movable, against what its owner says. Bedrock is a fresh option nobody approved.
    Group {
        team: "tools",
        provider: "anthropic",
        model: "claude-sonnet-5",
        day: "2026-11-18",
        number: 10,
        cost: "0.2",
        change: every_second_with_tools,
    },
    Group {
        team: "tools",
        provider: "bedrock",
        model: "anthropic.claude-sonnet-5",
        day: "2026-11-01",
        number: 1,
        cost: "0.3",
        change: plain,
    },
    Group {
        team: "tools",
        provider: "anthropic",
        model: "claude-sonnet-5",
        day: "2026-11-17",
        number: 3,
        cost: "0.01",
        change: failed_then_retried,
    },
    // One picture in two hundred calls binds nothing.
    Group {
        team: "rare",
        provider: "openai",
        model: "gpt-5",
        day: "2026-11-10",
        number: 200,
        cost: "0.01",
        change: one_picture,
    },
    Group {
        team: "index",
        provider: "openai",
        model: "text-embedding-3-small",
        day: "2026-11-11",
        number: 5,
        cost: "0.000001",
        change: embedding,
    },
    Group {
        team: "tuned",
        provider: "openai",
        model: "ft:gpt-4.1:acme",
        day: "2026-11-12",
        number: 4,
        cost: "0.4",
        change: one_tuned,
    },
    // Portable until a day on which it began to keep its state with the vendor.
    Group { team: "", provider: "openai", model: "gpt-5", day: "2026-10-01", number: 3, cost: "1.5", change: threads },
    Group {
        team: "",
        provider: "openai",
        model: "gpt-5",
        day: "2026-10-05",
        number: 3,
        cost: "1.5",
        change: threads_with_state,
    },
    // A key nobody sanctioned.
    Group {
        team: "",
        provider: "xai",
        model: "grok-9-beta",
        day: "2026-11-15",
        number: 3,
        cost: "0.5",
        change: side_project,
    },
];

fn plain(_: usize, _: &mut Entry<'_>) {}

fn failed(_: usize, entry: &mut Entry<'_>) {
    entry.status = Status::Error;
    entry.error_type = Some("overloaded".into());
}

fn every_second_with_tools(at: usize, entry: &mut Entry<'_>) {
    entry.features.insert_if(at.is_multiple_of(2), Feature::ToolCalling);
    entry.features.insert(Feature::PromptCacheControl);
    entry.end_user = Some(if at < 5 { "u1" } else { "u2" }.into());
    entry.latency_ms = Some(100 * (i64::try_from(at).unwrap() + 1));
    entry.reported_cost = usd("0.15");
    entry.reported_currency = Some(if at == 9 { "EUR" } else { "USD" });
}

/// One trace: an error, an error, a success; so both errors were retried.
fn failed_then_retried(at: usize, entry: &mut Entry<'_>) {
    entry.trace_id = Some("t1".into());
    if at < 2 {
        failed(at, entry);
    }
}

fn one_picture(at: usize, entry: &mut Entry<'_>) {
    entry.features.insert_if(at == 7, Feature::VisionInput);
}

fn embedding(_: usize, entry: &mut Entry<'_>) {
    entry.operation = Some(Operation::Embeddings);
    entry.features.insert(Feature::ProprietaryEmbedding);
}

fn one_tuned(at: usize, entry: &mut Entry<'_>) {
    entry.features.insert_if(at == 0, Feature::FineTunedModel);
}

fn threads(_: usize, entry: &mut Entry<'_>) {
    entry.team = None;
    entry.tags = vec![("app".into(), "threads-eu".into()), ("tier".into(), "gold".into())];
}

fn threads_with_state(at: usize, entry: &mut Entry<'_>) {
    threads(at, entry);
    entry.features.insert(Feature::HostedState);
}

fn side_project(_: usize, entry: &mut Entry<'_>) {
    entry.team = None;
    entry.api_key_alias = Some("side-project".into());
}

/// The ledger. The last call of `tuned` is unpriced.
pub(crate) async fn ledger() -> Ledger {
    let ledger = empty().await;
    for (number, group) in GROUPS.iter().enumerate() {
        let ids: Vec<_> = (0..group.number).map(|at| format!("{number}-{at}")).collect();
        let entries = ids.iter().enumerate().map(|(at, id)| {
            let started_at = format!("{}T{:02}:{:02}:00Z", group.day, at / 60, at % 60);
            let mut entry = call(id, group.provider, group.model, group.team, &started_at, (1_000, 100));
            (group.change)(at, &mut entry);
            let unpriced = group.team == "tuned" && at == 3;
            (entry, (!unpriced).then(|| Usd::parse(group.cost).unwrap()))
        });
        append(&ledger, &format!("b{number}"), &entries.collect::<Vec<_>>()).await;
    }
    ledger
}

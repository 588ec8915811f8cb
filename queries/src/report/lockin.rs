//! How firmly each workload is tied to its vendor, by which calls, and what it would take to move.

use daybook_ledger::price::{Book, Call};
use daybook_ledger::{Entry, Instant, Operation, Tokens, Usd};

use super::{Chart, Section, Tone, quoted};
use crate::registry::ModelRef;
use crate::{Error, Session};

/// The report over every workload: what traffic shows beside what is declared, options, and the five forms.
pub fn lockin() -> Vec<Section> {
    let mut sections = overview();
    sections.extend(forms());
    sections
}

fn overview() -> Vec<Section> {
    vec![
        Section::new(
            "segments",
            "Segments",
            "Calls by what they lean on themselves, over all workloads. Unpriced calls are in no dollars.",
            "SELECT part.segment, \
             sum(CASE part.segment WHEN 'locked_in' THEN locked_in_calls WHEN 'movable' THEN movable_calls \
             ELSE portable_calls END) AS calls, \
             sum(CASE part.segment WHEN 'locked_in' THEN locked_in_cost WHEN 'movable' THEN movable_cost \
             ELSE portable_cost END) AS list_cost \
             FROM lockin CROSS JOIN (VALUES ('locked_in', 3), ('movable', 2), ('portable', 1)) AS part(segment, rank) \
             GROUP BY part.segment, part.rank ORDER BY part.rank DESC",
        )
        .drawn(Chart::Bars { label: &["segment"], value: "list_cost", tone: Tone::Free }),
        Section::new(
            "workloads",
            "Workloads",
            "The segment is the firmest of the rules that bind. `agrees` compares it with what the owner declares; \
             effort is the sum of the rules' assumptions, in engineering days. No name: calls of no workload, \
             which have no segment.",
            "SELECT workload, owner, declared_segment, segment, agrees, because, calls, unpriced_calls, list_cost, \
             locked_in_cost, movable_cost, portable_cost, effort_days FROM lockin \
             ORDER BY list_cost DESC NULLS LAST, workload",
        )
        .drawn(Chart::Stack { label: &["workload"], total: "list_cost", parts: Chart::SEGMENTS }),
        Section::new(
            "options",
            "Options",
            "An option is fresh if a call or a recorded test succeeded on a second provider within the workload's window, \
             counted back from the last day of the ledger's calls. A call there renews it, and so does a test recorded with \
             `daybook evidence add`.",
            "SELECT lockin.workload, lockin.provider, provider_share, option, second_provider, second_provider_day, \
             shown_by, fresh_until, option_window_days, alternatives, fallback FROM lockin \
             LEFT JOIN registry_workloads ON registry_workloads.workload = lockin.workload \
             ORDER BY list_cost DESC NULLS LAST, lockin.workload",
        ),
    ]
}

/// One table for each form of lock-in.
fn forms() -> Vec<Section> {
    let of_form = |form: &str| {
        format!(
            "SELECT feature, workload, provider, model, binds, calls, input_tokens, unpriced_calls, list_cost, first_day, \
             last_day, encode(sample_entry_id, 'hex') AS sample FROM lockin_forms WHERE form = '{form}' \
             ORDER BY list_cost DESC NULLS LAST, feature, workload, provider, model"
        )
    };
    vec![
        Section::new(
            "proprietary_api",
            "Form 1: proprietary API",
            "Features of calls that others shape differently or lack. A call counts in each of its features.",
            of_form("proprietary_api"),
        ),
        Section::new(
            "fine_tuned_models",
            "Form 2: fine-tuned models",
            "Weights that stay with the vendor: leaving means training again.",
            of_form("fine_tuned_model"),
        ),
        Section::new(
            "embeddings",
            "Form 3: embeddings",
            "Leaving means to embed `input_tokens` again; `list_cost` is what that took at the prices of then. Events do \
             not say how many vectors a call made: `calls` is the least there can be.",
            of_form("embeddings"),
        ),
        Section::new(
            "hosted_state",
            "Form 4: data and workflow",
            "Files, vector stores and conversations kept by the vendor.",
            of_form("hosted_state"),
        ),
        Section::new(
            "commitments",
            "Form 5: commercial commitments",
            "Spend promised, and spend of calls under the contract in the period. Used is a part of 1.",
            "SELECT contract, vendor, commitment, committed, list_cost, unpriced_calls, remaining, used, elapsed, starts_on, \
             ends_on, shortfall, notice_on, gate_on FROM commitments ORDER BY ends_on, contract, commitment",
        ),
        Section::new(
            "capacity",
            "Form 5: capacity paid by the hour",
            "Calls that ran on capacity that is paid whether used or not.",
            of_form("commitment"),
        ),
    ]
}

/// What it costs to embed again with `model` what was embedded so far, by the prices in `book` at `at`.
///
/// # Errors
/// [`Error::NotPriced`] if the book has no price for embeddings of that model.
pub fn re_embedding(book: &Book, model: &ModelRef, at: Instant) -> Result<Section, Error> {
    let usd = usd_per_million(book, model, at)?;
    let name = format!("{}/{}", model.provider, model.model).replace('\'', "''");
    Ok(Section::new(
        "re_embedding",
        "Form 3: embedding again",
        "The tokens embedded so far, at the list price of the model named. Texts embedded twice count twice, and another \
         model may count tokens otherwise.",
        format!(
            "SELECT provider, model, workload, calls, input_tokens, list_cost AS paid, '{name}' AS new_model, \
             {usd}::decimal(38, 12) AS usd_per_million, \
             (input_tokens::decimal(20, 0) * {usd}::decimal(18, 12) / 1000000::decimal(7, 0))::decimal(38, 12) AS cost \
             FROM lockin_forms WHERE form = 'embeddings' ORDER BY cost DESC NULLS LAST, provider, model, workload"
        ),
    ))
}

fn usd_per_million(book: &Book, model: &ModelRef, at: Instant) -> Result<Usd, Error> {
    let mut entry = Entry::new("", Operation::Embeddings, b"");
    entry.provider = Some(model.provider.as_str().into());
    entry.response_model = Some(model.model.as_str().into());
    entry.tokens = Tokens { input: Some(1_000_000), output: Some(0), ..Tokens::default() };
    let buckets = entry.tokens.buckets();
    let rated = book.price(&Call::of(&entry, &buckets, at));
    rated.list_cost.ok_or_else(|| Error::NotPriced {
        provider: model.provider.clone(),
        model: model.model.clone(),
        status: rated.status.as_str(),
    })
}

/// The report about `workload`: the rules that decide its segment, with counts, dollars and a call for each.
///
/// # Errors
/// [`Error::UnknownWorkload`].
pub fn why(session: &Session, workload: &str) -> Result<Vec<Section>, Error> {
    session.registry().need_workload(workload)?;
    let name = quoted(workload);
    Ok(vec![
        Section::new(
            "verdict",
            "Verdict",
            "What traffic shows beside what the owner declares.",
            format!(
                "SELECT workload, owner, declared_segment, segment, agrees, because, calls, unpriced_calls, list_cost, \
                 effort_days, option, second_provider, second_provider_day, shown_by, fresh_until FROM lockin WHERE workload = {name}"
            ),
        ),
        Section::new(
            "rules",
            "Rules",
            "A rule binds if the share of calls that lean on the feature reaches its least share. The firmest that binds \
             decides.",
            format!(
                "SELECT feature, form, segment, calls, share, share_min, binds, list_cost, unpriced_calls, effort_days, \
                 first_day, last_day, encode(sample_entry_id, 'hex') AS sample FROM workload_features \
                 WHERE workload = {name} ORDER BY binds DESC, firmness DESC, feature"
            ),
        ),
        Section::new(
            "reasons",
            "Reasons",
            "Why each feature ties, what moving takes, and what others have instead.",
            format!(
                "SELECT registry_features.feature, reason, moving, equivalents FROM registry_features \
                 JOIN workload_features ON workload_features.feature = registry_features.feature \
                 WHERE workload = {name} ORDER BY registry_features.firmness DESC, registry_features.feature"
            ),
        ),
        Section::new(
            "providers",
            "Providers",
            "Where it runs or was tested; the first has the most calls.",
            format!(
                "SELECT rank, provider, calls, failed_calls, share, list_cost, unpriced_calls, first_day, last_day, \
                 last_success_day, tests, last_test_day, last_test_runs, last_test_passed FROM workload_providers WHERE workload = {name} ORDER BY rank"
            ),
        ),
        Section::new(
            "assignment",
            "Assignment",
            "The rules of `workloads.toml` that make a call its own, with their number among all rules.",
            format!("SELECT rule, line, conditions FROM registry_rules WHERE workload = {name} ORDER BY rule"),
        ),
    ])
}

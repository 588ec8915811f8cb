//! What files of a registry say, and what is said about wrong ones.

use daybook_ledger::{Date, Feature, Usd};

use super::*;

fn read(files: &[(&str, &str)]) -> Result<Registry, Error> {
    let files = files.iter().map(|(name, text)| File { name: (*name).into(), text: (*text).into() });
    Registry::read("r/", files.collect())
}

fn faults(files: &[(&str, &str)]) -> Vec<String> {
    match read(files) {
        Err(Error::Registry { faults }) => faults.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_feature_has_a_shipped_rule() {
    let registry = Registry::builtin().unwrap();
    let features: Vec<_> = registry.features.iter().map(|rule| rule.feature).collect();
    assert_eq!(features, Feature::ALL);
}

#[test]
fn a_rule_of_ones_own_replaces_the_shipped_one_and_no_other() {
    let text = "[[feature]]\nname = 'tool_calling'\nform = 'proprietary_api'\nsegment = 'locked_in'\nshare_min = 0.25\n\
                effort_days = '30'\nreason = 'our harness'\nmoving = 'rewrite it'\n";
    let registry = read(&[("features.toml", text)]).unwrap();
    let shipped = Registry::builtin().unwrap();
    let rule = |registry: &Registry, feature| registry.features.iter().find(|rule| rule.feature == feature).cloned();
    let own = rule(&registry, Feature::ToolCalling).unwrap();
    assert_eq!((own.segment, own.share_min), (Segment::LockedIn, Usd::parse("0.25").unwrap()));
    assert_eq!(rule(&registry, Feature::Batch), rule(&shipped, Feature::Batch));
    assert_eq!(registry.features.len(), Feature::ALL.len());
}

#[test]
fn a_model_of_ones_own_comes_before_the_shipped_ones() {
    let text = "[[model]]\nmatch = 'gpt-5-tuned'\nfamily = 'ours'\n";
    let registry = read(&[("models.toml", text)]).unwrap();
    let family =
        |model: &str| registry.models.iter().find(|rule| rule.matches(Some("openai"), model)).map(|rule| &*rule.family);
    assert_eq!(family("gpt-5-tuned"), Some("ours"));
    assert_eq!(family("gpt-5"), Some("gpt-5"));
    assert_eq!(family("us.anthropic.claude-sonnet-5"), Some("claude-sonnet"));
    assert_eq!(family("a-model-of-nobody"), None);
}

#[test]
fn facts_about_a_model_name_their_origin() {
    let shipped = Registry::builtin().unwrap();
    let rule = shipped.models.iter().find(|rule| rule.matches(Some("openai"), "gpt-5")).unwrap();
    assert_eq!(rule.ends_on, Date::parse("2026-12-11"));
    for rule in shipped.models.iter().filter(|rule| rule.context_tokens_max.is_some() || rule.ends_on.is_some()) {
        assert!(rule.origin.is_some(), "{rule:?}");
    }
}

#[test]
fn every_fault_of_every_file_is_named_with_its_place() {
    let workloads = "[[workload]]\nname = 'bot'\nowners = 'jane'\ndeclared_segment = 'portabel'\n\
                     [[workload.rule]]\nteams = 'Support'\n[[workload.rule]]\noperation = 'chatt'\n\
                     [[workload]]\nname = 'bot'\noption_window_days = 0\n";
    let contracts = "[[contract]]\nname = 'c'\nproviders = []\nstarts_on = 2026-05-01\nends_on = 2026-04-30\n\
                     [[contract.commitment]]\nname = 'year'\nusd = 'much'\n";
    assert_eq!(
        faults(&[("workloads.toml", workloads), ("contracts.toml", contracts)]),
        [
            "r/contracts.toml:1:1: [[contract]] has no `vendor`",
            "r/contracts.toml:3:13: `providers` is an empty list; leave it out instead",
            "r/contracts.toml:5:11: `ends_on` 2026-04-30 lies before `starts_on` 2026-05-01",
            "r/contracts.toml:6:1: [[contract.commitment]] has no `ends_on`",
            "r/contracts.toml:6:1: [[contract.commitment]] has no `shortfall`",
            "r/contracts.toml:6:1: [[contract.commitment]] has no `starts_on`",
            "r/contracts.toml:8:7: `usd` is `much`; it takes a decimal from 0 to 1000000000000",
            "r/workloads.toml:3:1: unknown key `owners`; did you mean `owner`?",
            "r/workloads.toml:4:20: `declared_segment` is `portabel`; did you mean `portable`?",
            "r/workloads.toml:5:1: [[workload.rule]] has no condition; for every call that is left write `provider = \"*\"`",
            "r/workloads.toml:6:1: unknown key `teams`; did you mean `team`?",
            "r/workloads.toml:8:13: `operation` is `chatt`; did you mean `chat`?",
            "r/workloads.toml:9:1: [[workload]] has no [[workload.rule]], so no call can be its own",
            "r/workloads.toml:10:8: a second workload is called `bot`",
            "r/workloads.toml:11:22: `option_window_days` is 0; it takes a whole number from 1 to 3650",
        ]
    );
}

#[test]
fn text_that_is_no_toml_and_files_nobody_reads_are_faults() {
    assert_eq!(
        faults(&[("workload.toml", ""), ("workloads.toml", "[[workload]]\nname = \n")]),
        [
            "r/workload.toml:1:1: `workload.toml` is no file of a registry; did you mean `workloads.toml`?",
            "r/workloads.toml:2:8: string values must be quoted, expected literal string",
        ]
    );
}

#[test]
fn a_rule_that_can_never_decide_is_a_fault() {
    let text = "[[workload]]\nname = 'a'\n[[workload.rule]]\nteam = 'x'\n[[workload]]\nname = 'b'\n[[workload.rule]]\nteam = 'x'\n";
    assert_eq!(
        faults(&[("workloads.toml", text)]),
        ["r/workloads.toml:5:1: the rule in line 7 never decides: that of `a` in line 3 is the same and comes first"]
    );
}

#[test]
fn a_contract_knows_its_days_and_the_clauses_it_lacks() {
    let text = "[[contract]]\nname = 'c'\nvendor = 'Acme'\nproviders = ['acme']\nstarts_on = 2026-01-01\n\
                ends_on = 2026-12-31\nnotice_days = 90\n[[contract.clause]]\nkind = 'no_training'\n\
                [[contract.clause]]\nkind = 'escrow'\nheld = false\n";
    let registry = read(&[("contracts.toml", text)]).unwrap();
    let contract = registry.contracts.first().unwrap();
    assert_eq!(contract.notice_on(), Date::parse("2026-10-02"));
    assert_eq!(contract.gate_on(), Date::parse("2026-06-04"));
    let missing: Vec<_> = contract.missing_clauses().map(ClauseKind::as_str).collect();
    assert_eq!(missing.len(), ClauseKind::ALL.len() - 1);
    assert!(missing.contains(&"escrow") && !missing.contains(&"no_training"));
}

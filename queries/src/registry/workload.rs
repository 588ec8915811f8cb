//! `workloads.toml`: which calls are one piece of work, who owns it, and what it could run on instead.

use arrow::datatypes::DataType;
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::cast;
use datafusion::logical_expr::utils::{conjunction, disjunction};
use datafusion::prelude::Expr;
use daybook_ledger::{Operation, words};

use super::fields::{Fields, unknown_word};
use super::pattern::{Pattern, first_that_holds, word};

words! {
    /// How firmly a workload is tied to a vendor, from loose to firm.
    Segment {
        /// It runs elsewhere as it is.
        Portable = "portable",
        /// It runs elsewhere after some work.
        Movable = "movable",
        /// What it leans on exists nowhere else.
        LockedIn = "locked_in",
    }
}

impl Segment {
    /// 0 for loose to 2 for firm, so that the firmest of several is their maximum.
    pub fn firmness(self) -> i64 {
        match self {
            Self::Portable => 0,
            Self::Movable => 1,
            Self::LockedIn => 2,
        }
    }
}

/// Days without a run on a second provider after which an option counts as stale, unless the workload says otherwise.
const OPTION_WINDOW_DAYS: i64 = 90;

/// A piece of work that makes calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its name, unique.
    pub name: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What its owner takes it to be.
    pub declared_segment: Option<Segment>,
    /// Providers it may use; any if empty.
    pub approved_providers: Vec<Pattern>,
    /// Models it may use; any if empty.
    pub approved_models: Vec<Pattern>,
    /// Where it could run instead, best first.
    pub alternatives: Vec<ModelRef>,
    /// What it falls back to when its provider does not answer.
    pub fallback: Option<ModelRef>,
    /// Days after which a run on a second provider no longer counts as evidence.
    pub option_window_days: i64,
    /// What makes a call one of its own: any of these.
    pub rules: Vec<Rule>,
}

/// A model at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRef {
    /// Who serves it.
    pub provider: String,
    /// The id it is served under.
    pub model: String,
}

impl ModelRef {
    pub(crate) fn read(fields: &Fields<'_>) -> Option<Self> {
        let provider = fields.need("provider", fields.text("provider"));
        let model = fields.need("model", fields.text("model"));
        fields.refuse_unknown();
        Some(Self { provider: provider?, model: model? })
    }
}

impl std::fmt::Display for ModelRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

/// Conditions that all must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Line of the file it begins at.
    pub line: usize,
    /// The conditions, in the order of [`Subject`].
    pub conditions: Vec<Condition>,
}

/// A fact about a call that must fit one of some patterns. A call that does not say fits none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which fact.
    pub subject: Subject,
    /// The patterns.
    pub any_of: Vec<Pattern>,
}

/// A fact about a call that rules speak of: a column of `usage`, or one of its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `team`
    Team,
    /// `project`
    Project,
    /// `api_key_alias`
    ApiKeyAlias,
    /// `workload_hint`
    WorkloadHint,
    /// `environment`
    Environment,
    /// `operation`
    Operation,
    /// `provider`
    Provider,
    /// `response_model`, else `request_model`
    Model,
    /// One of `tags`
    Tag(String),
}

impl Subject {
    /// The subjects that are columns, in the order in which the SQL function `workload` takes them; `tags` follows.
    pub(super) const COLUMNS: [(Self, &'static str); 8] = [
        (Self::Team, "team"),
        (Self::Project, "project"),
        (Self::ApiKeyAlias, "api_key_alias"),
        (Self::WorkloadHint, "workload_hint"),
        (Self::Environment, "environment"),
        (Self::Operation, "operation"),
        (Self::Provider, "provider"),
        (Self::Model, "model"),
    ];

    /// The argument of the SQL function `workload` that holds the fact.
    fn to_expr(&self, arguments: &[Expr]) -> Option<Expr> {
        match self {
            Self::Tag(name) => {
                let tag = get_field(arguments.get(Self::COLUMNS.len())?.clone(), name.clone());
                Some(cast(tag, DataType::Utf8View))
            }
            column => {
                let at = Self::COLUMNS.iter().position(|(subject, _)| subject == column)?;
                arguments.get(at).cloned()
            }
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(name) => write!(f, "tags.{name}"),
            column => {
                let named = Self::COLUMNS.iter().find(|(subject, _)| subject == column);
                f.write_str(named.map_or("", |(_, name)| name))
            }
        }
    }
}

impl Condition {
    /// Whether `fact` fits.
    pub fn holds(&self, fact: Option<&str>) -> bool {
        fact.is_some_and(|fact| self.any_of.iter().any(|pattern| pattern.matches(fact)))
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let patterns: Vec<_> = self.any_of.iter().map(Pattern::as_str).collect();
        write!(f, "{} = {}", self.subject, patterns.join(" or "))
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let conditions: Vec<_> = self.conditions.iter().map(ToString::to_string).collect();
        f.write_str(&conditions.join(" and "))
    }
}

impl Rule {
    fn to_expr(&self, arguments: &[Expr]) -> Option<Expr> {
        let conditions = self.conditions.iter().map(|condition| {
            let fact = condition.subject.to_expr(arguments)?;
            disjunction(condition.any_of.iter().map(|pattern| pattern.to_expr(fact.clone())))
        });
        conjunction(conditions.collect::<Option<Vec<_>>>()?)
    }
}

/// The name of the first workload with a rule that holds, over the arguments of the SQL function `workload`.
pub(super) fn to_expr(workloads: &[Workload], arguments: &[Expr]) -> Option<Expr> {
    let rules = workloads.iter().flat_map(|workload| workload.rules.iter().map(move |rule| (workload, rule)));
    let cases = rules.filter_map(|(workload, rule)| Some((rule.to_expr(arguments)?, word(&workload.name))));
    first_that_holds(cases)
}

/// Reads the file.
pub(super) fn read(root: &Fields<'_>) -> Vec<Workload> {
    let mut workloads: Vec<Workload> = Vec::new();
    let mut seen: Vec<(Rule, String)> = Vec::new();
    for fields in root.tables("workload", "[[workload]]") {
        let workload = read_workload(&fields);
        if let Some(workload) = &workload
            && workloads.iter().any(|earlier| earlier.name == workload.name)
        {
            fields.fault_at("name", format!("a second workload is called `{}`", workload.name));
        }
        workloads.extend(workload);
        let Some(workload) = workloads.last() else { continue };
        for rule in &workload.rules {
            match seen.iter().find(|(earlier, _)| earlier.conditions == rule.conditions && earlier.line != rule.line) {
                Some((earlier, name)) => fields.fault(format!(
                    "the rule in line {} never decides: that of `{name}` in line {} is the same and comes first",
                    rule.line, earlier.line
                )),
                None => seen.push((rule.clone(), workload.name.clone())),
            }
        }
    }
    workloads
}

fn read_workload(fields: &Fields<'_>) -> Option<Workload> {
    let name = fields.need("name", fields.text("name"));
    let rules: Vec<_> = fields.tables("rule", "[[workload.rule]]").iter().map(read_rule).collect();
    if rules.is_empty() && !fields.has("rule") {
        fields.fault("[[workload]] has no [[workload.rule]], so no call can be its own");
    }
    let workload = Workload {
        name: name.clone().unwrap_or_default(),
        owner: fields.text("owner"),
        declared_segment: fields.word("declared_segment", Segment::ALL, Segment::as_str),
        approved_providers: fields.patterns("approved_providers"),
        approved_models: fields.patterns("approved_models"),
        alternatives: fields.tables("alternatives", "alternatives").iter().filter_map(ModelRef::read).collect(),
        fallback: fields.table("fallback", "fallback").as_ref().and_then(ModelRef::read),
        option_window_days: fields.whole("option_window_days", 1..=3_650).unwrap_or(OPTION_WINDOW_DAYS),
        rules,
    };
    fields.refuse_unknown();
    name.map(|_| workload)
}

fn read_rule(fields: &Fields<'_>) -> Rule {
    let mut conditions = Vec::new();
    for (subject, key) in Subject::COLUMNS {
        let any_of = fields.patterns(key);
        if subject == Subject::Operation {
            check_operations(fields, &any_of);
        }
        if !any_of.is_empty() {
            conditions.push(Condition { subject, any_of });
        }
    }
    for (tag, any_of) in fields.pattern_pairs("tags") {
        conditions.push(Condition { subject: Subject::Tag(tag), any_of });
    }
    fields.refuse_unknown();
    if conditions.is_empty() {
        fields.fault("[[workload.rule]] has no condition; for every call that is left write `provider = \"*\"`");
    }
    Rule { line: fields.line(), conditions }
}

/// A pattern that fits no operation there is can only be a slip.
fn check_operations(fields: &Fields<'_>, patterns: &[Pattern]) {
    let fits = |pattern: &Pattern| Operation::ALL.iter().any(|operation| pattern.matches(operation.as_str()));
    for pattern in patterns.iter().filter(|pattern| !fits(pattern)) {
        let message = unknown_word("operation", pattern.as_str(), Operation::ALL, Operation::as_str);
        fields.fault_at("operation", message);
    }
}

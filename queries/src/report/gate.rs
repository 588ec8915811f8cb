//! The gate before a renewal: what must hold so that one can decide.

use arrow::array::AsArray as _;
use daybook_ledger::{Date, Usd};

use super::{Section, quoted};
use crate::registry::ClauseKind;
use crate::{Error, Session};

/// What must hold.
#[derive(Clone, Debug)]
pub struct GateOptions {
    /// The contract.
    pub contract: String,
    /// The day it is asked on.
    pub on: Date,
    /// The largest part of the ledger's priced spend that may fall under the contract, 0 to 1.
    pub concentration_max: Usd,
    /// The largest part of the contract's calls that may have no price.
    pub unpriced_max: Usd,
    /// The largest part of the contract's calls that may belong to no workload.
    pub unassigned_max: Usd,
    /// The largest part of the contract's calls that may name no team.
    pub unattributed_max: Usd,
    /// Days for which an export, or a rehearsal of one, counts.
    pub export_days_max: u32,
    /// Clauses the contract must have.
    pub clauses: Vec<ClauseKind>,
}

impl GateOptions {
    /// The limits of `daybook gate` where none is given.
    pub fn usual(contract: &str, on: Date) -> Self {
        const PERCENT: i128 = 10_000_000_000;
        Self {
            contract: contract.into(),
            on,
            concentration_max: Usd::from_pico(80 * PERCENT),
            unpriced_max: Usd::from_pico(PERCENT),
            unassigned_max: Usd::from_pico(5 * PERCENT),
            unattributed_max: Usd::from_pico(5 * PERCENT),
            export_days_max: 90,
            clauses: vec![ClauseKind::DataPortability],
        }
    }
}

/// The checks, one a row: whether it passed, what was found, what is allowed.
///
/// # Errors
/// [`Error::UnknownContract`].
pub fn gate(session: &Session, options: &GateOptions) -> Result<Section, Error> {
    session.registry().need_contract(&options.contract)?;
    let note = "A check that is false is a reason to stop. Options are those of workloads with calls under the contract that \
                are not locked in.";
    Ok(Section::new("gate", "Gate", note, sql(options)))
}

/// Whether every check of `section` passed.
///
/// # Errors
/// Those of queries.
pub async fn gate_is_open(session: &Session, section: &Section) -> Result<bool, Error> {
    let sql = format!("SELECT coalesce(bool_and(passed), false) FROM ({})", section.sql);
    let batches = session.run(&sql).await?.collect().await?;
    let column = batches.first().and_then(|batch| batch.columns().first()).and_then(|column| column.as_boolean_opt());
    Ok(column.is_some_and(|column| !column.is_empty() && column.value(0)))
}

fn sql(options: &GateOptions) -> String {
    let contract = quoted(&options.contract);
    let on = format!("DATE '{}'", options.on);
    let required: Vec<_> = options.clauses.iter().map(|clause| format!("'{}'", clause.as_str())).collect();
    let required = if required.is_empty() { "''".into() } else { required.join(", ") };
    let share = |name: &str, of: &str, max: Usd| {
        format!(
            "SELECT '{name}', coalesce({of} <= {max}, false), coalesce({of}::varchar, 'unknown'), \
             'at most ' || ({max}::decimal(9, 6))::varchar FROM counted CROSS JOIN whole"
        )
    };
    let part = "::decimal(20, 6) / nullif(calls, 0)::decimal(20, 0))::decimal(9, 6)";
    let checks = [
        format!(
            "SELECT 'gate_day' AS check, coalesce({on} < gate_on, true) AS passed, \
             coalesce(gate_on::varchar, 'no end') AS found, 'after ' || ({on})::varchar AS allowed \
             FROM registry_contracts WHERE contract = {contract}"
        ),
        "SELECT 'calls', calls > 0, calls::varchar, 'at least 1' FROM counted".into(),
        share(
            "concentration",
            "(counted.list_cost / nullif(whole.list_cost, 0::decimal(38, 12)))::decimal(9, 6)",
            options.concentration_max,
        ),
        share("unpriced", &format!("(unpriced{part}"), options.unpriced_max),
        share("unassigned", &format!("(unassigned{part}"), options.unassigned_max),
        share("unattributed", &format!("(unattributed{part}"), options.unattributed_max),
        of_workloads(
            "options",
            ("segment <> 'locked_in'", "all locked in"),
            "option <> 'fresh'",
            "workload || ' ' || option",
            "all fresh",
        ),
        of_workloads(
            "declared",
            ("agrees IS NOT NULL", "none declared"),
            "NOT agrees",
            "workload || ' is ' || segment",
            "as declared",
        ),
        format!(
            "SELECT 'export', coalesce(max(day)::int >= {on}::int - {days}, false), coalesce(max(day)::varchar, 'never'), \
             'on or after ' || ({on}::int - {days})::date::varchar FROM exit_evidence \
             WHERE contract = {contract} AND day <= {on}",
            days = options.export_days_max
        ),
        format!(
            "SELECT 'clauses', count(*) = 0, coalesce('missing ' || string_agg(clause, ', ' ORDER BY clause), 'all held'), \
             'all held' FROM registry_clauses WHERE contract = {contract} AND NOT held AND clause IN ({required})"
        ),
        commitments(&contract, &on),
    ];
    // The parts of a union come in any order: each check keeps its place.
    let columns = "(check, passed, found, allowed)";
    let named: Vec<_> = (1..).zip(&checks).map(|(at, check)| format!("check{at}{columns} AS ({check})")).collect();
    let all: Vec<_> = (1..=checks.len()).map(|at| format!("SELECT *, {at} AS position FROM check{at}")).collect();
    format!(
        "WITH under AS (SELECT workload, team, list_cost FROM calls WHERE contract = {contract}), \
         counted AS (SELECT count(*) AS calls, count(*) - count(list_cost) AS unpriced, \
         count(*) - count(workload) AS unassigned, count(*) - count(team) AS unattributed, sum(list_cost) AS list_cost FROM under), \
         whole AS (SELECT sum(list_cost) AS list_cost FROM usage), \
         tied AS (SELECT * FROM lockin WHERE workload IN (SELECT DISTINCT workload FROM under WHERE workload IS NOT NULL)), \
         {} \
         SELECT * EXCLUDE (position) FROM ({}) ORDER BY position",
        named.join(", "),
        all.join(" UNION ALL ")
    )
}

/// No workload with calls under the contract that is `asked` may be a `fault`; one has to be known, asked or not.
fn of_workloads(check: &str, (asked, nobody): (&str, &str), fault: &str, named: &str, allowed: &str) -> String {
    let fault = format!("{asked} AND {fault}");
    format!(
        "SELECT '{check}', count(*) > 0 AND count(*) FILTER (WHERE {fault}) = 0, CASE WHEN count(*) = 0 THEN 'unknown' \
         WHEN count(*) FILTER (WHERE {asked}) = 0 THEN '{nobody}' \
         ELSE coalesce(string_agg({named}, ', ' ORDER BY workload) FILTER (WHERE {fault}), '{allowed}') END, '{allowed}' FROM tied"
    )
}

/// By where the projection ends: short in the middle of its band, or beyond even at its low end. A commitment is met again and again
/// on purpose, so that spend which may end on either side is on course.
fn commitments(contract: &str, on: &str) -> String {
    let dollars = |column: &str| format!("{column}::decimal(38, 2)::varchar");
    let ends = |how: &str, what: &str| {
        let [low, middle, high] = ["low", "middle", "high"].map(|end| dollars(&format!("{what}_{end}")));
        format!(
            "' ends ' || {middle} || ' dollars {how} on ' || ends_on::varchar || ' (' || {low} || ' to ' || {high} || ')'"
        )
    };
    format!(
        "SELECT 'commitments', count(*) = 0, coalesce(string_agg(commitment || CASE \
         WHEN middle IS NULL THEN ' cannot be projected' \
         WHEN shortfall_middle > 0 THEN {short} || CASE shortfall WHEN 'rolls_over' THEN ', which roll over' \
         ELSE ', which are ' || shortfall END \
         WHEN used >= committed THEN {over} || ', used up already' \
         ELSE {over} || ', used up on ' || used_up_on::varchar END, '; ' ORDER BY commitment), 'on course'), 'on course' \
         FROM burn_down WHERE contract = {contract} AND starts_on <= {on} AND ends_on >= {on} \
         AND coalesce(shortfall_middle > 0 OR overage_low > 0, true)",
        short = ends("short", "shortfall"),
        over = ends("over", "overage"),
    )
}

//! Published views: one `.sql` file each, whose header says what it shows, in which units, and what it leaves out.
//!
//! `docs/views.md` is generated from here.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::datasource::ViewTable;
use datafusion::error::Result;
use datafusion::prelude::SessionContext;

use crate::optimizer::KeptView;
use crate::registry::{RegistryTable, TABLES};

/// A published view.
#[derive(Debug)]
pub struct View {
    /// Name in every query.
    pub name: &'static str,
    /// The file: a header of comment lines (Markdown), then one query.
    pub text: &'static str,
}

macro_rules! view {
    ($name:literal) => {
        View { name: $name, text: include_str!(concat!($name, ".sql")) }
    };
}

/// Every view, each after those it uses.
pub const ALL: &[View] = &[
    view!("calls"),
    view!("spend_by_day"),
    view!("spend_by_model"),
    view!("spend_by_team"),
    view!("quarantine_open"),
    view!("coverage_by_day"),
    view!("coverage"),
    view!("lockin_features"),
    view!("spend_by_workload"),
    view!("unassigned"),
    view!("unit_economics"),
    view!("wasted_spend"),
    view!("cache_use"),
    view!("latency"),
    view!("concentration"),
    view!("shadow_ai"),
    view!("effective_price"),
    view!("feature_combinations"),
    view!("workload_features"),
    view!("workload_providers"),
    view!("portability_by_month"),
    view!("portability_changes"),
    view!("model_succession"),
    view!("lockin"),
    view!("lockin_forms"),
    view!("commitments"),
    view!("deadlines"),
    view!("trends"),
    view!("forecast"),
    view!("burn_down"),
    view!("anomalies"),
    view!("cache_savings"),
    view!("batch_savings"),
    view!("routing"),
    view!("billing_current"),
    view!("exit_evidence"),
    view!("exit_readiness"),
    view!("exit_gaps"),
];

impl View {
    /// The header, as Markdown.
    pub fn header(&self) -> String {
        let lines = self.text.lines().map_while(|line| line.strip_prefix("--"));
        lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
    }

    /// The query.
    pub fn sql(&self) -> String {
        let lines: Vec<&str> = self.text.lines().skip_while(|line| line.starts_with("--")).collect();
        lines.join("\n").trim().into()
    }
}

/// Plans and registers every view.
pub(crate) async fn register(context: &SessionContext) -> Result<()> {
    for view in ALL {
        let sql = view.sql();
        let plan = context.state().create_logical_plan(&sql).await?;
        context.register_table(view.name, Arc::new(ViewTable::new(plan, Some(sql))))?;
    }
    Ok(())
}

/// The views `sql` names.
pub(crate) fn named_in(sql: &str) -> impl Iterator<Item = &'static View> {
    let words: BTreeSet<_> = sql.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
    ALL.iter().filter(move |view| words.contains(view.name))
}

/// From here on the rows of `views`, which are in the order of [`ALL`], are computed once; of those that are sums.
pub(crate) async fn keep(context: &SessionContext, views: impl Iterator<Item = &View>) -> Result<()> {
    for view in views {
        // Planned anew, from those kept before.
        let plan = context.state().create_logical_plan(&view.sql()).await?;
        if let Some(kept) = KeptView::new(view.name, plan) {
            context.deregister_table(view.name)?;
            context.register_table(view.name, Arc::new(kept))?;
        }
    }
    Ok(())
}

/// `docs/views.md`.
pub fn markdown() -> String {
    let section = |view: &View| format!("\n## `{}`\n\n{}\n\n```sql\n{}\n```\n", view.name, view.header(), view.sql());
    let views = ALL.iter().map(section).fold(INTRODUCTION.to_owned(), |text, section| text + &section);
    TABLES.iter().map(registry_section).fold(views + REGISTRY, |text, section| text + &section)
}

fn registry_section(table: &RegistryTable) -> String {
    let columns = table.columns.iter().map(|(name, meaning)| format!("- `{name}`: {meaning}\n"));
    columns.fold(format!("\n## `{}`\n\n{}\n\n", table.name, table.about), |text, column| text + &column)
}

const REGISTRY: &str = "
# Tables of the registry

What the files of the registry say ([registry.md](registry.md)), to join with what was recorded. A session reads the
newest version in the ledger, or the one it is told to. Functions resolve it: `workload(team, project, api_key_alias,
workload_hint, environment, operation, provider, model, tags)`, `contract(provider, model, day)`,
`model_family(provider, model)` or `model_family(model)`, `model_ends_on(provider, model)`,
`has_open_weights(provider, model)`, `workload_owner(workload)`, `declared_segment(workload)`,
`is_approved(workload, provider, model)`. Every version's files are in the table `registry`.
";

const INTRODUCTION: &str = "\
# Views

Generated from `queries/src/views/`; do not edit. `daybook query` offers these views beside the tables of
[schema.md](schema.md).

- **Money** is exact: `decimal(38, 12)` US dollars. One event carries at most 1,000,000 dollars (docs/schema.md), so a sum
  would need more than 10^20 events to leave 38 digits.
- **Unpriced is not free:** a sum of costs leaves out what has no price and says how many calls that is; where nothing is
  priced the sum is null, never 0.
- **Tokens** are summed as decimals, which cannot wrap: one event carries at most 100,000,000 tokens, and a sum of plain
  integers could wrap beyond 9 * 10^10 such events. In a query of your own write `sum(input_tokens::decimal(20, 0))` on a
  ledger of that size. Counts are what the source said, a negative one too: a sum has it, `usage_check` says `negative_count`, and
  the call has no price. `WHERE usage_check IS NULL` leaves out whatever contradicts itself.
- **Days** are UTC days, the partitions of the tables. In a session with a time zone (`--tz Europe/Berlin`) every instant
  carries it: `started_at::date`, `date_trunc('day', started_at)` and `extract(hour from started_at)` follow that zone and
  its summer time. `date_bin` counts in UTC. For another zone in one query: `date_trunc('day', started_at AT TIME ZONE
  'Asia/Tokyo')`.
- **Prices:** `price(provider, model, at, input_tokens, output_tokens)` is what such a call costs by the ledger's price book at
  the instant or day `at`, exactly as entries are priced; null if it has no price. With cached input it is `price(provider, model,
  at, uncached_input_tokens, cache_read_input_tokens, cache_write_input_tokens, output_tokens[, service_tier[, region]])`,
  where writes are of the shortest lifetime; the five columns from `cache_write_5m_input_tokens` to
  `cache_write_unstated_input_tokens` in place of their sum tell lifetimes apart.
  `usd_per_million(provider, model, unit, at[, service_tier[, region[, input_tokens]]])` is the rate of one unit of
  [prices.md](prices.md), such as `input` or `batch_output`, discounts and uplifts included.
- **`IS DISTINCT FROM` needs parentheses** before `AND` or `OR`: `a IS DISTINCT FROM b AND c` is read as `a IS DISTINCT FROM
  (b AND c)`, without an error where `b` can be taken for a truth. Write `(a IS DISTINCT FROM b) AND c`; the same of `IS NOT
  DISTINCT FROM`.
- **Numbers in a query** such as `0.1` are decimals, never floats.
- **Ids** are bytes and print as hexadecimal: `WHERE entry_id = '..'` takes the digits as they were printed, and
  `encode(entry_id, 'hex')` gives them as text.
";

#[cfg(test)]
mod tests {
    use daybook_ledger::{Ledger, Root};

    use super::*;
    use crate::{Session, SessionOptions};

    #[tokio::test]
    async fn each_column_of_a_view_is_described_in_its_header_in_order() {
        let ledger = Ledger::create_at(Root::memory()).await.unwrap();
        let session = Session::open(&ledger, SessionOptions::default()).await.unwrap();
        for view in ALL {
            let header = view.header();
            let described = header.lines().filter_map(|line| line.strip_prefix("- `")?.split('`').next());
            let schema = session.schema_of(view.name).await.unwrap();
            let columns: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            assert_eq!(described.collect::<Vec<_>>(), columns, "{}", view.name);
        }
    }

    #[tokio::test]
    async fn each_table_of_the_registry_has_the_columns_it_describes() {
        let ledger = Ledger::create_at(Root::memory()).await.unwrap();
        let session = Session::open(&ledger, SessionOptions::default()).await.unwrap();
        for table in TABLES {
            let schema = session.schema_of(table.name).await.unwrap();
            assert_eq!(schema.fields().len(), table.columns.len(), "{}", table.name);
        }
    }

    #[test]
    fn no_view_of_spend_reads_bills() {
        for view in ALL {
            let reads_bills = view.sql().to_ascii_lowercase().contains("billing");
            assert_eq!(reads_bills, view.name == "billing_current", "{}", view.name);
        }
    }

    #[test]
    fn the_published_views_are_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/views.md");
        if std::env::var_os("DAYBOOK_WRITE_DOCS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), markdown(), "run with DAYBOOK_WRITE_DOCS=1");
    }
}

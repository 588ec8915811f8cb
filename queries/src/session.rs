//! A session: a ledger at one state, opened for SQL.

use std::future::Future;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::config::SpillCompression;
use datafusion::datasource::ViewTable;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use daybook_ledger::price::Imports;
use daybook_ledger::{Ledger, Snapshot, Table, TableVersion, schema};
use futures::StreamExt as _;
use object_store::prefix::PrefixStore;

use crate::as_of::{self, AsOf};
use crate::catalog::LedgerTable;
use crate::describe::{self, ColumnDescription};
use crate::names::{self, Names};
use crate::prices::{self, Prices};
use crate::registry::{self, Registry, RegistryVersion};
use crate::statement::{self, Statement};
use crate::views::View;
use crate::{Error, limits, optimizer, threads, views};

/// The catalog and schema of every table, as `SHOW TABLES` names them.
const CATALOG: (&str, &str) = ("daybook", "ledger");
/// Where the ledger's files are, to DataFusion: no query can name a place outside.
const STORE: &str = "ledger://files";

/// The entries, corrected.
pub(crate) const USAGE: &str = "usage";
/// What was said, of calls without an end as far as it was told.
const CONTENT: &str = "content";
/// The entries as first recorded.
pub(crate) const USAGE_RECORDED: &str = "usage_recorded";
/// What was said in calls that ended.
const CONTENT_RECORDED: &str = "content_recorded";

/// Which registry a session resolves workloads, contracts and features with.
#[derive(Clone, Debug, Default)]
pub enum RegistryChoice {
    /// The newest version the ledger has at the state that is read; the shipped rules if it has none.
    #[default]
    Newest,
    /// A version of the ledger's, so that an old report can be made again.
    Version(RegistryVersion),
    /// One that is not, or not yet, in the ledger.
    Given(Arc<Registry>),
}

/// How a session reads a ledger.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The state to read; the newest if `None`.
    pub as_of: Option<AsOf>,
    /// The zone instants are shown, truncated and compared in (IANA name).
    pub time_zone: String,
    /// Bytes of memory all queries together may use before they spill to disk.
    pub memory_bytes_max: usize,
    /// Where they spill to; the system's folder for temporary files if `None`.
    pub spill_folder: Option<PathBuf>,
    /// Threads one query uses.
    pub target_partitions: usize,
    /// How long one query may take, from planning to its last row.
    pub timeout: Option<Duration>,
    /// The registry.
    pub registry: RegistryChoice,
}

impl Default for SessionOptions {
    /// The newest state, UTC, 60 % of the memory and all processors this process may use, no time limit.
    fn default() -> Self {
        Self {
            as_of: None,
            time_zone: "UTC".into(),
            memory_bytes_max: limits::default_memory_bytes(),
            spill_folder: None,
            target_partitions: std::thread::available_parallelism().map_or(1, usize::from),
            timeout: None,
            registry: RegistryChoice::Newest,
        }
    }
}

/// A ledger at one state, open for queries; what is committed later is not seen. Cheap to clone.
#[derive(Clone)]
pub struct Session {
    context: SessionContext,
    versions: Arc<[(&'static str, TableVersion)]>,
    names: Arc<Names>,
    memory_bytes_max: usize,
    timeout: Option<Duration>,
    registry: Arc<Registry>,
    registry_version: Option<RegistryVersion>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("versions", &self.versions).finish_non_exhaustive()
    }
}

impl Session {
    /// Opens `ledger` at the state `options` ask for. Reads the Delta logs, the registry and the
    /// imported prices, no other data file.
    ///
    /// # Errors
    /// [`Error::UnknownTimeZone`], [`Error::BeforeFirst`], [`Error::UnknownRegistryVersion`], [`Error::Ledger`] for a
    /// version that is not there and for a log that cannot be read.
    pub async fn open(ledger: &Ledger, options: SessionOptions) -> Result<Self, Error> {
        let time_zone = known_time_zone(&options.time_zone)?;
        let tables = ledger.tables();
        let snapshots = as_of::load(ledger, &tables, options.as_of).await?;
        let bytes_max = options.memory_bytes_max;
        let failed = |error| Error::from_datafusion(error, &Names::default(), bytes_max);

        let context = context(ledger, &options).map_err(failed)?;
        let store = ObjectStoreUrl::parse(STORE).map_err(failed)?;
        for (table, snapshot) in tables.iter().zip(&snapshots) {
            let provider =
                LedgerTable::new(table.spec(), snapshot.as_ref(), store.clone(), time_zone).map_err(failed)?;
            let name = recorded_name(table.spec().name).unwrap_or(table.spec().name);
            context.register_table(name, Arc::new(provider)).map_err(failed)?;
        }
        let has_rows = |spec: &schema::Table| {
            let mut found = tables.iter().zip(&snapshots).filter(|(table, _)| table.spec().name == spec.name);
            found.any(|(_, snapshot)| snapshot.as_ref().is_some_and(|snapshot| snapshot.rows() > 0))
        };
        let (corrected, partial) = (has_rows(&schema::CORRECTIONS), has_rows(&schema::CONTENT_PARTIAL));
        register_merged(&context, USAGE, corrected.then_some(include_str!("corrected.sql"))).await.map_err(failed)?;
        register_merged(&context, CONTENT, partial.then_some(include_str!("content.sql"))).await.map_err(failed)?;
        let (registry, registry_version) = load_registry(&tables, &snapshots, &options.registry).await?;
        prices::register(&context, load_prices(&tables, &snapshots).await?);
        registry::functions::register(&context, &registry);
        registry::tables::register(&context, &registry).map_err(failed)?;
        views::register(&context).await.map_err(failed)?;

        let versions = tables.iter().zip(&snapshots);
        let versions = versions.filter_map(|(table, snapshot)| Some((table.spec().name, snapshot.as_ref()?.version())));
        let versions = versions.collect();
        let names = Arc::new(names_of(&context));
        let timeout = options.timeout;
        Ok(Self { context, versions, names, memory_bytes_max: bytes_max, timeout, registry, registry_version })
    }

    /// The registry its functions, tables and views speak of.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Its version in the ledger; `None` for one that was given, and for the shipped rules alone.
    pub fn registry_version(&self) -> Option<RegistryVersion> {
        self.registry_version
    }

    /// The version of each table this session reads, `usage` last.
    pub fn versions(&self) -> &[(&'static str, TableVersion)] {
        &self.versions
    }

    /// Tables and views, in the order of the documentation.
    pub fn tables(&self) -> &[String] {
        &self.names.tables
    }

    /// Every function.
    pub fn functions(&self) -> &[String] {
        &self.names.functions
    }

    /// DataFusion's own session, for plans that are not SQL text.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The columns of `table`, a table or a view.
    ///
    /// # Errors
    /// [`Error::UnknownTable`].
    pub async fn schema_of(&self, table: &str) -> Result<SchemaRef, Error> {
        if !self.names.tables.iter().any(|name| name == table) {
            return Err(Error::unknown_table(table, &self.names));
        }
        let provider = self.context.table_provider(table).await.map_err(|error| self.diagnose(error))?;
        Ok(provider.schema())
    }

    /// The columns of `table` in words.
    ///
    /// # Errors
    /// [`Error::UnknownTable`].
    pub async fn describe(&self, table: &str) -> Result<Vec<ColumnDescription>, Error> {
        Ok(describe::describe(table, &self.schema_of(table).await?))
    }

    /// The statements of `sql`, separated by `;`, each checked to be one that only reads.
    ///
    /// # Errors
    /// [`Error::Syntax`], [`Error::ReadOnly`], [`Error::TooDeep`].
    pub fn parse(&self, sql: &str) -> Result<Vec<Statement>, Error> {
        statement::check_depth(sql)?;
        Statement::parse(sql).map_err(|error| self.diagnose(error))?.into_iter().map(Statement::reading).collect()
    }

    /// The plan of the one statement in `sql`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is not exactly one; those of a misspelt or impossible query.
    pub async fn sql(&self, sql: &str) -> Result<DataFrame, Error> {
        self.plan(self.parse_one(sql)?).await
    }

    /// The plan of `statement`.
    ///
    /// # Errors
    /// Those of a misspelt or impossible query.
    pub async fn plan(&self, statement: Statement) -> Result<DataFrame, Error> {
        let state = self.context.state();
        let text = statement.to_string();
        let plan = state.statement_to_plan(statement.into_inner()).await.map_err(|error| self.diagnose(error))?;
        // The second fence: what hides inside a query, such as `SELECT .. INTO`.
        let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        reading.verify_plan(&plan).map_err(|_| Error::ReadOnly { statement: text })?;
        Ok(DataFrame::new(state, plan))
    }

    /// Starts `statement`; its rows come as they are made.
    ///
    /// # Errors
    /// Those of [`Session::plan`], and [`Error::Timeout`].
    pub async fn execute(&self, statement: Statement) -> Result<Rows, Error> {
        let limit = self.timeout;
        let deadline = limit.map(|limit| (tokio::time::Instant::now() + limit, limit));
        let session = self.clone();
        let start = async move {
            let frame = session.plan(statement).await?;
            frame.execute_stream().await.map_err(|error| session.diagnose(error))
        };
        let stream = within(deadline, threads::run(start)).await???;
        Ok(Rows { stream: threads::stream(stream), deadline, session: self.clone() })
    }

    /// Starts the one statement in `sql`.
    ///
    /// # Errors
    /// Those of [`Session::sql`] and [`Session::execute`].
    pub async fn run(&self, sql: &str) -> Result<Rows, Error> {
        self.execute(self.parse_one(sql)?).await
    }

    /// Starts the one statement in `sql`; its rows come in parts, to be read side by side.
    pub(crate) async fn run_in_parts(&self, sql: &str) -> Result<Vec<Rows>, Error> {
        let deadline = self.timeout.map(|limit| (tokio::time::Instant::now() + limit, limit));
        let frame = self.sql(sql).await?;
        let start = async move { frame.execute_stream_partitioned().await };
        let streams = within(deadline, threads::run(start)).await??.map_err(|error| self.diagnose(error))?;
        let rows = |stream| Rows { stream: threads::stream(stream), deadline, session: self.clone() };
        Ok(streams.into_iter().map(rows).collect())
    }

    /// Computes the rows of `views` once for all queries to come.
    pub(crate) async fn keep(&self, views: impl Iterator<Item = &View>) -> Result<(), Error> {
        views::keep(&self.context, views).await.map_err(|error| self.diagnose(error))
    }

    /// Bytes of memory all queries together may use.
    pub(crate) fn memory_bytes_max(&self) -> usize {
        self.memory_bytes_max
    }

    fn parse_one(&self, sql: &str) -> Result<Statement, Error> {
        let [statement] = <[Statement; 1]>::try_from(self.parse(sql)?).map_err(|statements| Error::Invalid {
            message: format!("one statement was expected, {} were given", statements.len()),
        })?;
        Ok(statement)
    }

    fn diagnose(&self, error: DataFusionError) -> Error {
        Error::from_datafusion(error, &self.names, self.memory_bytes_max)
    }
}

/// The rows of a running query. Dropping it stops the query, as soon as that gives way.
pub struct Rows {
    stream: SendableRecordBatchStream,
    deadline: Option<(tokio::time::Instant, Duration)>,
    session: Session,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("schema", &self.schema()).finish_non_exhaustive()
    }
}

impl Rows {
    /// Rows that are there already.
    pub fn of(session: &Session, batch: RecordBatch) -> Self {
        let schema = batch.schema();
        let stream = RecordBatchStreamAdapter::new(schema, futures::stream::iter([Ok(batch)]));
        Self { stream: Box::pin(stream), deadline: None, session: session.clone() }
    }

    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }

    /// The next rows, `None` after the last.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::MemoryExceeded`], [`Error::Failed`], [`Error::Unreadable`].
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, Error> {
        let batch = within(self.deadline, self.stream.next()).await?;
        batch.transpose().map_err(|error| self.session.diagnose(error))
    }

    /// All rows, for results known to be small.
    ///
    /// # Errors
    /// As [`Rows::next`].
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>, Error> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await? {
            batches.push(batch);
        }
        Ok(batches)
    }
}

/// Waits for `future` until the deadline.
async fn within<T>(
    deadline: Option<(tokio::time::Instant, Duration)>,
    future: impl Future<Output = T>,
) -> Result<T, Error> {
    match deadline {
        None => Ok(future.await),
        Some((deadline, limit)) => {
            tokio::time::timeout_at(deadline, future).await.map_err(|_| Error::Timeout { limit })
        }
    }
}

/// The name of `table` alone, where queries see it merged with another.
pub(crate) fn recorded_name(table: &str) -> Option<&'static str> {
    match table {
        USAGE => Some(USAGE_RECORDED),
        CONTENT => Some(CONTENT_RECORDED),
        _ => None,
    }
}

/// `table` as queries see it, by `sql`. Where nothing is to be merged, as nearly always, it is the plain scan.
async fn register_merged(context: &SessionContext, table: &str, sql: Option<&str>) -> Result<(), DataFusionError> {
    let Some(sql) = sql else {
        let recorded = recorded_name(table).unwrap_or(table);
        return context.register_table(table, context.table_provider(recorded).await?).map(drop);
    };
    let plan = context.state().create_logical_plan(sql).await?;
    context.register_table(table, Arc::new(ViewTable::new(plan, Some(sql.to_owned())))).map(drop)
}

async fn load_registry(
    tables: &[&Table],
    snapshots: &[Option<Snapshot>],
    choice: &RegistryChoice,
) -> Result<(Arc<Registry>, Option<RegistryVersion>), Error> {
    let version = match choice {
        RegistryChoice::Given(registry) => return Ok((Arc::clone(registry), None)),
        RegistryChoice::Version(version) => Some(*version),
        RegistryChoice::Newest => None,
    };
    let stored = tables.iter().zip(snapshots).find(|(table, _)| table.spec().name == schema::REGISTRY.name);
    let (registry, version) = match stored {
        Some((table, snapshot)) => Registry::load_at(table, snapshot.as_ref(), version).await?,
        None => (Registry::builtin()?, None),
    };
    Ok((Arc::new(registry), version))
}

async fn load_prices(tables: &[&Table], snapshots: &[Option<Snapshot>]) -> Result<Prices, Error> {
    let stored = tables.iter().zip(snapshots).find(|(table, _)| table.spec().name == schema::PRICES.name);
    match stored {
        Some((table, Some(snapshot))) => Ok(Prices::new(Imports::load(table, snapshot).await?)),
        _ => Ok(Prices::default()),
    }
}

fn known_time_zone(name: &str) -> Result<&'static str, Error> {
    chrono_tz::Tz::from_str(name).map(chrono_tz::Tz::name).map_err(|_| {
        let nearest = names::nearest(name, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())).map(String::from);
        Error::UnknownTimeZone { name: name.into(), nearest }
    })
}

fn context(ledger: &Ledger, options: &SessionOptions) -> Result<SessionContext, DataFusionError> {
    let runtime = limits::runtime(options.memory_bytes_max, options.spill_folder.as_deref())?;
    let root = ledger.root();
    let store = PrefixStore::new(Arc::clone(&root.store), root.prefix.clone());
    runtime.register_object_store(ObjectStoreUrl::parse(STORE)?.as_ref(), Arc::new(store));
    let state = SessionStateBuilder::new_with_default_features().with_config(config(options)).with_runtime_env(runtime);
    Ok(SessionContext::new_with_state(optimizer::extend(state).build()))
}

fn config(options: &SessionOptions) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG.0, CATALOG.1)
        .with_information_schema(true)
        .with_target_partitions(options.target_partitions.max(1));
    let settings = config.options_mut();
    // Money is decimal, in the text of a query too.
    settings.sql_parser.parse_float_as_decimal = true;
    // It copies a plan for each mention of it, which `sharing` then takes for others.
    settings.sql_parser.enable_subquery_sort_elimination = false;
    settings.execution.time_zone = Some(options.time_zone.clone());
    // Each sort keeps this aside to merge what it spills: a view with several must leave room for rows.
    settings.execution.sort_spill_reservation_bytes =
        settings.execution.sort_spill_reservation_bytes.min(options.memory_bytes_max / 128);
    settings.execution.spill_compression = SpillCompression::Zstd;
    settings.execution.parquet.bloom_filter_on_read = true;
    settings.execution.parquet.enable_page_index = true;
    settings.execution.parquet.pruning = true;
    // Pays only where wide columns follow a filter, see `catalog`.
    settings.execution.parquet.pushdown_filters = false;
    config
}

fn names_of(context: &SessionContext) -> Names {
    let state = context.state();
    let mut functions: Vec<String> = state.scalar_functions().keys().cloned().collect();
    functions.extend(state.aggregate_functions().keys().cloned());
    functions.extend(state.window_functions().keys().cloned());
    functions.extend(state.table_functions().keys().cloned());
    functions.sort_unstable();
    functions.dedup();
    let tables = schema::Table::ALL.iter().map(|table| table.name).chain([USAGE_RECORDED, CONTENT_RECORDED]);
    let tables = tables.chain(registry::TABLES.iter().map(|table| table.name));
    let tables = tables.chain(views::ALL.iter().map(|view| view.name)).map(String::from).collect();
    Names { tables, functions }
}

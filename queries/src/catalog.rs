//! A ledger's tables for DataFusion: plain Parquet scans over the files of a pinned snapshot.
//!
//! The file list, the days, the row counts and the bounds all come from the Delta log, so planning reads no data file,
//! and a scan made of nothing but paths can be shipped to another machine.

use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, BooleanArray, RecordBatch};
use arrow::compute::prep_null_mask_filter;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::{DFSchema, ScalarValue, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::listing::helpers::expr_applicable_for_cols;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource as _, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{MetricBuilder, MetricType};
use daybook_ledger::schema::{self, PARTITION};
use daybook_ledger::{ColumnKind, DataFile, Snapshot};
use object_store::path::Path;

use crate::statistics::FileStatistics;

/// Metric of a scan: files left out because of their day.
pub const FILES_PRUNED_BY_PARTITION: &str = "files_pruned_by_partition";
/// Metric of a scan: files left out because of the bounds their commits state.
pub const FILES_PRUNED_BY_STATISTICS: &str = "files_pruned_by_statistics";

/// One table of a ledger at one version.
#[derive(Debug)]
pub(crate) struct LedgerTable {
    spec: &'static schema::Table,
    /// Columns in the order of the ledger's schema.
    schema: SchemaRef,
    /// The same columns as a scan gives them: those of the files, then the day.
    scan: TableSchema,
    store: ObjectStoreUrl,
    files: Vec<PartitionedFile>,
    statistics: FileStatistics,
}

/// The files a query has to read, and how many the others were.
struct Selection {
    files: Vec<PartitionedFile>,
    statistics: FileStatistics,
    by_partition: Pruned,
    by_statistics: Pruned,
}

#[derive(Clone, Copy, Default)]
struct Pruned {
    matched: usize,
    pruned: usize,
}

impl LedgerTable {
    /// The table `spec` at `snapshot`, whose files lie in `store` under the table's name; empty without a snapshot;
    /// instants in `time_zone`.
    pub(crate) fn new(
        spec: &'static schema::Table,
        snapshot: Option<&Snapshot>,
        store: ObjectStoreUrl,
        time_zone: &str,
    ) -> Result<Self> {
        let schema = table_schema(spec, time_zone);
        let day = schema.field_with_name(PARTITION)?.clone();
        let in_files: Vec<_> = schema.fields().iter().filter(|field| field.name() != PARTITION).cloned().collect();
        let scan = TableSchema::builder(Arc::new(Schema::new(in_files)))
            .with_table_partition_cols(vec![Arc::new(day)])
            .build();
        let mut listed = snapshot.map(Snapshot::files).unwrap_or_default();
        // The log has no order; a scan by day and name is the same scan every time.
        listed.sort_unstable_by(|a, b| (a.date, &a.path).cmp(&(b.date, &b.path)));
        let files = listed.iter().map(|file| partitioned_file(spec, file)).collect::<Result<_>>()?;
        let statistics = FileStatistics::read(spec, &schema, &listed)?;
        Ok(Self { spec, schema, scan, store, files, statistics })
    }

    /// The files that may hold a row `filters` let pass.
    fn select(&self, state: &dyn Session, filters: &[Expr]) -> Result<Selection> {
        let (by_day, others): (Vec<_>, Vec<_>) = filters.iter().cloned().partition(is_partition_filter);
        let keep = self.matching_days(state, by_day)?;
        let (files, statistics, by_partition) = narrow(&self.files, &self.statistics, &keep)?;
        let keep = self.matching_bounds(state, others, &statistics)?;
        let (files, statistics, by_statistics) = narrow(&files, &statistics, &keep)?;
        Ok(Selection { files, statistics, by_partition, by_statistics })
    }

    /// Which files belong to a day that passes: exact, since a file has one day.
    fn matching_days(&self, state: &dyn Session, filters: Vec<Expr>) -> Result<BooleanArray> {
        let days = self.statistics.days();
        let Some(filter) = conjunction(filters) else { return Ok(BooleanArray::from(vec![true; days.len()])) };
        let schema = Arc::new(Schema::new(vec![Field::new(PARTITION, DataType::Date32, true)]));
        let expression = state.create_physical_expr(filter, &DFSchema::try_from(Arc::clone(&schema))?)?;
        let batch = RecordBatch::try_new(schema, vec![Arc::new(days.clone())])?;
        let passed = expression.evaluate(&batch)?.into_array(days.len())?;
        let passed = passed.as_boolean_opt().ok_or_else(|| {
            DataFusionError::Internal(format!("a filter gives {}, not true or false", passed.data_type()))
        })?;
        Ok(if passed.null_count() > 0 { prep_null_mask_filter(passed) } else { passed.clone() })
    }

    /// Which files may hold a row that passes, by the bounds of their columns.
    fn matching_bounds(
        &self,
        state: &dyn Session,
        filters: Vec<Expr>,
        statistics: &FileStatistics,
    ) -> Result<BooleanArray> {
        let all = || BooleanArray::from(vec![true; statistics.days().len()]);
        let Some(filter) = conjunction(filters) else { return Ok(all()) };
        let schema = DFSchema::try_from(Arc::clone(&self.schema))?;
        // A filter that says nothing about bounds reads every file; the filter itself still runs above the scan.
        let predicate = state.create_physical_expr(filter, &schema).and_then(|expression| {
            PruningPredicateBuilder::new().with_file_schema(Arc::clone(&self.schema)).try_build(expression)
        });
        match predicate.and_then(|predicate| predicate.prune(statistics)) {
            Ok(keep) => Ok(keep.into()),
            Err(error) => {
                tracing::debug!(%error, "no pruning by statistics");
                Ok(all())
            }
        }
    }

    /// Positions in the scan of the columns at `projection` of the table.
    fn scan_projection(&self, projection: Option<&Vec<usize>>) -> Result<Vec<usize>> {
        let wanted = |at: &usize| {
            let name = self.schema.fields().get(*at).map(|field| field.name().as_str()).unwrap_or_default();
            Ok(self.scan.table_schema().index_of(name)?)
        };
        match projection {
            Some(columns) => columns.iter().map(wanted).collect(),
            None => (0..self.schema.fields().len()).map(|at| wanted(&at)).collect(),
        }
    }

    fn reads_bodies(&self, projection: &[usize]) -> bool {
        let fields = self.scan.table_schema().fields();
        projection
            .iter()
            .filter_map(|at| fields.get(*at))
            .any(|field| self.spec.said().any(|name| name == field.name()))
    }

    fn source(&self, state: &dyn Session, projection: &[usize]) -> Result<ParquetSource> {
        let mut options =
            TableParquetOptions { global: state.config_options().execution.parquet.clone(), ..Default::default() };
        options.global.pushdown_filters |= self.reads_bodies(projection);
        let store = state.runtime_env().object_store(&self.store)?;
        let footers = state.runtime_env().cache_manager.get_file_metadata_cache();
        Ok(ParquetSource::new(self.scan.clone())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(CachedParquetFileReaderFactory::new(store, footers))))
    }
}

#[async_trait]
impl TableProvider for LedgerTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.statistics.totals(&self.schema, total_bytes(&self.files)))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match is_partition_filter(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let selection = self.select(state, filters)?;
        let projection = self.scan_projection(projection)?;
        let source = self.source(state, &projection)?;
        selection.by_partition.report(&source, FILES_PRUNED_BY_PARTITION);
        selection.by_statistics.report(&source, FILES_PRUNED_BY_STATISTICS);
        let totals = selection.statistics.totals(self.scan.table_schema(), total_bytes(&selection.files));
        let bounds = selection.statistics.per_file(self.scan.file_schema())?;
        let files = selection.files.into_iter().zip(bounds).map(|(file, bounds)| match bounds {
            Some(bounds) => file.with_statistics(bounds),
            None => file,
        });
        let config = FileScanConfigBuilder::new(self.store.clone(), Arc::new(source))
            .with_file_groups(balanced(files.collect(), state.config().target_partitions()))
            .with_statistics(totals)
            .with_projection_indices(Some(projection))?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

impl Pruned {
    fn report(self, source: &ParquetSource, name: &'static str) {
        let metric = MetricBuilder::new(source.metrics()).with_type(MetricType::Summary).pruning_metrics(name, 0);
        metric.add_matched(self.matched);
        metric.add_pruned(self.pruned);
    }
}

/// The ledger's schema as queries see it: text and bytes as views, which filter and group faster; instants in
/// `time_zone`, so that `date_trunc`, casts to a day and comparisons with local times follow it.
pub(crate) fn table_schema(spec: &schema::Table, time_zone: &str) -> SchemaRef {
    let data_type = |kind: ColumnKind| match kind {
        ColumnKind::Bytes => DataType::BinaryView,
        ColumnKind::Text | ColumnKind::Word => DataType::Utf8View,
        ColumnKind::Instant => DataType::Timestamp(TimeUnit::Microsecond, Some(time_zone.into())),
        other => other.data_type(),
    };
    let field = |column: &schema::Column| Field::new(column.name, data_type(column.kind), true);
    Arc::new(Schema::new(spec.columns.iter().map(field).collect::<Vec<_>>()))
}

/// Whether the day alone decides a filter, without anything known only while the query runs.
fn is_partition_filter(filter: &Expr) -> bool {
    expr_applicable_for_cols(&[PARTITION], filter)
        && !datafusion::common::tree_node::TreeNode::exists(filter, |expr| Ok(is_known_later(expr))).unwrap_or(true)
}

/// Whether it is known only while the query runs.
pub(crate) fn is_known_later(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::ScalarSubquery(_)
            | Expr::InSubquery(_)
            | Expr::Exists(_)
            | Expr::SetComparison(_)
            | Expr::OuterReferenceColumn(..)
            | Expr::ScalarVariable(..)
            | Expr::Placeholder(_)
    )
}

fn partitioned_file(spec: &schema::Table, file: &DataFile) -> Result<PartitionedFile> {
    // Paths in a Delta log are URL-encoded (Delta protocol, "Add File and Remove File").
    let path = Path::from_url_path(format!("{}/{}", spec.name, file.path))
        .map_err(|error| DataFusionError::External(error.into()))?;
    let mut listed = PartitionedFile::new(String::new(), file.size);
    listed.object_meta.location = path;
    Ok(listed.with_partition_values(vec![ScalarValue::Date32(Some(file.date.days()))]))
}

fn narrow(
    files: &[PartitionedFile],
    statistics: &FileStatistics,
    keep: &BooleanArray,
) -> Result<(Vec<PartitionedFile>, FileStatistics, Pruned)> {
    let kept: Vec<_> =
        files.iter().zip(keep.values()).filter(|(_, keep)| *keep).map(|(file, _)| file.clone()).collect();
    let pruned = Pruned { matched: kept.len(), pruned: files.len() - kept.len() };
    Ok((kept, statistics.filter(keep)?, pruned))
}

fn total_bytes(files: &[PartitionedFile]) -> u64 {
    files.iter().map(|file| file.object_meta.size).fold(0, u64::saturating_add)
}

/// Groups of about the same size: the largest file first, each to the smallest group so far.
fn balanced(mut files: Vec<PartitionedFile>, partitions: usize) -> Vec<FileGroup> {
    let number = files.len().min(partitions).max(1);
    let mut groups: Vec<(u64, Vec<PartitionedFile>)> = vec![(0, Vec::new()); number];
    files.sort_by_key(|file| std::cmp::Reverse(file.object_meta.size));
    for file in files {
        if let Some((bytes, group)) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            *bytes = bytes.saturating_add(file.object_meta.size);
            group.push(file);
        }
    }
    groups.into_iter().map(|(_, group)| FileGroup::new(group)).collect()
}

//! The rows of a shared subplan.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array as _, ArrayData, RecordBatch};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet, SpillMetrics};
use datafusion::physical_plan::spill::SpillManager;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, execute_stream,
};
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};

/// The rows to come, or why none do.
type Rows = Shared<BoxFuture<'static, Result<Arc<Kept>, Arc<DataFusionError>>>>;

/// A subplan and, once it ran, its rows.
pub(super) struct Computation {
    name: String,
    plan: Arc<dyn ExecutionPlan>,
    metrics: ExecutionPlanMetricsSet,
    is_mentioned: AtomicBool,
    /// Whoever reads first starts it. It goes on as long as anyone reads, and stops when nobody does.
    rows: OnceLock<Rows>,
}

impl fmt::Debug for Computation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Computation").field("name", &self.name).field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl Computation {
    pub(super) fn new(name: String, plan: Arc<dyn ExecutionPlan>) -> Self {
        let metrics = ExecutionPlanMetricsSet::new();
        Self { name, plan, metrics, is_mentioned: AtomicBool::new(false), rows: OnceLock::new() }
    }

    fn read(&self, context: &Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.get_or_init(|| {
            let metrics = SpillMetrics::new(&self.metrics, 0);
            let spills = SpillManager::new(context.runtime_env(), metrics, self.plan.schema());
            let spills = spills.with_compression_type(context.session_config().spill_compression());
            let kept = keep(self.name.clone(), Arc::clone(&self.plan), spills, Arc::clone(context));
            kept.map(|kept| kept.map(Arc::new).map_err(Arc::new)).boxed().shared()
        });
        let rows = rows.clone().map(|kept| match kept {
            Ok(kept) => kept.read(),
            Err(error) => Err(DataFusionError::Shared(error)),
        });
        Box::pin(RecordBatchStreamAdapter::new(self.plan.schema(), rows.into_stream().try_flatten()))
    }
}

/// Rows in memory, then those on disk.
struct Kept {
    batches: Vec<RecordBatch>,
    spilled: Option<Arc<dyn SpillFile>>,
    spills: SpillManager,
    /// Given back with the rows.
    _memory: MemoryReservation,
}

impl Kept {
    fn read(&self) -> Result<SendableRecordBatchStream> {
        let schema = Arc::clone(self.spills.schema());
        let in_memory = futures::stream::iter(self.batches.clone().into_iter().map(Ok));
        Ok(match &self.spilled {
            None => Box::pin(RecordBatchStreamAdapter::new(schema, in_memory)),
            Some(file) => {
                let on_disk = self.spills.read_spill_as_stream(Arc::clone(file), None)?;
                Box::pin(RecordBatchStreamAdapter::new(schema, in_memory.chain(on_disk)))
            }
        })
    }
}

/// Runs `plan` and keeps its rows: in memory while the session's limit allows, the rest on disk.
async fn keep(
    name: String,
    plan: Arc<dyn ExecutionPlan>,
    spills: SpillManager,
    context: Arc<TaskContext>,
) -> Result<Kept> {
    let consumer = MemoryConsumer::new(format!("SharedExec: {name}")).with_can_spill(true);
    let memory = consumer.register(context.memory_pool());
    let mut rows = execute_stream(plan, context)?;
    let (mut batches, mut counted, mut file) = (Vec::new(), HashSet::new(), None);
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        if file.is_none() && memory.try_grow(new_bytes(&batch, &mut counted)).is_ok() {
            batches.push(batch);
            continue;
        }
        let file = match &mut file {
            Some(file) => file,
            none => none.insert(spills.create_in_progress_file("shared subplan")?),
        };
        file.append_batch(&batch)?;
    }
    let spilled = file.map(|mut file| file.finish()).transpose()?.flatten();
    Ok(Kept { batches, spilled, spills, _memory: memory })
}

/// Bytes of the buffers that no batch before had: batches are often parts of one array.
fn new_bytes(batch: &RecordBatch, counted: &mut HashSet<usize>) -> usize {
    fn of(data: &ArrayData, counted: &mut HashSet<usize>) -> usize {
        let buffers = data.buffers().iter().chain(data.nulls().map(|nulls| nulls.buffer()));
        let own: usize = buffers
            .filter(|buffer| counted.insert(buffer.data_ptr().as_ptr().addr()))
            .map(|buffer| buffer.capacity())
            .sum();
        own + data.child_data().iter().map(|child| of(child, counted)).sum::<usize>()
    }
    batch.columns().iter().map(|column| of(&column.to_data(), counted)).sum()
}

/// Reads the rows of a shared subplan.
#[derive(Debug)]
pub(super) struct SharedExec {
    computation: Arc<Computation>,
    /// Whether `EXPLAIN` shows the subplan here: at its first mention.
    is_first: bool,
    properties: Arc<PlanProperties>,
}

impl SharedExec {
    pub(super) fn new(computation: Arc<Computation>) -> Self {
        let is_first = !computation.is_mentioned.swap(true, Ordering::Relaxed);
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(computation.plan.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        ));
        Self { computation, is_first, properties }
    }
}

impl DisplayAs for SharedExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Computation { name, plan, rows, .. } = self.computation.as_ref();
        if matches!(format, DisplayFormatType::TreeRender) {
            return writeln!(f, "{name}");
        }
        write!(f, "SharedExec: {name}")?;
        if !self.is_first {
            return Ok(());
        }
        let plan = plan.as_ref();
        let has_run = rows.get().is_some();
        let shown =
            if has_run { DisplayableExecutionPlan::with_metrics(plan) } else { DisplayableExecutionPlan::new(plan) };
        write!(f, ", computed once:")?;
        shown.indent(false).to_string().lines().try_for_each(|line| write!(f, "\n    | {line}"))?;
        // What follows, such as metrics, is of the rows as they are kept.
        write!(f, "\n    = {name}")
    }
}

impl ExecutionPlan for SharedExec {
    fn name(&self) -> &str {
        "SharedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        Ok(self.computation.read(&context))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.is_first.then(|| self.computation.metrics.clone_inner())
    }
}

//! What each pipeline takes of the rows of relations. Pure.

use std::sync::atomic::Ordering;

use arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::common::Result;

use super::counts::EventFates;
use super::family_work::PipelineWork;
use crate::lake::write::sections::LateRows;
use crate::plan::planned::{PipelinePlan, Plan};
use crate::sql::collect::batch_input::{BatchInput, RowSources};
use crate::sql::plan::places::Places;
use crate::sql::plan::relation_rows::RelationRows;

/// What the pipelines take of some rows, and what became of these.
pub(super) struct Shares {
    /// Per pipeline, what its families collect.
    pub(super) pipelines: Vec<Result<PipelineWork>>,
    /// What became of each source of rows.
    pub(super) fates: EventFates,
    /// The sources that missed a table.
    pub(super) late: Vec<LateRows>,
}

/// What the pipelines that are not stopped take of rows of relations that came from these sources;
/// `live` says whether rows are to be seen before their days settle.
pub(super) fn shares(
    plan: &Plan,
    inputs: &[RelationRows],
    sources: RowSources<'_>,
    live: bool,
) -> Shares {
    let mut fates = EventFates::new(sources.offsets.len());
    let mut late = Vec::new();
    let mut pipelines = Vec::with_capacity(plan.pipelines.len());
    for pipeline in &plan.pipelines {
        if pipeline.stopped.load(Ordering::Relaxed) || !reads_any(pipeline, inputs) {
            pipelines.push(Ok(PipelineWork::default()));
            continue;
        }
        let worked = pipeline_work(plan, pipeline, inputs, sources, live);
        if let Ok(worked) = &worked {
            fates.note(pipeline, worked, &mut late);
        }
        pipelines.push(worked.map(|worked| worked.0));
    }
    Shares { pipelines, fates, late }
}

/// Whether a pipeline reads one of these relations.
fn reads_any(pipeline: &PipelinePlan, inputs: &[RelationRows]) -> bool {
    let reads =
        |input: &RelationRows| pipeline.query.reads.iter().any(|(name, _)| *name == input.relation);
    inputs.iter().any(reads)
}

/// One pipeline's share of rows of relations, and which of their sources at least one of its tables
/// counts.
fn pipeline_work(
    plan: &Plan,
    pipeline: &PipelinePlan,
    inputs: &[RelationRows],
    sources: RowSources<'_>,
    live: bool,
) -> Result<(PipelineWork, Vec<bool>)> {
    let query = pipeline.query.as_ref();
    let mine: Vec<&RelationRows> = inputs
        .iter()
        .filter(|input| query.reads.iter().any(|(name, _)| *name == input.relation))
        .collect();
    let mut work = PipelineWork::default();
    let mut counted = vec![false; sources.offsets.len()];
    for family in &pipeline.families {
        let kind = family.family.kind();
        let admitted = mine.iter().map(|input| kind.admitted(input));
        let inputs = admitted.collect::<Result<Vec<RelationRows>>>()?;
        let (judged, executor) = (pipeline.has_rules(), &plan.executor);
        let batch = BatchInput { query, inputs: &inputs, sources, live, judged, executor };
        let mut partial = kind.partial(&batch)?;
        for (any, counts) in counted.iter_mut().zip(std::mem::take(&mut partial.counted_events)) {
            *any |= counts;
        }
        work.partials.push(partial);
    }
    Ok((work, counted))
}

/// Notes the place of each column in the relation's whole schema.
pub(super) fn with_places(rows: RecordBatch, needed: &[usize]) -> Result<RecordBatch> {
    let schema = Places::new(needed).said_by(rows.schema_ref());
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let (_, columns, _) = rows.into_parts();
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

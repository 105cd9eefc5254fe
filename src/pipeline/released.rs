//! What changes of tests give: the relations that SQL reads of them, and of these what each pipeline
//! takes. Pure, so it runs on any core.

use std::sync::Arc;

use arrow::array::{AsArray, StringArray};
use datafusion::common::Result;

use super::counts::{Counts, EventFates};
use super::family_work::PipelineWork;
use super::following::PartitionChanges;
use super::share::{Shares, shares, with_places};
use crate::flow::coded::plain;
use crate::flow::{LateEvent, Partition, RowCut};
use crate::lake::write::sections::LateRows;
use crate::lifecycle::change::{Cause, Changes, Fate};
use crate::plan::follow::FollowPlan;
use crate::plan::planned::Plan;
use crate::relate::changed::{ChangeNames, changed};
use crate::relate::{ChangeRelation, Relation};
use crate::sql::collect::batch_input::RowSources;
use crate::sql::plan::relation_rows::RelationRows;

/// What the changes of a partition give.
pub struct ReleasedWork {
    /// The partition.
    pub partition: Arc<Partition>,
    /// Per pipeline, what it takes of them.
    pub pipelines: Vec<Result<PipelineWork>>,
    /// What became of the events that were waiting.
    pub counts: Counts,
    /// Events of the batch in hand that missed a table.
    pub(super) late: Vec<LateRows>,
}

/// What the changes of partitions give.
///
/// # Errors
/// When the relations cannot be made, which is a fault of ours.
pub(super) fn released(
    plan: &Plan,
    told: Vec<PartitionChanges>,
    once: bool,
) -> Result<Vec<ReleasedWork>> {
    let Some(follow) = &plan.follow else { return Ok(Vec::new()) };
    let told = told.into_iter().filter(|told| !told.changes.causes.is_empty());
    told.map(|told| of_partition(plan, follow, told, once)).collect()
}

fn of_partition(
    plan: &Plan,
    follow: &FollowPlan,
    PartitionChanges { partition, changes }: PartitionChanges,
    once: bool,
) -> Result<ReleasedWork> {
    let inputs = relations(plan, follow, &changes)?;
    let causes = &changes.causes;
    let offsets: Vec<i64> = causes.iter().map(|cause| cause.brought.by).collect();
    let cuts: Vec<RowCut> = causes.iter().map(|cause| cause.brought.cut).collect();
    let events: Vec<bool> = causes.iter().map(|cause| cause.step.is_some()).collect();
    let sources = RowSources { offsets: &offsets, cuts: Some(&cuts), events: Some(&events) };
    let Shares { pipelines, fates, late } = shares(plan, &inputs, sources, !once);
    let late = late.into_iter().filter_map(|rows| in_hand(rows, causes)).collect();
    Ok(ReleasedWork { partition, pipelines, counts: counts(causes, &fates), late })
}

/// What became of the events that brought changes about: each is counted once over the whole run.
fn counts(causes: &[Cause], fates: &EventFates) -> Counts {
    let mut counts = Counts::default();
    for (place, cause) in causes.iter().enumerate() {
        let Some(step) = cause.step else { continue };
        let is_late = fates.late[place];
        counts.late += u64::from(is_late);
        if step.is_counted {
            continue;
        }
        match (step.fate, fates.counted[place]) {
            (Fate::Refused, _) => counts.refused += 1,
            (Fate::Moved | Fate::Repeated, true) => counts.counted += 1,
            (Fate::Moved | Fate::Repeated, false) if is_late => counts.late_only += 1,
            (Fate::Moved | Fate::Repeated, false) => counts.other += 1,
        }
    }
    counts
}

/// Late causes as the events that they are. What is late came in the batch in hand, but for what time
/// brought about because of it.
fn in_hand(late: LateRows, causes: &[Cause]) -> Option<LateRows> {
    let event = |late: &LateEvent| {
        let row = causes[late.event as usize].step?.row?;
        Some(LateEvent { event: row, ..*late })
    };
    let events: Vec<LateEvent> = late.events.iter().filter_map(event).collect();
    (!events.is_empty()).then_some(LateRows { events, ..late })
}

/// The relations of changes that some pipeline reads.
fn relations(plan: &Plan, follow: &FollowPlan, changes: &Changes) -> Result<Vec<RelationRows>> {
    let names = ChangeNames { machine: follow.shared.machine(), texts: follow.shared.texts() };
    let read = plan.relations.iter().filter_map(|(relation, needed)| match relation {
        Relation::Events => None,
        Relation::Changed(relation) => Some((*relation, needed)),
    });
    read.map(|(relation, needed)| {
        let made = changed(changes, relation, needed, names)?;
        let lab = match plan.by_lab {
            true => Some(labs(changes, relation, names)?),
            false => None,
        };
        Ok(RelationRows {
            relation: relation.name().into(),
            rows: with_places(made.rows, needed)?,
            time: made.time,
            watermark_before: made.watermark_before,
            source_row: made.cause,
            lab,
            barred: made.barred,
        })
    })
    .collect()
}

/// The laboratory of each row.
fn labs(
    changes: &Changes,
    relation: ChangeRelation,
    names: ChangeNames<'_>,
) -> Result<StringArray> {
    let lab = relation.columns().position(|column| column.name == "lab_id").unwrap_or_default();
    let made = changed(changes, relation, &[lab], names)?;
    Ok(plain(made.rows.column(0))?.as_string::<i32>().clone())
}

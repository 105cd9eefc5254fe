//! What changes of tests and other entities give: the relations that SQL reads of them, and of these what
//! each pipeline takes. Pure, so it runs on any core.

use std::sync::Arc;

use arrow::array::{AsArray, UInt32Array};
use arrow::error::ArrowError;
use datafusion::common::Result;

use super::counts::{Counts, EventFates};
use super::family_work::PipelineWork;
use super::following::PartitionChanges;
use super::joined::joined;
use super::share::{Shares, shares, with_places};
use crate::flow::coded::plain;
use crate::flow::{LateEvent, Partition, RowCut};
use crate::lake::write::sections::LateRows;
use crate::lifecycle::change::{Cause, Fate};
use crate::plan::follow::FollowPlan;
use crate::plan::planned::Plan;
use crate::relate::changed::{ChangeNames, Changed, changed};
use crate::relate::critical::critical_rows;
use crate::relate::moved::{moved, refused};
use crate::relate::{ChangeRelation, Relation, RelationShape};
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
    let told = told.into_iter().filter(|told| !told.is_nothing());
    told.map(|told| of_partition(plan, follow, &told, once)).collect()
}

fn of_partition(
    plan: &Plan,
    follow: &FollowPlan,
    told: &PartitionChanges,
    once: bool,
) -> Result<ReleasedWork> {
    let causes = CausesInOrder::of(told.causes());
    let inputs = relations(plan, follow, told, &causes)?;
    let causes = &causes.causes;
    let offsets: Vec<i64> = causes.iter().map(|cause| cause.brought.by).collect();
    let cuts: Vec<RowCut> = causes.iter().map(|cause| cause.brought.cut).collect();
    let events: Vec<bool> = causes.iter().map(|cause| cause.step.is_some()).collect();
    let sources = RowSources { offsets: &offsets, cuts: Some(&cuts), events: Some(&events) };
    let Shares { pipelines, fates, late } = shares(plan, &inputs, sources, !once);
    let late = late.into_iter().filter_map(|rows| in_hand(rows, causes)).collect();
    let partition = Arc::clone(&told.partition);
    Ok(ReleasedWork { partition, pipelines, counts: counts(causes, &fates), late })
}

/// The causes of all that is followed, in the order of the records that brought them about: so the rows
/// of a table that reads of several machines are the same however batches are cut.
struct CausesInOrder {
    causes: Vec<Cause>,
    /// By who follows, where each of its causes stands.
    places: Vec<Vec<u32>>,
}

impl CausesInOrder {
    fn of<'c>(all: impl Iterator<Item = &'c [Cause]>) -> CausesInOrder {
        let all: Vec<&[Cause]> = all.collect();
        let mut order: Vec<(usize, usize)> = Vec::new();
        for (who, causes) in all.iter().enumerate() {
            order.extend((0..causes.len()).map(|cause| (who, cause)));
        }
        order.sort_by_key(|(who, cause)| all[*who][*cause].brought.by);
        let mut places: Vec<Vec<u32>> = all.iter().map(|causes| vec![0; causes.len()]).collect();
        for (place, (who, cause)) in order.iter().enumerate() {
            places[*who][*cause] = place as u32;
        }
        let causes = order.into_iter().map(|(who, cause)| all[who][cause]).collect();
        CausesInOrder { causes, places }
    }

    /// Where the causes of rows stand that one of those who follow tells of.
    fn of_rows(&self, who: usize, causes: &UInt32Array) -> UInt32Array {
        UInt32Array::from_iter_values(
            causes.values().iter().map(|cause| self.places[who][*cause as usize]),
        )
    }
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
fn relations(
    plan: &Plan,
    follow: &FollowPlan,
    told: &PartitionChanges,
    causes: &CausesInOrder,
) -> Result<Vec<RelationRows>> {
    let (mut rows, mut refusals) = (Vec::new(), Vec::new());
    for (relation, needed) in &plan.relations {
        let columns = relation.columns().into_iter().map(|column| column.name);
        let made = MadeRelation { name: relation.name(), columns: columns.collect(), needed };
        let made = match (relation, &follow.tests, &follow.critical) {
            (Relation::Changed(relation), Some(tests), _) => {
                let machine = tests.shared.machine();
                let names = ChangeNames { machine, texts: tests.shared.texts() };
                let make = |needed: &[usize]| changed(&told.tests, *relation, needed, names);
                made.rows(plan, (0, causes), &make)?
            }
            (Relation::Critical(relation), _, Some(critical)) => {
                let machine = &critical.rules.machine;
                let of =
                    |needed: &[usize]| critical_rows(&told.critical, *relation, needed, machine);
                made.rows(plan, (1, causes), &of)?
            }
            (Relation::Events | Relation::Changed(_) | Relation::Critical(_), ..) => continue,
        };
        let is_refused = *relation == Relation::Changed(ChangeRelation::Refused);
        if is_refused { refusals.push(made) } else { rows.push(made) }
    }
    of_machines(plan, (follow, told), causes, (&mut rows, &mut refusals))?;
    rows.extend(joined(refusals)?);
    Ok(rows)
}

/// The relations of machines, and what these refused.
fn of_machines(
    plan: &Plan,
    (follow, told): (&FollowPlan, &PartitionChanges),
    causes: &CausesInOrder,
    (rows, refusals): (&mut Vec<RelationRows>, &mut Vec<RelationRows>),
) -> Result<()> {
    let refused_relation = Relation::Changed(ChangeRelation::Refused);
    let refuses = plan.relations.iter().find(|(relation, _)| *relation == refused_relation);
    let critical = follow.critical.iter().map(|critical| {
        (&critical.rules.machine, critical.moved.as_deref(), &told.critical.moves, 1)
    });
    let own = follow.machines.iter().zip(&told.machines).enumerate();
    let own = own.map(|(number, (machine, moves))| {
        (machine.machine.as_ref(), machine.needed.as_deref(), moves, number + 2)
    });
    for (machine, needed, moves, who) in critical.chain(own) {
        if let Some(needed) = needed {
            let shape = RelationShape::of_machine(machine);
            let columns = shape.columns.iter().map(|column| column.name);
            let made = MadeRelation { name: &shape.name, columns: columns.collect(), needed };
            let make = |needed: &[usize]| moved(moves, machine, needed);
            rows.push(made.rows(plan, (who, causes), &make)?);
        }
        if let Some((relation, needed)) = refuses {
            let columns = relation.columns().into_iter().map(|column| column.name);
            let made = MadeRelation { name: relation.name(), columns: columns.collect(), needed };
            let make = |needed: &[usize]| refused(moves, machine, needed);
            refusals.push(made.rows(plan, (who, causes), &make)?);
        }
    }
    Ok(())
}

/// A relation that is to be made.
struct MadeRelation<'a> {
    name: &'a str,
    columns: Vec<&'a str>,
    needed: &'a [usize],
}

impl MadeRelation<'_> {
    /// Its rows, which are those of the one of this number among those who follow.
    fn rows(
        &self,
        plan: &Plan,
        (who, causes): (usize, &CausesInOrder),
        make: &dyn Fn(&[usize]) -> std::result::Result<Changed, ArrowError>,
    ) -> Result<RelationRows> {
        let made = make(self.needed)?;
        let lab = match plan.by_lab {
            true => {
                let lab = self.columns.iter().position(|column| *column == "lab_id");
                let labs = make(&[lab.unwrap_or_default()])?;
                Some(plain(labs.rows.column(0))?.as_string::<i32>().clone())
            }
            false => None,
        };
        Ok(RelationRows {
            relation: self.name.into(),
            rows: with_places(made.rows, self.needed)?,
            time: made.time,
            watermark_before: made.watermark_before,
            source_row: causes.of_rows(who, &made.cause),
            lab,
            barred: made.barred,
        })
    }
}

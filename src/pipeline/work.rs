//! What is done with a judged batch without looking at any other: events as a relation, partial states,
//! row-level rows, steps of tests, and the rows of archive, late and dead letters. Pure, so it runs on any
//! core.
//!
//! First what events give by themselves ([`begin`]); then, where tests are followed, the batch takes its
//! turn in `following`, and `released` says what that gives; [`finish`] puts both together.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use datafusion::common::Result;

use super::counts::{Counts, EventFates};
use super::family_work::PipelineWork;
use super::following::{FollowedBatch, FollowedState, rises_of};
use super::released::ReleasedWork;
use super::share::{Shares, shares, with_places};
use crate::decode::Forgotten;
use crate::flow::coded::plain;
use crate::flow::{Partition, Timestamp};
use crate::judge::Judged;
use crate::lake::write::parts::{Filed, Filing};
use crate::lake::write::sections;
use crate::lake::write::sections::{FiledRecords, LateRows};
use crate::lifecycle::critical::critical_steps;
use crate::lifecycle::entity::steps;
use crate::lifecycle::{JudgedEvents, ScatteredTubes};
use crate::plan::follow::FollowPlan;
use crate::plan::planned::Plan;
use crate::relate::{Relation, event_rows, event_times};
use crate::sql::collect::batch_input::RowSources;
use crate::sql::plan::relation_rows::RelationRows;
use crate::window::HeldBack;

/// What one batch gives.
pub struct Worked {
    /// The partition it came from.
    pub partition: Arc<Partition>,
    /// The partition's watermark after it.
    pub watermark: Timestamp,
    /// Where the partition begins, once it has a record.
    pub begin: Option<Timestamp>,
    /// Its largest event time.
    pub largest: Timestamp,
    /// Leaps that its records have contradicted.
    pub held_back: Vec<HeldBack>,
    /// The offset after its last record.
    pub next_offset: i64,
    /// The watermark that stood before its first record; none where tests are not followed.
    pub stood: Option<i64>,
    /// The time of its first record; none when it has none.
    pub first_record: Option<Timestamp>,
    /// Per pipeline: what each family collects.
    pub pipelines: Vec<Result<PipelineWork>>,
    /// Rows for the lake's sections.
    pub filed: Filed,
    /// What changes of tests and other entities give, of this partition and of those that time has moved on in.
    pub released: Vec<ReleasedWork>,
    /// Counters.
    pub counts: Box<Counts>,
    /// Ids that were forgotten before their time.
    pub forgotten: Option<Forgotten>,
    /// Bytes of the ids that are remembered and of what is followed, over all partitions.
    pub remembered: usize,
    /// Whether tubes' events came on one partition each, so far.
    pub scattered: ScatteredTubes,
}

/// What events of a batch give by themselves.
pub(super) struct Begun {
    judged: Judged,
    pipelines: Vec<Result<PipelineWork>>,
    fates: EventFates,
    late: Vec<LateRows>,
    /// The events that are steps of tests or other entities: what becomes of them is told when they are
    /// released.
    steps: Vec<u32>,
    stood: Option<i64>,
}

/// Works on a judged batch by itself. Gives also what those who follow its events take of it.
pub(super) fn begin(
    plan: &Plan,
    judged: Judged,
    once: bool,
) -> Result<(Begun, Option<FollowedBatch>)> {
    let inputs = relations(plan, &judged)?;
    let sources = RowSources::of_events(&judged.events.offsets);
    let Shares { pipelines, fates, late } = shares(plan, &inputs, sources, !once);
    let followed = match &plan.follow {
        Some(follow) => Some(followed(follow, &judged, &fates)?),
        None => None,
    };
    let steps = followed.iter().flat_map(FollowedBatch::rows).collect();
    let stood = followed.as_ref().and_then(|batch| batch.rises.first());
    Ok((Begun { judged, pipelines, fates, late, steps, stood }, followed))
}

/// A batch's steps, with what of its events is settled already: counted by a table, or a step of what
/// comes before, so that each is told of once.
fn followed(follow: &FollowPlan, judged: &Judged, fates: &EventFates) -> Result<FollowedBatch> {
    let mut settled: Vec<bool> = fates.settled().collect();
    let tests = match &follow.tests {
        Some(plan) => {
            let guards = plan.guards.hold(&judged.events)?;
            let tests = plan.shared.prepare(steps_of(judged, &guards, &settled)?)?;
            tests.rows().for_each(|row| settled[row as usize] = true);
            Some(tests)
        }
        None => None,
    };
    let critical = match &follow.critical {
        Some(plan) => {
            let guards = plan.guards.hold(&judged.events)?;
            let taken = critical_steps(&plan.rules.machine, steps_of(judged, &guards, &settled)?)?;
            taken.iter().for_each(|step| settled[step.batch_row() as usize] = true);
            taken
        }
        None => Vec::new(),
    };
    let mut machines = Vec::with_capacity(follow.machines.len());
    for plan in &follow.machines {
        let guards = plan.guards.hold(&judged.events)?;
        let taken = steps(&plan.machine, steps_of(judged, &guards, &settled)?)?;
        taken.iter().for_each(|step| settled[step.batch_row as usize] = true);
        machines.push(taken);
    }
    Ok(FollowedBatch {
        partition: Arc::clone(&judged.events.partition),
        tests,
        critical,
        machines,
        rises: rises_of(judged),
        watermark: judged.watermark,
    })
}

fn steps_of<'a>(
    judged: &'a Judged,
    guards: &'a [BooleanArray],
    settled: &'a [bool],
) -> Result<JudgedEvents<'a>> {
    Ok(JudgedEvents {
        rows: &judged.events.rows,
        offsets: &judged.events.offsets,
        times: judged.events.times()?,
        watermark_before: judged.watermark_before.values(),
        guards,
        counted: Some(settled),
    })
}

/// What a batch gives, with what the changes of tests give that it has brought about.
pub(super) fn finish(
    begun: Begun,
    (mut released, followed): (Vec<ReleasedWork>, FollowedState),
    filing: Filing,
) -> Result<Worked> {
    let Begun { judged, pipelines, mut fates, mut late, steps, stood } = begun;
    for one in &mut released {
        late.append(&mut one.late);
    }
    fates.leave(&steps);
    let counts = Counts {
        records: judged.records,
        repeated: judged.repeated.rows.num_rows() as u64,
        dead_letters: judged.dead_letters.len() as u64,
        unknown_fields: judged.unknown_fields,
        ..fates.counts()
    };
    Ok(Worked {
        partition: Arc::clone(&judged.events.partition),
        watermark: judged.watermark,
        begin: judged.begin,
        largest: judged.largest,
        next_offset: next_offset(&judged),
        stood,
        first_record: first_record(&judged),
        pipelines,
        filed: sections::file(&records_of(&judged), &late, filing)?,
        held_back: judged.held_back,
        remembered: judged.remembered + followed.bytes,
        scattered: followed.scattered,
        released,
        counts: Box::new(counts),
        forgotten: judged.forgotten,
    })
}

fn records_of(judged: &Judged) -> FiledRecords<'_> {
    FiledRecords {
        events: &judged.events,
        watermark_before: judged.watermark_before.values(),
        repeated: &judged.repeated,
        repeated_watermark: judged.repeated_watermark.values(),
        dead_letters: &judged.dead_letters,
        leaps: &judged.held_back,
        watermark: judged.watermark,
    }
}

fn next_offset(judged: &Judged) -> i64 {
    let events = judged.events.offsets.last().copied();
    let repeats = judged.repeated.offsets.last().copied();
    let letters = judged.dead_letters.last().map(|(letter, _)| letter.offset);
    events.max(repeats).max(letters).map_or(0, |last| last + 1)
}

fn first_record(judged: &Judged) -> Option<Timestamp> {
    let events = judged.events.record_times.first().copied();
    let repeats = judged.repeated.record_times.first().copied();
    let letters = judged.dead_letters.first().map(|(letter, _)| letter.record_time);
    [events, repeats, letters].into_iter().flatten().min()
}

/// The events as a relation, where some pipeline reads them so.
fn relations(plan: &Plan, judged: &Judged) -> Result<Vec<RelationRows>> {
    let read = plan.relations.iter().find(|(relation, _)| *relation == Relation::Events);
    let Some((relation, needed)) = read else { return Ok(Vec::new()) };
    let count = judged.events.rows.num_rows();
    let labs = judged.events.rows.column_by_name("lab_id").filter(|_| plan.by_lab);
    let lab = match labs {
        Some(labs) => Some(plain(labs)?.as_string::<i32>().clone()),
        None => None,
    };
    let rows = event_rows(&judged.events, needed)?;
    Ok(vec![RelationRows {
        relation: relation.name().into(),
        rows: with_places(rows, needed)?,
        time: event_times(&judged.events)?,
        watermark_before: judged.watermark_before.clone(),
        source_row: (0..count as u32).collect::<Vec<_>>().into(),
        lab,
        barred: None,
    }])
}

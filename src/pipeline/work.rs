//! What is done with a judged batch without looking at any other: events as a relation, partial states,
//! row-level rows, steps of tests, and the rows of archive, late and dead letters. Pure, so it runs on any
//! core.
//!
//! First what events give by themselves ([`begin`]); then, where tests are followed, the batch takes its
//! turn in `following`, and `released` says what that gives; [`finish`] puts both together.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::common::Result;

use super::following::{FollowedBatch, rises_of};
use super::released::Released;
use crate::decode::Forgotten;
use crate::flow::LateEvent;
use crate::flow::coded::plain;
use crate::flow::{Partition, Span, Timestamp, Window};
use crate::judge::Judged;
use crate::lake::write::parting::{Parting, RowPart};
use crate::lake::write::parts::{Filed, Filing};
use crate::lake::write::sections;
use crate::lake::write::sections::{FiledRecords, LateRows};
use crate::lifecycle::JudgedEvents;
use crate::plan::follow::FollowPlan;
use crate::plan::planned::{PipelinePlan, Plan};
use crate::relate::{Relation, event_rows, event_times};
use crate::sql::collect::collected::{Partial, Tally};
use crate::sql::collect::partial::partial;
use crate::sql::collect::sourced_rows::SourcedRows;
use crate::sql::fire::row_level::{settles_at, with_date};
use crate::sql::plan::places::Places;
use crate::sql::plan::query::{RowWise, Way};
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
    /// The time of its first record; none when it has none.
    pub first_record: Option<Timestamp>,
    /// Per pipeline: partial states by family, and row-level rows.
    pub pipelines: Vec<Result<PipelineWork>>,
    /// Rows for the lake's sections.
    pub filed: Filed,
    /// What changes of tests give, of this partition and of those that time has moved on in.
    pub released: Vec<Released>,
    /// Counters.
    pub counts: Box<Counts>,
    /// Ids that were forgotten before their time.
    pub forgotten: Option<Forgotten>,
    /// Bytes of the ids that are remembered and of the tests that are followed, over all partitions.
    pub remembered: usize,
}

/// What one batch gives to one pipeline.
#[derive(Default)]
pub struct PipelineWork {
    /// One per family.
    pub partials: Vec<Partial>,
    /// Row-level rows, by run and day.
    pub rows: Vec<RowPart>,
    /// Row-level only.
    pub tally: Tally,
    /// Row-level only: the events that came too late, with the day that they missed.
    pub late_events: Vec<LateEvent>,
}

/// What became of a batch's records: each is counted, late only, repeated, a dead letter or other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// FiledRecords, whatever became of them.
    pub records: u64,
    /// Events that at least one table counts.
    pub counted: u64,
    /// Events that some table missed and none counts.
    pub late_only: u64,
    /// Events that were dropped as repeats, or told of a test what was known.
    pub repeated: u64,
    /// Events that none of the tests that they addressed allowed.
    pub refused: u64,
    /// FiledRecords that could not become events.
    pub dead_letters: u64,
    /// Events of kinds that no table counts.
    pub other: u64,
    /// Events that some table missed, whether or not another one counts them.
    pub late: u64,
    /// Fields that were not known.
    pub unknown_fields: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Counts) {
        let Counts {
            records,
            counted,
            late_only,
            repeated,
            refused,
            dead_letters,
            other,
            late,
            unknown_fields,
        } = more;
        self.records += records;
        self.counted += counted;
        self.late_only += late_only;
        self.repeated += repeated;
        self.refused += refused;
        self.dead_letters += dead_letters;
        self.other += other;
        self.late += late;
        self.unknown_fields += unknown_fields;
    }
}

/// What events of a batch give by themselves.
pub(super) struct Begun {
    judged: Judged,
    pipelines: Vec<Result<PipelineWork>>,
    fates: EventFates,
    late: Vec<LateRows>,
    /// The events that are steps of tests: what becomes of them is told when they are released.
    steps: Vec<u32>,
}

/// Works on a judged batch by itself. Gives also what the stage that follows tests takes of it.
pub(super) fn begin(
    plan: &Plan,
    judged: Judged,
    once: bool,
) -> Result<(Begun, Option<FollowedBatch>)> {
    let inputs = relations(plan, &judged)?;
    let offsets = &judged.events.offsets;
    let mut fates = EventFates::new(offsets.len());
    let mut late = Vec::new();
    let mut pipelines = Vec::with_capacity(plan.pipelines.len());
    for pipeline in &plan.pipelines {
        if pipeline.stopped.load(Ordering::Relaxed) || !reads_any(pipeline, &inputs) {
            pipelines.push(Ok(PipelineWork::default()));
            continue;
        }
        let worked = one_pipeline(plan, pipeline, &inputs, offsets, once);
        if let Ok(worked) = &worked {
            fates.note(pipeline, worked, &mut late);
        }
        pipelines.push(worked.map(|worked| worked.0));
    }
    let followed = match &plan.follow {
        Some(follow) => Some(followed(follow, &judged, &fates)?),
        None => None,
    };
    let steps = followed.iter().flat_map(|batch| batch.prepared.rows()).collect();
    Ok((Begun { judged, pipelines, fates, late, steps }, followed))
}

/// A batch's steps, with what of its events is settled already.
fn followed(follow: &FollowPlan, judged: &Judged, fates: &EventFates) -> Result<FollowedBatch> {
    let guards = follow.guards(&judged.events)?;
    let settled: Vec<bool> = fates.settled().collect();
    let prepared = follow.shared.prepare(JudgedEvents {
        rows: &judged.events.rows,
        offsets: &judged.events.offsets,
        times: judged.events.times()?,
        watermark_before: judged.watermark_before.values(),
        guards: &guards,
        counted: Some(&settled),
    })?;
    Ok(FollowedBatch {
        partition: Arc::clone(&judged.events.partition),
        prepared,
        rises: rises_of(judged),
        watermark: judged.watermark,
    })
}

/// What a batch gives, with what the changes of tests give that it has brought about.
pub(super) fn finish(
    begun: Begun,
    (mut released, followed): (Vec<Released>, usize),
    filing: Filing,
) -> Result<Worked> {
    let Begun { judged, pipelines, mut fates, mut late, steps } = begun;
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
        first_record: first_record(&judged),
        pipelines,
        filed: sections::file(&records_of(&judged), &late, filing)?,
        held_back: judged.held_back,
        remembered: judged.remembered + followed,
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

/// The fate of each event, or of each cause of changes, over all tables.
pub(super) struct EventFates {
    pub(super) counted: Vec<bool>,
    pub(super) late: Vec<bool>,
    /// Whose fate is told elsewhere.
    left: Vec<bool>,
}

impl EventFates {
    /// Of so many, none known yet.
    pub(super) fn new(events: usize) -> EventFates {
        let none = || vec![false; events];
        EventFates { counted: none(), late: none(), left: none() }
    }

    /// Which events some table has counted or missed.
    fn settled(&self) -> impl Iterator<Item = bool> {
        self.counted.iter().zip(&self.late).map(|(counted, late)| *counted || *late)
    }

    /// Leaves the fates of those of these events to others that no table has counted or missed.
    fn leave(&mut self, events: &[u32]) {
        for event in events {
            let event = *event as usize;
            self.left[event] = !self.counted[event] && !self.late[event];
        }
    }

    /// What became of the events; of other records nothing.
    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for ((counted, late), left) in self.counted.iter().zip(&self.late).zip(&self.left) {
            counts.late += u64::from(*late);
            match (counted, late) {
                (_, _) if *left => {}
                (true, _) => counts.counted += 1,
                (false, true) => counts.late_only += 1,
                (false, false) => counts.other += 1,
            }
        }
        counts
    }

    fn late(&mut self, table: &Arc<str>, events: &[LateEvent], late: &mut Vec<LateRows>) {
        for event in events {
            self.late[event.event as usize] = true;
        }
        if !events.is_empty() {
            late.push(LateRows { table: Arc::clone(table), events: events.to_vec() });
        }
    }

    pub(super) fn note(
        &mut self,
        pipeline: &PipelinePlan,
        (worked, counted): &(PipelineWork, Vec<bool>),
        late: &mut Vec<LateRows>,
    ) {
        for (any, counts) in self.counted.iter_mut().zip(counted) {
            *any |= counts;
        }
        for (family, partial) in pipeline.families.iter().zip(&worked.partials) {
            for (output, events) in family.outputs.iter().zip(&partial.late_events) {
                self.late(&output.table, events, late);
            }
        }
        if pipeline.families.is_empty() {
            self.late(&pipeline.spec.name.as_str().into(), &worked.late_events, late);
        }
    }
}

/// Whether a pipeline reads one of these relations.
pub(super) fn reads_any(pipeline: &PipelinePlan, inputs: &[RelationRows]) -> bool {
    let reads = |input: &RelationRows| {
        pipeline.query.reads.iter().any(|(name, _)| *name == input.relation)
    };
    inputs.iter().any(reads)
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

/// Notes the place of each column in the relation's whole schema.
pub(super) fn with_places(rows: RecordBatch, needed: &[usize]) -> Result<RecordBatch> {
    let schema = Places::new(needed).said_by(rows.schema_ref());
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let (_, columns, _) = rows.into_parts();
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

/// One pipeline's share, and which events at least one of its tables counts.
pub(super) fn one_pipeline(
    plan: &Plan,
    pipeline: &PipelinePlan,
    inputs: &[RelationRows],
    offsets: &[i64],
    once: bool,
) -> Result<(PipelineWork, Vec<bool>)> {
    let query = &pipeline.query;
    let mine = inputs
        .iter()
        .filter(|input| query.reads.iter().any(|(name, _)| *name == input.relation));
    if let Way::RowLevel(row_wise) = &query.way {
        let lateness = pipeline.spec.allowed_lateness;
        let mine = mine.map(|input| unbarred_by_day(input, lateness)).collect::<Result<Vec<_>>>()?;
        return row_level(plan, pipeline, row_wise, (&mine, offsets), once);
    }
    let mine = mine.map(RelationRows::unbarred).collect::<Result<Vec<_>>>()?;
    let mut work = PipelineWork::default();
    let mut counted = vec![false; offsets.len()];
    for family in &pipeline.families {
        let mut partial = partial(query, &family.family, &mine, offsets, &plan.executor)?;
        for (any, counts) in counted.iter_mut().zip(std::mem::take(&mut partial.counted_events)) {
            *any |= counts;
        }
        work.partials.push(partial);
    }
    Ok((work, counted))
}

/// The rows without those that are barred and whose day has settled.
fn unbarred_by_day(input: &RelationRows, lateness: Span) -> Result<RelationRows> {
    let Some(barred) = &input.barred else { return Ok(input.clone()) };
    let (time, stood) = (input.time.values(), input.watermark_before.values());
    let is_late = |row: usize| stood[row] >= settles_at(Timestamp(time[row]).date(), lateness).0;
    let keep = (0..barred.len()).map(|row| Some(!(barred.value(row) && is_late(row))));
    input.filtered(&keep.collect::<BooleanArray>())
}

/// A row-level table's rows: each belongs to its UTC day, and is late once that day has settled
/// by its partition's watermark.
fn row_level(
    plan: &Plan,
    pipeline: &PipelinePlan,
    row_wise: &RowWise,
    (inputs, offsets): (&[RelationRows], &[i64]),
    once: bool,
) -> Result<(PipelineWork, Vec<bool>)> {
    let events = offsets.len();
    let mut work = PipelineWork::default();
    let mut counted = vec![false; events];
    let mut late = vec![false; events];
    let mut days: HashMap<usize, Window> = HashMap::new();
    let mut parting = Parting::new(with_date(&pipeline.query.schema), !once);
    let lateness = pipeline.spec.allowed_lateness;
    let parts: Vec<SourcedRows> = match row_wise {
        RowWise::Branches(branches) => {
            let rows = branches.iter().map(|branch| SourcedRows::of_branch(branch, inputs));
            rows.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect()
        }
        // Not a chain, as a join with a reference table: run once over the batch.
        RowWise::Plan(numbered) => {
            let rows = numbered.run(&plan.executor, inputs)?.into_iter();
            rows.map(|rows| SourcedRows::of_numbered(rows, inputs)).collect::<Result<_>>()?
        }
    };
    for SourcedRows { rows, time, watermark_before: watermark, source_row: source, .. } in parts {
        for row in 0..rows.num_rows() {
            let (at, stood) = (time.value(row), watermark.value(row));
            let event = source.value(row) as usize;
            if stood < settles_at(Timestamp(at).date(), lateness).0 {
                counted[event] = true;
                continue;
            }
            late[event] = true;
            let date = Timestamp(at).date();
            let next = date.succ_opt().unwrap_or(date);
            let day = Window { start: Timestamp::midnight(date), end: Timestamp::midnight(next) };
            days.insert(event, day);
        }
        parting.add(&rows, |row| {
            let (at, stood) = (time.value(row), watermark.value(row));
            let on_time = stood < settles_at(Timestamp(at).date(), lateness).0;
            on_time.then(|| (at, offsets[source.value(row) as usize], stood))
        })?;
    }
    work.rows = parting.finish()?;
    let missed = |event: &usize| late[*event] && !counted[*event];
    let late_event =
        |event: usize| LateEvent { event: event as u32, missed: days.get(&event).copied() };
    work.late_events = (0..events).filter(missed).map(late_event).collect();
    work.tally = Tally {
        counted: counted.iter().filter(|counted| **counted).count() as u64,
        late: late.iter().zip(&counted).filter(|(late, counted)| **late && !**counted).count()
            as u64,
        other: late.iter().zip(&counted).filter(|(late, counted)| !**late && !**counted).count()
            as u64,
    };
    Ok((work, counted))
}

//! What is done with a judged batch without looking at any other: relations, partial states,
//! row-level rows, and the rows of archive, late and dead letters. Pure, so it runs on any core.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take;
use datafusion::common::Result;

use crate::decode::Forgotten;
use crate::flow::LateEvent;
use crate::flow::coded::plain;
use crate::flow::{Partition, Timestamp, Window};
use crate::judge::Judged;
use crate::lake::write::parting::{Parting, RowPart};
use crate::lake::write::parts::{Filed, Filing};
use crate::lake::write::sections;
use crate::lake::write::sections::{FiledRecords, LateRows};
use crate::plan::planned::{PipelinePlan, Plan};
use crate::relate::relate;
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
    /// Counters.
    pub counts: Box<Counts>,
    /// Ids that were forgotten before their time.
    pub forgotten: Option<Forgotten>,
    /// Bytes of the ids that are remembered, over all partitions.
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
    /// Events that were dropped as repeats.
    pub repeated: u64,
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
            dead_letters,
            other,
            late,
            unknown_fields,
        } = more;
        self.records += records;
        self.counted += counted;
        self.late_only += late_only;
        self.repeated += repeated;
        self.dead_letters += dead_letters;
        self.other += other;
        self.late += late;
        self.unknown_fields += unknown_fields;
    }
}

/// Works on a judged batch.
pub fn work(plan: &Plan, judged: Judged, filing: Filing) -> Result<Worked> {
    let inputs = relations(plan, &judged)?;
    let offsets = &judged.events.offsets;
    let events = offsets.len();
    let mut fates = EventFates { counted: vec![false; events], late: vec![false; events] };
    let mut late = Vec::new();
    let mut pipelines = Vec::with_capacity(plan.pipelines.len());
    for pipeline in &plan.pipelines {
        if pipeline.stopped.load(Ordering::Relaxed) {
            pipelines.push(Ok(PipelineWork::default()));
            continue;
        }
        let worked = one_pipeline(plan, pipeline, &inputs, offsets, filing.once);
        if let Ok(worked) = &worked {
            fates.note(pipeline, worked, &mut late);
        }
        pipelines.push(worked.map(|worked| worked.0));
    }
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
        remembered: judged.remembered,
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

/// The fate of each event over all tables.
struct EventFates {
    counted: Vec<bool>,
    late: Vec<bool>,
}

impl EventFates {
    /// What became of the events; of other records nothing.
    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (counted, late) in self.counted.iter().zip(&self.late) {
            counts.late += u64::from(*late);
            match (counted, late) {
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

    fn note(
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

/// The relations that some pipeline reads.
fn relations(plan: &Plan, judged: &Judged) -> Result<Vec<RelationRows>> {
    let labs = judged.events.rows.column_by_name("lab_id");
    plan.relations
        .iter()
        .map(|(relation, needed)| {
            let related = relate(&judged.events, *relation, needed, &plan.reference.targets)?;
            let source_row = UInt32Array::from(related.source_row);
            let lab = match labs.filter(|_| plan.by_lab) {
                Some(labs) => {
                    let labs = plain(&take(labs, &source_row, None)?)?;
                    Some(labs.as_string::<i32>().clone())
                }
                None => None,
            };
            let before = if source_row.len() == judged.watermark_before.len() {
                judged.watermark_before.clone()
            } else {
                take(&judged.watermark_before, &source_row, None)?.as_primitive().clone()
            };
            Ok(RelationRows {
                relation: relation.name().into(),
                rows: with_places(related.rows, needed)?,
                time: related.event_time,
                watermark_before: before,
                lab,
                source_row,
            })
        })
        .collect()
}

/// Notes the place of each column in the relation's whole schema.
fn with_places(rows: RecordBatch, needed: &[usize]) -> Result<RecordBatch> {
    let schema = Places::new(needed).said_by(rows.schema_ref());
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let (_, columns, _) = rows.into_parts();
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

/// One pipeline's share, and which events at least one of its tables counts.
fn one_pipeline(
    plan: &Plan,
    pipeline: &PipelinePlan,
    inputs: &[RelationRows],
    offsets: &[i64],
    once: bool,
) -> Result<(PipelineWork, Vec<bool>)> {
    let query = &pipeline.query;
    let mine: Vec<RelationRows> = inputs
        .iter()
        .filter(|input| query.reads.iter().any(|(name, _)| *name == input.relation))
        .cloned()
        .collect();
    if let Way::RowLevel(row_wise) = &query.way {
        return row_level(plan, pipeline, row_wise, (&mine, offsets), once);
    }
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

//! What is done with a judged batch without looking at any other: relations, what each family of
//! windows collects of them, and the rows of archive, late and dead letters. Pure, so it runs on any
//! core.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take;
use datafusion::common::Result;

use crate::decode::Forgotten;
use crate::flow::LateEvent;
use crate::flow::coded::plain;
use crate::flow::{Partition, Timestamp};
use crate::judge::Judged;
use crate::lake::write::parts::{Filed, Filing};
use crate::lake::write::sections;
use crate::lake::write::sections::{FiledRecords, LateRows};
use crate::plan::planned::{PipelinePlan, Plan};
use crate::relate::relate;
use crate::sql::collect::batch_input::{BatchInput, RowSources};
use crate::sql::collect::collected::Partial;
use crate::sql::plan::places::Places;
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
    /// Per pipeline: what each family collects.
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
    let sources = RowSources::of_events(&judged.events.offsets);
    let events = judged.events.offsets.len();
    let mut fates = EventFates { counted: vec![false; events], late: vec![false; events] };
    let mut late = Vec::new();
    let mut pipelines = Vec::with_capacity(plan.pipelines.len());
    for pipeline in &plan.pipelines {
        if pipeline.stopped.load(Ordering::Relaxed) {
            pipelines.push(Ok(PipelineWork::default()));
            continue;
        }
        let worked = pipeline_work(plan, pipeline, &inputs, sources, !filing.once);
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

/// One pipeline's share of rows of relations, and which of their sources at least one of its tables
/// counts; `live` says whether rows are to be seen before their days settle.
pub fn pipeline_work(
    plan: &Plan,
    pipeline: &PipelinePlan,
    inputs: &[RelationRows],
    sources: RowSources<'_>,
    live: bool,
) -> Result<(PipelineWork, Vec<bool>)> {
    let query = pipeline.query.as_ref();
    let mine: Vec<RelationRows> = inputs
        .iter()
        .filter(|input| query.reads.iter().any(|(name, _)| *name == input.relation))
        .cloned()
        .collect();
    let batch = BatchInput { query, inputs: &mine, sources, live, executor: &plan.executor };
    let mut work = PipelineWork::default();
    let mut counted = vec![false; sources.offsets.len()];
    for family in &pipeline.families {
        let mut partial = family.family.kind().partial(&batch)?;
        for (any, counts) in counted.iter_mut().zip(std::mem::take(&mut partial.counted_events)) {
            *any |= counts;
        }
        work.partials.push(partial);
    }
    Ok((work, counted))
}

//! The end of the loop: collects what was worked out, fires windows, settles days, makes cards,
//! and hands everything to the lake.
//!
//! This file is what a batch brings; `advance` what a watermark makes due, `live` what is put before days
//! settle, `holding` what is held in memory, `finish` the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::common::Result as SqlResult;

use super::RunError;
use super::counts::Counts;
use super::family_work::PipelineWork;
use super::memory::MemoryBound;
use super::progress::Progress;
use super::released::ReleasedWork;
use super::tables::Tables;
use super::work::Worked;
use crate::alert::AlertSink;
use crate::alert::judging::Breaches;
use crate::clock::Clock;
use crate::flow::{IdleAdvance, Partition, Span, Timestamp};
use crate::judge::forgetting::Forgetting;
use crate::judge::leaps::Leaps;
use crate::keep::held::Keeper;
use crate::lake::write::cabinet::Cabinet;
use crate::lake::write::deliver::Delivery;
use crate::lake::write::live::WindowHours;
use crate::lake::write::parts::Filing;
use crate::metrics as names;
use crate::plan::planned::Plan;
use crate::window::JobWatermark;

mod advance;
mod finish;
mod holding;
mod live;
mod row_alerts;
mod scattering;

use row_alerts::RowAlerts;
use scattering::Scattering;

/// A silence after which what has been read is taken for all that there is.
const REST: Span = Span(10 * Span::SECOND.0);

/// Bytes of what waits in the cabinets, or of days that are past, that are kept in memory.
const FILED_IN_MEMORY: usize = 16 << 20;

/// What a run holds between batches.
pub struct Stage {
    plan: Arc<Plan>,
    tables: Vec<Option<Tables>>,
    /// By pipeline: the windows that `live/` is filled from.
    hours: Vec<WindowHours>,
    cabinets: BTreeMap<Arc<Partition>, Cabinet>,
    /// Keeps what waits in the cabinets and in the hours.
    keeper: Keeper,
    watermark: JobWatermark,
    advanced_to: Timestamp,
    largest: Timestamp,
    /// How far the input had come at its end.
    reached: Option<Timestamp>,
    leaps: Leaps,
    delivery: Delivery,
    breaches: Breaches,
    row_alerts: RowAlerts,
    clock: Arc<dyn Clock>,
    filing: Filing,
    memory: MemoryBound,
    /// Bytes of the ids that are remembered, so that repeats are known.
    remembered: usize,
    scattering: Scattering,
    interrupted: bool,
    /// Whether something was read since the timed work was done last.
    read: bool,
    /// When something was read last.
    read_at: Option<Timestamp>,
    counts: Counts,
    forgetting: Forgetting,
    failed: BTreeMap<String, String>,
}

impl Stage {
    /// A run that has seen nothing.
    pub fn new(
        plan: &Arc<Plan>,
        partitions: &[Arc<Partition>],
        delivery: Delivery,
        alerts: AlertSink,
        clock: &Arc<dyn Clock>,
        filing: Filing,
    ) -> Result<Stage, RunError> {
        let tables = plan.pipelines.iter().map(|pipeline| {
            let tables = Tables::new(plan, pipeline);
            tables.map(Some).map_err(|source| super::failed(&pipeline.spec.name, source))
        });
        Ok(Stage {
            tables: tables.collect::<Result<_, _>>()?,
            hours: plan.pipelines.iter().map(live::hours_of).collect(),
            plan: Arc::clone(plan),
            cabinets: BTreeMap::new(),
            keeper: Keeper::new(FILED_IN_MEMORY),
            watermark: JobWatermark::new(partitions),
            advanced_to: Timestamp::MIN,
            largest: Timestamp::MIN,
            reached: None,
            leaps: Leaps::default(),
            delivery,
            breaches: Breaches::new(alerts, clock),
            row_alerts: RowAlerts::default(),
            clock: Arc::clone(clock),
            filing,
            memory: MemoryBound::new(None),
            remembered: 0,
            scattering: Scattering::default(),
            interrupted: false,
            read: false,
            read_at: None,
            counts: Counts::default(),
            forgetting: Forgetting::default(),
            failed: BTreeMap::new(),
        })
    }

    /// Holds no more than this allows.
    pub fn with_memory(mut self, memory: MemoryBound) -> Stage {
        self.memory = memory;
        self
    }

    /// Notes partitions whose first records are gone.
    pub fn trimmed(&mut self, partitions: Vec<Arc<Partition>>) {
        self.watermark.trimmed(partitions);
    }

    /// Takes in one batch's results and does what its watermark makes due.
    pub async fn collect(&mut self, worked: Worked, progress: &Progress) -> Result<(), RunError> {
        self.delivery.journal.flush_of(&worked.partition).await?;
        self.read = true;
        self.heed_stopped();
        if let Some(record_time) = worked.first_record {
            self.delivery.heard(&worked.partition, record_time);
        }
        self.count(&worked.counts);
        if let Some(forgotten) = worked.forgotten {
            self.forgetting.note(&worked.partition, forgotten, self.clock.now());
        }
        self.largest = self.largest.max(worked.largest);
        self.leaps.note(&worked.held_back, self.clock.now());
        if let Some(begin) = worked.begin {
            self.watermark.begin(&worked.partition, begin);
        }
        self.remembered = worked.remembered;
        self.scattering.note(worked.scattered);
        let cabinet = self.cabinets.entry(Arc::clone(&worked.partition)).or_default();
        let complete = cabinet.add(worked.filed, &mut self.keeper);
        for object in complete.map_err(|error| super::failed("the lake's sections", error))? {
            self.delivery.filed(&worked.partition, object).await?;
        }
        if let Some(stood) = worked.stood {
            self.comes(&worked.partition, stood);
        }
        self.take_in(worked.pipelines, &worked.partition);
        self.release(worked.released);
        self.reached(&worked.partition, worked.next_offset, worked.watermark);
        self.watermark.observe(&worked.partition, worked.watermark);
        progress.records.store(self.counts.records, Ordering::Relaxed);
        self.advance(self.watermark.current(), self.watermark.current()).await?;
        self.put_live(true).await
    }

    /// Notes the watermark that stands before a partition's next record, which has come.
    fn comes(&mut self, partition: &Arc<Partition>, watermark: i64) {
        for place in 0..self.tables.len() {
            let Some(tables) = &mut self.tables[place] else { continue };
            if let Err(error) = tables.comes(partition, watermark) {
                self.fail(place, &error);
            }
        }
    }

    /// Takes in what a partition gave to each pipeline.
    fn take_in(&mut self, pipelines: Vec<SqlResult<PipelineWork>>, partition: &Arc<Partition>) {
        for (place, work) in pipelines.into_iter().enumerate() {
            let collected = match (work, &mut self.tables[place]) {
                (Ok(mut work), Some(tables)) => {
                    let judged = tables.take_judged(&mut work);
                    let collected = tables.collect(work, partition, !self.filing.once);
                    for (table, rows) in judged {
                        self.judge_passing(place, &table, &rows);
                    }
                    collected
                }
                (Ok(_), None) => Ok(()),
                (Err(error), _) => Err(error),
            };
            if let Err(error) = collected {
                self.fail(place, &error);
            }
        }
    }

    /// Takes in what changes of tests gave.
    fn release(&mut self, released: Vec<ReleasedWork>) {
        for ReleasedWork { partition, pipelines, counts, .. } in released {
            self.count(&counts);
            self.take_in(pipelines, &partition);
        }
    }

    /// Notes where a partition's next record will be judged.
    fn reached(&mut self, partition: &Arc<Partition>, next: i64, watermark: Timestamp) {
        for place in 0..self.tables.len() {
            let Some(tables) = &mut self.tables[place] else { continue };
            if let Err(error) = tables.reached(partition, next, watermark) {
                self.fail(place, &error);
            }
        }
    }

    /// Takes in the watermarks of idle partitions. They are journalled before anything is put that
    /// depends on them, and not before.
    pub async fn moved(
        &mut self,
        moved: Vec<IdleAdvance>,
        released: Vec<ReleasedWork>,
    ) -> Result<(), RunError> {
        self.release(released);
        let mut complete = Vec::new();
        for advance in moved {
            let IdleAdvance { partition, next, watermark } = &advance;
            self.watermark.observe(partition, *watermark);
            self.reached(partition, next.0, *watermark);
            if let Some(cabinet) = self.cabinets.get_mut(partition) {
                let objects = cabinet.complete(self.filing.cut_of(next.0, watermark.0));
                complete.extend(objects.into_iter().map(|object| (Arc::clone(partition), object)));
            }
            self.delivery.journal.note(advance);
        }
        if !complete.is_empty() {
            self.delivery.journal.flush().await?;
        }
        for (partition, object) in complete {
            self.delivery.filed(&partition, object).await?;
        }
        self.advance(self.watermark.current(), self.watermark.current()).await?;
        self.put_live(false).await
    }

    /// Nothing will come of a partition any more: windows do not wait for it.
    pub async fn ended(
        &mut self,
        partition: &Partition,
        released: Vec<ReleasedWork>,
    ) -> Result<(), RunError> {
        self.release(released);
        self.watermark.end(partition);
        self.advance(self.watermark.current(), self.watermark.current()).await
    }

    fn count(&mut self, counts: &Counts) {
        self.counts += *counts;
        let fates = [
            ("counted", counts.counted),
            ("late_only", counts.late_only),
            ("repeated", counts.repeated),
            ("refused", counts.refused),
            ("dead_letter", counts.dead_letters),
            ("other", counts.other),
        ];
        for (fate, count) in fates {
            metrics::counter!(names::RECORDS, "fate" => fate).increment(count);
        }
        metrics::gauge!(names::WAITING).set(self.counts.waiting() as f64);
        metrics::counter!(names::LATE).increment(counts.late);
        metrics::counter!(names::UNKNOWN_FIELDS).increment(counts.unknown_fields);
    }

    /// Stops a pipeline loudly; the others go on.
    fn fail(&mut self, place: usize, error: &dyn std::error::Error) {
        let name = self.plan.pipelines[place].spec.name.clone();
        tracing::error!(pipeline = %name, %error, "the pipeline is stopped");
        self.drop_tables(place);
        self.failed.entry(name).or_insert_with(|| error.to_string());
    }

    /// Nothing is computed, judged or told any more for a pipeline that is stopped.
    fn drop_tables(&mut self, place: usize) {
        let pipeline = &self.plan.pipelines[place];
        pipeline.stopped.store(true, Ordering::Relaxed);
        pipeline.spec.tables().for_each(|table| self.breaches.forget(&table));
        self.tables[place] = None;
        self.hours[place] = WindowHours::default();
    }

    /// A pipeline whose objects cannot be put computes nothing more and makes no cards.
    fn heed_stopped(&mut self) {
        for place in 0..self.tables.len() {
            let name = &self.plan.pipelines[place].spec.name;
            if self.tables[place].is_some() && self.delivery.puts.stopped.contains_key(name) {
                self.drop_tables(place);
            }
        }
    }

    /// Timed work: sweeping, cards that quiet hours have held back, gauges.
    pub async fn tick(&mut self, progress: &Progress) -> Result<(), RunError> {
        let now = self.clock.now();
        self.delivery.sweep(now);
        self.delivery.puts.poll().await?;
        self.heed_stopped();
        self.breaches.tick();
        if !self.breaches.faults.is_empty() {
            progress.faulty_rules(&self.breaches.faults);
        }
        if !std::mem::take(&mut self.read) {
            self.put_live(false).await?;
        }
        let watermark = self.watermark.current();
        if watermark > Timestamp::MIN && watermark < Timestamp::MAX {
            progress.watermark.store(watermark.0, Ordering::Relaxed);
            metrics::gauge!(names::WATERMARK).set(watermark.0 as f64 / 1e6);
            metrics::gauge!(names::WATERMARK_LAG).set((now.0 - watermark.0) as f64 / 1e6);
        }
        self.mind_memory();
        metrics::gauge!(names::STOPPED).set(self.stopped().len() as f64);
        if let Some((pipeline, reason)) = self.stopped().first_key_value() {
            progress.trouble(&format!("pipeline `{pipeline}` is stopped: {reason}"));
        }
        Ok(())
    }

    /// Notes that the input has ended, and how far it had come; takes in what that gives.
    pub fn input_ended(&mut self, reached: Option<Timestamp>, released: Vec<ReleasedWork>) {
        self.release(released);
        self.reached = reached;
    }

    /// Notes that the run was asked to stop.
    pub fn interrupted(&mut self) {
        self.interrupted = true;
    }

    fn stopped(&self) -> BTreeMap<String, String> {
        let objects = self.delivery.puts.stopped.iter();
        let mut all: BTreeMap<String, String> =
            objects.map(|(name, error)| (name.clone(), error.with_cause())).collect();
        all.extend(self.failed.clone());
        all
    }
}

//! The end of the loop: collects what was worked out, fires windows, settles days, makes cards,
//! and hands everything to the lake.
// long because everything that a batch brings comes to its end here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::NaiveDate;
use datafusion::common::DataFusionError;

use super::RunError;
use super::breaches::Breaches;
use super::deliver::Delivery;
use super::filed::{Cabinet, Filing};
use super::live::{Moment, WindowHours};
use super::memory::MemoryBound;
use super::progress::{Progress, Summary};
use super::tables::{Settled, Tables};
use super::work::{Counts, Worked};
use crate::alert::AlertSink;
use crate::clock::Clock;
use crate::flow::{IdleAdvance, OutputBatch, Partition, Span, Timestamp};
use crate::judge::forgetting::Forgetting;
use crate::judge::leaps::Leaps;
use crate::keep::held::Keeper;
use crate::metrics as names;
use crate::plan::planned::Plan;
use crate::window::JobWatermark;

mod holding;

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
    clock: Arc<dyn Clock>,
    filing: Filing,
    memory: MemoryBound,
    /// Bytes of the ids that are remembered, so that repeats are known.
    remembered: usize,
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
            hours: plan.pipelines.iter().map(WindowHours::new).collect(),
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
            clock: Arc::clone(clock),
            filing,
            memory: MemoryBound::new(None),
            remembered: 0,
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
        let cabinet = self.cabinets.entry(Arc::clone(&worked.partition)).or_default();
        let complete = cabinet.add(worked.filed, &mut self.keeper);
        for object in complete.map_err(|error| super::failed("the lake's sections", error))? {
            self.delivery.filed(&worked.partition, object).await?;
        }
        for (place, work) in worked.pipelines.into_iter().enumerate() {
            match work {
                Ok(work) => {
                    let collected = match &mut self.tables[place] {
                        Some(tables) => tables.collect(work, &worked.partition, !self.filing.once),
                        None => Ok(()),
                    };
                    if let Err(error) = collected {
                        self.fail(place, &error);
                    }
                }
                Err(error) => self.fail(place, &error),
            }
        }
        self.reached(&worked.partition, worked.next_offset, worked.watermark);
        self.watermark.observe(&worked.partition, worked.watermark);
        progress.records.store(self.counts.records, Ordering::Relaxed);
        self.advance(self.watermark.current(), self.watermark.current()).await?;
        self.put_live(true).await
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
    pub async fn moved(&mut self, moved: Vec<IdleAdvance>) -> Result<(), RunError> {
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

    /// Puts what of days that have not settled is to be seen; `reading` says whether more of the
    /// input follows at once.
    async fn put_live(&mut self, reading: bool) -> Result<(), RunError> {
        if self.filing.once {
            return Ok(());
        }
        let now = self.clock.now();
        let (watermark, follows_clock) = (self.watermark.current(), self.filing.record_times);
        if reading {
            self.read_at = Some(now);
        }
        let rests = !reading && self.read_at.is_none_or(|read| read.plus(REST) <= now);
        let moment = Moment { watermark, now, reading, rests, follows_clock };
        let (mut due, mut failed) = (Vec::new(), Vec::new());
        let pipelines = self.tables.iter_mut().zip(&mut self.hours).enumerate();
        for (place, (tables, hours)) in pipelines {
            let Some(tables) = tables else { continue };
            let present = |table: &Arc<str>| {
                let Some(past) = moment.past() else { return NaiveDate::MIN };
                let present = tables.first_present(table, past);
                let stays = self.delivery.first_staying_live(table);
                stays.map_or(present, |stays| stays.min(present))
            };
            let objects = hours.due(moment, present, &mut self.keeper);
            match objects.and_then(|objects| Ok((objects, tables.live_rows(moment)?))) {
                Ok((objects, rows)) => due.extend(objects.into_iter().chain(rows)),
                Err(error) => failed.push((place, error)),
            }
        }
        for (place, error) in failed {
            self.fail(place, &error);
        }
        if !due.is_empty() {
            self.delivery.journal.flush().await?;
        }
        for object in due {
            self.delivery.live(object).await?;
        }
        Ok(())
    }

    /// Nothing will come of a partition any more: windows do not wait for it.
    pub async fn ended(&mut self, partition: &Partition) -> Result<(), RunError> {
        self.watermark.end(partition);
        self.advance(self.watermark.current(), self.watermark.current()).await
    }

    fn count(&mut self, counts: &Counts) {
        self.counts += *counts;
        let fates = [
            ("counted", counts.counted),
            ("late_only", counts.late_only),
            ("repeated", counts.repeated),
            ("dead_letter", counts.dead_letters),
            ("other", counts.other),
        ];
        for (fate, count) in fates {
            metrics::counter!(names::RECORDS, "fate" => fate).increment(count);
        }
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
        self.breaches.forget(pipeline);
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

    async fn advance(
        &mut self,
        watermark: Timestamp,
        empty_until: Timestamp,
    ) -> Result<(), RunError> {
        if watermark <= self.advanced_to {
            return Ok(());
        }
        self.advanced_to = watermark;
        let extent = self.watermark.extent(empty_until);
        for place in 0..self.tables.len() {
            self.heed_stopped();
            let Some(tables) = &mut self.tables[place] else { continue };
            let fired = tables.advance(watermark, extent);
            let settled = fired.and_then(|fired| Ok((fired, tables.settle(watermark)?)));
            let (fired, settled) = match settled {
                Ok(both) => both,
                Err(error) => {
                    self.fail(place, &error);
                    continue;
                }
            };
            if !fired.is_empty() || !settled.is_empty() {
                self.delivery.journal.flush().await?;
            }
            for batch in &fired {
                let windows = batch.windows.len() as u64;
                metrics::counter!(names::WINDOWS, "table" => batch.table.to_string())
                    .increment(windows);
                let pipeline = &self.plan.pipelines[place];
                let judged = self.breaches.judge(pipeline, batch);
                let judged = judged.map_err(|error| super::failed(&pipeline.spec.name, error))?;
                for (window, rows) in judged {
                    self.delivery.alerts(batch, window, rows).await?;
                }
            }
            if !self.filing.once
                && let Err(error) = self.keep_hours(place, &fired, &settled)
            {
                self.fail(place, &error);
            }
            let now = self.clock.now();
            for day in settled {
                self.delivery.settled(day, now).await?;
            }
        }
        Ok(())
    }

    /// Notes what `live/` is to be filled from.
    fn keep_hours(
        &mut self,
        place: usize,
        fired: &[OutputBatch],
        settled: &[Settled],
    ) -> Result<(), DataFusionError> {
        for batch in fired {
            let tables = self.tables[place].as_ref();
            let origins = tables.map_or_else(Vec::new, |tables| tables.origins_of(batch));
            self.hours[place].add(batch, origins, &mut self.keeper)?;
        }
        for day in settled {
            if !self.delivery.stays_live(&day.table, day.date) {
                self.hours[place].settled(&day.table, day.date);
            }
        }
        Ok(())
    }

    /// Fires and settles everything, a day of event time after the other: a long window's last row
    /// is in thousands of windows, which would otherwise all be held at once. Where windows without
    /// rows fire, no further than these do.
    async fn advance_to_the_end(&mut self, empty_until: Timestamp) -> Result<(), RunError> {
        let expects = self.tables.iter().flatten().any(Tables::expects);
        let limit = if expects { empty_until } else { Timestamp::MAX };
        let earliest = |one: (Timestamp, Span), other: (Timestamp, Span)| {
            (one.0.min(other.0), one.1.max(other.1))
        };
        loop {
            // Days in which nothing is due are passed over: there may be millions before the next row.
            let done = if expects { Timestamp::MIN } else { self.advanced_to };
            let open = self.tables.iter().flatten().flat_map(|tables| tables.open_from(done));
            let Some((first, longest)) = open.reduce(earliest) else { break };
            let reached = self.advanced_to.max(first);
            let Some(tomorrow) = reached.date().succ_opt() else { break };
            let next = Timestamp::midnight(tomorrow);
            if next >= self.largest.plus(longest) || next > limit {
                break;
            }
            self.advance(next, empty_until.min(next)).await?;
        }
        self.advance(Timestamp::MAX, empty_until).await
    }

    /// Timed work: sweeping, cards that quiet hours have held back, gauges.
    pub async fn tick(&mut self, progress: &Progress) -> Result<(), RunError> {
        let now = self.clock.now();
        self.delivery.sweep(now);
        self.delivery.puts.poll().await?;
        self.heed_stopped();
        self.breaches.tick(progress);
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

    /// Notes that the input has ended, and how far it had come.
    pub fn input_ended(&mut self, reached: Option<Timestamp>) {
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

    /// Ends the run after the loop has: waits for what is being put, and in every case for the cards.
    /// What waits in vain is said.
    pub async fn finish(
        mut self,
        outcome: Result<(), RunError>,
        empty_until: Option<Timestamp>,
        patience: Duration,
    ) -> Result<Summary, RunError> {
        let outcome = match outcome {
            Ok(()) => self.finish_lake(empty_until).await,
            Err(error) => Err(error),
        };
        let put = self.delivery.puts.finish().await.map_err(RunError::from);
        let stopped = self.stopped();
        let tables = self.tables.iter().flatten().flat_map(Tables::tallies);
        let tables = tables.map(|(table, tally)| (table.to_string(), tally)).collect();
        let Breaches { cards, last_cards, faults, .. } = &mut self.breaches;
        let (cards, last_cards) = (*cards, std::mem::take(last_cards));
        let rule_faults = std::mem::take(faults);
        let report = self.breaches.drain(patience).await;
        if let Err(error) = self.delivery.said_what_is_due(outcome.and(put)) {
            for title in &report.undelivered {
                tracing::warn!("not delivered before the end: {title}");
            }
            return Err(error);
        }
        Ok(Summary {
            counts: self.counts,
            tables,
            objects: self.delivery.puts.objects,
            bytes: self.delivery.puts.bytes,
            cards,
            delivered: report.delivered,
            undelivered: report.undelivered,
            held: report.held,
            cards_kept: report.kept,
            largest: (self.largest > Timestamp::MIN).then_some(self.largest),
            seconds: 0.0,
            interrupted: self.interrupted,
            stopped,
            rule_faults,
            last_cards,
        })
    }

    /// Where the input has ended every window that holds rows fires and every day settles; where the
    /// run was stopped, what is open stays open and will be computed again from the input.
    async fn finish_lake(&mut self, empty_until: Option<Timestamp>) -> Result<(), RunError> {
        if self.filing.once && !self.interrupted {
            let until = empty_until.or(self.reached).unwrap_or(self.largest);
            self.advance_to_the_end(until).await?;
            let cabinets = std::mem::take(&mut self.cabinets);
            for (partition, mut cabinet) in cabinets {
                for object in cabinet.finish() {
                    self.delivery.filed(&partition, object).await?;
                }
            }
        }
        self.put_live(false).await?;
        self.delivery.puts.finish().await?;
        if !self.filing.once {
            self.delivery.journal.tidy().await;
        } else if !self.interrupted {
            self.delivery.sweep_all().await;
        }
        Ok(())
    }
}

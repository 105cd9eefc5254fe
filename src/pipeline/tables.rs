//! A pipeline's tables as a run fills them: engines and the days that have not settled, or the
//! rows of a row-level table (`rows`).

use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::common::Result;

use super::rows::RowTable;
use super::work::PipelineWork;
use crate::flow::{OutputBatch, Partition, Span, Timestamp};
use crate::lake::write::Settled;
use crate::lake::write::live::{LiveObject, Moment};
use crate::plan::planned::{PipelinePlan, Plan};
use crate::sql::collect::collected::Tally;
use crate::sql::fire::Engine;
use crate::sql::fire::day::OpenDays;
use crate::window::{Extent, OffsetsByPartition};

/// One pipeline while it runs.
pub struct Tables {
    engines: Vec<Engine>,
    row_level: Option<RowTable>,
    /// The days that have not settled, by table.
    days: Vec<(Arc<str>, OpenDays)>,
    lateness: Span,
}

impl Tables {
    /// The tables of a pipeline, empty.
    pub fn new(plan: &Plan, pipeline: &PipelinePlan) -> Result<Tables> {
        let engines = pipeline.engines(&plan.executor)?;
        let row_level = || {
            let (spec, query) = (&pipeline.spec, &pipeline.query.schema);
            RowTable::new(&spec.name.as_str().into(), query, &spec.grain, spec.allowed_lateness)
        };
        let row_level = pipeline.families.is_empty().then(row_level).transpose()?;
        let days = engines.iter().flat_map(Engine::outputs);
        let days = days.map(|output| Ok((Arc::clone(&output.table), OpenDays::of(output)?)));
        let (days, lateness) = (days.collect::<Result<_>>()?, pipeline.spec.allowed_lateness);
        Ok(Tables { engines, row_level, days, lateness })
    }

    /// Takes in what one batch of a partition gave; `live` says whether rows are asked for before
    /// their days settle.
    pub fn collect(
        &mut self,
        work: PipelineWork,
        partition: &Arc<Partition>,
        live: bool,
    ) -> Result<()> {
        for (engine, partial) in self.engines.iter_mut().zip(work.partials) {
            engine.collect(partial, partition)?;
        }
        if let Some(row_level) = &mut self.row_level {
            row_level.collect(work.rows, work.tally, partition, live)?;
        }
        Ok(())
    }

    /// Fires what is due; the rows are also kept until their days settle.
    pub fn advance(&mut self, watermark: Timestamp, extent: Extent) -> Result<Vec<OutputBatch>> {
        let mut fired = Vec::new();
        for engine in &mut self.engines {
            fired.extend(engine.advance(watermark, extent)?);
        }
        // A revision without rows takes back those of the revisions before it.
        let told = |batch: &&OutputBatch| batch.rows.num_rows() > 0 || batch.revision > 0;
        for batch in fired.iter().filter(told) {
            if let Some((_, days)) = self.days.iter_mut().find(|(table, _)| *table == batch.table) {
                days.add(batch)?;
            }
        }
        Ok(fired)
    }

    /// Takes out the days that have settled.
    pub fn settle(&mut self, watermark: Timestamp) -> Result<Vec<Settled>> {
        let before: Vec<Option<NaiveDate>> =
            self.days.iter().map(|(table, _)| self.settled_before(table, watermark)).collect();
        let mut settled = Vec::new();
        for ((table, days), before) in self.days.iter_mut().zip(before) {
            for (date, rows) in days.settle_before(before) {
                let (table, origins) = (Arc::clone(table), OffsetsByPartition::new());
                settled.push(Settled { table, date, rows, origins });
            }
        }
        for day in &mut settled {
            day.origins = match self.engine_of(&day.table) {
                Some((engine, place)) => engine.origins_of_day(place, day.date),
                None => OffsetsByPartition::new(),
            };
        }
        self.forget_origins(watermark);
        if let Some(row_level) = &mut self.row_level {
            settled.extend(row_level.settle(watermark));
        }
        Ok(settled)
    }

    /// Where the rows came from that each window of a firing counts.
    pub fn origins_of(&self, fired: &OutputBatch) -> Vec<OffsetsByPartition> {
        let windows = fired.windows.iter();
        if let Some((engine, _)) = self.engine_of(&fired.table) {
            return windows.map(|window| engine.origins_of(*window, fired.revision)).collect();
        }
        Vec::new()
    }

    /// Notes the offset and watermark at which a partition's next record will be judged.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written.
    pub fn reached(
        &mut self,
        partition: &Arc<Partition>,
        next: i64,
        watermark: Timestamp,
    ) -> Result<()> {
        let rows = self.row_level.as_mut();
        rows.map_or(Ok(()), |rows| rows.reached(partition, next, watermark))
    }

    /// The rows of a row-level table that are to be put into `live/` now.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written.
    pub fn live_rows(&mut self, moment: Moment) -> Result<Vec<LiveObject>> {
        self.row_level.as_mut().map_or(Ok(Vec::new()), |rows| rows.due(moment))
    }

    /// The first day of a table that is not past: the days before it would have settled if events
    /// came without delay.
    pub fn first_present(&self, table: &Arc<str>, now: Timestamp) -> NaiveDate {
        self.settled_before(table, now).unwrap_or(NaiveDate::MIN)
    }

    /// Forgets where rows came from that only days that have settled hold.
    fn forget_origins(&mut self, watermark: Timestamp) {
        let open = |table: &Arc<str>| match self.settled_before(table, watermark) {
            Some(date) => date,
            None => NaiveDate::MAX,
        };
        let dates: Vec<Option<NaiveDate>> = self
            .engines
            .iter()
            .map(|engine| engine.outputs().map(|output| open(&output.table)).min())
            .collect();
        for (engine, date) in self.engines.iter_mut().zip(dates) {
            if let Some(date) = date {
                engine.forget_origins(date);
            }
        }
    }

    /// The engine of a table, and the table's place in it.
    fn engine_of(&self, table: &str) -> Option<(&Engine, usize)> {
        self.engines.iter().find_map(|engine| {
            let place = engine.outputs().position(|output| *output.table == *table)?;
            Some((engine, place))
        })
    }

    /// The date before which a table's days have settled; none when the input has ended.
    fn settled_before(&self, table: &Arc<str>, watermark: Timestamp) -> Option<NaiveDate> {
        if watermark == Timestamp::MAX {
            return None;
        }
        if watermark == Timestamp::MIN {
            return Some(NaiveDate::MIN);
        }
        let (engine, place) = self.engine_of(table)?;
        engine.settled_before(place, watermark, self.lateness)
    }

    /// Every table's name and what became of the events in it.
    pub fn tallies(&self) -> Vec<(Arc<str>, Tally)> {
        let windowed = self.engines.iter().flat_map(Engine::tallies);
        let windowed = windowed.map(|(table, tally)| (Arc::clone(table), tally));
        let rows = self.row_level.iter().map(RowTable::tally);
        windowed.chain(rows).collect()
    }

    /// Whether windows without rows fire.
    pub fn expects(&self) -> bool {
        self.engines.iter().any(Engine::expects)
    }

    /// For each kind of window that holds rows which are still to be counted once everything up to
    /// `reached` has fired: the earliest event time of these, and how long after a row its last window
    /// ends at most.
    pub fn open_from(&self, reached: Timestamp) -> impl Iterator<Item = (Timestamp, Span)> {
        self.engines.iter().filter_map(move |engine| {
            engine.first_held(reached).map(|first| (first, engine.family().longest()))
        })
    }

    /// Bytes held for windows that are open and for days that have not settled.
    pub fn size(&self) -> usize {
        let engines: usize = self.engines.iter().map(Engine::size).sum();
        let days: usize = self.days.iter().map(|(_, days)| days.size()).sum();
        engines + days + self.row_level.as_ref().map_or(0, RowTable::size)
    }

    /// Brings to disk what can be, and keeps it there from now on.
    pub fn spill(&mut self) -> Result<()> {
        self.engines.iter_mut().for_each(Engine::spill);
        self.days.iter_mut().try_for_each(|(_, days)| days.spill())?;
        self.row_level.as_mut().map_or(Ok(()), RowTable::spill)
    }
}

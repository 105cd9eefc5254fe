//! A pipeline's tables as a run fills them, by family of windows: the engine that fires these, and for
//! each table what has not settled (`open_table`).

use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::common::Result;

use super::family_work::PipelineWork;
use super::open_table::OpenTable;
use crate::flow::{OutputBatch, Partition, Span, TimedRows, Timestamp};
use crate::lake::write::Settled;
use crate::lake::write::live::{LiveObject, Moment};
use crate::plan::planned::{PipelinePlan, Plan};
use crate::sql::collect::collected::Tally;
use crate::sql::fire::Engine;
use crate::window::{Extent, OffsetsByPartition};

/// One pipeline while it runs.
pub struct Tables {
    families: Vec<OpenFamily>,
    lateness: Span,
}

/// The windows of one family, and their tables in its order.
struct OpenFamily {
    engine: Engine,
    tables: Vec<(Arc<str>, OpenTable)>,
}

impl OpenFamily {
    fn new(engine: Engine) -> Result<OpenFamily> {
        let tables = engine.outputs();
        let tables = tables.map(|shape| Ok((Arc::clone(&shape.table), OpenTable::new(shape)?)));
        Ok(OpenFamily { tables: tables.collect::<Result<_>>()?, engine })
    }

    /// The date before which the days of a table have settled; none when the input has ended.
    fn settled_before(
        &self,
        place: usize,
        watermark: Timestamp,
        lateness: Span,
    ) -> Option<NaiveDate> {
        match watermark {
            Timestamp::MAX => None,
            Timestamp::MIN => Some(NaiveDate::MIN),
            reached => self.engine.settled_before(place, reached, lateness),
        }
    }

    /// Takes out the days that have settled, and forgets where rows came from that only they hold.
    fn settle(&mut self, watermark: Timestamp, lateness: Span) -> Vec<Settled> {
        let mut settled = Vec::new();
        let mut open = NaiveDate::MAX;
        for place in 0..self.tables.len() {
            let before = self.settled_before(place, watermark, lateness);
            open = open.min(before.unwrap_or(NaiveDate::MAX));
            let (table, days) = &mut self.tables[place];
            for (date, rows) in days.settle_before(before) {
                let origins = self.engine.origins_of_day(place, date);
                settled.push(Settled { table: Arc::clone(table), date, rows, origins });
            }
        }
        self.engine.forget_origins(open);
        settled
    }
}

impl Tables {
    /// The tables of a pipeline, empty.
    ///
    /// # Errors
    /// Where a column cannot be sorted by, or what is expected does not fit.
    pub fn new(plan: &Plan, pipeline: &PipelinePlan) -> Result<Tables> {
        let engines = pipeline.engines(&plan.executor)?.into_iter();
        let families = engines.map(OpenFamily::new).collect::<Result<_>>()?;
        Ok(Tables { families, lateness: pipeline.spec.allowed_lateness })
    }

    /// Takes out the rows that alert rules judge as they pass, by table.
    pub fn take_judged(&self, work: &mut PipelineWork) -> Vec<(Arc<str>, Vec<TimedRows>)> {
        let families = self.families.iter().zip(&mut work.partials);
        let judged = families.filter(|(_, partial)| !partial.judged.is_empty());
        let of_table = judged.filter_map(|(family, partial)| {
            let (table, _) = family.tables.first()?;
            Some((Arc::clone(table), std::mem::take(&mut partial.judged)))
        });
        of_table.collect()
    }

    /// Takes in what one batch of a partition gave; `live` says whether rows are asked for before
    /// their days settle.
    ///
    /// # Errors
    /// Where states cannot be joined, or rows go to disk and it cannot be written.
    pub fn collect(
        &mut self,
        work: PipelineWork,
        partition: &Arc<Partition>,
        live: bool,
    ) -> Result<()> {
        for (family, mut partial) in self.families.iter_mut().zip(work.partials) {
            let passed = std::mem::take(&mut partial.passed);
            family.engine.collect(partial, partition)?;
            if let Some((_, table)) = family.tables.first_mut() {
                table.passed(passed, partition, live)?;
            }
        }
        Ok(())
    }

    /// Notes the watermark that stands before a partition's next record, which has come.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written.
    pub fn comes(&mut self, partition: &Arc<Partition>, watermark: i64) -> Result<()> {
        let mut tables = self.families.iter_mut().flat_map(|family| &mut family.tables);
        tables.try_for_each(|(_, table)| table.comes(partition, watermark))
    }

    /// Fires what is due; the rows are also kept until their days settle.
    ///
    /// # Errors
    /// What fails when the query runs.
    pub fn advance(&mut self, watermark: Timestamp, extent: Extent) -> Result<Vec<OutputBatch>> {
        let mut fired = Vec::new();
        for family in &mut self.families {
            fired.extend(family.engine.advance(watermark, extent)?);
        }
        // A revision without rows takes back those of the revisions before it.
        let told = |batch: &&OutputBatch| batch.rows.num_rows() > 0 || batch.revision > 0;
        for batch in fired.iter().filter(told) {
            let mut tables = self.families.iter_mut().flat_map(|family| &mut family.tables);
            if let Some((_, open)) = tables.find(|(table, _)| *table == batch.table) {
                open.fired(batch)?;
            }
        }
        Ok(fired)
    }

    /// Takes out the days that have settled.
    pub fn settle(&mut self, watermark: Timestamp) -> Vec<Settled> {
        let families = self.families.iter_mut();
        families.flat_map(|family| family.settle(watermark, self.lateness)).collect()
    }

    /// Where the rows came from that each window of a firing counts.
    pub fn origins_of(&self, fired: &OutputBatch) -> Vec<OffsetsByPartition> {
        let windows = fired.windows.iter();
        let Some((family, _)) = self.family_of(&fired.table) else { return Vec::new() };
        windows.map(|window| family.engine.origins_of(*window, fired.revision)).collect()
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
        let mut tables = self.families.iter_mut().flat_map(|family| &mut family.tables);
        tables.try_for_each(|(_, table)| table.reached(partition, next, watermark))
    }

    /// The rows that pass without a window and are to be put into `live/` now.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written.
    pub fn live_rows(&mut self, moment: Moment) -> Result<Vec<LiveObject>> {
        let mut due = Vec::new();
        for family in &mut self.families {
            for place in 0..family.tables.len() {
                let past = moment.past();
                let present =
                    past.and_then(|past| family.settled_before(place, past, self.lateness));
                let table = &mut family.tables[place].1;
                due.extend(table.due(moment, present.unwrap_or(NaiveDate::MIN))?);
            }
        }
        Ok(due)
    }

    /// The first day of a table that is not past: the days before it would have settled if events
    /// came without delay.
    pub fn first_present(&self, table: &Arc<str>, now: Timestamp) -> NaiveDate {
        let of = self.family_of(table);
        let present = of.and_then(|(of, place)| of.settled_before(place, now, self.lateness));
        present.unwrap_or(NaiveDate::MIN)
    }

    /// The family of a table, and the table's place in it.
    fn family_of(&self, table: &str) -> Option<(&OpenFamily, usize)> {
        self.families.iter().find_map(|family| {
            let place = family.tables.iter().position(|(name, _)| **name == *table)?;
            Some((family, place))
        })
    }

    /// Every table's name and what became of the events in it.
    pub fn tallies(&self) -> Vec<(Arc<str>, Tally)> {
        let tallies = self.families.iter().flat_map(|family| family.engine.tallies());
        tallies.map(|(table, tally)| (Arc::clone(table), tally)).collect()
    }

    /// Whether windows without rows fire.
    pub fn expects(&self) -> bool {
        self.families.iter().any(|family| family.engine.expects())
    }

    /// For each kind of window that holds rows which are still to be counted once everything up to
    /// `reached` has fired: the earliest event time of these, and how long after a row its last window
    /// ends at most.
    pub fn open_from(&self, reached: Timestamp) -> impl Iterator<Item = (Timestamp, Span)> {
        self.families.iter().filter_map(move |OpenFamily { engine, .. }| {
            engine.first_held(reached).map(|first| (first, engine.family().kind().longest()))
        })
    }

    /// Bytes held for windows that are open and for days that have not settled.
    pub fn size(&self) -> usize {
        let engines: usize = self.families.iter().map(|family| family.engine.size()).sum();
        let tables = self.families.iter().flat_map(|family| &family.tables);
        engines + tables.map(|(_, table)| table.size()).sum::<usize>()
    }

    /// Brings to disk what can be, and keeps it there from now on.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn spill(&mut self) -> Result<()> {
        for family in &mut self.families {
            family.engine.spill();
            family.tables.iter_mut().try_for_each(|(_, table)| table.spill())?;
        }
        Ok(())
    }
}

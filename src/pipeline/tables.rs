//! A pipeline's tables as a run fills them: engines, row-level rows, and the days that have not
//! settled.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::{Days, NaiveDate};
use datafusion::common::Result;

use super::build::{PipelinePlan, Plan};
use super::work::{FinalRows, MINUTE, PipelineWork};
use crate::flow::{OutputBatch, Partition, Span, Timestamp, Window};
use crate::sql::engine::Engine;
use crate::sql::family::Family;
use crate::sql::output::{OutputShape, epoch_day, sort_by};
use crate::sql::partial::Tally;
use crate::window::{DayBook, OffsetsByPartition, Origins, PaneGrid};

/// One pipeline while it runs.
pub struct Tables {
    engines: Vec<Engine>,
    row_level: Option<RowLevel>,
    days: Vec<OpenDays>,
    lateness: Span,
}

/// The days of one table that have not settled.
struct OpenDays {
    table: Arc<str>,
    shape: Option<OutputShape>,
    book: DayBook<OutputBatch>,
}

/// The rows of a row-level table that are not final yet.
struct RowLevel {
    table: Arc<str>,
    schema: SchemaRef,
    minute: PaneGrid,
    waiting: BTreeMap<i64, Vec<(Arc<Partition>, FinalRows)>>,
    origins: Origins<(NaiveDate, i64)>,
    tally: Tally,
}

/// A date's rows and the offsets of the first and the last record that they came from.
type DayOfRows = (NaiveDate, RecordBatch, (i64, i64));

/// A day that has settled.
pub struct Settled {
    /// The table.
    pub table: Arc<str>,
    /// The day.
    pub date: NaiveDate,
    /// Its rows, sorted.
    pub rows: RecordBatch,
    /// Where they came from.
    pub origins: OffsetsByPartition,
}

/// When a row-level table's day settles: its end and the allowed lateness.
pub fn settles_at(date: NaiveDate, lateness: Span) -> Timestamp {
    let days = i64::from(epoch_day(date)) + 1;
    Timestamp(days.saturating_mul(Span::DAY.0)).plus(lateness)
}

impl Tables {
    /// The tables of a pipeline, empty.
    pub fn new(plan: &Plan, pipeline: &PipelinePlan) -> Result<Tables> {
        let engines = pipeline.engines(&plan.executor)?;
        let row_level = pipeline.families.is_empty().then(|| RowLevel::new(pipeline));
        let windowed = engines.iter().flat_map(Engine::outputs).map(|output| OpenDays {
            table: Arc::clone(&output.table),
            shape: Some(output.clone()),
            book: DayBook::default(),
        });
        let mut days: Vec<OpenDays> = windowed.collect();
        if let Some(rows) = &row_level {
            let table = Arc::clone(&rows.table);
            days.push(OpenDays { table, shape: None, book: DayBook::default() });
        }
        Ok(Tables { engines, row_level, days, lateness: pipeline.spec.allowed_lateness })
    }

    /// Takes in what one batch of a partition gave.
    pub fn collect(&mut self, work: PipelineWork, partition: &Arc<Partition>) -> Result<()> {
        for (engine, partial) in self.engines.iter_mut().zip(work.partials) {
            engine.collect(partial, partition)?;
        }
        if let Some(row_level) = &mut self.row_level {
            row_level.tally.counted += work.tally.counted;
            row_level.tally.late += work.tally.late;
            row_level.tally.other += work.tally.other;
            for rows in work.rows {
                let place = row_level.waiting.entry(rows.ready).or_default();
                place.push((Arc::clone(partition), rows));
            }
        }
        Ok(())
    }

    /// Fires what is due; the rows are also kept until their days settle.
    pub fn advance(
        &mut self,
        watermark: Timestamp,
        empty_until: Timestamp,
    ) -> Result<Vec<OutputBatch>> {
        let mut fired = Vec::new();
        for engine in &mut self.engines {
            fired.extend(engine.advance(watermark, empty_until)?);
        }
        if let Some(row_level) = &mut self.row_level {
            fired.extend(row_level.advance(watermark)?);
        }
        // A revision without rows takes back those of the revisions before it.
        let told = |batch: &&OutputBatch| batch.rows.num_rows() > 0 || batch.revision > 0;
        for batch in fired.iter().filter(told) {
            if let Some(days) = self.days.iter_mut().find(|days| days.table == batch.table) {
                days.book.add(batch.date, batch.clone());
            }
        }
        Ok(fired)
    }

    /// Takes out the days that have settled.
    pub fn settle(&mut self, watermark: Timestamp) -> Result<Vec<Settled>> {
        let before: Vec<Option<NaiveDate>> =
            self.days.iter().map(|days| self.settled_before(&days.table, watermark)).collect();
        let mut settled = Vec::new();
        for (days, before) in self.days.iter_mut().zip(before) {
            let taken = match before {
                Some(date) => days.book.settle_before(date),
                None => days.book.settle_all(),
            };
            for (date, batches) in taken {
                let rows = match &days.shape {
                    Some(shape) => shape.join_day(&batches)?,
                    None => join_rows(&batches)?,
                };
                let table = Arc::clone(&days.table);
                settled.push(Settled { table, date, rows, origins: OffsetsByPartition::new() });
            }
        }
        for day in &mut settled {
            day.origins = self.origins_of_day(&day.table, day.date);
        }
        self.forget_origins(watermark);
        Ok(settled)
    }

    /// Where the rows came from that each window of a firing counts.
    pub fn origins_of(&self, fired: &OutputBatch) -> Vec<OffsetsByPartition> {
        let windows = fired.windows.iter();
        if let Some((engine, _)) = self.engine_of(&fired.table) {
            return windows.map(|window| engine.origins_of(*window, fired.revision)).collect();
        }
        let Some(rows) = &self.row_level else { return Vec::new() };
        let of = |window: &Window| {
            let place = (fired.date, rows.minute.pane_of(window.end.0));
            rows.origins.over(place..=place, |_, _| true)
        };
        windows.map(of).collect()
    }

    fn origins_of_day(&self, table: &Arc<str>, date: NaiveDate) -> OffsetsByPartition {
        if let Some((engine, place)) = self.engine_of(table) {
            return engine.origins_of_day(place, date);
        }
        let whole = (date, i64::MIN)..=(date, i64::MAX);
        self.row_level
            .as_ref()
            .map_or_else(OffsetsByPartition::new, |rows| rows.origins.over(whole, |_, _| true))
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
        let rows = self.row_level.as_ref().map(|rows| open(&rows.table));
        for (engine, date) in self.engines.iter_mut().zip(dates) {
            if let Some(date) = date {
                engine.forget_origins(date);
            }
        }
        if let (Some(row_level), Some(date)) = (&mut self.row_level, rows) {
            row_level.origins.retain(|(held, _)| *held >= date);
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
        let reached = watermark.minus(self.lateness);
        let Some((engine, place)) = self.engine_of(table) else {
            return Some(reached.minus(MINUTE).date());
        };
        match engine.family().as_ref() {
            Family::Fixed { grid, shapes } => {
                let shape = shapes[place];
                let behind = (shape.size - shape.slide).saturating_mul(grid.width().0);
                Some(reached.minus(Span(behind)).date())
            }
            Family::Calendar(zones) => {
                let starts = zones.calendars().iter();
                let open = starts.map(|zone| zone.period_of(reached).local_start.date());
                open.min()
            }
            Family::Session(sessions) => {
                let settled = reached.minus(sessions.gap).minus(sessions.wait).date();
                let open = engine.first_open_session().map(Timestamp::date);
                Some(open.map_or(settled, |open| open.min(settled)))
            }
        }
    }

    /// Every table's name and what became of the events in it.
    pub fn tallies(&self) -> Vec<(Arc<str>, Tally)> {
        let windowed = self.engines.iter().flat_map(Engine::tallies);
        let windowed = windowed.map(|(table, tally)| (Arc::clone(table), tally));
        let rows = self.row_level.iter().map(|rows| (Arc::clone(&rows.table), rows.tally));
        windowed.chain(rows).collect()
    }

    /// Whether windows without rows fire.
    pub fn expects(&self) -> bool {
        self.engines.iter().any(Engine::expects)
    }

    /// For each kind of window that holds rows: the earliest event time of these, and how long after
    /// a row its last window ends at most.
    pub fn open_from(&self) -> impl Iterator<Item = (Timestamp, Span)> {
        let windowed = self.engines.iter().filter_map(|engine| {
            engine.first_held().map(|first| (first, engine.family().longest()))
        });
        let rows = self.row_level.iter().filter_map(|rows| {
            let (minute, _) = rows.waiting.first_key_value()?;
            Some((rows.minute.start_of(minute - 1), MINUTE))
        });
        windowed.chain(rows)
    }

    /// Bytes held for windows that are open.
    pub fn size(&self) -> usize {
        self.engines.iter().map(Engine::size).sum()
    }
}

impl RowLevel {
    fn new(pipeline: &PipelinePlan) -> RowLevel {
        let mut fields: Vec<Field> =
            pipeline.query.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
        fields.push(Field::new("date", DataType::Date32, false));
        RowLevel {
            table: pipeline.spec.name.as_str().into(),
            schema: Arc::new(Schema::new(fields)),
            minute: PaneGrid::over([MINUTE]),
            waiting: BTreeMap::new(),
            origins: Origins::default(),
            tally: Tally::default(),
        }
    }

    /// The rows that are final, by the minute in which they became so and by date.
    fn advance(&mut self, watermark: Timestamp) -> Result<Vec<OutputBatch>> {
        let reached = self.minute.reached(watermark);
        let later = self.waiting.split_off(&reached.saturating_add(1));
        let due = std::mem::replace(&mut self.waiting, later);
        let mut fired = Vec::new();
        for (ready, parts) in due {
            let mut by_date: BTreeMap<NaiveDate, Vec<RecordBatch>> = BTreeMap::new();
            for (partition, part) in parts {
                for (date, rows, range) in self.by_date(&part)? {
                    self.origins.add((date, ready), 0, &partition, range);
                    by_date.entry(date).or_default().push(rows);
                }
            }
            let end = self.minute.start_of(ready);
            let window = Window { start: self.minute.start_of(ready - 1), end };
            for (date, batches) in by_date {
                let rows = concat_batches(&self.schema, &batches)?;
                let table = Arc::clone(&self.table);
                fired.push(OutputBatch { table, date, windows: vec![window], revision: 0, rows });
            }
        }
        Ok(fired)
    }

    /// Rows by UTC date, each with the date as its last column; and the offsets of the first and
    /// the last record that they came from.
    fn by_date(&self, part: &FinalRows) -> Result<Vec<DayOfRows>> {
        let dates: Vec<i32> =
            part.time.values().iter().map(|time| epoch_day(Timestamp(*time).date())).collect();
        let mut distinct = dates.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let mut columns = part.rows.columns().to_vec();
        let options = RecordBatchOptions::new().with_row_count(Some(part.rows.num_rows()));
        columns.push(Arc::new(Date32Array::from(dates.clone())) as ArrayRef);
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        let days = distinct.into_iter().map(|day| {
            let date = NaiveDate::default() + Days::new(u64::try_from(day).unwrap_or(0));
            let mine: arrow::array::BooleanArray =
                dates.iter().map(|held| Some(*held == day)).collect();
            let from = part.offsets.values().iter().zip(&dates);
            let from = from.filter(|(_, held)| **held == day).map(|(offset, _)| *offset);
            let range = (from.clone().min().unwrap_or(0), from.max().unwrap_or(0));
            Ok((date, arrow::compute::filter_record_batch(&rows, &mine)?, range))
        });
        days.collect()
    }
}

/// A row-level day's rows in one order that does not depend on how partitions interleaved.
fn join_rows(fired: &[OutputBatch]) -> Result<RecordBatch> {
    let Some(first) = fired.first().map(|batch| &batch.rows) else {
        return datafusion::common::internal_err!("a day without rows settled");
    };
    let joined = concat_batches(&first.schema(), fired.iter().map(|batch| &batch.rows))?;
    let columns: Vec<usize> = (0..joined.num_columns()).collect();
    sort_by(&joined, &columns)
}

//! Rows to partial states: one micro-batch through everything below the aggregate, its rows
//! assigned to panes or calendar periods, and each aggregate's state per (slice, group) cell.
//!
//! Pure and independent of every other batch, so batches run on any core in any order; what is
//! collected from them is merged by key.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions,
    StringArray, UInt32Array,
};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::{Int64Type, UInt32Type};
use datafusion::common::{Result, exec_datafusion_err};

use super::chain::Branch;
use super::execute::Executor;
use super::groups::Keys;
use super::query::{Below, Incremental, Query, Way};
use crate::flow::Timestamp;
use crate::window::{Calendar, PaneGrid, Period, Shape};

/// Rows of one relation out of one batch of events.
#[derive(Clone, Debug)]
pub struct RelationRows {
    /// The relation.
    pub relation: Arc<str>,
    /// At least the columns that queries read, by name.
    pub rows: RecordBatch,
    /// Event time of each row, microseconds.
    pub time: Int64Array,
    /// The partition's watermark before the event that each row came from.
    pub watermark_before: Int64Array,
    /// The event that each row came from, by its place in the batch.
    pub source_row: UInt32Array,
    /// The lab of each row, where a calendar asks for it.
    pub lab: Option<StringArray>,
}

/// Where rows go in time.
#[derive(Clone, Debug)]
pub enum Family {
    /// Panes that the fixed windows of a pipeline share.
    Fixed {
        /// The panes.
        grid: PaneGrid,
        /// The windows, in the order of their tables.
        shapes: Vec<Shape>,
    },
    /// Calendar periods, one table.
    Calendar(Zones),
}

/// The calendars of labs.
#[derive(Clone, Debug)]
pub struct Zones {
    calendars: Vec<Calendar>,
    by_lab: HashMap<String, usize>,
}

impl Zones {
    /// One calendar for every lab.
    pub fn fixed(calendar: Calendar) -> Zones {
        Zones { calendars: vec![calendar], by_lab: HashMap::new() }
    }

    /// Calendars by lab; those not listed have the first.
    pub fn by_lab(calendars: Vec<Calendar>, by_lab: HashMap<String, usize>) -> Zones {
        Zones { calendars, by_lab }
    }

    /// Every calendar.
    pub fn calendars(&self) -> &[Calendar] {
        &self.calendars
    }

    /// The number of a lab's calendar.
    pub fn of_lab(&self, lab: &str) -> usize {
        self.by_lab.get(lab).copied().unwrap_or(0)
    }
}

/// What a row is collected under: a pane with the first window end that may count it, or a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SliceKey {
    /// A pane.
    Pane {
        /// The pane.
        pane: i64,
        /// The first pane end at which a window may count it.
        ready: i64,
    },
    /// A calendar period.
    Period(Period),
}

/// What has been collected under one slice.
#[derive(Debug)]
pub struct Chunk {
    /// The group of each cell.
    pub groups: Vec<u32>,
    /// The number of rows of each cell.
    pub rows: Vec<u32>,
    /// For each slot its state columns, one row per cell.
    pub states: Vec<Vec<ArrayRef>>,
    /// Recompute only: the rows themselves.
    pub kept: Vec<(Arc<str>, RecordBatch)>,
}

/// The cells of one branch of one family.
#[derive(Debug, Default)]
pub struct Cells {
    /// The groups' keys; a cell's group is a number in here.
    pub keys: Keys,
    /// The slices with the range of their cells.
    pub slices: Vec<(SliceKey, Range<usize>)>,
    /// The group of each cell.
    pub groups: Vec<u32>,
    /// The number of rows of each cell.
    pub rows: Vec<u32>,
    /// For each slot its state columns, one row per cell.
    pub states: Vec<Vec<ArrayRef>>,
}

/// What became of a batch's events in one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events that at least one window counts.
    pub counted: u64,
    /// Events that were of the table's kind and missed every window.
    pub late: u64,
    /// Events that were not of the table's kind.
    pub other: u64,
}

/// What one batch of events gives to one family.
#[derive(Debug, Default)]
pub struct Partial {
    /// Partial states.
    pub cells: Vec<Cells>,
    /// Recompute only: rows by slice.
    pub kept: Vec<(SliceKey, Arc<str>, RecordBatch)>,
    /// One tally per table of the family.
    pub tallies: Vec<Tally>,
    /// Per table: the events (by place in the batch) that came too late for it.
    pub late_events: Vec<Vec<u32>>,
    /// By event: whether at least one table counts it.
    pub counted_events: Vec<bool>,
}

/// The fate of a batch's events in each table of a family, by event.
struct Fates {
    counted: Vec<Vec<bool>>,
    late: Vec<Vec<bool>>,
}

impl Family {
    /// How many tables it has.
    pub fn tables(&self) -> usize {
        match self {
            Family::Fixed { shapes, .. } => shapes.len(),
            Family::Calendar(_) => 1,
        }
    }
}

/// Runs one batch of events through a windowed query.
pub fn partial(
    query: &Query,
    family: &Family,
    inputs: &[RelationRows],
    events: usize,
    executor: &Executor,
) -> Result<Partial> {
    let tables = family.tables();
    let mut fates = Fates {
        counted: vec![vec![false; events]; tables],
        late: vec![vec![false; events]; tables],
    };
    let mut out = Partial::default();
    match &query.way {
        Way::Incremental(incremental) => match &incremental.below {
            Below::Branches(branches) => {
                for branch in branches {
                    let rows = branch_rows(branch, inputs)?;
                    let Some((rows, beside)) = rows else { continue };
                    let placed = place(family, rows, &beside, &mut fates)?;
                    out.cells.extend(cells(incremental, placed)?);
                }
            }
            Below::Plan(plan) => {
                for (slice, input) in by_slice(family, inputs, &mut fates)? {
                    let batches = executor.run_over(plan, &[input])?;
                    for rows in batches {
                        let slices = vec![slice; rows.num_rows()];
                        out.cells.extend(cells(incremental, Placed { rows, slices })?);
                    }
                }
            }
        },
        Way::Recompute(_) | Way::RowLevel(_) => {
            for (slice, input) in by_slice(family, inputs, &mut fates)? {
                out.kept.push((slice, input.relation, input.rows));
            }
        }
    }
    fates.settle(&mut out);
    Ok(out)
}

impl Fates {
    fn settle(self, out: &mut Partial) {
        out.counted_events = vec![false; self.counted.first().map_or(0, Vec::len)];
        for (counted, late) in self.counted.iter().zip(self.late) {
            let mut tally = Tally::default();
            let mut late_events = Vec::new();
            for (event, counts) in counted.iter().enumerate() {
                out.counted_events[event] |= counts;
                if *counts {
                    tally.counted += 1;
                } else if late[event] {
                    tally.late += 1;
                    late_events.push(event as u32);
                } else {
                    tally.other += 1;
                }
            }
            out.tallies.push(tally);
            out.late_events.push(late_events);
        }
    }
}

/// Rows with the slice of each.
struct Placed {
    rows: RecordBatch,
    slices: Vec<SliceKey>,
}

/// A branch's rows out of the batch, with time, watermark, source row and lab beside them.
pub fn branch_rows(
    branch: &Branch,
    inputs: &[RelationRows],
) -> Result<Option<(RecordBatch, Vec<ArrayRef>)>> {
    let Some(input) = inputs.iter().find(|input| input.relation == branch.relation) else {
        return Ok(None);
    };
    if input.rows.num_rows() == 0 {
        return Ok(None);
    }
    let rows = input.project(&branch.columns)?;
    let mut beside: Vec<ArrayRef> = vec![
        Arc::new(input.time.clone()),
        Arc::new(input.watermark_before.clone()),
        Arc::new(input.source_row.clone()),
    ];
    if let Some(lab) = &input.lab {
        beside.push(Arc::new(lab.clone()));
    }
    Ok(Some(branch.chain.evaluate(rows, beside)?))
}

impl RelationRows {
    /// The columns that a leaf reads, given by their places in the relation's whole schema.
    pub fn project(&self, columns: &[usize]) -> Result<RecordBatch> {
        project_by_place(&self.rows, columns)
    }

    /// Some of the rows.
    fn filtered(&self, keep: &BooleanArray) -> Result<RelationRows> {
        Ok(RelationRows {
            relation: Arc::clone(&self.relation),
            rows: filter_record_batch(&self.rows, keep)?,
            time: filter(&self.time, keep)?.as_primitive::<Int64Type>().clone(),
            watermark_before: filter(&self.watermark_before, keep)?
                .as_primitive::<Int64Type>()
                .clone(),
            source_row: filter(&self.source_row, keep)?.as_primitive::<UInt32Type>().clone(),
            lab: match &self.lab {
                Some(lab) => Some(filter(lab, keep)?.as_string::<i32>().clone()),
                None => None,
            },
        })
    }

    /// A run of the rows.
    pub fn slice(&self, start: usize, length: usize) -> RelationRows {
        RelationRows {
            relation: Arc::clone(&self.relation),
            rows: self.rows.slice(start, length),
            time: self.time.slice(start, length),
            watermark_before: self.watermark_before.slice(start, length),
            source_row: self.source_row.slice(start, length),
            lab: self.lab.as_ref().map(|lab| lab.slice(start, length)),
        }
    }
}

/// The columns of rows of a relation, given by their places in the relation's whole schema.
pub fn project_by_place(rows: &RecordBatch, columns: &[usize]) -> Result<RecordBatch> {
    let metadata = rows.schema_ref().metadata();
    let listed = metadata.get(PLACES).map_or("", String::as_str);
    let places: Vec<usize> = listed.split(',').filter_map(|place| place.parse().ok()).collect();
    let picked: Result<Vec<usize>> = columns
        .iter()
        .map(|column| {
            places
                .iter()
                .position(|place| place == column)
                .ok_or_else(|| exec_datafusion_err!("column {column} of a relation was not made"))
        })
        .collect();
    let picked = rows.project(&picked?)?;
    // The leaf's own schema bears no metadata.
    let schema = picked.schema().as_ref().clone().with_metadata(HashMap::new());
    let options = RecordBatchOptions::new().with_row_count(Some(picked.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(schema), picked.columns().to_vec(), &options)?)
}

/// The key of schema metadata that lists, for each column of [`RelationRows::rows`], its place in
/// the relation's whole schema.
pub const PLACES: &str = "places";

/// A row's lab; empty when there is none.
fn lab_of(labs: Option<&StringArray>, row: usize) -> &str {
    labs.filter(|labs| labs.is_valid(row)).map_or("", |labs| labs.value(row))
}

/// Finds each row's slice, notes its event's fate, and drops rows that missed every window.
fn place(
    family: &Family,
    rows: RecordBatch,
    beside: &[ArrayRef],
    fates: &mut Fates,
) -> Result<Placed> {
    let time = beside[0].as_primitive::<Int64Type>();
    let watermark = beside[1].as_primitive::<Int64Type>();
    let source = beside[2].as_primitive::<UInt32Type>();
    let labs = beside.get(3).map(|lab| lab.as_string::<i32>());
    let mut placer = Placer::new(family);
    let mut slices = Vec::with_capacity(rows.num_rows());
    let mut kept = 0;
    let mut keep = vec![true; rows.num_rows()];
    for row in 0..rows.num_rows() {
        let (time, watermark) = (time.value(row), watermark.value(row));
        let lab = lab_of(labs, row);
        let event = source.value(row) as usize;
        match placer.slice(time, watermark, lab, event, fates) {
            Some(slice) => {
                slices.push(slice);
                kept += 1;
            }
            None => keep[row] = false,
        }
    }
    let rows = if kept == rows.num_rows() {
        rows
    } else {
        filter_record_batch(&rows, &BooleanArray::from(keep))?
    };
    Ok(Placed { rows, slices })
}

/// Whole relation rows by slice, for queries that are not row-wise below.
fn by_slice(
    family: &Family,
    inputs: &[RelationRows],
    fates: &mut Fates,
) -> Result<Vec<(SliceKey, RelationRows)>> {
    let mut out = Vec::new();
    for input in inputs {
        let mut placer = Placer::new(family);
        let slices: Vec<Option<SliceKey>> = (0..input.rows.num_rows())
            .map(|row| {
                let event = input.source_row.value(row) as usize;
                let lab = lab_of(input.lab.as_ref(), row);
                let (time, watermark) = (input.time.value(row), input.watermark_before.value(row));
                placer.slice(time, watermark, lab, event, fates)
            })
            .collect();
        let mut distinct: Vec<SliceKey> = slices.iter().flatten().copied().collect();
        distinct.sort_unstable();
        distinct.dedup();
        for slice in distinct {
            let keep: BooleanArray = slices.iter().map(|held| Some(*held == Some(slice))).collect();
            out.push((slice, input.filtered(&keep)?));
        }
    }
    Ok(out)
}

/// Assigns rows to slices; remembers the last answer, since neighbours in a feed share it.
struct Placer<'a> {
    family: &'a Family,
    pane: i64,
    pane_range: Range<i64>,
    periods: Vec<Option<Period>>,
    lab: String,
    zone: usize,
}

impl<'a> Placer<'a> {
    fn new(family: &'a Family) -> Placer<'a> {
        let zones = match family {
            Family::Fixed { .. } => 0,
            Family::Calendar(zones) => zones.calendars.len(),
        };
        Placer {
            family,
            pane: 0,
            pane_range: 0..0,
            periods: vec![None; zones],
            lab: String::new(),
            zone: zones,
        }
    }

    /// The row's slice, or none when it missed every window of every table.
    fn slice(
        &mut self,
        time: i64,
        watermark: i64,
        lab: &str,
        event: usize,
        fates: &mut Fates,
    ) -> Option<SliceKey> {
        match self.family {
            Family::Fixed { grid, shapes } => {
                if !self.pane_range.contains(&time) {
                    self.pane = grid.pane_of(time);
                    self.pane_range = grid.start_of(self.pane).0..grid.start_of(self.pane + 1).0;
                }
                let ready = if watermark < self.pane_range.end {
                    self.pane + 1
                } else {
                    grid.ready(self.pane, watermark)
                };
                let mut any = false;
                for (table, shape) in shapes.iter().enumerate() {
                    let counts = shape.align_up(ready) <= shape.last_end(self.pane);
                    let fate = if counts { &mut fates.counted } else { &mut fates.late };
                    fate[table][event] = true;
                    any |= counts;
                }
                any.then_some(SliceKey::Pane { pane: self.pane, ready })
            }
            Family::Calendar(zones) => {
                let period = self.period(zones, time, lab);
                let counts = watermark < period.window.end.0;
                let fate = if counts { &mut fates.counted } else { &mut fates.late };
                fate[0][event] = true;
                counts.then_some(SliceKey::Period(period))
            }
        }
    }

    fn period(&mut self, zones: &Zones, time: i64, lab: &str) -> Period {
        if self.zone >= zones.calendars.len() || self.lab != lab {
            self.zone = zones.of_lab(lab);
            self.lab.clear();
            self.lab.push_str(lab);
        }
        match self.periods[self.zone] {
            Some(period) if (period.window.start.0..period.window.end.0).contains(&time) => period,
            Some(_) | None => {
                let period = zones.calendars[self.zone].period_of(Timestamp(time));
                self.periods[self.zone] = Some(period);
                period
            }
        }
    }
}

/// The states of placed rows by cell; none when there are no rows.
fn cells(query: &Incremental, placed: Placed) -> Result<Option<Cells>> {
    let Placed { rows, slices } = placed;
    let count = rows.num_rows();
    if count == 0 {
        return Ok(None);
    }
    let columns: Result<Vec<ArrayRef>> =
        query.group_exprs.iter().map(|expr| expr.evaluate(&rows)?.into_array(count)).collect();
    let mut keys = Keys::default();
    let groups = query.codec.intern(&columns?, count, &mut keys)?;
    let numbering = number_cells(&slices, &groups);
    let states: Result<Vec<Vec<ArrayRef>>> = query
        .slots
        .iter()
        .map(|slot| slot.states(&rows, &numbering.of_row, numbering.groups.len()))
        .collect();
    Ok(Some(Cells {
        keys,
        slices: numbering.slices,
        groups: numbering.groups,
        rows: numbering.rows,
        states: states?,
    }))
}

/// Cells numbered so that those of a slice stand together.
struct Numbering {
    of_row: Vec<usize>,
    slices: Vec<(SliceKey, Range<usize>)>,
    groups: Vec<u32>,
    rows: Vec<u32>,
}

fn number_cells(slices: &[SliceKey], groups: &[u32]) -> Numbering {
    let (distinct, slice_of_row) = number_slices(slices);
    let mut first_seen: hashbrown::HashMap<u64, u32> = hashbrown::HashMap::new();
    let mut cells: Vec<(u32, u32)> = Vec::new();
    let seen: Vec<u32> = slice_of_row
        .iter()
        .zip(groups)
        .map(|(slice, group)| {
            let key = (u64::from(*slice) << 32) | u64::from(*group);
            *first_seen.entry(key).or_insert_with(|| {
                cells.push((*slice, *group));
                cells.len() as u32 - 1
            })
        })
        .collect();
    let mut order: Vec<u32> = (0..cells.len() as u32).collect();
    order.sort_by_key(|cell| cells[*cell as usize].0);
    let mut place = vec![0usize; cells.len()];
    for (position, cell) in order.iter().enumerate() {
        place[*cell as usize] = position;
    }
    let mut rows = vec![0u32; cells.len()];
    let of_row: Vec<usize> = seen
        .iter()
        .map(|cell| {
            let position = place[*cell as usize];
            rows[position] += 1;
            position
        })
        .collect();
    let sorted_groups = order.iter().map(|cell| cells[*cell as usize].1).collect();
    let mut ranges: Vec<(SliceKey, Range<usize>)> = Vec::with_capacity(distinct.len());
    let mut start = 0;
    for (number, slice) in distinct.iter().enumerate() {
        let held = order[start..].partition_point(|cell| cells[*cell as usize].0 <= number as u32);
        ranges.push((*slice, start..start + held));
        start += held;
    }
    Numbering { of_row, slices: ranges, groups: sorted_groups, rows }
}

/// The distinct slices, sorted, and each row's place among them.
fn number_slices(slices: &[SliceKey]) -> (Vec<SliceKey>, Vec<u32>) {
    let mut distinct: Vec<SliceKey> = Vec::new();
    let mut last: Option<(SliceKey, u32)> = None;
    let mut known: HashMap<SliceKey, u32> = HashMap::new();
    let unsorted: Vec<u32> = slices
        .iter()
        .map(|slice| match last {
            Some((held, number)) if held == *slice => number,
            Some(_) | None => {
                let number = *known.entry(*slice).or_insert_with(|| {
                    distinct.push(*slice);
                    distinct.len() as u32 - 1
                });
                last = Some((*slice, number));
                number
            }
        })
        .collect();
    let mut order: Vec<u32> = (0..distinct.len() as u32).collect();
    order.sort_by_key(|number| distinct[*number as usize]);
    let mut place = vec![0u32; distinct.len()];
    for (position, number) in order.iter().enumerate() {
        place[*number as usize] = position as u32;
    }
    let sorted = order.iter().map(|number| distinct[*number as usize]).collect();
    (sorted, unsorted.iter().map(|number| place[*number as usize]).collect())
}

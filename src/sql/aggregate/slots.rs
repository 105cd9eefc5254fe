//! The aggregates of a query as slots of shared state.
//!
//! Several results can be read from one state: every percentile of an expression from its multiset
//! of values, sum and mean from one exact sum, whatever is read of a sketch from the sketch. A slot
//! is such a state; each aggregate of the query is an output of one slot.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_empty_array};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::{GroupsAccumulatorAdapter, PhysicalExpr};

use super::functions::exact_sum::SumReading;
use super::functions::extreme::{ExtremeSide, GroupedExtreme};
use super::functions::percentile;
use super::functions::sketch::{SketchAggregate, readings};
use super::registry::{self, Slides};
use super::running::Running;
use super::running::count::RunningCount;
use super::running::exact_sum::RunningSum;
use super::running::extreme::RunningExtreme;
use super::running::int_sum::RunningIntSum;
use super::running::percentile::RunningPercentile;
use super::running::sketch::RunningSketch;
use crate::sql::mask::mask;

/// How a slot's states become results as a window slides.
#[derive(Clone, Debug)]
pub enum SlotKind {
    /// Counted while sliding.
    Count,
    /// Integers summed while sliding.
    IntSum,
    /// Summed exactly while sliding, read in these ways.
    Sum(Vec<SumReading>),
    /// Kept sorted while sliding, read at these fractions.
    Percentile(Vec<f64>),
    /// Kept as a sketch while sliding, read in these ways.
    Sketch(Vec<readings::SketchReading>),
    /// Extremes of panes while sliding.
    Extreme(ExtremeSide, DataType),
    /// Merged anew for each window by DataFusion's accumulator.
    Merged,
}

/// A state that one or more aggregates of the query read.
#[derive(Clone, Debug)]
pub struct Slot {
    /// The function whose accumulator makes and merges the state.
    expr: Arc<AggregateFunctionExpr>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    args: Vec<Arc<dyn PhysicalExpr>>,
    /// How it slides.
    pub kind: SlotKind,
    /// How many state columns it has.
    pub arity: usize,
    key: String,
}

/// Where an aggregate of the query finds its result.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// The slot.
    pub slot: usize,
    /// Which of the slot's outputs.
    pub index: usize,
}

/// The query's aggregates as slots and outputs, in the order of the aggregates.
pub fn slots_of(
    aggregates: &[Arc<AggregateFunctionExpr>],
    filters: &[Option<Arc<dyn PhysicalExpr>>],
) -> Result<(Vec<Slot>, Vec<Output>)> {
    let mut slots: Vec<Slot> = Vec::new();
    let mut outputs = Vec::new();
    for (expr, filter) in aggregates.iter().zip(filters) {
        let slot = Slot::of(expr, filter.as_ref())?;
        match slots.iter().position(|held| held.key == slot.key) {
            Some(index) => {
                let place = slots[index].share(&slot.kind);
                outputs.push(Output { slot: index, index: place });
            }
            None => {
                outputs.push(Output { slot: slots.len(), index: 0 });
                slots.push(slot);
            }
        }
    }
    Ok((slots, outputs))
}

impl Slot {
    fn of(
        expr: &Arc<AggregateFunctionExpr>,
        filter: Option<&Arc<dyn PhysicalExpr>>,
    ) -> Result<Slot> {
        let mut args = expr.expressions();
        let kind = kind_of(expr, &args)?;
        if let SlotKind::Percentile(_) | SlotKind::Sketch(_) = kind {
            args.truncate(1);
        }
        let family = match &kind {
            SlotKind::Percentile(_) => "multiset".to_owned(),
            SlotKind::Sum(_) => "exact sum".to_owned(),
            SlotKind::Sketch(_) => "sketch".to_owned(),
            SlotKind::Count | SlotKind::IntSum | SlotKind::Extreme(..) => {
                expr.fun().name().to_owned()
            }
            SlotKind::Merged => expr.name().to_owned(),
        };
        let filter_text = filter.map(|filter| filter.to_string()).unwrap_or_default();
        let args_text: Vec<String> = args.iter().map(|arg| format!("{arg:?}")).collect();
        Ok(Slot {
            key: format!("{family}({}) where {filter_text}", args_text.join(", ")),
            expr: Arc::clone(expr),
            filter: filter.map(Arc::clone),
            args,
            kind,
            arity: expr.state_fields()?.len(),
        })
    }

    /// What it computes its values and its filter from.
    pub fn exprs(&self) -> impl Iterator<Item = &Arc<dyn PhysicalExpr>> {
        self.args.iter().chain(&self.filter)
    }

    /// Adds another aggregate's way of reading; returns the place of its output.
    fn share(&mut self, other: &SlotKind) -> usize {
        match (&mut self.kind, other) {
            (SlotKind::Sum(held), SlotKind::Sum(more)) => {
                held.extend(more);
                held.len() - 1
            }
            (SlotKind::Percentile(held), SlotKind::Percentile(more)) => {
                held.extend(more);
                held.len() - 1
            }
            (SlotKind::Sketch(held), SlotKind::Sketch(more)) => {
                held.extend(more);
                held.len() - 1
            }
            (
                SlotKind::Count
                | SlotKind::IntSum
                | SlotKind::Extreme(..)
                | SlotKind::Merged
                | SlotKind::Sum(_)
                | SlotKind::Percentile(_)
                | SlotKind::Sketch(_),
                _,
            ) => 0,
        }
    }

    /// A fresh accumulator of the slot's function.
    pub fn accumulator(&self) -> Result<Box<dyn GroupsAccumulator>> {
        if let SlotKind::Extreme(side, data_type) = &self.kind
            && let Some(accumulator) = grouped_extreme(*side, data_type)
        {
            return Ok(accumulator);
        }
        if self.expr.groups_accumulator_supported() {
            return self.expr.create_groups_accumulator();
        }
        let expr = Arc::clone(&self.expr);
        Ok(Box::new(GroupsAccumulatorAdapter::new(move || expr.create_accumulator())))
    }

    /// The states of rows by cell: one row per cell in each state column.
    pub fn states(
        &self,
        rows: &RecordBatch,
        cells: &[usize],
        count: usize,
    ) -> Result<Vec<ArrayRef>> {
        let values: Result<Vec<ArrayRef>> =
            self.args.iter().map(|arg| arg.evaluate(rows)?.into_array(rows.num_rows())).collect();
        let filter = self.filter.as_ref().map(|filter| mask(filter, rows)).transpose()?;
        let mut accumulator = self.accumulator()?;
        accumulator.update_batch(&values?, cells, filter.as_ref(), count)?;
        accumulator.state(EmitTo::All)
    }

    /// State columns without rows.
    pub fn empty_states(&self) -> Result<Vec<ArrayRef>> {
        let fields = self.expr.state_fields()?;
        Ok(fields.iter().map(|field| new_empty_array(field.data_type())).collect())
    }

    /// The result of no rows at all, as one value.
    pub fn of_nothing(&self) -> Result<ArrayRef> {
        self.expr.create_accumulator()?.evaluate()?.to_array()
    }

    /// The state columns of so many cells that no row has come to.
    pub fn states_of_nothing(&self, cells: usize) -> Result<Vec<ArrayRef>> {
        let state = self.expr.create_accumulator()?.state()?;
        state.iter().map(|value| value.to_array_of_size(cells)).collect()
    }

    /// The slot's running aggregate, if it has one; of windows of so many panes, where windows share
    /// panes.
    pub fn running(&self, panes: Option<usize>) -> Option<Box<dyn Running>> {
        Some(match &self.kind {
            SlotKind::Count => Box::new(RunningCount::default()),
            SlotKind::IntSum => Box::new(RunningIntSum::default()),
            SlotKind::Sum(readings) => Box::new(RunningSum::new(readings.clone())),
            SlotKind::Percentile(fractions) => {
                Box::new(RunningPercentile::new(fractions.clone(), panes))
            }
            SlotKind::Sketch(readings) => Box::new(RunningSketch::new(readings)),
            SlotKind::Extreme(side, data_type) => running_extreme(*side, data_type)?,
            SlotKind::Merged => return None,
        })
    }

    /// For people: what the slot keeps, and how it slides.
    pub fn describe(&self) -> String {
        let way = match &self.kind {
            SlotKind::Count => "running count".to_owned(),
            SlotKind::IntSum => "running sum".to_owned(),
            SlotKind::Sum(_) => "running exact sum".to_owned(),
            SlotKind::Percentile(_) => "running sorted multiset of values".to_owned(),
            SlotKind::Sketch(readings) => {
                format!("running sketch, read in {} way(s)", readings.len())
            }
            SlotKind::Extreme(..) => "running extremes of panes".to_owned(),
            SlotKind::Merged => "merged anew for each window".to_owned(),
        };
        format!("{}: {way}", self.expr.name())
    }
}

fn kind_of(expr: &AggregateFunctionExpr, args: &[Arc<dyn PhysicalExpr>]) -> Result<SlotKind> {
    let slides = registry::known(expr.fun()).slides;
    if slides == Slides::Percentile {
        let descending = expr.order_bys().first().is_some_and(|sort| sort.options.descending);
        return Ok(SlotKind::Percentile(vec![percentile::fraction_of(args, descending)?]));
    }
    if let Some(sketch) = expr.fun().inner().downcast_ref::<SketchAggregate>() {
        return Ok(SlotKind::Sketch(vec![sketch.reading(args)?]));
    }
    if expr.is_distinct() || !expr.order_bys().is_empty() {
        return Ok(SlotKind::Merged);
    }
    let states = expr.state_fields()?;
    let exact = states.len() == 3 && states[0].data_type() == &DataType::Decimal128(38, 0);
    let counts = states.len() == 1 && states[0].data_type() == &DataType::Int64;
    let result = expr.field().data_type().clone();
    let extreme = |side| match running_extreme(side, &result) {
        Some(_) => SlotKind::Extreme(side, result.clone()),
        None => SlotKind::Merged,
    };
    Ok(match slides {
        Slides::Count if counts => SlotKind::Count,
        Slides::Sum if states.len() == 1 && result == DataType::Int64 => SlotKind::IntSum,
        Slides::Sum if exact => SlotKind::Sum(vec![SumReading::Sum]),
        Slides::Avg if exact => SlotKind::Sum(vec![SumReading::Avg]),
        Slides::Min => extreme(ExtremeSide::Min),
        Slides::Max => extreme(ExtremeSide::Max),
        Slides::Count
        | Slides::Sum
        | Slides::Avg
        | Slides::Percentile
        | Slides::Sketch
        | Slides::Merged => SlotKind::Merged,
    })
}

fn running_extreme(side: ExtremeSide, data_type: &DataType) -> Option<Box<dyn Running>> {
    let data = data_type.clone();
    match data_type {
        DataType::Float32 => Some(Box::new(RunningExtreme::<Float32Type>::new(side, data))),
        DataType::Float64 => Some(Box::new(RunningExtreme::<Float64Type>::new(side, data))),
        DataType::Int64 => Some(Box::new(RunningExtreme::<Int64Type>::new(side, data))),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Some(Box::new(RunningExtreme::<TimestampMicrosecondType>::new(side, data)))
        }
        _ => None,
    }
}

/// The accumulator of an extreme that has a running one.
fn grouped_extreme(side: ExtremeSide, data_type: &DataType) -> Option<Box<dyn GroupsAccumulator>> {
    let data = data_type.clone();
    match data_type {
        DataType::Float32 => Some(Box::new(GroupedExtreme::<Float32Type>::new(side, data))),
        DataType::Float64 => Some(Box::new(GroupedExtreme::<Float64Type>::new(side, data))),
        DataType::Int64 => Some(Box::new(GroupedExtreme::<Int64Type>::new(side, data))),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Some(Box::new(GroupedExtreme::<TimestampMicrosecondType>::new(side, data)))
        }
        _ => None,
    }
}

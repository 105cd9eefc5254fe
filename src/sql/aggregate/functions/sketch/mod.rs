//! `quantile_sketch(x)`: a column of numbers → a sketch, from which any percentile can be read and
//! which can be merged with others.
//!
//! | function | gives |
//! |---|---|
//! | `quantile_sketch(x)` | aggregate: the sketch of the numbers x, nulls left out; Binary |
//! | `sketch_merge(s)` | aggregate: the sketch of everything that the sketches s stand for |
//! | `sketch_quantile(s, q)` | the percentile at q, within 0 and 1; null when s is empty |
//! | `sketch_quantile_lower(s, q)`, `sketch_quantile_upper(s, q)` | an interval that surely holds the exact percentile |
//! | `sketch_count(s)` | how many numbers s stands for; 0 when it is empty |
//!
//! Up to 1024 distinct numbers a sketch is exact, and its percentiles are bit for bit those of
//! `percentile_cont`. Beyond, a percentile is off by at most 0.5 % of its value, or, where the two
//! neighbours that it lies between have opposite signs, of theirs. A sketch is a function of the
//! multiset of its numbers: neither order nor the way in which it was merged changes a bit.
//!
//! −0 counts as 0. Infinities are numbers like others. All NaNs are one, which sorts last, as it
//! does in `percentile_cont`. Beyond 1024 distinct numbers, subnormals are only known to lie below
//! 2.3e-308. Integers beyond 2⁵³ are rounded to doubles first.
//!
//! The bytes are described in [`layout`], the buckets in [`buckets`]. A reading of an aggregate
//! never makes them: [`rewrite`] turns `sketch_quantile(quantile_sketch(x), 0.9)` into an aggregate
//! whose state is the sketch and whose result is the number.

pub mod buckets;
pub mod grouped;
pub mod layout;
pub mod lists;
pub mod readings;
pub mod rewrite;
pub mod scalars;
pub mod state;

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;

use grouped::{GroupedSketches, Single};
use readings::{ReadingKind, SketchReading};
use state::Edge;

/// What an aggregate makes its sketch of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SketchInput {
    /// Numbers: `quantile_sketch`.
    Numbers,
    /// Sketches: `sketch_merge`.
    Sketches,
}

impl SketchInput {
    /// The aggregate's name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            SketchInput::Numbers => "quantile_sketch",
            SketchInput::Sketches => "sketch_merge",
        }
    }
}

/// An aggregate whose state is a sketch. In SQL it gives the sketch; other readings come from
/// [`rewrite`] alone.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SketchAggregate {
    /// What it takes.
    pub input: SketchInput,
    /// What it gives.
    pub kind: ReadingKind,
    name: String,
    signature: Signature,
}

impl SketchAggregate {
    /// The aggregate over this input that gives this reading.
    pub fn new(input: SketchInput, kind: ReadingKind) -> SketchAggregate {
        let suffix = match kind {
            ReadingKind::Sketch => "",
            ReadingKind::Count => ".count",
            ReadingKind::Quantile(Edge::Lower) => ".quantile_lower",
            ReadingKind::Quantile(Edge::Middle) => ".quantile",
            ReadingKind::Quantile(Edge::Upper) => ".quantile_upper",
        };
        SketchAggregate {
            input,
            kind,
            name: format!("{}{suffix}", input.name()),
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    /// What a call with these arguments reads.
    pub fn reading(&self, exprs: &[Arc<dyn PhysicalExpr>]) -> Result<SketchReading> {
        let edge = match self.kind {
            ReadingKind::Sketch => return Ok(SketchReading::Sketch),
            ReadingKind::Count => return Ok(SketchReading::Count),
            ReadingKind::Quantile(edge) => edge,
        };
        let literal = exprs.get(1).and_then(|expr| expr.downcast_ref::<Literal>());
        match literal.map(Literal::value) {
            Some(ScalarValue::Float64(Some(q))) => Ok(SketchReading::Quantile(edge, *q)),
            _ => plan_err!("{} needs a literal quantile", self.name),
        }
    }

    fn grouped(&self, args: &AccumulatorArgs) -> Result<GroupedSketches> {
        if args.is_distinct {
            return plan_err!("{} does not take DISTINCT", self.input.name());
        }
        Ok(GroupedSketches::new(self.input, self.reading(args.exprs)?))
    }
}

impl AggregateUDFImpl for SketchAggregate {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let taken = match (self.input, arg_types.first()) {
            (SketchInput::Numbers, Some(number)) if number.is_numeric() || number.is_null() => {
                DataType::Float64
            }
            (SketchInput::Sketches, Some(bytes)) if bytes.is_binary() || bytes.is_null() => {
                DataType::Binary
            }
            (SketchInput::Numbers, _) => {
                return plan_err!("quantile_sketch takes one number: quantile_sketch(x)");
            }
            (SketchInput::Sketches, _) => {
                return plan_err!("sketch_merge takes one column of sketches: sketch_merge(s)");
            }
        };
        let further = self.kind.further_args();
        if arg_types.len() != 1 + further {
            return plan_err!("{} takes one argument", self.input.name());
        }
        Ok([vec![taken], vec![DataType::Float64; further]].concat())
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(self.kind.data_type())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(lists::fields(args.name))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Single(self.grouped(&args)?)))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.grouped(&args)?))
    }
}

#[cfg(test)]
mod tests;

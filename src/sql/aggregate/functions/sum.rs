//! `sum` and `avg` in SQL, and who computes them: exact sums of floating-point numbers, those of
//! distinct ones, and integers.
//!
//! For decimals and distinct integers the call goes to DataFusion's own function, whose integer
//! arithmetic does not depend on the order of rows either.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::Result;
use datafusion::functions_aggregate::{average::avg_udaf, sum::sum_udaf};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature,
};

use super::distinct_sum::DistinctSum;
use super::exact_sum::{self, SumReading};
use super::{int_sum, percentile};

/// `sum` or `avg`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SumOrAvg {
    reading: SumReading,
    inner: Arc<AggregateUDF>,
}

impl SumOrAvg {
    /// `sum`.
    pub fn sum() -> SumOrAvg {
        SumOrAvg { reading: SumReading::Sum, inner: sum_udaf() }
    }

    /// `avg`.
    pub fn avg() -> SumOrAvg {
        SumOrAvg { reading: SumReading::Avg, inner: avg_udaf() }
    }
}

/// Who computes a call of `sum` or `avg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// Plain, over doubles.
    Exact,
    /// Over distinct doubles.
    Distinct,
    /// Plain, over integers of 64 bits.
    Integers,
    /// DataFusion.
    Inner,
}

impl Whose {
    fn of(is_distinct: bool, data_type: &DataType) -> Whose {
        match (is_distinct, data_type) {
            (false, DataType::Float64) => Whose::Exact,
            (true, DataType::Float64) => Whose::Distinct,
            (false, integers) if int_sum::is_summed(integers) => Whose::Integers,
            (_, _) => Whose::Inner,
        }
    }

    fn of_call(args: &AccumulatorArgs) -> Whose {
        Whose::of(args.is_distinct, args.expr_fields[0].data_type())
    }
}

impl AggregateUDFImpl for SumOrAvg {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |part: &str, data_type| {
            Arc::new(Field::new(format!("{}[{part}]", args.name), data_type, true))
        };
        match Whose::of(args.is_distinct, args.input_fields[0].data_type()) {
            Whose::Exact => {}
            Whose::Distinct => return Ok(vec![field("distinct", percentile::values_type())]),
            Whose::Integers => return Ok(vec![field("sum", int_sum::STATE)]),
            Whose::Inner => return self.inner.state_fields(args),
        }
        let odd = DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)));
        Ok(vec![
            field("fixed", DataType::Decimal128(38, 0)),
            field("count", DataType::Int64),
            field("odd", odd),
        ])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(match Whose::of_call(&args) {
            Whose::Exact => exact_sum::one(self.reading),
            Whose::Distinct => Box::new(DistinctSum::new(self.reading)),
            Whose::Integers => int_sum::one(args.expr_fields[0].data_type()),
            Whose::Inner => return self.inner.accumulator(args),
        })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        match Whose::of_call(&args) {
            Whose::Exact => self.accumulator(args),
            Whose::Distinct | Whose::Integers | Whose::Inner => {
                self.inner.create_sliding_accumulator(args)
            }
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        match Whose::of_call(&args) {
            Whose::Exact | Whose::Integers => true,
            Whose::Distinct => false,
            Whose::Inner => self.inner.groups_accumulator_supported(args),
        }
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        match Whose::of_call(&args) {
            Whose::Exact => Ok(exact_sum::many(self.reading)),
            Whose::Integers => Ok(int_sum::many(args.expr_fields[0].data_type())),
            Whose::Distinct | Whose::Inner => self.inner.create_groups_accumulator(args),
        }
    }
}

//! `sum` of integers, exact on the way. Where DataFusion's wraps around, the result of this one is
//! an error if it does not fit: a total that is silently wrong is worse than none.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Decimal128Array, PrimitiveArray,
};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type, UInt64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::{passes, state_of_each};

/// The state: the sum, null of no values.
pub const STATE: DataType = DataType::Decimal128(38, 0);

/// Whether these are summed here.
pub fn is_summed(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::UInt64)
}

/// A sum that does not fit.
pub fn too_large(sum: i128) -> DataFusionError {
    exec_datafusion_err!(
        "the sum {sum} does not fit into 64 bits; sum CAST(x AS DECIMAL(38, 0)) or CAST(x AS DOUBLE)"
    )
}

/// Sums of many groups.
pub fn many(data_type: &DataType) -> Box<dyn GroupsAccumulator> {
    match data_type {
        DataType::UInt64 => Box::new(IntSums::<UInt64Type>::default()),
        _ => Box::new(IntSums::<Int64Type>::default()),
    }
}

/// The sum of one group.
pub fn one(data_type: &DataType) -> Box<dyn Accumulator> {
    match data_type {
        DataType::UInt64 => Box::new(OneIntSum(IntSums::<UInt64Type>::default())),
        _ => Box::new(OneIntSum(IntSums::<Int64Type>::default())),
    }
}

/// By group its sum; none of no values.
#[derive(Debug)]
struct IntSums<T> {
    sums: Vec<Option<i128>>,
    of: PhantomData<fn() -> T>,
}

impl<T> Default for IntSums<T> {
    fn default() -> IntSums<T> {
        IntSums { sums: Vec::new(), of: PhantomData }
    }
}

impl<T> IntSums<T> {
    fn grow(&mut self, groups: usize) {
        self.sums.resize(self.sums.len().max(groups), None);
    }

    /// Of 64-bit numbers it would take 2^64 to exceed 128 bits.
    fn add(&mut self, group: usize, value: i128) {
        *self.sums[group].get_or_insert(0) += value;
    }
}

impl<T> GroupsAccumulator for IntSums<T>
where
    T: ArrowPrimitiveType + Debug,
    T::Native: Into<i128> + TryFrom<i128>,
{
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        let values = values[0].as_primitive::<T>();
        for (row, group) in group_indices.iter().enumerate() {
            if passes(opt_filter, row) && values.is_valid(row) {
                self.add(*group, values.value(row).into());
            }
        }
        Ok(())
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        let sums = values[0].as_primitive::<Decimal128Type>();
        for (row, group) in group_indices.iter().enumerate() {
            if sums.is_valid(row) {
                self.add(*group, sums.value(row));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let fit = |sum: i128| T::Native::try_from(sum).map_err(|_| too_large(sum));
        let sums = emit_to.take_needed(&mut self.sums).into_iter();
        let sums = sums.map(|sum| sum.map(fit).transpose());
        Ok(Arc::new(sums.collect::<Result<PrimitiveArray<T>>>()?))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let sums = Decimal128Array::from(emit_to.take_needed(&mut self.sums));
        Ok(vec![Arc::new(sums.with_precision_and_scale(38, 0)?)])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        state_of_each(IntSums::<T>::default(), values, opt_filter)
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<Option<i128>>()
    }
}

/// One group.
#[derive(Debug)]
struct OneIntSum<T>(IntSums<T>);

impl<T> Accumulator for OneIntSum<T>
where
    T: ArrowPrimitiveType + Debug,
    T::Native: Into<i128> + TryFrom<i128>,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(values, &vec![0; values[0].len()], None, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states, &vec![0; states[0].len()], 1)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.grow(1);
        let sum = self.0.sums[0];
        Ok(vec![ScalarValue::Decimal128(sum, 38, 0)])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.grow(1);
        // Windows of SQL ask again and again.
        let mut read = IntSums::<T> { sums: self.0.sums.clone(), ..IntSums::default() };
        ScalarValue::try_from_array(&read.evaluate(EmitTo::All)?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;

    #[test]
    fn sums_pass_the_limits_on_the_way_and_are_refused_beyond_them() {
        let values: ArrayRef = Arc::new(Int64Array::from(vec![
            Some(i64::MAX),
            Some(i64::MAX),
            Some(-i64::MAX),
            None,
            Some(i64::MAX),
            Some(1),
        ]));
        let mut sums = many(&DataType::Int64);
        sums.update_batch(&[values], &[0, 0, 0, 1, 2, 3], None, 5).unwrap();
        let states = sums.state(EmitTo::All).unwrap();
        let mut merged = many(&DataType::Int64);
        merged.merge_batch(&states, &[0, 1, 2, 3, 4], 5).unwrap();
        let results = merged.evaluate(EmitTo::All).unwrap();
        let results: Vec<_> = results.as_primitive::<Int64Type>().iter().collect();
        assert_eq!(results, [Some(i64::MAX), None, Some(i64::MAX), Some(1), None]);
        let mut beyond = many(&DataType::Int64);
        beyond.merge_batch(&states, &[0, 0, 0, 0, 0], 1).unwrap();
        let refused = beyond.evaluate(EmitTo::All).unwrap_err().to_string();
        assert!(refused.contains("18446744073709551615 does not fit"), "{refused}");
    }
}

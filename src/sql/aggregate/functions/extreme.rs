//! Extremes by group, of which the order of arrival makes no difference.
//!
//! DataFusion's keep what came first of a NaN and a number, and of the two zeros. Here numbers have
//! the order of IEEE 754's totalOrder: a NaN, of which there is one, is above all of them, -0 below 0.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use arrow::datatypes::{ArrowNativeTypeOp, DataType};
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::{passes, state_of_each};

/// Which extreme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtremeSide {
    /// `min(x)`.
    Min,
    /// `max(x)`.
    Max,
}

impl ExtremeSide {
    /// Whether `value` stays the answer beside `other`.
    pub fn is_met<N: ArrowNativeTypeOp>(self, value: N, other: N) -> bool {
        match self {
            ExtremeSide::Min => value.compare(other).is_le(),
            ExtremeSide::Max => value.compare(other).is_ge(),
        }
    }
}

/// A number, and the one NaN that stands for all of them.
pub trait OneNan {
    /// The number.
    fn with_one_nan(self) -> Self;
}

impl OneNan for i64 {
    fn with_one_nan(self) -> i64 {
        self
    }
}

impl OneNan for f32 {
    fn with_one_nan(self) -> f32 {
        if self.is_nan() { f32::NAN } else { self }
    }
}

impl OneNan for f64 {
    /// What processors make of 0 / 0 differs by its sign.
    fn with_one_nan(self) -> f64 {
        if self.is_nan() { f64::NAN } else { self }
    }
}

/// The extreme of each group; null of no values.
#[derive(Debug)]
pub struct GroupedExtreme<T: ArrowPrimitiveType> {
    side: ExtremeSide,
    data_type: DataType,
    extremes: Vec<Option<T::Native>>,
}

impl<T: ArrowPrimitiveType> GroupedExtreme<T> {
    /// Extremes of values of `data_type`.
    pub fn new(side: ExtremeSide, data_type: DataType) -> GroupedExtreme<T> {
        GroupedExtreme { side, data_type, extremes: Vec::new() }
    }
}

impl<T> GroupsAccumulator for GroupedExtreme<T>
where
    T: ArrowPrimitiveType,
    T::Native: Send + OneNan,
{
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.extremes.resize(self.extremes.len().max(total_num_groups), None);
        let values = values[0].as_primitive::<T>();
        for (row, group) in group_indices.iter().enumerate() {
            if passes(opt_filter, row) && values.is_valid(row) {
                let value = values.value(row).with_one_nan();
                let held = &mut self.extremes[*group];
                if held.is_none_or(|held| self.side.is_met(value, held)) {
                    *held = Some(value);
                }
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
        self.update_batch(values, group_indices, None, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let extremes = emit_to.take_needed(&mut self.extremes);
        let extremes: PrimitiveArray<T> = extremes.into_iter().collect();
        Ok(Arc::new(extremes.with_data_type(self.data_type.clone())))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        state_of_each(
            GroupedExtreme::<T>::new(self.side, self.data_type.clone()),
            values,
            opt_filter,
        )
    }

    fn size(&self) -> usize {
        self.extremes.capacity() * size_of::<Option<T::Native>>()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Float64Array;
    use arrow::datatypes::Float64Type;

    use super::*;

    fn extreme(side: ExtremeSide, values: &[Option<f64>]) -> Result<Option<u64>> {
        let mut one = GroupedExtreme::<Float64Type>::new(side, DataType::Float64);
        let mut merged = GroupedExtreme::<Float64Type>::new(side, DataType::Float64);
        for value in values {
            let values: ArrayRef = Arc::new(Float64Array::from(vec![*value]));
            one.update_batch(&[Arc::clone(&values)], &[1], None, 2)?;
            merged.merge_batch(&[values], &[1], 2)?;
        }
        let [one, merged] = [one.evaluate(EmitTo::All)?, merged.evaluate(EmitTo::All)?];
        let [one, merged] = [one.as_primitive::<Float64Type>(), merged.as_primitive()];
        assert!(one.is_null(0) && one.len() == 2);
        let bits = |values: &Float64Array| values.is_valid(1).then(|| values.value(1).to_bits());
        assert_eq!(bits(one), bits(merged));
        Ok(bits(one))
    }

    #[test]
    fn the_order_of_arrival_makes_no_difference() -> Result<()> {
        let of = |value: f64| Some(value.to_bits());
        for pair in [[f64::NAN, 5.0], [5.0, f64::NAN], [-f64::NAN, 5.0]] {
            let pair = pair.map(Some);
            assert_eq!(extreme(ExtremeSide::Max, &pair)?, of(f64::NAN));
            assert_eq!(extreme(ExtremeSide::Min, &pair)?, of(5.0));
        }
        for pair in [[0.0, -0.0], [-0.0, 0.0]] {
            let pair = pair.map(Some);
            assert_eq!(extreme(ExtremeSide::Max, &pair)?, of(0.0));
            assert_eq!(extreme(ExtremeSide::Min, &pair)?, of(-0.0));
        }
        assert_eq!(
            extreme(ExtremeSide::Max, &[None, Some(f64::NEG_INFINITY), None])?,
            of(f64::NEG_INFINITY)
        );
        assert_eq!(extreme(ExtremeSide::Min, &[None, None])?, None);
        Ok(())
    }
}

//! `sum(DISTINCT x)` and `avg(DISTINCT x)` of floating-point numbers, exact whatever the order.

use std::collections::BTreeSet;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::Float64Type;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::Accumulator;

use super::exact_sum::{SumReading, read_all};
use super::percentile::{canonical, one_state};

/// The distinct values of one group.
#[derive(Debug)]
pub struct DistinctSum {
    reading: SumReading,
    bits: BTreeSet<u64>,
}

impl DistinctSum {
    /// No values yet.
    pub fn new(reading: SumReading) -> DistinctSum {
        DistinctSum { reading, bits: BTreeSet::new() }
    }

    fn values(&self) -> impl Iterator<Item = f64> + '_ {
        self.bits.iter().copied().map(f64::from_bits)
    }
}

impl Accumulator for DistinctSum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<Float64Type>();
        self.bits.extend(values.iter().flatten().map(|value| canonical(value).to_bits()));
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states[0].as_list::<i32>().iter().flatten().try_for_each(|list| self.update_batch(&[list]))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![one_state(self.values().collect())?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(read_all(self.values(), self.reading)?))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.bits.len() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Float64Array;

    use super::*;

    #[test]
    fn each_value_counts_once_and_exactly() {
        let of = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
        let mut sum = DistinctSum::new(SumReading::Sum);
        sum.update_batch(&[of(&[1e16, 0.1, 0.0, -1e308, 0.1, 1.0])]).unwrap();
        let mut other = DistinctSum::new(SumReading::Sum);
        other.update_batch(&[of(&[-1e16, 1e308, 1.0, -0.0, 0.2, 0.3])]).unwrap();
        let state = other.state().unwrap().remove(0).to_array().unwrap();
        sum.merge_batch(&[state]).unwrap();
        assert_eq!(sum.evaluate().unwrap(), ScalarValue::Float64(Some(1.6)));
        let none = DistinctSum::new(SumReading::Avg).evaluate().unwrap();
        assert_eq!(none, ScalarValue::Float64(None));
    }
}

//! `sum` and `avg` of floating-point numbers, exact whatever the order. `avg` rounds twice: the exact
//! sum once, the division once.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Float64Builder,
    Int64Array, ListArray, ListBuilder,
};
use arrow::datatypes::{Decimal128Type, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::fixed_point::{to_fixed, total};
use super::{passes, state_of_each};

/// What is made of the sum in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SumReading {
    /// The sum.
    Sum,
    /// The sum over the number of values.
    Avg,
}

impl SumReading {
    /// The reading of an exact sum of `count` values; null when there are none.
    pub fn of(self, fixed: i128, odd: &[f64], count: i64) -> Option<f64> {
        if count == 0 {
            return None;
        }
        Some(match self {
            SumReading::Sum => total(fixed, odd),
            SumReading::Avg => total(fixed, odd) / count as f64,
        })
    }
}

/// Of one group.
pub fn one(reading: SumReading) -> Box<dyn Accumulator> {
    Box::new(OneExactSum { reading, sums: Sums::default() })
}

/// Of many groups.
pub fn many(reading: SumReading) -> Box<dyn GroupsAccumulator> {
    Box::new(Many { reading, sums: Sums::default() })
}

/// The reading of some values.
pub fn read_all(values: impl Iterator<Item = f64>, reading: SumReading) -> Result<Option<f64>> {
    let mut sums = Sums::default();
    sums.grow(1);
    for value in values {
        sums.add(0, value)?;
    }
    Ok(sums.read(0, reading))
}

/// Exact sums by group: fixed-point part, number of values, and the values that did not fit.
#[derive(Debug, Default)]
pub struct Sums {
    fixed: Vec<i128>,
    counts: Vec<i64>,
    odd: HashMap<usize, Vec<f64>>,
}

impl Sums {
    /// Makes room for so many groups.
    pub fn grow(&mut self, groups: usize) {
        if groups > self.fixed.len() {
            self.fixed.resize(groups, 0);
            self.counts.resize(groups, 0);
        }
    }

    /// Empties a group.
    pub fn reset(&mut self, group: usize) {
        self.fixed[group] = 0;
        self.counts[group] = 0;
        self.odd.remove(&group);
    }

    /// The reading of a group.
    pub fn read(&self, group: usize, reading: SumReading) -> Option<f64> {
        let odd = self.odd.get(&group).map_or(&[][..], Vec::as_slice);
        reading.of(self.fixed[group], odd, self.counts[group])
    }

    fn add(&mut self, group: usize, value: f64) -> Result<()> {
        self.counts[group] += 1;
        match to_fixed(value) {
            Some(part) => self.shift(group, part)?,
            None => self.odd.entry(group).or_default().push(value),
        }
        Ok(())
    }

    fn remove(&mut self, group: usize, value: f64) -> Result<()> {
        self.counts[group] -= 1;
        match to_fixed(value) {
            Some(part) => self.shift(group, -part),
            None => self.remove_odd(group, value),
        }
    }

    fn remove_odd(&mut self, group: usize, value: f64) -> Result<()> {
        let list = self.odd.get_mut(&group);
        let found = list.and_then(|list| {
            let place = list.iter().position(|kept| kept.to_bits() == value.to_bits())?;
            Some(list.swap_remove(place))
        });
        match found {
            Some(_) => Ok(()),
            None => exec_err!("cannot take {value} out of a sum that does not hold it"),
        }
    }

    fn shift(&mut self, group: usize, part: i128) -> Result<()> {
        self.fixed[group] = self.fixed[group]
            .checked_add(part)
            .ok_or_else(|| exec_datafusion_err!("the sum of a group exceeds 2^52"))?;
        Ok(())
    }

    /// Adds, or takes back, states of other sums: row `i` of `states` to group `groups[i]`.
    pub fn merge<G: Copy + Into<u64>>(
        &mut self,
        groups: &[G],
        states: &[ArrayRef],
        retract: bool,
    ) -> Result<()> {
        let fixed = states[0].as_primitive::<Decimal128Type>().values();
        let counts = states[1].as_primitive::<Int64Type>().values();
        let odd = states[2].as_list::<i32>();
        let sign = if retract { -1 } else { 1 };
        for (row, group) in groups.iter().enumerate() {
            let group: u64 = (*group).into();
            let group = group as usize;
            self.shift(group, fixed[row] * i128::from(sign))?;
            self.counts[group] += counts[row] * sign;
            if odd.value_length(row) > 0 {
                let values = odd.value(row);
                for value in values.as_primitive::<Float64Type>().values() {
                    if retract {
                        self.remove_odd(group, *value)?;
                    } else {
                        self.odd.entry(group).or_default().push(*value);
                    }
                }
            }
        }
        Ok(())
    }

    /// The first groups, which leave: those behind them move up.
    fn take(&mut self, emit_to: EmitTo) -> Sums {
        let fixed = emit_to.take_needed(&mut self.fixed);
        let counts = emit_to.take_needed(&mut self.counts);
        let taken = fixed.len();
        let (odd, left) =
            std::mem::take(&mut self.odd).into_iter().partition(|(at, _)| *at < taken);
        let left: HashMap<usize, Vec<f64>> = left;
        self.odd = left.into_iter().map(|(at, values)| (at - taken, values)).collect();
        Sums { fixed, counts, odd }
    }

    fn into_states(self) -> Result<Vec<ArrayRef>> {
        let odd = odd_lists(&self.odd, self.fixed.len());
        let fixed = Decimal128Array::from(self.fixed).with_precision_and_scale(38, 0)?;
        Ok(vec![Arc::new(fixed), Arc::new(Int64Array::from(self.counts)), Arc::new(odd)])
    }
}

fn odd_lists(odd: &HashMap<usize, Vec<f64>>, groups: usize) -> ListArray {
    let mut lists = ListBuilder::new(Float64Builder::new());
    for group in 0..groups {
        if let Some(values) = odd.get(&group) {
            lists.values().append_slice(values);
        }
        lists.append(true);
    }
    lists.finish()
}

/// One group, for plain and sliding use.
#[derive(Debug)]
struct OneExactSum {
    reading: SumReading,
    sums: Sums,
}

impl Accumulator for OneExactSum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.sums.grow(1);
        let values = values[0].as_primitive::<Float64Type>();
        values.iter().flatten().try_for_each(|value| self.sums.add(0, value))
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.sums.grow(1);
        let values = values[0].as_primitive::<Float64Type>();
        values.iter().flatten().try_for_each(|value| self.sums.remove(0, value))
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.sums.grow(1);
        self.sums.merge(&vec![0u32; states[0].len()], states, false)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.sums.grow(1);
        let states = self.sums.take(EmitTo::All).into_states()?;
        states.iter().map(|state| ScalarValue::try_from_array(state, 0)).collect()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.sums.grow(1);
        Ok(ScalarValue::Float64(self.sums.read(0, self.reading)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// Many groups.
#[derive(Debug)]
struct Many {
    reading: SumReading,
    sums: Sums,
}

impl GroupsAccumulator for Many {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.sums.grow(total_num_groups);
        let values = values[0].as_primitive::<Float64Type>();
        for (row, group) in group_indices.iter().enumerate() {
            if passes(opt_filter, row) && values.is_valid(row) {
                self.sums.add(*group, values.value(row))?;
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
        self.sums.grow(total_num_groups);
        let groups: Vec<u64> = group_indices.iter().map(|group| *group as u64).collect();
        self.sums.merge(&groups, values, false)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = self.sums.take(emit_to);
        let groups = 0..sums.fixed.len();
        Ok(Arc::new(groups.map(|group| sums.read(group, self.reading)).collect::<Float64Array>()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.sums.take(emit_to).into_states()
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        state_of_each(Many { reading: self.reading, sums: Sums::default() }, values, opt_filter)
    }

    fn size(&self) -> usize {
        self.sums.fixed.capacity() * (size_of::<i128>() + size_of::<i64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_groups_leave_and_the_others_move_up() -> Result<()> {
        let of = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
        let mut sums = many(SumReading::Sum);
        let values = of(&[1e300, 1.5, 1e300, 2.0, -1e300]);
        sums.update_batch(&[values], &[1, 0, 2, 2, 2], None, 3)?;
        let first = sums.evaluate(EmitTo::First(1))?;
        assert_eq!(first.as_primitive::<Float64Type>().values(), &[1.5]);
        sums.update_batch(&[of(&[-1e300, 0.5])], &[0, 1], None, 2)?;
        let rest = sums.evaluate(EmitTo::All)?;
        assert_eq!(rest.as_primitive::<Float64Type>().values(), &[0.0, 2.5]);
        Ok(())
    }
}

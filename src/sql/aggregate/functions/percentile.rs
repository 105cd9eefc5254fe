//! `percentile_cont(p) WITHIN GROUP (ORDER BY x)`: the exact continuous percentile.
//!
//! Linear interpolation between the closest ranks, type 7 of Hyndman and Fan (1996), "Sample
//! quantiles in statistical packages": with the values sorted as x₀ … xₙ₋₁ and h = (n − 1) p, the
//! result is x⌊h⌋ + (h − ⌊h⌋)(x⌊h⌋₊₁ − x⌊h⌋). Nulls are skipped; no values give null.
//!
//! The state is the multiset of values, so every percentile of one expression can share it.
//! DataFusion's own function of this name rounds the interpolation weight to six digits.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, ListArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;

use super::{passes, state_of_each};

/// The function's name in SQL.
pub const NAME: &str = "percentile_cont";

/// The percentile of sorted values, or none of none. `q` lies within 0 and 1.
pub fn interpolate(sorted_len: usize, q: f64, at: impl Fn(usize) -> f64) -> Option<f64> {
    let (below, weight) = place(sorted_len, q)?;
    let low = at(below);
    Some(if weight == 0.0 { low } else { between(low, at(below + 1), weight) })
}

/// The rank at or below a percentile, and how far it lies towards the next rank; none of no
/// values. The weight is 0 where there is no next rank.
pub fn place(sorted_len: usize, q: f64) -> Option<(usize, f64)> {
    let last = sorted_len.checked_sub(1)?;
    let rank = last as f64 * q;
    // Not below 0, so cutting off is rounding down.
    let below = (rank as usize).min(last);
    Some((below, if below == last { 0.0 } else { rank - below as f64 }))
}

/// What lies between two neighbours.
pub fn between(low: f64, high: f64, weight: f64) -> f64 {
    if weight == 0.0 || low == high {
        return low;
    }
    let span = high - low;
    // The span of two doubles of opposite sign may exceed the largest double.
    if span.is_finite() { low + weight * span } else { low * (1.0 - weight) + high * weight }
}

/// A value as the multiset keeps it: one zero and one NaN, so that equal values are equal bits.
pub fn canonical(value: f64) -> f64 {
    if value == 0.0 {
        0.0
    } else if value.is_nan() {
        f64::NAN
    } else {
        value
    }
}

/// The aggregate function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PercentileCont {
    signature: Signature,
    aliases: Vec<String>,
}

impl Default for PercentileCont {
    fn default() -> PercentileCont {
        PercentileCont {
            signature: Signature::user_defined(Volatility::Immutable),
            aliases: vec!["quantile_cont".to_owned()],
        }
    }
}

impl AggregateUDFImpl for PercentileCont {
    fn name(&self) -> &str {
        NAME
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [value, fraction]
                if (value.is_numeric() || value.is_null()) && fraction.is_numeric() =>
            {
                Ok(vec![DataType::Float64, DataType::Float64])
            }
            _ => plan_err!(
                "percentile_cont takes one number to order by and a fraction: \
                 percentile_cont(0.9) WITHIN GROUP (ORDER BY x)"
            ),
        }
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let name = format!("{}[values]", args.name);
        Ok(vec![Arc::new(Field::new(name, values_type(), true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        refuse_distinct(&args)?;
        Ok(Box::new(Values { q: fraction(&args)?, values: Vec::new() }))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        refuse_distinct(&args)?;
        Ok(Box::new(GroupedValues { q: fraction(&args)?, ..GroupedValues::default() }))
    }

    fn supports_within_group_clause(&self) -> bool {
        true
    }
}

/// The state's type: a list of values.
pub fn values_type() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)))
}

fn refuse_distinct(args: &AccumulatorArgs) -> Result<()> {
    if args.is_distinct {
        return plan_err!("percentile_cont does not take DISTINCT");
    }
    Ok(())
}

fn fraction(args: &AccumulatorArgs) -> Result<f64> {
    let descending = args.order_bys.first().is_some_and(|sort| sort.options.descending);
    fraction_of(args.exprs, descending)
}

/// The fraction that a call's arguments name: a literal within 0 and 1, counted from the other end
/// when the values are ordered descending.
pub fn fraction_of(exprs: &[Arc<dyn PhysicalExpr>], descending: bool) -> Result<f64> {
    let literal = exprs.get(1).and_then(|expr| expr.downcast_ref::<Literal>());
    let Some(ScalarValue::Float64(Some(q))) = literal.map(Literal::value) else {
        return plan_err!("percentile_cont needs a literal fraction, as percentile_cont(0.9)");
    };
    if !(0.0..=1.0).contains(q) {
        return plan_err!("percentile_cont needs a fraction within 0 and 1, not {q}");
    }
    Ok(if descending { 1.0 - q } else { *q })
}

/// The state of one group.
pub fn one_state(values: Vec<f64>) -> Result<ScalarValue> {
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    let field = Arc::new(Field::new_list_field(DataType::Float64, true));
    let values = Arc::new(Float64Array::from(values));
    Ok(ScalarValue::List(Arc::new(ListArray::try_new(field, offsets, values, None)?)))
}

/// One group's values.
#[derive(Debug)]
struct Values {
    q: f64,
    values: Vec<f64>,
}

impl Accumulator for Values {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<Float64Type>();
        self.values.extend(values.iter().flatten().map(canonical));
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for values in states[0].as_list::<i32>().iter().flatten() {
            self.values.extend_from_slice(values.as_primitive::<Float64Type>().values());
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![one_state(std::mem::take(&mut self.values))?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.values.sort_unstable_by(f64::total_cmp);
        let values = &self.values;
        Ok(ScalarValue::Float64(interpolate(values.len(), self.q, |i| values[i])))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<f64>()
    }
}

/// Sorts doubles as integers, which are compared in one step. `keys` is room to work in.
fn sort(values: &mut [f64], keys: &mut Vec<i64>) {
    keys.clear();
    keys.extend(values.iter().copied().map(to_sortable));
    keys.sort_unstable();
    values.iter_mut().zip(keys).for_each(|(value, key)| *value = from_sortable(*key));
}

/// A double as an integer that sorts as `f64::total_cmp` does.
#[inline(always)]
pub fn to_sortable(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// The double of a sortable integer.
#[inline(always)]
pub fn from_sortable(key: i64) -> f64 {
    f64::from_bits((key ^ (((key >> 63) as u64) >> 1) as i64) as u64)
}

/// Many groups' values, in the order of arrival, each beside its group.
#[derive(Debug, Default)]
struct GroupedValues {
    q: f64,
    groups: Vec<u32>,
    values: Vec<f64>,
    /// Lists that were merged, with their groups.
    merged: Vec<(Vec<u32>, ListArray)>,
    total_groups: usize,
}

impl GroupedValues {
    /// Brings the values into the order of their groups: offsets by group, and values.
    fn gather(&mut self) -> (Vec<i32>, Vec<f64>) {
        let mut offsets = vec![0i32; self.total_groups + 1];
        for group in &self.groups {
            offsets[*group as usize + 1] += 1;
        }
        for (groups, lists) in &self.merged {
            for (group, range) in groups.iter().zip(lists.value_offsets().windows(2)) {
                offsets[*group as usize + 1] += range[1] - range[0];
            }
        }
        for group in 0..self.total_groups {
            offsets[group + 1] += offsets[group];
        }
        let mut next = offsets.clone();
        let mut gathered = vec![0.0; offsets[self.total_groups] as usize];
        for (group, value) in self.groups.iter().zip(&self.values) {
            let slot = &mut next[*group as usize];
            gathered[*slot as usize] = *value;
            *slot += 1;
        }
        for (groups, lists) in self.merged.drain(..) {
            let values = lists.values().as_primitive::<Float64Type>().values();
            for (group, range) in groups.iter().zip(lists.value_offsets().windows(2)) {
                let list = &values[range[0] as usize..range[1] as usize];
                let slot = &mut next[*group as usize];
                let start = *slot as usize;
                gathered[start..start + list.len()].copy_from_slice(list);
                *slot += list.len() as i32;
            }
        }
        self.groups.clear();
        self.values.clear();
        self.total_groups = 0;
        (offsets, gathered)
    }
}

impl GroupedValues {
    /// The first groups' offsets and values, which leave: groups behind them move up.
    fn take(&mut self, emit_to: EmitTo) -> (Vec<i32>, Vec<f64>) {
        let (mut offsets, mut values) = self.gather();
        if let EmitTo::First(groups) = emit_to {
            let start = offsets[groups];
            for (group, range) in offsets[groups..].windows(2).enumerate() {
                self.groups.extend((range[0]..range[1]).map(|_| group as u32));
            }
            self.values.extend_from_slice(&values[start as usize..]);
            self.total_groups = offsets.len() - 1 - groups;
            values.truncate(start as usize);
            offsets.truncate(groups + 1);
        }
        (offsets, values)
    }
}

impl GroupsAccumulator for GroupedValues {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.total_groups = self.total_groups.max(total_num_groups);
        let values = values[0].as_primitive::<Float64Type>();
        if values.null_count() == 0 && opt_filter.is_none() {
            self.groups.extend(group_indices.iter().map(|group| *group as u32));
            self.values.extend(values.values().iter().copied().map(canonical));
            return Ok(());
        }
        for (row, group) in group_indices.iter().enumerate() {
            if passes(opt_filter, row) && values.is_valid(row) {
                self.groups.push(*group as u32);
                self.values.push(canonical(values.value(row)));
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
        self.total_groups = self.total_groups.max(total_num_groups);
        let groups = group_indices.iter().map(|group| *group as u32).collect();
        self.merged.push((groups, values[0].as_list::<i32>().clone()));
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (offsets, mut values) = self.take(emit_to);
        let (q, mut keys) = (self.q, Vec::new());
        let results = offsets.windows(2).map(|range| {
            let group = &mut values[range[0] as usize..range[1] as usize];
            sort(group, &mut keys);
            interpolate(group.len(), q, |i| group[i])
        });
        Ok(Arc::new(results.collect::<Float64Array>()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let is_merged = !self.merged.is_empty();
        let (offsets, mut values) = self.take(emit_to);
        // What has been merged is a whole pane, which enters a window and leaves it: sorted here,
        // it need not be sorted there.
        if is_merged {
            let mut keys = Vec::new();
            for range in offsets.windows(2) {
                sort(&mut values[range[0] as usize..range[1] as usize], &mut keys);
            }
        }
        let field = Arc::new(Field::new_list_field(DataType::Float64, true));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let list = ListArray::try_new(field, offsets, Arc::new(Float64Array::from(values)), None)?;
        Ok(vec![Arc::new(list)])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        state_of_each(GroupedValues { q: self.q, ..GroupedValues::default() }, values, opt_filter)
    }

    fn size(&self) -> usize {
        let merged = self.merged.iter().map(|(groups, lists)| {
            let values = lists.value_offsets();
            let values = values.last().zip(values.first()).map_or(0, |(end, start)| end - start);
            groups.capacity() * size_of::<u32>() + values as usize * size_of::<f64>()
        });
        self.groups.capacity() * size_of::<u32>()
            + self.values.capacity() * size_of::<f64>()
            + merged.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percentile(values: &[f64], q: f64) -> Option<f64> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        interpolate(sorted.len(), q, |i| sorted[i])
    }

    #[test]
    fn sortable_integers_sort_as_doubles_and_come_back() {
        let mut values =
            vec![f64::NAN, f64::INFINITY, 1.5, 5e-324, 0.0, -0.0, -5e-324, -2.0, f64::NEG_INFINITY];
        let keys: Vec<i64> = values.iter().rev().copied().map(to_sortable).collect();
        assert!(keys.is_sorted());
        for (value, key) in values.drain(..).rev().zip(keys) {
            assert_eq!(from_sortable(key).to_bits(), value.to_bits());
        }
    }

    #[test]
    fn small_groups_interpolate_by_hand() {
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[7.0], 0.9), Some(7.0));
        assert_eq!(percentile(&[10.0, 20.0], 0.5), Some(15.0));
        assert_eq!(percentile(&[10.0, 20.0], 0.9), Some(19.0));
        assert_eq!(percentile(&[1.0, 2.0, 4.0], 0.5), Some(2.0));
        assert_eq!(percentile(&[1.0, 2.0, 4.0], 0.75), Some(3.0));
        assert_eq!(percentile(&[1.0, 2.0, 4.0], 1.0), Some(4.0));
        assert_eq!(percentile(&[1.0, 2.0, 4.0], 0.0), Some(1.0));
    }

    #[test]
    fn infinite_neighbours_do_not_make_a_nan() {
        assert_eq!(percentile(&[f64::INFINITY, f64::INFINITY], 0.5), Some(f64::INFINITY));
    }

    #[test]
    fn the_first_groups_leave_and_the_others_move_up() -> Result<()> {
        let of = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
        let mut held = GroupedValues { q: 0.5, ..GroupedValues::default() };
        held.update_batch(&[of(&[1.0, 7.0, 9.0, 3.0, 5.0])], &[0, 2, 1, 0, 2], None, 4)?;
        let first = held.evaluate(EmitTo::First(2))?;
        assert_eq!(first.as_primitive::<Float64Type>().values(), &[2.0, 9.0]);
        held.update_batch(&[of(&[8.0, 4.0])], &[0, 1], None, 2)?;
        let rest = held.evaluate(EmitTo::All)?;
        assert_eq!(rest.as_primitive::<Float64Type>().values(), &[7.0, 4.0]);
        Ok(())
    }

    #[test]
    fn groups_keep_their_own_values_through_a_state() -> Result<()> {
        let values: ArrayRef =
            Arc::new(Float64Array::from(vec![Some(4.0), Some(1.0), None, Some(2.0), Some(9.0)]));
        let mut first = GroupedValues { q: 0.5, ..GroupedValues::default() };
        first.update_batch(&[values], &[0, 0, 0, 0, 2], None, 3)?;
        let state = first.state(EmitTo::All)?;
        let mut second = GroupedValues { q: 0.5, ..GroupedValues::default() };
        second.merge_batch(&state, &[1, 0, 1], 2)?;
        let result = second.evaluate(EmitTo::All)?;
        // Group 1 got 4, 1, 2 and 9: sorted 1 2 4 9, median 3. Group 0 got nothing.
        assert_eq!(
            result.as_primitive::<Float64Type>(),
            &Float64Array::from(vec![None, Some(3.0)])
        );
        Ok(())
    }
}

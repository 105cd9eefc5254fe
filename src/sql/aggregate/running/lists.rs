//! Lists of values by group, as states bring them.

use std::borrow::Cow;

use arrow::array::{ArrayRef, AsArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::Float64Type;

use crate::sql::aggregate::functions::percentile::to_sortable;

/// A list of doubles for each of some groups.
#[derive(Clone, Debug)]
pub struct Lists {
    groups: Vec<u32>,
    offsets: OffsetBuffer<i32>,
    values: ScalarBuffer<f64>,
    /// Tells states apart that are held at the same time.
    origin: usize,
}

impl Lists {
    /// The lists of a state of [`percentile_cont`](crate::sql::aggregate::functions::percentile).
    pub fn of(groups: &[u32], states: &[ArrayRef]) -> Lists {
        let lists = states[0].as_list::<i32>();
        Lists {
            groups: groups.to_vec(),
            offsets: lists.offsets().clone(),
            values: lists.values().as_primitive::<Float64Type>().values().clone(),
            origin: lists.offsets().as_ptr() as usize,
        }
    }

    /// The groups.
    pub fn groups(&self) -> &[u32] {
        &self.groups
    }

    /// Where each list begins and where the last one ends.
    pub fn offsets(&self) -> &[i32] {
        &self.offsets
    }

    /// The values.
    pub fn values(&self) -> &ScalarBuffer<f64> {
        &self.values
    }

    /// How many values.
    pub fn count(&self) -> usize {
        match (self.offsets.first(), self.offsets.last()) {
            (Some(first), Some(last)) => (last - first) as usize,
            (_, _) => 0,
        }
    }

    /// Whether these are the lists of the same state.
    pub fn is(&self, other: &Lists) -> bool {
        self.origin == other.origin
    }

    /// Whether the groups ascend.
    pub fn is_in_order(&self) -> bool {
        self.groups.is_sorted_by(|one, next| one < next)
    }

    /// Each group with its values.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[f64])> {
        let ranges = self.offsets.windows(2);
        let list = |range: &[i32]| &self.values[range[0] as usize..range[1] as usize];
        self.groups.iter().zip(ranges).map(move |(group, range)| (*group, list(range)))
    }

    /// The same lists, each in ascending order.
    pub fn sorted(&self) -> Cow<'_, Lists> {
        let in_order = |list: &[f64]| list.is_sorted_by_key(|value| to_sortable(*value));
        if self.iter().all(|(_, list)| in_order(list)) {
            return Cow::Borrowed(self);
        }
        // The values are often those of a whole batch, of which these lists are a part.
        let mut values = Vec::with_capacity(self.count());
        for (_, list) in self.iter() {
            let start = values.len();
            values.extend_from_slice(list);
            values[start..].sort_unstable_by_key(|value| to_sortable(*value));
        }
        let offsets = OffsetBuffer::from_lengths(self.iter().map(|(_, list)| list.len()));
        Cow::Owned(Lists { values: values.into(), offsets, ..self.clone() })
    }
}

/// Values as keys, ascending. Those of a pane that has been joined come sorted.
pub fn sorted_keys(values: &[f64], keys: &mut Vec<i64>) {
    keys.clear();
    keys.extend(values.iter().copied().map(to_sortable));
    if !keys.is_sorted() {
        keys.sort_unstable();
    }
}

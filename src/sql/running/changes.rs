//! Values that have come for groups since a window was last read, brought together by group.

use std::borrow::Cow;

use arrow::array::{ArrayRef, AsArray, ListArray};
use arrow::datatypes::Float64Type;

/// Lists of values by group, as they came.
#[derive(Debug, Default)]
pub struct Changes {
    lists: Vec<(Vec<u32>, ListArray)>,
    /// By group its place while lists are brought together, or [`NONE`].
    places: Vec<u32>,
}

/// A group without values.
const NONE: u32 = u32::MAX;

impl Changes {
    /// Notes lists of doubles, each for its group.
    pub fn note(&mut self, groups: &[u32], states: &[ArrayRef]) {
        self.lists.push((groups.to_vec(), states[0].as_list::<i32>().clone()));
    }

    /// Whether nothing has come.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.lists.clear();
    }

    /// Brings the values together by group; all groups lie below `total`.
    pub fn gather(&mut self, total: usize) -> ByGroup<'_> {
        if !self.is_in_order() {
            return self.merge(total);
        }
        match self.lists.first() {
            None => ByGroup::default(),
            Some((groups, lists)) => ByGroup {
                groups: Cow::Borrowed(groups),
                offsets: Cow::Borrowed(lists.value_offsets()),
                values: Cow::Borrowed(lists.values().as_primitive::<Float64Type>().values()),
            },
        }
    }

    /// Whether each group comes once, in ascending order.
    fn is_in_order(&self) -> bool {
        match self.lists.as_slice() {
            [] => true,
            [(groups, _)] => groups.is_sorted_by(|one, next| one < next),
            _ => false,
        }
    }

    fn merge(&mut self, total: usize) -> ByGroup<'static> {
        self.places.resize(self.places.len().max(total), NONE);
        let mut groups: Vec<u32> = Vec::new();
        for group in self.lists.iter().flat_map(|(groups, _)| groups) {
            let place = &mut self.places[*group as usize];
            if *place == NONE {
                *place = 0;
                groups.push(*group);
            }
        }
        groups.sort_unstable();
        for (place, group) in groups.iter().enumerate() {
            self.places[*group as usize] = place as u32;
        }
        let mut offsets = vec![0; groups.len() + 1];
        for (place, values) in self.by_place() {
            offsets[place + 1] += values.len() as i32;
        }
        for place in 0..groups.len() {
            offsets[place + 1] += offsets[place];
        }
        let mut next = offsets.clone();
        let mut gathered = vec![0.0; offsets[groups.len()] as usize];
        for (place, values) in self.by_place() {
            let start = next[place] as usize;
            gathered[start..start + values.len()].copy_from_slice(values);
            next[place] += values.len() as i32;
        }
        groups.iter().for_each(|group| self.places[*group as usize] = NONE);
        ByGroup { groups: groups.into(), offsets: offsets.into(), values: gathered.into() }
    }

    /// The values of each list with the place of its group.
    fn by_place(&self) -> impl Iterator<Item = (usize, &[f64])> {
        self.lists.iter().flat_map(move |(groups, lists)| {
            let values = lists.values().as_primitive::<Float64Type>().values();
            let ranges = lists.value_offsets().windows(2);
            groups.iter().zip(ranges).map(move |(group, range)| {
                let place = self.places[*group as usize] as usize;
                (place, &values[range[0] as usize..range[1] as usize])
            })
        })
    }

    /// Bytes held beside what the states share.
    pub fn size(&self) -> usize {
        self.places.capacity() * 4
    }
}

/// Values by group, in any order within a group.
#[derive(Debug, Default)]
pub struct ByGroup<'a> {
    /// Ascending.
    groups: Cow<'a, [u32]>,
    offsets: Cow<'a, [i32]>,
    values: Cow<'a, [f64]>,
}

impl ByGroup<'_> {
    /// The group at a place, and its values.
    pub fn at(&self, place: usize) -> Option<(u32, &[f64])> {
        let group = *self.groups.get(place)?;
        let (start, end) = (self.offsets[place] as usize, self.offsets[place + 1] as usize);
        Some((group, &self.values[start..end]))
    }
}

/// The groups of one or both, ascending, each with its values in either.
pub fn side_by_side<'a>(
    one: &'a ByGroup<'_>,
    other: &'a ByGroup<'_>,
) -> impl Iterator<Item = (u32, &'a [f64], &'a [f64])> {
    let (mut left, mut right) = (0, 0);
    std::iter::from_fn(move || {
        let (here, there) = (one.at(left), other.at(right));
        let group = match (here, there) {
            (Some((here, _)), Some((there, _))) => here.min(there),
            (Some((group, _)), None) | (None, Some((group, _))) => group,
            (None, None) => return None,
        };
        let here = here.filter(|held| held.0 == group);
        let there = there.filter(|held| held.0 == group);
        left += usize::from(here.is_some());
        right += usize::from(there.is_some());
        Some((group, here.map_or(&[][..], |held| held.1), there.map_or(&[][..], |held| held.1)))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn lists(lists: &[&[f64]]) -> Vec<ArrayRef> {
        let values = lists.iter().map(|list| Some(list.iter().copied().map(Some)));
        vec![Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(values))]
    }

    fn listed<'a>(gathered: &'a ByGroup<'_>) -> Vec<(u32, &'a [f64])> {
        (0..).map_while(|place| gathered.at(place)).collect()
    }

    #[test]
    fn values_come_back_by_group() {
        let mut changes = Changes::default();
        changes.note(&[3, 0], &lists(&[&[4.0, 1.0], &[7.0]]));
        assert_eq!(listed(&changes.gather(5)), [(0, &[7.0][..]), (3, &[4.0, 1.0])]);
        changes.note(&[3, 4], &lists(&[&[2.0], &[]]));
        let gathered = changes.gather(5);
        assert_eq!(listed(&gathered), [(0, &[7.0][..]), (3, &[4.0, 1.0, 2.0]), (4, &[])]);
        changes.clear();
        assert_eq!(listed(&changes.gather(5)), []);
        changes.note(&[1, 2], &lists(&[&[5.0], &[6.0, 5.0]]));
        assert_eq!(listed(&changes.gather(5)), [(1, &[5.0][..]), (2, &[6.0, 5.0])]);
    }

    #[test]
    fn what_comes_and_what_goes_stand_side_by_side() {
        let (mut coming, mut going) = (Changes::default(), Changes::default());
        coming.note(&[1, 4, 5], &lists(&[&[1.0], &[2.0], &[3.0]]));
        going.note(&[0, 4], &lists(&[&[8.0], &[9.0]]));
        let (coming, going) = (coming.gather(6), going.gather(6));
        let found: Vec<_> = side_by_side(&coming, &going).collect();
        let none: &[f64] = &[];
        let expected =
            [(0, none, &[8.0][..]), (1, &[1.0], none), (4, &[2.0], &[9.0]), (5, &[3.0], none)];
        assert_eq!(found, expected);
    }
}

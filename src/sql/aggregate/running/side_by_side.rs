//! Lists of values brought together by group, and two such side by side.

use std::borrow::Cow;

use super::lists::Lists;

/// Brings lists together, and keeps what it works with.
#[derive(Debug, Default)]
pub struct Gatherer {
    /// By group its place while lists are brought together, or [`NONE`].
    places: Vec<u32>,
}

/// A group without values.
const NONE: u32 = u32::MAX;

impl Gatherer {
    /// Brings lists together by group; all groups lie below `total`.
    pub fn gather<'a>(&mut self, lists: &'a [Lists], total: usize) -> ByGroup<'a> {
        match lists {
            [] => ByGroup::default(),
            [lists] if lists.is_in_order() => ByGroup {
                groups: Cow::Borrowed(lists.groups()),
                offsets: Cow::Borrowed(lists.offsets()),
                values: Cow::Borrowed(lists.values()),
            },
            _ => self.merge(lists, total),
        }
    }

    fn merge(&mut self, lists: &[Lists], total: usize) -> ByGroup<'static> {
        self.places.resize(self.places.len().max(total), NONE);
        let places = &mut self.places;
        let mut groups: Vec<u32> = Vec::new();
        for group in lists.iter().flat_map(Lists::groups) {
            let place = &mut places[*group as usize];
            if *place == NONE {
                *place = 0;
                groups.push(*group);
            }
        }
        groups.sort_unstable();
        for (place, group) in groups.iter().enumerate() {
            places[*group as usize] = place as u32;
        }
        let mut offsets = vec![0; groups.len() + 1];
        for (group, values) in lists.iter().flat_map(Lists::iter) {
            offsets[places[group as usize] as usize + 1] += values.len() as i32;
        }
        for place in 0..groups.len() {
            offsets[place + 1] += offsets[place];
        }
        let mut next = offsets.clone();
        let mut gathered = vec![0.0; offsets[groups.len()] as usize];
        for (group, values) in lists.iter().flat_map(Lists::iter) {
            let next = &mut next[places[group as usize] as usize];
            let start = *next as usize;
            gathered[start..start + values.len()].copy_from_slice(values);
            *next += values.len() as i32;
        }
        groups.iter().for_each(|group| places[*group as usize] = NONE);
        ByGroup { groups: groups.into(), offsets: offsets.into(), values: gathered.into() }
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        self.places.capacity() * size_of::<u32>()
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

    use arrow::array::{ArrayRef, ListArray};
    use arrow::datatypes::Float64Type;

    use super::*;

    fn lists(groups: &[u32], lists: &[&[f64]]) -> Lists {
        let values = lists.iter().map(|list| Some(list.iter().copied().map(Some)));
        let state = ListArray::from_iter_primitive::<Float64Type, _, _>(values);
        Lists::of(groups, &[Arc::new(state) as ArrayRef])
    }

    fn listed<'a>(gathered: &'a ByGroup<'_>) -> Vec<(u32, &'a [f64])> {
        (0..).map_while(|place| gathered.at(place)).collect()
    }

    #[test]
    fn values_come_back_by_group() {
        let mut gatherer = Gatherer::default();
        let one = lists(&[3, 0], &[&[4.0, 1.0], &[7.0]]);
        let gathered = gatherer.gather(std::slice::from_ref(&one), 5);
        assert_eq!(listed(&gathered), [(0, &[7.0][..]), (3, &[4.0, 1.0])]);
        let both = [one, lists(&[3, 4], &[&[2.0], &[]])];
        let gathered = gatherer.gather(&both, 5);
        assert_eq!(listed(&gathered), [(0, &[7.0][..]), (3, &[4.0, 1.0, 2.0]), (4, &[])]);
        assert_eq!(listed(&gatherer.gather(&[], 5)), []);
        let in_order = [lists(&[1, 2], &[&[5.0], &[6.0, 5.0]])];
        let gathered = gatherer.gather(&in_order, 5);
        assert_eq!(listed(&gathered), [(1, &[5.0][..]), (2, &[6.0, 5.0])]);
    }

    #[test]
    fn what_comes_and_what_goes_stand_side_by_side() {
        let mut gatherer = Gatherer::default();
        let coming = [lists(&[1, 4, 5], &[&[1.0], &[2.0], &[3.0]])];
        let going = [lists(&[0, 4], &[&[8.0], &[9.0]])];
        let (coming, going) = (gatherer.gather(&coming, 6), gatherer.gather(&going, 6));
        let found: Vec<_> = side_by_side(&coming, &going).collect();
        let none: &[f64] = &[];
        let expected =
            [(0, none, &[8.0][..]), (1, &[1.0], none), (4, &[2.0], &[9.0]), (5, &[3.0], none)];
        assert_eq!(found, expected);
    }
}

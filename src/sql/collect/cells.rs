//! Cells: the (slice, group) pairs of a batch, numbered so that those of a slice stand together.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use super::slice_key::SliceKey;
use crate::sql::keys::number_pairs;

/// Cells numbered so that those of a slice stand together.
pub(crate) struct Numbering {
    /// The cell of each row.
    pub(crate) of_row: Vec<usize>,
    /// The slices with the range of their cells.
    pub(crate) slices: Vec<(SliceKey, Range<usize>)>,
    /// The group of each cell.
    pub(crate) groups: Vec<u32>,
    /// The number of rows of each cell.
    pub(crate) rows: Vec<u32>,
}

/// The slice of each row, each distinct one told once.
#[derive(Debug, Default)]
pub(crate) struct Slices {
    distinct: Vec<SliceKey>,
    of_row: Vec<u32>,
    /// Numbers of distinct slices; filled when there are more than [`FEW`].
    known: HashMap<SliceKey, u32>,
    /// The number of the last row's slice.
    last: u32,
}

/// So many slices are looked through one by one.
const FEW: usize = 8;

impl Slices {
    /// No rows yet, and room for so many.
    pub(crate) fn with_capacity(rows: usize) -> Slices {
        Slices { of_row: Vec::with_capacity(rows), ..Slices::default() }
    }

    /// So many rows of one slice.
    pub(crate) fn of(slice: SliceKey, rows: usize) -> Slices {
        Slices { distinct: vec![slice], of_row: vec![0; rows], ..Slices::default() }
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.of_row.len()
    }

    /// The next rows, of which there are so many, have the slice of the last one.
    pub(crate) fn push_last(&mut self, rows: usize) {
        self.of_row.resize(self.of_row.len() + rows, self.last);
    }

    /// The next row has this slice; gives the slice's number.
    pub(crate) fn push(&mut self, slice: SliceKey) -> u32 {
        if self.distinct.get(self.last as usize) != Some(&slice) {
            self.last = self.number(slice);
        }
        self.of_row.push(self.last);
        self.last
    }

    fn number(&mut self, slice: SliceKey) -> u32 {
        let new = self.distinct.len() as u32;
        let number = if self.distinct.len() <= FEW {
            let found = self.distinct.iter().position(|held| *held == slice);
            found.map_or(new, |number| number as u32)
        } else {
            if self.known.is_empty() {
                self.known.extend(self.distinct.iter().copied().zip(0..));
            }
            *self.known.entry(slice).or_insert(new)
        };
        if number == new {
            self.distinct.push(slice);
        }
        number
    }

    /// The distinct slices in the order of first sight.
    pub(crate) fn distinct(&self) -> &[SliceKey] {
        &self.distinct
    }

    /// The distinct slices, sorted, and each row's place among them.
    fn sorted(&self) -> (Vec<SliceKey>, Cow<'_, [u32]>) {
        let mut order: Vec<u32> = (0..self.distinct.len() as u32).collect();
        order.sort_by_key(|number| self.distinct[*number as usize]);
        let sorted = order.iter().map(|number| self.distinct[*number as usize]).collect();
        if order.is_sorted() {
            return (sorted, Cow::Borrowed(&self.of_row));
        }
        let mut place = vec![0u32; order.len()];
        for (position, number) in order.iter().enumerate() {
            place[*number as usize] = position as u32;
        }
        (sorted, self.of_row.iter().map(|number| place[*number as usize]).collect())
    }
}

/// Numbers the cells of rows, given each row's slice and group.
pub(crate) fn number_cells(slices: &Slices, groups: &[u32]) -> Numbering {
    let (distinct, slice_of_row) = slices.sorted();
    let width = groups.iter().max().map_or(0, |last| *last as usize + 1);
    let (cells, seen) = number_pairs(distinct.len(), &slice_of_row, width, groups);
    let mut order: Vec<u32> = (0..cells.len() as u32).collect();
    order.sort_by_key(|cell| cells[*cell as usize].0);
    let mut place = vec![0usize; cells.len()];
    for (position, cell) in order.iter().enumerate() {
        place[*cell as usize] = position;
    }
    let mut rows = vec![0u32; cells.len()];
    let of_row: Vec<usize> = seen
        .iter()
        .map(|cell| {
            let position = place[*cell as usize];
            rows[position] += 1;
            position
        })
        .collect();
    let sorted_groups = order.iter().map(|cell| cells[*cell as usize].1).collect();
    let mut ranges: Vec<(SliceKey, Range<usize>)> = Vec::with_capacity(distinct.len());
    let mut start = 0;
    for (number, slice) in distinct.iter().enumerate() {
        let held = order[start..].partition_point(|cell| cells[*cell as usize].0 <= number as u32);
        ranges.push((*slice, start..start + held));
        start += held;
    }
    Numbering { of_row, slices: ranges, groups: sorted_groups, rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_numbered_by_first_sight_however_many() {
        let of = |number: u32| SliceKey::Session(1_000 - number);
        let seen: Vec<u32> = (0..40).flat_map(|turn| [turn, turn, turn / 3, 39 - turn]).collect();
        let mut slices = Slices::with_capacity(seen.len());
        let numbers: Vec<u32> = seen.iter().map(|number| slices.push(of(*number))).collect();
        let mut first_seen: Vec<u32> = Vec::new();
        for (number, given) in seen.iter().zip(numbers) {
            if !first_seen.contains(number) {
                first_seen.push(*number);
            }
            assert_eq!(first_seen[given as usize], *number);
        }
        assert_eq!((slices.len(), slices.distinct().len()), (160, 40));
        let (sorted, places) = slices.sorted();
        assert!(sorted.is_sorted());
        assert!(
            seen.iter()
                .zip(places.iter())
                .all(|(number, place)| sorted[*place as usize] == of(*number))
        );
    }

    #[test]
    fn pairs_are_numbered_alike_whether_they_are_dense_or_not() {
        let slices = [1, 0, 1, 0, 1];
        let dense = number_pairs(2, &slices, 2, &[0, 1, 0, 0, 1]);
        assert_eq!(dense, (vec![(1, 0), (0, 1), (0, 0), (1, 1)], vec![0, 1, 0, 2, 3]));
        let sparse = number_pairs(2, &slices, 901, &[0, 900, 0, 0, 900]);
        assert_eq!(sparse, (vec![(1, 0), (0, 900), (0, 0), (1, 900)], vec![0, 1, 0, 2, 3]));
    }
}

//! Cells: the (slice, group) pairs of a batch, numbered so that those of a slice stand together.

use std::collections::HashMap;
use std::ops::Range;

use super::family::SliceKey;

/// Cells numbered so that those of a slice stand together.
pub(super) struct Numbering {
    /// The cell of each row.
    pub(super) of_row: Vec<usize>,
    /// The slices with the range of their cells.
    pub(super) slices: Vec<(SliceKey, Range<usize>)>,
    /// The group of each cell.
    pub(super) groups: Vec<u32>,
    /// The number of rows of each cell.
    pub(super) rows: Vec<u32>,
}

/// Numbers the cells of rows, given each row's slice and group.
pub(super) fn number_cells(slices: &[SliceKey], groups: &[u32]) -> Numbering {
    let (distinct, slice_of_row) = number_slices(slices);
    let (cells, seen) = number_pairs(distinct.len(), &slice_of_row, groups);
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

/// The distinct pairs of slice and group in the order of first sight, and each row's place there.
fn number_pairs(
    slices: usize,
    slice_of_row: &[u32],
    groups: &[u32],
) -> (Vec<(u32, u32)>, Vec<u32>) {
    let width = groups.iter().max().map_or(0, |last| *last as usize + 1);
    let mut cells: Vec<(u32, u32)> = Vec::new();
    let pairs = slice_of_row.iter().zip(groups);
    if slices.saturating_mul(width) <= 4 * groups.len() {
        // By slice and group one plus the cell's number, or 0.
        let mut table = vec![0u32; slices * width];
        let seen = pairs.map(|(slice, group)| {
            let held = &mut table[*slice as usize * width + *group as usize];
            if *held == 0 {
                cells.push((*slice, *group));
                *held = cells.len() as u32;
            }
            *held - 1
        });
        let seen = seen.collect();
        return (cells, seen);
    }
    let mut first_seen: hashbrown::HashMap<u64, u32> = hashbrown::HashMap::new();
    let seen = pairs.map(|(slice, group)| {
        let key = (u64::from(*slice) << 32) | u64::from(*group);
        *first_seen.entry(key).or_insert_with(|| {
            cells.push((*slice, *group));
            cells.len() as u32 - 1
        })
    });
    let seen = seen.collect();
    (cells, seen)
}

/// The distinct slices, sorted, and each row's place among them.
fn number_slices(slices: &[SliceKey]) -> (Vec<SliceKey>, Vec<u32>) {
    let mut distinct: Vec<SliceKey> = Vec::new();
    let mut last: Option<(SliceKey, u32)> = None;
    let mut known: HashMap<SliceKey, u32> = HashMap::new();
    let unsorted: Vec<u32> = slices
        .iter()
        .map(|slice| match last {
            Some((held, number)) if held == *slice => number,
            Some(_) | None => {
                let number = *known.entry(*slice).or_insert_with(|| {
                    distinct.push(*slice);
                    distinct.len() as u32 - 1
                });
                last = Some((*slice, number));
                number
            }
        })
        .collect();
    let mut order: Vec<u32> = (0..distinct.len() as u32).collect();
    order.sort_by_key(|number| distinct[*number as usize]);
    let mut place = vec![0u32; distinct.len()];
    for (position, number) in order.iter().enumerate() {
        place[*number as usize] = position as u32;
    }
    let sorted = order.iter().map(|number| distinct[*number as usize]).collect();
    (sorted, unsorted.iter().map(|number| place[*number as usize]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_numbered_alike_whether_they_are_dense_or_not() {
        let slices = [1, 0, 1, 0, 1];
        let dense = number_pairs(2, &slices, &[0, 1, 0, 0, 1]);
        assert_eq!(dense, (vec![(1, 0), (0, 1), (0, 0), (1, 1)], vec![0, 1, 0, 2, 3]));
        let sparse = number_pairs(2, &slices, &[0, 900, 0, 0, 900]);
        assert_eq!(sparse, (vec![(1, 0), (0, 900), (0, 0), (1, 900)], vec![0, 1, 0, 2, 3]));
    }
}

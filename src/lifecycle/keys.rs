//! From a hash to a record's number: five bytes a cell, in one piece of memory.
//!
//! Cells are asked for ahead of time (`soon`), so that a table of millions costs no wait for memory.
//! Open addressing, the next cell when one is taken, and no marks where something was removed: what
//! follows moves up.

use prefetch_index::prefetch_index;

/// A number, and eight bits of the hash before it, which spare most looks at records.
type Cell = [u8; 5];

const EMPTY: Cell = [0xff; 5];
/// In the place of a number.
const NOTHING: u32 = u32::MAX;
/// The fewest cells.
const FEWEST: usize = 64;

/// Numbers by hash.
#[derive(Debug, Default)]
pub(super) struct KeyTable {
    cells: Vec<Cell>,
    held: usize,
}

impl KeyTable {
    /// The number that has this hash and `is_it`.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.place(hash, is_it).map(|place| number(self.cells[place]))
    }

    #[inline]
    fn place(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        if self.cells.is_empty() {
            return None;
        }
        let mut place = self.home(hash);
        loop {
            let cell = self.cells[place];
            if cell == EMPTY {
                return None;
            }
            if cell[0] == hash as u8 && is_it(number(cell)) {
                return Some(place);
            }
            place = self.next(place);
        }
    }

    /// Puts in a number that is not there.
    pub(super) fn insert(&mut self, hash: u64, number: u32, hash_of: impl Fn(u32) -> u64) {
        // At most six sevenths full, so that looks end soon.
        if (self.held + 1) * 7 > self.cells.len() * 6 {
            self.grow(hash_of);
        }
        self.put(hash, number);
        self.held += 1;
    }

    fn put(&mut self, hash: u64, number: u32) {
        let mut place = self.home(hash);
        while self.cells[place] != EMPTY {
            place = self.next(place);
        }
        self.cells[place] = cell(hash, number);
    }

    fn grow(&mut self, hash_of: impl Fn(u32) -> u64) {
        let more = (2 * self.cells.len()).max(FEWEST);
        let cells = std::mem::replace(&mut self.cells, vec![EMPTY; more]);
        for cell in cells.into_iter().filter(|cell| *cell != EMPTY) {
            let number = number(cell);
            self.put(hash_of(number), number);
        }
    }

    /// Puts another number in the place of one.
    pub(super) fn renumber(&mut self, hash: u64, from: u32, to: u32) {
        if let Some(place) = self.place(hash, |number| number == from) {
            self.cells[place] = cell(hash, to);
        }
    }

    /// Takes a number out.
    pub(super) fn remove(&mut self, hash: u64, number_out: u32, hash_of: impl Fn(u32) -> u64) {
        let Some(mut hole) = self.place(hash, |number| number == number_out) else { return };
        self.held -= 1;
        let mut place = self.next(hole);
        while self.cells[place] != EMPTY {
            let home = self.home(hash_of(number(self.cells[place])));
            // It may move up unless its home lies behind the hole.
            let (from_home, from_hole) = (self.distance(home, place), self.distance(hole, place));
            if from_home >= from_hole {
                self.cells[hole] = self.cells[place];
                hole = place;
            }
            place = self.next(place);
        }
        self.cells[hole] = EMPTY;
    }

    /// Asks for a hash's cell ahead of its use.
    #[inline]
    pub(super) fn soon(&self, hash: u64) {
        if !self.cells.is_empty() {
            prefetch_index(&self.cells, self.home(hash));
        }
    }

    /// The number in a hash's own cell, which is mostly the one that is looked for.
    #[inline]
    pub(super) fn guess(&self, hash: u64) -> Option<u32> {
        let cell = *self.cells.get(self.home(hash))?;
        (cell[0] == hash as u8 && cell != EMPTY).then(|| number(cell))
    }

    /// Bytes that the cells take.
    pub(super) fn bytes(&self) -> usize {
        self.cells.capacity() * size_of::<Cell>()
    }

    /// Where a hash's cell is, by its higher bits; any number of cells will do.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.cells.len() as u128) >> 64) as usize
    }

    #[inline]
    fn next(&self, place: usize) -> usize {
        if place + 1 == self.cells.len() { 0 } else { place + 1 }
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.cells.len() - from }
    }
}

#[inline]
fn cell(hash: u64, number: u32) -> Cell {
    debug_assert!(number != NOTHING);
    let [a, b, c, d] = number.to_le_bytes();
    [hash as u8, a, b, c, d]
}

#[inline]
fn number([_, a, b, c, d]: Cell) -> u32 {
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    /// Few different hashes, so that they meet.
    fn hash(key: u16) -> u64 {
        u64::from(key % 37).wrapping_mul(0x9e37_79b9_7f4a_7c15) & !0xff
    }

    proptest! {
        #[test]
        fn keys_are_found_as_in_a_map(
            steps in prop::collection::vec((any::<bool>(), 0u16..300), 0..600)
        ) {
            let (mut keys, mut map) = (KeyTable::default(), BTreeMap::new());
            let mut owners: Vec<u16> = Vec::new();
            for (puts, key) in steps {
                if puts && !map.contains_key(&key) {
                    let number = owners.len() as u32;
                    owners.push(key);
                    keys.insert(hash(key), number, |number| hash(owners[number as usize]));
                    map.insert(key, number);
                } else if !puts && let Some(number) = map.remove(&key) {
                    keys.remove(hash(key), number, |number| hash(owners[number as usize]));
                }
                for key in 0..300 {
                    let found = keys.find(hash(key), |number| owners[number as usize] == key);
                    prop_assert_eq!(found, map.get(&key).copied());
                }
            }
        }
    }
}

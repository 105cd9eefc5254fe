//! From a hash to a record's number: eight bytes a cell.
//!
//! Cells are asked for ahead of time (`soon`), so that a table of millions costs no wait for memory.
//! Open addressing, the next cell when one is taken, and no marks where something was removed: what
//! follows moves up. The cells lie in sections by their hash that grow one by one: no step waits for a
//! whole table to be copied, and what one section gives up another takes.

use prefetch_index::prefetch_index;

/// A number, and the higher half of the hash above it: that says where the cell's home is, so that a table
/// grows without a look at records, and spares nearly every other look.
type KeyCell = u64;

const EMPTY: KeyCell = u64::MAX;
/// In the place of a number.
const NOTHING: u32 = u32::MAX;
/// The fewest cells of a section that has any.
const FEWEST: usize = 16;
/// A section is chosen by so many of a hash's highest bits.
const SECTION_BITS: u32 = 6;

/// Numbers by hash.
#[derive(Debug)]
pub(super) struct KeyTable {
    sections: Vec<KeySection>,
}

impl Default for KeyTable {
    fn default() -> KeyTable {
        KeyTable { sections: vec![KeySection::default(); 1 << SECTION_BITS] }
    }
}

impl KeyTable {
    /// The number that has this hash and `is_it`.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let section = self.of(hash);
        section.place(hash, is_it).map(|place| number(section.cells[place]))
    }

    /// Puts in a number that is not there.
    pub(super) fn insert(&mut self, hash: u64, number: u32) {
        self.of_mut(hash).insert(cell(hash, number));
    }

    /// Puts another number in the place of one.
    pub(super) fn renumber(&mut self, hash: u64, from: u32, to: u32) {
        let section = self.of_mut(hash);
        if let Some(place) = section.place(hash, |number| number == from) {
            section.cells[place] = cell(hash, to);
        }
    }

    /// Takes a number out.
    pub(super) fn remove(&mut self, hash: u64, number: u32) {
        self.of_mut(hash).remove(hash, number);
    }

    /// Asks for a hash's cell ahead of its use.
    #[inline]
    pub(super) fn soon(&self, hash: u64) {
        let section = self.of(hash);
        if !section.cells.is_empty() {
            prefetch_index(&section.cells, section.home(hash));
        }
    }

    /// The number in a hash's own cell, which is mostly the one that is looked for.
    #[inline]
    pub(super) fn guess(&self, hash: u64) -> Option<u32> {
        let section = self.of(hash);
        let cell = *section.cells.get(section.home(hash))?;
        (cell >> 32 == hash >> 32 && cell != EMPTY).then(|| number(cell))
    }

    /// Bytes that the cells take.
    pub(super) fn bytes(&self) -> usize {
        let cells: usize = self.sections.iter().map(|section| section.cells.capacity()).sum();
        cells * size_of::<KeyCell>()
    }

    #[inline]
    fn of(&self, hash: u64) -> &KeySection {
        &self.sections[section_of(hash)]
    }

    #[inline]
    fn of_mut(&mut self, hash: u64) -> &mut KeySection {
        &mut self.sections[section_of(hash)]
    }
}

#[inline]
fn section_of(hash: u64) -> usize {
    (hash >> (u64::BITS - SECTION_BITS)) as usize
}

/// The cells of the hashes that begin alike.
#[derive(Clone, Debug, Default)]
struct KeySection {
    cells: Vec<KeyCell>,
    held: usize,
}

impl KeySection {
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
            if cell >> 32 == hash >> 32 && is_it(number(cell)) {
                return Some(place);
            }
            place = self.next(place);
        }
    }

    fn insert(&mut self, cell: KeyCell) {
        // At most six sevenths full, so that looks end soon.
        if (self.held + 1) * 7 > self.cells.len() * 6 {
            self.grow();
        }
        self.put(cell);
        self.held += 1;
    }

    fn put(&mut self, cell: KeyCell) {
        let mut place = self.home(cell);
        while self.cells[place] != EMPTY {
            place = self.next(place);
        }
        self.cells[place] = cell;
    }

    fn grow(&mut self) {
        let more = (self.cells.len() + self.cells.len() / 2).max(FEWEST);
        let cells = std::mem::replace(&mut self.cells, vec![EMPTY; more]);
        cells.into_iter().filter(|cell| *cell != EMPTY).for_each(|cell| self.put(cell));
    }

    fn remove(&mut self, hash: u64, number_out: u32) {
        let Some(mut hole) = self.place(hash, |number| number == number_out) else { return };
        self.held -= 1;
        let mut place = self.next(hole);
        while self.cells[place] != EMPTY {
            let home = self.home(self.cells[place]);
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

    /// Where a hash's cell is, by the bits of its higher half that do not choose the section; any number
    /// of cells up to that will do.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        let high = ((hash >> 32) as u32) << SECTION_BITS;
        ((u64::from(high) * self.cells.len() as u64) >> 32) as usize
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
fn cell(hash: u64, number: u32) -> KeyCell {
    debug_assert!(number != NOTHING);
    hash >> 32 << 32 | u64::from(number)
}

#[inline]
fn number(cell: KeyCell) -> u32 {
    cell as u32
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
                    keys.insert(hash(key), number);
                    map.insert(key, number);
                } else if !puts && let Some(number) = map.remove(&key) {
                    keys.remove(hash(key), number);
                }
                for key in 0..300 {
                    let found = keys.find(hash(key), |number| owners[number as usize] == key);
                    prop_assert_eq!(found, map.get(&key).copied());
                }
            }
        }
    }
}

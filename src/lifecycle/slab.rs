//! Records of one kind, by number; numbers that are free are given again.

use prefetch_index::prefetch_index;

/// In the place of a number: none.
pub(super) const NIL: u32 = u32::MAX;

/// Records in one piece of memory.
#[derive(Debug)]
pub(super) struct Slab<T> {
    records: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { records: Vec::new(), free: Vec::new() }
    }
}

impl<T: Default> Slab<T> {
    /// Puts a record in, and gives its number.
    #[inline]
    pub(super) fn insert(&mut self, record: T) -> u32 {
        match self.free.pop() {
            Some(at) => {
                self.records[at as usize] = record;
                at
            }
            None => {
                self.records.push(record);
                (self.records.len() - 1) as u32
            }
        }
    }

    /// Takes a record out.
    #[inline]
    pub(super) fn remove(&mut self, at: u32) -> T {
        self.free.push(at);
        std::mem::take(&mut self.records[at as usize])
    }

    /// Asks for a record ahead of its use.
    #[inline]
    pub(super) fn soon(&self, at: u32) {
        prefetch_index(&self.records, at as usize);
    }

    /// Records in use.
    pub(super) fn len(&self) -> usize {
        self.records.len() - self.free.len()
    }

    /// Bytes that the records take, in use or free.
    pub(super) fn bytes(&self) -> usize {
        self.records.capacity() * size_of::<T>() + self.free.capacity() * size_of::<u32>()
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, at: u32) -> &T {
        &self.records[at as usize]
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, at: u32) -> &mut T {
        &mut self.records[at as usize]
    }
}

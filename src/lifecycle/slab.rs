//! Records of one kind, by number; numbers that are free are given again.

use prefetch_index::prefetch_index;

/// In the place of a number: none.
pub(super) const NIL: u32 = u32::MAX;

/// Records of a page: a power of two. Pages never move, so that growing copies nothing.
const PAGE: usize = 4_096;

/// Records in pages.
#[derive(Debug)]
pub(super) struct Slab<T> {
    pages: Vec<Vec<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { pages: Vec::new(), free: Vec::new() }
    }
}

impl<T: Default> Slab<T> {
    /// Puts a record in, and gives its number.
    #[inline]
    pub(super) fn insert(&mut self, record: T) -> u32 {
        if let Some(at) = self.free.pop() {
            self[at] = record;
            return at;
        }
        if self.pages.last().is_none_or(|page| page.len() == PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        let page = self.pages.len() - 1;
        self.pages[page].push(record);
        (page * PAGE + self.pages[page].len() - 1) as u32
    }

    /// Takes a record out.
    #[inline]
    pub(super) fn remove(&mut self, at: u32) -> T {
        self.free.push(at);
        std::mem::take(&mut self[at])
    }

    /// Asks for a record ahead of its use.
    #[inline]
    pub(super) fn soon(&self, at: u32) {
        prefetch_index(&self.pages[at as usize / PAGE], at as usize % PAGE);
    }

    /// Records in use.
    pub(super) fn len(&self) -> usize {
        let full = self.pages.len().saturating_sub(1) * PAGE;
        full + self.pages.last().map_or(0, Vec::len) - self.free.len()
    }

    /// Bytes that the records take, in use or free.
    pub(super) fn bytes(&self) -> usize {
        self.pages.len() * PAGE * size_of::<T>() + self.free.capacity() * size_of::<u32>()
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, at: u32) -> &T {
        &self.pages[at as usize / PAGE][at as usize % PAGE]
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, at: u32) -> &mut T {
        &mut self.pages[at as usize / PAGE][at as usize % PAGE]
    }
}

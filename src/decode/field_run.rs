//! One field of the rows of a block, as columns take it in.

/// One field of a block's rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldRun<'a> {
    /// The number of the first row.
    pub(super) first: usize,
    pub(super) words: &'a [u64],
    pub(super) present: &'a [u64],
    pub(super) bit: u64,
    /// Every row has a value.
    pub(super) full: bool,
}

impl<'a> FieldRun<'a> {
    /// The rows' numbers and words, `None` where a row has no value.
    #[inline(always)]
    pub(super) fn values(self) -> impl Iterator<Item = (usize, Option<u64>)> + 'a {
        let words = self.words.iter().zip(self.present).enumerate();
        words.map(move |(i, (word, present))| {
            (self.first + i, (present & self.bit != 0).then_some(*word))
        })
    }
}

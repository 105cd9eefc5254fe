//! What became of the records that were read.

/// What became of the records that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Records.
    pub records: u64,
    /// Events that some table counts.
    pub counted: u64,
    /// Events that no table counts since they came too late.
    pub late: u64,
    /// Repeats.
    pub repeated: u64,
    /// Events that the state of their tests did not allow.
    pub refused: u64,
    /// Dead letters.
    pub dead_letters: u64,
}

impl Books {
    /// Events of kinds that no table counts.
    pub fn other(&self) -> u64 {
        let known = self.counted + self.late + self.repeated + self.refused + self.dead_letters;
        self.records.saturating_sub(known)
    }
}

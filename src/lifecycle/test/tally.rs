//! How much of what comes out, and which of it is wanted.

/// How many came to what, per test that an event addressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TestCounts {
    /// Tests that events addressed, all told.
    pub addressed: u64,
    /// Transitions that an event asked for.
    pub transitions: u64,
    /// Transitions that a row form implied; not among the others.
    pub implied: u64,
    /// Transitions that a timer made; not among the others.
    pub timed: u64,
    /// Refused.
    pub refused: u64,
    /// Told of what was known.
    pub repeated: u64,
    /// States of the line that were passed over.
    pub skipped: u64,
}

impl TestCounts {
    /// Both together.
    pub fn plus(self, more: TestCounts) -> TestCounts {
        TestCounts {
            addressed: self.addressed + more.addressed,
            transitions: self.transitions + more.transitions,
            implied: self.implied + more.implied,
            timed: self.timed + more.timed,
            refused: self.refused + more.refused,
            repeated: self.repeated + more.repeated,
            skipped: self.skipped + more.skipped,
        }
    }
}

/// Which rows somebody wants.
#[derive(Clone, Copy, Debug, Default)]
pub struct WantedRows {
    /// Rows of `transitions`.
    pub transitions: bool,
    /// Rows of `completions`.
    pub completions: bool,
    /// Rows of `due`.
    pub due: bool,
    /// Rows of `deadlines`.
    pub deadlines: bool,
    /// Rows of `backdated`.
    pub backdated: bool,
}

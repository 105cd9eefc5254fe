//! An event of a tube or test as a record of fixed size: texts as codes, times as microseconds.

use super::record::{Time, Urgency};
use crate::lifecycle::id::EntityId;
use crate::lifecycle::machine::EventWord;
use crate::lifecycle::waiting::Timed;

/// By what kind of event a test is told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::lifecycle) enum ToldBy {
    /// A row with a status, which tells of the receipt too.
    Row,
    /// Any other.
    #[default]
    Event,
}

/// A truth that an event may tell or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// It does not say.
    #[default]
    Nothing,
    /// It says no.
    No,
    /// It says yes.
    Yes,
}

/// One event of a tube or test.
#[derive(Clone, Debug, Default)]
pub(in crate::lifecycle) struct TestStep {
    /// Event time.
    pub(in crate::lifecycle) at: i64,
    pub(in crate::lifecycle) offset: i64,
    /// The partition's watermark before it.
    pub(in crate::lifecycle) watermark_before: i64,
    /// Of laboratory and specimen.
    pub(in crate::lifecycle) tube: u128,
    pub(in crate::lifecycle) ordered: Time,
    pub(in crate::lifecycle) collected: Time,
    pub(in crate::lifecycle) received: Time,
    pub(in crate::lifecycle) processed: Time,
    /// The profile's target, in microseconds.
    pub(in crate::lifecycle) profile: Time,
    pub(in crate::lifecycle) specimen: EntityId,
    pub(in crate::lifecycle) lab: u32,
    pub(in crate::lifecycle) assay: u32,
    pub(in crate::lifecycle) class: u32,
    pub(in crate::lifecycle) location: u32,
    pub(in crate::lifecycle) machine: u32,
    pub(in crate::lifecycle) operator: u32,
    pub(in crate::lifecycle) error: u32,
    pub(in crate::lifecycle) reason: u32,
    /// Its row in the batch that it came in.
    pub(in crate::lifecycle) row: u32,
    /// Which guards of the machine hold, a bit each.
    pub(in crate::lifecycle) guards: u32,
    pub(in crate::lifecycle) repeat_no: u16,
    pub(in crate::lifecycle) word: EventWord,
    pub(in crate::lifecycle) form: ToldBy,
    /// Whether a table has counted its event by itself.
    pub(in crate::lifecycle) is_counted: bool,
    pub(in crate::lifecycle) priority: Urgency,
    pub(in crate::lifecycle) auto_verified: Told,
    pub(in crate::lifecycle) delta_flag: Told,
}

impl Timed for TestStep {
    fn at(&self) -> i64 {
        self.at
    }

    fn offset(&self) -> i64 {
        self.offset
    }

    fn watermark_before(&self) -> i64 {
        self.watermark_before
    }
}

//! What is kept of a tube and its tests.

use crate::lifecycle::id::EntityId;
use crate::lifecycle::machine::MachineState;
use crate::lifecycle::slab::NIL;
use crate::lifecycle::texts::NO_TEXT;

/// A time in microseconds, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(i64);

impl Time {
    /// No time.
    pub const NONE: Time = Time(i64::MIN);

    /// This many microseconds after the epoch.
    pub fn at(at: i64) -> Time {
        Time(at)
    }

    /// Microseconds, if it is a time.
    #[inline]
    pub fn get(self) -> Option<i64> {
        (self != Time::NONE).then_some(self.0)
    }

    /// Whether it is one.
    #[inline]
    pub fn is_some(self) -> bool {
        self != Time::NONE
    }

    /// This one, or the other where this is none.
    #[inline]
    pub fn or(self, other: Time) -> Time {
        if self.is_some() { self } else { other }
    }

    /// From an earlier time to this one, in microseconds; none where it is negative or one is none.
    #[inline]
    pub fn since(self, earlier: Time) -> Option<i64> {
        Some(self.get()? - earlier.get()?).filter(|span| *span >= 0)
    }
}

impl Default for Time {
    fn default() -> Time {
        Time::NONE
    }
}

/// R, A, S: priorities in the order in which they rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Urgency(pub(in crate::lifecycle) u8);

impl Urgency {
    /// As they stand in the table.
    pub const LETTERS: [&str; 3] = ["R", "A", "S"];

    /// That of a letter; routine for any other text.
    pub fn of(text: &str) -> Urgency {
        let at = Urgency::LETTERS.iter().position(|letter| *letter == text);
        Urgency(at.unwrap_or_default() as u8)
    }

    /// As it stands in the table.
    pub fn letter(self) -> &'static str {
        Urgency::LETTERS[self.0 as usize]
    }
}

/// One truth about a test, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::lifecycle) struct Marks(u16);

/// The truths.
#[derive(Clone, Copy, Debug)]
pub(in crate::lifecycle) enum Mark {
    /// It has completed, or its first event tells that it had: it may have been forgotten. It never
    /// completes again and gets no clock any more.
    Completed = 1,
    /// Its row of `due` has been made, or will never be.
    DueSaid = 2,
    /// That row said `breached`.
    Breached = 4,
    /// At risk has been said.
    RiskSaid = 8,
    /// The row form's ERROR: finished, and not due.
    RowError = 16,
    /// Nothing was heard of it for as long as finished tests are kept.
    Left = 32,
    /// Of a test that is put down: the receipt is known of its tube.
    TubeReceived = 64,
    /// Of a test that is put down: the receipt is known of itself.
    TestReceived = 128,
    /// Somebody was told that it is at risk or late, and not yet that this has ended.
    Told = 256,
    /// That its specimen is about to expire has been said, or that it has.
    HoldRiskSaid = 512,
    /// That its specimen has expired has been said.
    HoldSaid = 1024,
    /// Somebody was told of its specimen, and not yet that this has ended.
    HoldTold = 2048,
}

impl Marks {
    #[inline]
    pub(in crate::lifecycle) fn has(self, mark: Mark) -> bool {
        self.0 & mark as u16 != 0
    }

    #[inline]
    pub(in crate::lifecycle) fn set(&mut self, mark: Mark) {
        self.0 |= mark as u16;
    }

    #[inline]
    pub(in crate::lifecycle) fn clear(&mut self, mark: Mark) {
        self.0 &= !(mark as u16);
    }
}

/// A tube of which a test is open.
#[derive(Clone, Debug)]
pub(in crate::lifecycle) struct TubeRecord {
    pub(in crate::lifecycle) key: u128,
    pub(in crate::lifecycle) specimen: EntityId,
    pub(in crate::lifecycle) collected: Time,
    pub(in crate::lifecycle) received: Time,
    pub(in crate::lifecycle) lab: u32,
    /// Its first test; the others follow in the order in which they were made.
    pub(in crate::lifecycle) first: u32,
}

impl Default for TubeRecord {
    fn default() -> TubeRecord {
        TubeRecord {
            key: 0,
            specimen: EntityId::default(),
            collected: Time::NONE,
            received: Time::NONE,
            lab: NO_TEXT,
            first: NIL,
        }
    }
}

/// In the place of the number of an origin: no target has been asked for.
pub(in crate::lifecycle) const NO_ORIGIN: u32 = u32::MAX;

/// A test's target and what follows from it.
#[derive(Clone, Copy, Debug)]
pub(in crate::lifecycle) struct TestTarget {
    /// How long, in microseconds; none without a deadline.
    pub(in crate::lifecycle) target: Time,
    pub(in crate::lifecycle) due: Time,
    pub(in crate::lifecycle) risk: Time,
    /// The number of its origin.
    pub(in crate::lifecycle) origin: u32,
}

/// A test that is open, or whose due time is still to come.
#[derive(Clone, Debug)]
pub(in crate::lifecycle) struct TestRecord {
    pub(in crate::lifecycle) ordered: Time,
    pub(in crate::lifecycle) collected: Time,
    pub(in crate::lifecycle) received: Time,
    pub(in crate::lifecycle) resulted: Time,
    pub(in crate::lifecycle) completed: Time,
    pub(in crate::lifecycle) clock_start: Time,
    pub(in crate::lifecycle) due: Time,
    pub(in crate::lifecycle) risk: Time,
    /// The event time of its last transition; it has stood in its state since then.
    pub(in crate::lifecycle) since: Time,
    /// The event time of its first event.
    pub(in crate::lifecycle) mentioned: Time,
    /// The profile's own target, in microseconds.
    pub(in crate::lifecycle) profile: Time,
    /// The target in microseconds.
    pub(in crate::lifecycle) target: Time,
    /// When its priority rose after the receipt.
    pub(in crate::lifecycle) risen: Time,
    /// The number of where its target comes from.
    pub(in crate::lifecycle) origin: u32,
    /// The offset of its first event.
    pub(in crate::lifecycle) born: i64,
    /// When its nearest timer goes off; none where it waits for nothing.
    pub(in crate::lifecycle) timer: Time,
    pub(in crate::lifecycle) tube: u32,
    pub(in crate::lifecycle) next: u32,
    pub(in crate::lifecycle) assay: u32,
    pub(in crate::lifecycle) class: u32,
    pub(in crate::lifecycle) location: u32,
    pub(in crate::lifecycle) machine: u32,
    pub(in crate::lifecycle) operator: u32,
    pub(in crate::lifecycle) repeats: u16,
    pub(in crate::lifecycle) marks: Marks,
    pub(in crate::lifecycle) state: MachineState,
    pub(in crate::lifecycle) priority: Urgency,
}

impl Default for TestRecord {
    fn default() -> TestRecord {
        TestRecord {
            ordered: Time::NONE,
            collected: Time::NONE,
            received: Time::NONE,
            resulted: Time::NONE,
            completed: Time::NONE,
            clock_start: Time::NONE,
            due: Time::NONE,
            risk: Time::NONE,
            since: Time::NONE,
            mentioned: Time::NONE,
            profile: Time::NONE,
            target: Time::NONE,
            risen: Time::NONE,
            origin: NO_ORIGIN,
            born: 0,
            timer: Time::NONE,
            tube: NIL,
            next: NIL,
            assay: NO_TEXT,
            class: NO_TEXT,
            location: NO_TEXT,
            machine: NO_TEXT,
            operator: NO_TEXT,
            repeats: 0,
            marks: Marks::default(),
            state: MachineState::NONE,
            priority: Urgency::default(),
        }
    }
}

impl TestRecord {
    pub(in crate::lifecycle) fn take_target(&mut self, found: TestTarget) {
        let TestTarget { target, due, risk, origin } = found;
        (self.target, self.due, self.risk, self.origin) = (target, due, risk, origin);
    }
}

/// A test that waits for nothing more, of a tube of which no test does. It fits into 48 bytes; what does
/// not fit, a text's code of the higher thousands or a time long before the last transition, keeps its
/// tube from being put down.
#[derive(Clone, Debug)]
pub(in crate::lifecycle) struct FinishedTest {
    /// The tube's key in two halves, which need no padding.
    key: [u64; 2],
    pub(in crate::lifecycle) since: Time,
    /// The tube's next test.
    pub(in crate::lifecycle) next: u32,
    assay: u16,
    class: u16,
    location: u16,
    pub(in crate::lifecycle) marks: Marks,
    collected: Ago,
    received: Ago,
    pub(in crate::lifecycle) state: MachineState,
    pub(in crate::lifecycle) priority: Urgency,
}

impl FinishedTest {
    /// A test put down; none where something of it does not fit.
    pub(in crate::lifecycle) fn of(tube: &TubeRecord, test: &TestRecord) -> Option<FinishedTest> {
        let since = test.since.get()?;
        let (marks, received) = receipts(tube, test)?;
        Some(FinishedTest {
            key: [tube.key as u64, (tube.key >> 64) as u64],
            since: test.since,
            next: NIL,
            assay: short(test.assay)?,
            class: short(test.class)?,
            location: short(test.location)?,
            marks,
            collected: Ago::of(tube.collected, since)?,
            received: Ago::of(received, since)?,
            state: test.state,
            priority: test.priority,
        })
    }

    /// The test again, as far as it was kept, and what its tube had been through.
    pub(in crate::lifecycle) fn test(&self, tube: u32) -> (TestRecord, [Time; 2]) {
        let since = self.since.get().unwrap_or_default();
        let received = self.received.time(since);
        let of = |mark: Mark| if self.marks.has(mark) { received } else { Time::NONE };
        let mut marks = self.marks;
        let (of_tube, of_test) = (of(Mark::TubeReceived), of(Mark::TestReceived));
        // Its due time has passed or will never come; its clock is not told again.
        [Mark::DueSaid, Mark::RiskSaid].into_iter().for_each(|mark| marks.set(mark));
        [Mark::TubeReceived, Mark::TestReceived].into_iter().for_each(|mark| marks.clear(mark));
        let test = TestRecord {
            received: of_test,
            since: self.since,
            mentioned: self.since,
            // That it had a clock is known; what it said has been told.
            clock_start: of_test,
            tube,
            assay: long(self.assay),
            class: long(self.class),
            location: long(self.location),
            marks,
            state: self.state,
            priority: self.priority,
            ..TestRecord::default()
        };
        (test, [self.collected.time(since), of_tube])
    }

    pub(in crate::lifecycle) fn key(&self) -> u128 {
        u128::from(self.key[0]) | u128::from(self.key[1]) << 64
    }
}

/// One time for both receipts, and which of tube and test it is of; none where they differ.
fn receipts(tube: &TubeRecord, test: &TestRecord) -> Option<(Marks, Time)> {
    let mut marks = test.marks;
    let both = tube.received.is_some() && test.received.is_some();
    if both && tube.received != test.received {
        return None;
    }
    if tube.received.is_some() {
        marks.set(Mark::TubeReceived);
    }
    if test.received.is_some() {
        marks.set(Mark::TestReceived);
    }
    Some((marks, tube.received.or(test.received)))
}

/// A code in two bytes.
fn short(code: u32) -> Option<u16> {
    if code == NO_TEXT {
        Some(u16::MAX)
    } else {
        u16::try_from(code).ok().filter(|code| *code < u16::MAX)
    }
}

fn long(code: u16) -> u32 {
    if code == u16::MAX { NO_TEXT } else { u32::from(code) }
}

/// A time at most twelve days before another one, in five bytes of microseconds.
#[derive(Clone, Copy, Debug)]
struct Ago([u8; 5]);

impl Ago {
    const NONE: u64 = (1 << 40) - 1;

    fn of(time: Time, since: i64) -> Option<Ago> {
        let ago = match time.get() {
            None => Ago::NONE,
            Some(time) => {
                u64::try_from(since.checked_sub(time)?).ok().filter(|ago| *ago < Ago::NONE)?
            }
        };
        let [a, b, c, d, e, ..] = ago.to_le_bytes();
        Some(Ago([a, b, c, d, e]))
    }

    fn time(self, since: i64) -> Time {
        let [a, b, c, d, e] = self.0;
        let ago = u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]);
        if ago == Ago::NONE { Time::NONE } else { Time::at(since - ago as i64) }
    }
}

impl Default for FinishedTest {
    fn default() -> FinishedTest {
        FinishedTest {
            key: [0; 2],
            since: Time::NONE,
            next: NIL,
            assay: u16::MAX,
            class: u16::MAX,
            location: u16::MAX,
            marks: Marks::default(),
            collected: Ago([u8::MAX; 5]),
            received: Ago([u8::MAX; 5]),
            state: MachineState::NONE,
            priority: Urgency::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What memory is planned by.
    #[test]
    fn records_are_as_small_as_is_said() {
        assert_eq!(size_of::<FinishedTest>(), 48);
        assert_eq!(size_of::<TubeRecord>(), 64);
        assert_eq!(size_of::<TestRecord>(), 160);
    }
}

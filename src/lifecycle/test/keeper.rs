//! The tubes and tests that are held, and how they are found.
//!
//! Tubes are found by a 128-bit key in a table of four-byte numbers. A tube of which no test waits for
//! anything is put down to one small record per test; an event for it takes it up again.

use std::collections::BTreeMap;

use super::record::{FinishedTest, TestRecord, TubeRecord};
use crate::lifecycle::id::EntityId;
use crate::lifecycle::keys::KeyTable;
use crate::lifecycle::slab::{NIL, Slab};

/// The highest bit of a number in the table: the tube is put down, and the rest is its first test's
/// number among the finished.
const DOWN: u32 = 1 << 31;

/// How fine the leaving of finished tests is looked at.
const HOUR: i64 = 3_600_000_000;

/// Tubes and tests of one partition, or of one share of it.
#[derive(Debug, Default)]
pub(super) struct TubeKeeper {
    keys: KeyTable,
    pub(super) tubes: Slab<TubeRecord>,
    pub(super) tests: Slab<TestRecord>,
    finished: Slab<FinishedTest>,
    /// By the hour in which a tube that is put down was last heard of.
    leaving: BTreeMap<i64, Vec<u32>>,
    /// The same of those that wait for nothing and cannot be put down.
    leaving_whole: BTreeMap<i64, Vec<u128>>,
}

/// A tube that is wanted.
#[derive(Clone, Debug)]
pub(super) struct TubeWanted<'a> {
    pub(super) key: u128,
    pub(super) specimen: &'a EntityId,
    pub(super) lab: u32,
    /// Tubes that are put down and were last heard of by then have left.
    pub(super) left_before: i64,
}

impl TubeKeeper {
    /// The tube of a key: the one that is there, taken up if it was put down, or a new one. `waits` says
    /// which tests wait for something.
    pub(super) fn tube(
        &mut self,
        wanted: &TubeWanted<'_>,
        waits: impl Fn(&TestRecord) -> bool,
    ) -> u32 {
        let key = wanted.key;
        match self.find(key) {
            Some(number) if number & DOWN == 0 => {
                if !self.whole_has_left(number, wanted.left_before, waits) {
                    return number;
                }
                self.drop_whole(number);
                self.new_tube(wanted)
            }
            Some(number) if self.heard(number & !DOWN) > wanted.left_before => {
                self.take_up(number & !DOWN, wanted)
            }
            Some(number) => {
                self.drop_down(number & !DOWN);
                self.new_tube(wanted)
            }
            None => self.new_tube(wanted),
        }
    }

    fn new_tube(&mut self, wanted: &TubeWanted<'_>) -> u32 {
        let tube = self.tubes.insert(TubeRecord {
            key: wanted.key,
            specimen: wanted.specimen.clone(),
            lab: wanted.lab,
            ..TubeRecord::default()
        });
        self.enter(wanted.key, tube);
        tube
    }

    fn find(&self, key: u128) -> Option<u32> {
        self.keys.find(hash(key), |number| self.key_of(number) == key)
    }

    /// Asks for what a tube's step will need: first where it is, then the tube, then its first test.
    #[inline]
    pub(super) fn soon(&self, key: u128) {
        self.keys.soon(hash(key));
    }

    /// After [`TubeKeeper::soon`] has come.
    #[inline]
    pub(super) fn soon_tube(&self, key: u128) {
        match self.keys.guess(hash(key)) {
            Some(number) if number & DOWN == 0 => self.tubes.soon(number),
            Some(number) => self.finished.soon(number & !DOWN),
            None => {}
        }
    }

    /// After [`TubeKeeper::soon_tube`] has come.
    #[inline]
    pub(super) fn soon_test(&self, key: u128) {
        if let Some(number) = self.keys.guess(hash(key))
            && number & DOWN == 0
            && self.tubes[number].first != NIL
        {
            self.tests.soon(self.tubes[number].first);
        }
    }

    fn key_of(&self, number: u32) -> u128 {
        key_of(&self.tubes, &self.finished, number)
    }

    fn enter(&mut self, key: u128, number: u32) {
        self.keys.insert(hash(key), number);
    }

    fn renumber(&mut self, key: u128, from: u32, to: u32) {
        self.keys.renumber(hash(key), from, to);
    }

    /// The tests of a tube, in the order in which they were made.
    pub(super) fn tests_of(&self, tube: u32) -> Vec<u32> {
        let mut tests = Vec::with_capacity(4);
        let mut test = self.tubes[tube].first;
        while test != NIL {
            tests.push(test);
            test = self.tests[test].next;
        }
        tests
    }

    /// The test of an assay.
    #[inline]
    pub(super) fn test_of(&self, tube: u32, assay: u32) -> Option<u32> {
        let mut test = self.tubes[tube].first;
        while test != NIL {
            if self.tests[test].assay == assay {
                return Some(test);
            }
            test = self.tests[test].next;
        }
        None
    }

    /// Puts a test at the end of its tube's.
    pub(super) fn add(&mut self, test: TestRecord) -> u32 {
        let tube = test.tube;
        let number = self.tests.insert(test);
        let mut last = self.tubes[tube].first;
        if last == NIL {
            self.tubes[tube].first = number;
            return number;
        }
        while self.tests[last].next != NIL {
            last = self.tests[last].next;
        }
        self.tests[last].next = number;
        number
    }

    /// Whether a tube that is held whole waits for nothing and was last heard of by then.
    fn whole_has_left(&self, tube: u32, before: i64, waits: impl Fn(&TestRecord) -> bool) -> bool {
        let mut next = self.tubes[tube].first;
        while next != NIL {
            let test = &self.tests[next];
            if test.since.get().is_none_or(|since| since > before) || waits(test) {
                return false;
            }
            next = test.next;
        }
        self.tubes[tube].first != NIL
    }

    fn drop_whole(&mut self, tube: u32) {
        let TubeRecord { key, first, .. } = self.tubes.remove(tube);
        self.keys.remove(hash(key), tube);
        let mut next = first;
        while next != NIL {
            next = self.tests.remove(next).next;
        }
    }

    /// Puts a tube down when none of its tests waits for anything.
    pub(super) fn put_down(&mut self, tube: u32, waits: impl Fn(&TestRecord) -> bool) {
        let mut test = self.tubes[tube].first;
        while test != NIL {
            if waits(&self.tests[test]) {
                return;
            }
            test = self.tests[test].next;
        }
        let (mut head, mut last, mut heard) = (NIL, NIL, i64::MIN);
        let mut next = self.tubes[tube].first;
        while next != NIL {
            let test = &self.tests[next];
            let Some(finished) = FinishedTest::of(&self.tubes[tube], test) else {
                return self.keep_whole(tube, head);
            };
            heard = heard.max(test.since.get().unwrap_or(i64::MIN));
            next = test.next;
            let number = self.finished.insert(finished);
            match last {
                NIL => head = number,
                last => self.finished[last].next = number,
            }
            last = number;
        }
        if head == NIL {
            return;
        }
        let TubeRecord { key, first, .. } = self.tubes.remove(tube);
        let mut next = first;
        while next != NIL {
            next = self.tests.remove(next).next;
        }
        self.renumber(key, tube, head | DOWN);
        self.leave(head, heard);
    }

    /// Whether a tube is known, held or put down.
    #[inline]
    pub(super) fn knows(&self, key: u128) -> bool {
        self.find(key).is_some()
    }

    /// Puts down the one test of a tube that was not known.
    pub(super) fn put_down_at_once(&mut self, finished: FinishedTest) {
        let (key, heard) = (finished.key(), finished.since.get().unwrap_or(i64::MIN));
        let head = self.finished.insert(finished);
        self.enter(key, head | DOWN);
        self.leave(head, heard);
    }

    /// Drops what was put down of a tube that cannot be.
    fn take_back(&mut self, head: u32) {
        let mut next = head;
        while next != NIL {
            next = self.finished.remove(next).next;
        }
    }

    /// Takes up a tube that was put down.
    fn take_up(&mut self, head: u32, wanted: &TubeWanted<'_>) -> u32 {
        let tube = self.tubes.insert(TubeRecord {
            key: wanted.key,
            specimen: wanted.specimen.clone(),
            lab: wanted.lab,
            ..TubeRecord::default()
        });
        self.renumber(wanted.key, head | DOWN, tube);
        let mut next = head;
        while next != NIL {
            let finished = self.finished.remove(next);
            next = finished.next;
            let (test, [collected, received]) = finished.test(tube);
            self.tubes[tube].collected = collected;
            self.tubes[tube].received = received;
            self.add(test);
        }
        tube
    }

    /// Drops tubes that have been put down and not heard of since before `until`. When that is done
    /// changes nothing but memory: whoever asks for one says itself whether it has left.
    pub(super) fn forget(&mut self, until: i64, waits: impl Fn(&TestRecord) -> bool) {
        while let Some(entry) = self.leaving_whole.first_entry()
            && (*entry.key() + 1).saturating_mul(HOUR) <= until
        {
            for key in entry.remove() {
                let whole = self.find(key).filter(|number| number & DOWN == 0);
                if let Some(tube) = whole
                    && self.whole_has_left(tube, until, &waits)
                {
                    self.drop_whole(tube);
                }
            }
        }
        while let Some(entry) = self.leaving.first_entry()
            && (*entry.key() + 1).saturating_mul(HOUR) <= until
        {
            let hour = *entry.key();
            for head in entry.remove() {
                self.forget_one(head, hour);
            }
        }
    }

    /// A tube that does not fit to be put down leaves as others do.
    fn keep_whole(&mut self, tube: u32, head: u32) {
        self.take_back(head);
        let (mut next, mut heard) = (self.tubes[tube].first, i64::MIN);
        while next != NIL {
            heard = heard.max(self.tests[next].since.get().unwrap_or(i64::MIN));
            next = self.tests[next].next;
        }
        let key = self.tubes[tube].key;
        self.leaving_whole.entry(heard.div_euclid(HOUR)).or_default().push(key);
    }

    /// Notes that a tube leaves if it is not heard of again.
    fn leave(&mut self, head: u32, heard: i64) {
        self.leaving.entry(heard.div_euclid(HOUR)).or_default().push(head);
    }

    /// Those that were taken up meanwhile, and perhaps put down again, are in a later hour's list.
    fn forget_one(&mut self, head: u32, hour: i64) {
        let key = self.finished[head].key();
        if self.find(key) != Some(head | DOWN) {
            return;
        }
        if self.heard(head).div_euclid(HOUR) == hour {
            self.drop_down(head);
        }
    }

    /// When a tube that is put down was last heard of.
    fn heard(&self, head: u32) -> i64 {
        let (mut next, mut heard) = (head, i64::MIN);
        while next != NIL {
            heard = heard.max(self.finished[next].since.get().unwrap_or(i64::MIN));
            next = self.finished[next].next;
        }
        heard
    }

    /// Drops a tube that is put down.
    fn drop_down(&mut self, head: u32) {
        let key = self.finished[head].key();
        self.keys.remove(hash(key), head | DOWN);
        self.take_back(head);
    }

    /// Tests that are held whole, and those that are put down.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.tests.len(), self.finished.len())
    }

    /// Bytes of memory that are held.
    pub(super) fn bytes(&self) -> usize {
        let leaving: usize =
            self.leaving.values().map(|all| all.capacity() * size_of::<u32>()).sum();
        let slabs = self.tubes.bytes() + self.tests.bytes() + self.finished.bytes();
        slabs + leaving + self.keys.bytes()
    }
}

fn key_of(tubes: &Slab<TubeRecord>, finished: &Slab<FinishedTest>, number: u32) -> u128 {
    if number & DOWN == 0 { tubes[number].key } else { finished[number & !DOWN].key() }
}

/// Keys are hashes already.
#[inline]
fn hash(key: u128) -> u64 {
    key as u64
}

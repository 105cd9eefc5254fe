//! Session windows: rows of one key that follow one another by less than a gap.
//!
//! A batch is cut into proto-sessions, and the book merges those of a key that touch. Which
//! sessions come out is a function of the rows that count, not of the order in which they came: a
//! row counts when its time is not before its own partition's watermark, a session is given out
//! once the job's watermark has passed its end, and no row that counts later can reach into it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use crate::flow::{Span, Timestamp, Window};

/// Rows of one batch and key that follow one another by less than the gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtoSession {
    /// The key's number in the batch.
    pub key: u32,
    /// The time of the first row, microseconds.
    pub start: i64,
    /// The time of the last row, microseconds.
    pub last: i64,
    /// The rows, by their places in the order of key and time.
    pub rows: Range<usize>,
}

/// Cuts rows, given as (key, time) in that order, into proto-sessions.
pub fn cut(gap: Span, rows: impl IntoIterator<Item = (u32, i64)>) -> Vec<ProtoSession> {
    let mut found: Vec<ProtoSession> = Vec::new();
    for (place, (key, time)) in rows.into_iter().enumerate() {
        match found.last_mut() {
            Some(open) if open.key == key && time < open.last.saturating_add(gap.0) => {
                open.last = time;
                open.rows.end = place + 1;
            }
            Some(_) | None => {
                let rows = place..place + 1;
                found.push(ProtoSession { key, start: time, last: time, rows });
            }
        }
    }
    found
}

/// The sessions that are open, with what has been collected for each.
#[derive(Debug)]
pub struct SessionBook<T> {
    gap: Span,
    open: BTreeMap<SessionPlace, OpenSession<T>>,
    /// By end, start and key: the order in which they are given out.
    ends: BTreeSet<(i64, i64, SessionKey)>,
    /// How many sessions start at each instant.
    starts: BTreeMap<i64, usize>,
}

type SessionKey = Arc<[u8]>;
/// A key and a session's start.
type SessionPlace = (SessionKey, i64);

#[derive(Debug)]
struct OpenSession<T> {
    last: i64,
    parts: Vec<T>,
}

/// A session that has ended.
#[derive(Debug)]
pub struct Session<T> {
    /// From its first row to the gap after its last.
    pub window: Window,
    /// What was collected for it.
    pub parts: Vec<T>,
}

impl<T> SessionBook<T> {
    /// A book without sessions.
    pub fn new(gap: Span) -> SessionBook<T> {
        let (open, ends, starts) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        SessionBook { gap, open, ends, starts }
    }

    /// Adds what was collected between the rows at `start` and `last` of a key, merges the open
    /// sessions that it touches, and gives the parts of the session that it is in now.
    pub fn add(&mut self, key: &Arc<[u8]>, start: i64, last: i64, parts: Vec<T>) -> &mut Vec<T> {
        let (mut start, mut last, mut parts) = (start, last, parts);
        while let Some(place) = self.touched(key, start, last) {
            let Some(held) = self.take(&place) else { break };
            start = start.min(place.1);
            last = last.max(held.last);
            let newer = std::mem::replace(&mut parts, held.parts);
            parts.extend(newer);
        }
        self.ends.insert((self.end_of(last), start, Arc::clone(key)));
        *self.starts.entry(start).or_default() += 1;
        let open = self.open.entry((Arc::clone(key), start)).or_insert(OpenSession { last, parts });
        &mut open.parts
    }

    /// An open session of the key whose rows are less than the gap away.
    fn touched(&self, key: &SessionKey, start: i64, last: i64) -> Option<SessionPlace> {
        let from = (Arc::clone(key), i64::MIN);
        let to = (Arc::clone(key), self.end_of(last));
        // Sessions of a key do not touch one another, so the last of them ends last.
        let (place, open) = self.open.range(from..to).next_back()?;
        (self.end_of(open.last) > start).then(|| place.clone())
    }

    fn take(&mut self, place: &SessionPlace) -> Option<OpenSession<T>> {
        let open = self.open.remove(place)?;
        self.ends.remove(&(self.end_of(open.last), place.1, Arc::clone(&place.0)));
        if let Some(count) = self.starts.get_mut(&place.1) {
            *count -= 1;
            if *count == 0 {
                self.starts.remove(&place.1);
            }
        }
        Some(open)
    }

    fn end_of(&self, last: i64) -> i64 {
        last.saturating_add(self.gap.0)
    }

    /// Takes out the sessions that end at or before `watermark`, in the order of end, start and
    /// key.
    pub fn due(&mut self, watermark: Timestamp) -> Vec<Session<T>> {
        let mut due = Vec::new();
        while let Some((end, start, key)) =
            self.ends.first().filter(|(end, ..)| *end <= watermark.0)
        {
            let window = Window { start: Timestamp(*start), end: Timestamp(*end) };
            let place = (Arc::clone(key), *start);
            let Some(open) = self.take(&place) else { break };
            due.push(Session { window, parts: open.parts });
        }
        due
    }

    /// When the earliest open session starts.
    pub fn first_start(&self) -> Option<Timestamp> {
        self.starts.first_key_value().map(|(start, _)| Timestamp(*start))
    }

    /// How many sessions are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Everything that has been collected for open sessions, by session.
    pub fn parts(&self) -> impl Iterator<Item = &Vec<T>> {
        self.open.values().map(|open| &open.parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By key, start and end: the rows, sorted.
    type Sessions = BTreeMap<(u8, i64, i64), Vec<i64>>;

    const GAP: i64 = 10;

    fn key(key: u8) -> SessionKey {
        Arc::from([key])
    }

    fn windows(book: &mut SessionBook<i64>, watermark: i64) -> Vec<(i64, i64, Vec<i64>)> {
        let due = book.due(Timestamp(watermark)).into_iter();
        due.map(|session| (session.window.start.0, session.window.end.0, session.parts)).collect()
    }

    #[test]
    fn a_gap_is_as_long_as_the_gap() {
        let rows = [(0, 0), (0, 9), (0, 19), (1, 19), (1, 20)];
        let found = cut(Span(GAP), rows);
        let told = |key, start, last, rows| ProtoSession { key, start, last, rows };
        assert_eq!(found, [told(0, 0, 9, 0..2), told(0, 19, 19, 2..3), told(1, 19, 20, 3..5)]);
        let mut book = SessionBook::new(Span(GAP));
        book.add(&key(0), 0, 9, vec![1]);
        book.add(&key(0), 19, 19, vec![2]);
        assert_eq!(windows(&mut book, 29), [(0, 19, vec![1]), (19, 29, vec![2])]);
    }

    #[test]
    fn a_row_between_two_sessions_makes_them_one() {
        let mut book = SessionBook::new(Span(GAP));
        book.add(&key(0), 0, 5, vec![1]);
        book.add(&key(0), 23, 30, vec![2]);
        book.add(&key(1), 14, 14, vec![9]);
        assert_eq!(book.len(), 3);
        book.add(&key(0), 14, 14, vec![3]);
        assert_eq!(book.len(), 2);
        assert_eq!(windows(&mut book, 39), [(14, 24, vec![9])]);
        assert_eq!(book.first_start(), Some(Timestamp(0)));
        assert_eq!(windows(&mut book, 40), [(0, 40, vec![1, 2, 3])]);
        assert_eq!((book.first_start(), book.is_empty()), (None, true));
    }

    #[test]
    fn sessions_come_by_end_start_and_key() {
        let mut book = SessionBook::new(Span(GAP));
        book.add(&key(2), 0, 5, vec![1]);
        book.add(&key(1), 0, 5, vec![2]);
        book.add(&key(3), -5, 5, vec![3]);
        book.add(&key(4), 0, 4, vec![4]);
        let order: Vec<i64> =
            book.due(Timestamp(15)).into_iter().flat_map(|session| session.parts).collect();
        assert_eq!(order, [4, 3, 2, 1]);
    }

    /// Rows sorted by key and time, a new session where the gap has passed: the definition.
    fn by_definition(rows: &[(u8, i64)]) -> Sessions {
        let mut sorted = rows.to_vec();
        sorted.sort_unstable();
        let mut found: Vec<(u8, Vec<i64>)> = Vec::new();
        for (key, time) in sorted {
            match found.last_mut() {
                Some((held, times)) if *held == key && time - times[times.len() - 1] < GAP => {
                    times.push(time);
                }
                _ => found.push((key, vec![time])),
            }
        }
        let named = found
            .into_iter()
            .map(|(key, times)| ((key, times[0], times[times.len() - 1] + GAP), times));
        named.collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        /// Two partitions that interleave by chance and are cut into batches by chance, rows out of
        /// order and some too late: always the sessions of the rows that count.
        #[test]
        fn sessions_do_not_depend_on_the_order_of_arrival(
            steps in prop::collection::vec(
                (prop::bool::ANY, 0u8..3, -25i64..12, 1usize..5), 1..120),
        ) {
            let mut book: SessionBook<(u8, i64)> = SessionBook::new(Span(GAP));
            let mut clocks = [0i64; 2];
            let mut marks = [i64::MIN; 2];
            let mut counted = Vec::new();
            let mut found = Sessions::new();
            let mut waiting: Vec<(u8, i64)> = Vec::new();
            let mut due_in = 0usize;
            let mut note = |due: Vec<Session<(u8, i64)>>| {
                for session in due {
                    let mut times: Vec<i64> = session.parts.iter().map(|(_, t)| *t).collect();
                    times.sort_unstable();
                    let (start, end) = (session.window.start.0, session.window.end.0);
                    let name = (session.parts[0].0, start, end);
                    prop_assert!(found.insert(name, times).is_none(), "given out twice");
                }
                Ok(())
            };
            let collect = |book: &mut SessionBook<(u8, i64)>, waiting: &mut Vec<(u8, i64)>| {
                waiting.sort_unstable();
                let rows = waiting.iter().map(|(key, time)| (u32::from(*key), *time));
                for proto in cut(Span(GAP), rows) {
                    let rows = waiting[proto.rows.clone()].to_vec();
                    book.add(&key(rows[0].0), proto.start, proto.last, rows);
                }
                waiting.clear();
            };
            for (second, name, step, batch) in steps {
                let partition = usize::from(second);
                clocks[partition] += 3;
                let time = clocks[partition] + step;
                if time >= marks[partition] {
                    counted.push((name, time));
                    waiting.push((name, time));
                }
                marks[partition] = marks[partition].max(time - 8);
                due_in = if due_in == 0 { batch } else { due_in - 1 };
                if due_in == 0 {
                    collect(&mut book, &mut waiting);
                    note(book.due(Timestamp(marks[0].min(marks[1]))))?;
                }
            }
            collect(&mut book, &mut waiting);
            note(book.due(Timestamp::MAX))?;
            prop_assert!(book.is_empty());
            prop_assert_eq!(book.first_start(), None);
            prop_assert_eq!(found, by_definition(&counted));
        }
    }
}

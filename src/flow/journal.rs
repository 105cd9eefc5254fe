//! An idle partition's advance, and the name of its entry in the journal: a function of what it
//! says.
//!
//! ```text
//! _turnaround/journal/<topic>-<partition>/<next offset>-<watermark in microseconds>.json
//! ```
//!
//! The name says all, so that one listing reads the whole journal. Formatting and parsing are
//! inverse to each other. Nothing in here touches a store.

use std::fmt;
use std::sync::Arc;

use super::lake_key::{SafeName, parse_number};
use super::{Offset, Partition, Timestamp};

/// A partition's watermark moved on without a record, because the partition was idle: the one thing
/// that the clock decides, so it becomes input of every later run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleAdvance {
    /// The idle partition.
    pub partition: Arc<Partition>,
    /// The offset after the last record before it: it holds for records from here on.
    pub next: Offset,
    /// Where the watermark stands since.
    pub watermark: Timestamp,
}

/// Folder of the journal.
pub const JOURNAL: &str = "_turnaround/journal";
const SUFFIX: &str = ".json";

/// The name of one journalled advance.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JournalKey {
    /// The topic.
    topic: SafeName,
    /// The partition's number, not negative.
    index: u32,
    /// The next offset, not negative.
    next: u64,
    /// The watermark.
    watermark: Timestamp,
}

impl JournalKey {
    /// The name of an advance. Negative numbers, which no source gives, count as 0.
    pub fn of(advance: &IdleAdvance) -> JournalKey {
        JournalKey {
            topic: SafeName::of(&advance.partition.topic),
            index: u32::try_from(advance.partition.index).unwrap_or(0),
            next: u64::try_from(advance.next.0).unwrap_or(0),
            watermark: advance.watermark,
        }
    }

    /// Whose advance it is: the topic's name as it is written, and the partition's number.
    pub fn place(&self) -> (&SafeName, u32) {
        (&self.topic, self.index)
    }

    /// Where a partition's advances are found; a negative number has none.
    pub fn place_of(partition: &Partition) -> Option<(SafeName, u32)> {
        Some((SafeName::of(&partition.topic), u32::try_from(partition.index).ok()?))
    }

    /// The advance, when it is one of this partition.
    pub fn advance_of(&self, partition: &Arc<Partition>) -> Option<IdleAdvance> {
        let same = JournalKey::place_of(partition)
            .is_some_and(|(topic, index)| self.place() == (&topic, index));
        same.then(|| IdleAdvance {
            partition: Arc::clone(partition),
            next: Offset(i64::try_from(self.next).unwrap_or(i64::MAX)),
            watermark: self.watermark,
        })
    }

    /// Reads an object's name, relative to the lake. `None` when it is none of the journal.
    pub fn parse(name: &str) -> Option<JournalKey> {
        let rest = name.strip_prefix(JOURNAL)?.strip_prefix('/')?;
        let (folder, file) = rest.split_once('/')?;
        let (topic, index) = folder.rsplit_once('-')?;
        let (next, watermark) = file.strip_suffix(SUFFIX)?.split_once('-')?;
        let micros: i64 = watermark.parse().ok()?;
        let key = JournalKey {
            topic: SafeName::from_segment(topic)?,
            index: parse_number(index)?,
            next: parse_number(next)?,
            watermark: Timestamp(micros),
        };
        (micros.to_string() == watermark).then_some(key)
    }
}

impl fmt::Display for JournalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let JournalKey { topic, index, next, watermark } = self;
        write!(f, "{JOURNAL}/{topic}-{index}/{next}-{}{SUFFIX}", watermark.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn advance(topic: &str, index: i32, next: i64, micros: i64) -> IdleAdvance {
        let partition = Arc::new(Partition { topic: topic.into(), index });
        IdleAdvance { partition, next: Offset(next), watermark: Timestamp(micros) }
    }

    #[test]
    fn names_are_those_of_the_documentation() {
        let key = JournalKey::of(&advance("lab.events", 3, 42, 1_772_366_400_000_000));
        let name = "_turnaround/journal/lab.events-3/42-1772366400000000.json";
        assert_eq!(key.to_string(), name);
        assert_eq!(JournalKey::parse(name), Some(key));
    }

    #[test]
    fn what_is_not_ours_is_passed_over() {
        for name in [
            "_turnaround/journal/t-0/1-2.parquet",
            "_turnaround/journal/t-0/01-2.json",
            "_turnaround/journal/t-0/1-+2.json",
            "_turnaround/journal/t-0/1.json",
            "_turnaround/journal/t/1-2.json",
            "_turnaround/shard/t-0/1-2.json",
            "events/day=2026-03-01/t-0-1-2.parquet",
        ] {
            assert_eq!(JournalKey::parse(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn parsing_is_the_inverse(
            topic in ".{1,200}", index in 0..i32::MAX, next in 0..i64::MAX, micros: i64,
        ) {
            let advance = advance(&topic, index, next, micros);
            let key = JournalKey::of(&advance);
            prop_assert_eq!(JournalKey::parse(&key.to_string()), Some(key.clone()));
            prop_assert_eq!(key.advance_of(&advance.partition), Some(advance.clone()));
            let other = Partition { topic: format!("{topic}x").into(), index };
            prop_assert_eq!(key.advance_of(&Arc::new(other)), None);
        }
    }
}

//! Which advances of idle partitions are written down, and when: no later than the first output
//! that depends on them, no earlier, and no more than matter.
//!
//! While no record comes, an advance contains the ones before it: they decide about the same records,
//! and the larger watermark holds. So only the newest of a partition is written, and what it contains
//! is deleted. One object is left for each silence that a record or a firing followed.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::try_join_all;

use crate::flow::Extents;
use crate::flow::journal::JournalKey;
use crate::flow::lake_key::SafeName;
use crate::flow::{IdleAdvance, Offset, Partition};
use crate::lake::{Lake, LakeError};

/// Entries that are contained in others and wait to be deleted at one stroke.
const SUPERSEDED_AT_MOST: usize = 64;
/// So many that cannot be deleted are remembered; more are left on the lake.
const KEPT_AT_MOST: usize = 4096;

/// The journal of a run.
pub struct Journal {
    lake: Lake,
    /// The newest advance of each partition that is on the lake.
    durable: BTreeMap<Arc<Partition>, IdleAdvance>,
    /// The newest advance of each partition that is not.
    pending: BTreeMap<Arc<Partition>, IdleAdvance>,
    superseded: Vec<JournalKey>,
    /// At so many they are deleted.
    tidy_at: usize,
}

impl Journal {
    /// The journal of a lake, not read yet.
    pub fn new(lake: Lake) -> Journal {
        Journal {
            lake,
            durable: BTreeMap::new(),
            pending: BTreeMap::new(),
            superseded: Vec::new(),
            tidy_at: SUPERSEDED_AT_MOST,
        }
    }

    /// What earlier runs wrote down of these partitions, in order. Of what precedes a partition's first
    /// record that is left only the furthest matters; the rest is deleted when there is enough of it.
    pub async fn read(
        &mut self,
        partitions: &[Arc<Partition>],
        extents: &Extents,
    ) -> Result<Vec<IdleAdvance>, LakeError> {
        let mut keys: BTreeMap<(SafeName, u32), Vec<JournalKey>> = BTreeMap::new();
        for key in self.lake.journal().await? {
            let (topic, index) = key.place();
            keys.entry((topic.clone(), index)).or_default().push(key);
        }
        let mut read = Vec::new();
        for partition in partitions {
            let keys = JournalKey::place_of(partition).and_then(|place| keys.remove(&place));
            let advances = keys.into_iter().flatten().filter_map(|key| key.advance_of(partition));
            let first = extents.get(partition).map_or(Offset(0), |extent| extent.from);
            let (mut before, after): (Vec<_>, Vec<_>) =
                advances.partition(|advance| advance.next <= first);
            let furthest = (0..before.len()).max_by_key(|place| before[*place].watermark);
            let furthest = furthest.map(|place| before.remove(place));
            self.superseded.extend(before.iter().map(JournalKey::of));
            for advance in furthest.into_iter().chain(after) {
                self.written(advance.clone());
                read.push(advance);
            }
        }
        Ok(read)
    }

    /// Notes an advance that nothing depends on yet.
    pub fn note(&mut self, advance: IdleAdvance) {
        let there = self.durable.get(&advance.partition);
        if there.is_none_or(|there| !contains(there, &advance)) {
            self.pending.insert(Arc::clone(&advance.partition), advance);
        }
    }

    /// Whether an advance of this partition is still to be written down.
    #[cfg(test)]
    fn awaits(&self, partition: &Arc<Partition>) -> bool {
        self.pending.contains_key(partition)
    }

    /// Writes down what was noted of one partition: its next record depends on it, and on no other's.
    pub async fn flush_of(&mut self, partition: &Arc<Partition>) -> Result<(), LakeError> {
        if let Some(advance) = self.pending.get(partition) {
            self.lake.put_journal(advance).await?;
        }
        if let Some(advance) = self.pending.remove(partition) {
            self.written(advance);
        }
        self.tidy_now_and_then().await;
        Ok(())
    }

    /// Writes down what was noted. What depends on it may be put when this returns.
    pub async fn flush(&mut self) -> Result<(), LakeError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        try_join_all(self.pending.values().map(|advance| self.lake.put_journal(advance))).await?;
        for (_, advance) in std::mem::take(&mut self.pending) {
            self.written(advance);
        }
        self.tidy_now_and_then().await;
        Ok(())
    }

    async fn tidy_now_and_then(&mut self) {
        if self.superseded.len() >= self.tidy_at {
            self.tidy().await;
        }
    }

    /// Deletes the entries that are contained in others. Nothing depends on it: what cannot be
    /// deleted is tried again when as many more have come.
    pub async fn tidy(&mut self) {
        self.tidy_at = SUPERSEDED_AT_MOST;
        if self.superseded.is_empty() {
            return;
        }
        let objects = self.superseded.len();
        let Err(error) = self.lake.delete(&self.superseded).await else {
            self.superseded.clear();
            return;
        };
        metrics::counter!(crate::metrics::LAKE_UNDELETED).increment(objects as u64);
        let error = error.with_cause();
        tracing::warn!(
            objects,
            "entries of the journal that are contained in others stay: {error}"
        );
        self.tidy_at = objects * 2;
        if objects >= KEPT_AT_MOST {
            self.superseded.clear();
            self.tidy_at = SUPERSEDED_AT_MOST;
        }
    }

    fn written(&mut self, advance: IdleAdvance) {
        let partition = Arc::clone(&advance.partition);
        if let Some(before) = self.durable.get(&partition)
            && contains(&advance, before)
            && *before != advance
        {
            self.superseded.push(JournalKey::of(before));
        }
        self.durable.insert(partition, advance);
    }
}

/// Whether two advances of a partition decide about the same records, the first no less.
fn contains(one: &IdleAdvance, other: &IdleAdvance) -> bool {
    one.next == other.next && one.watermark >= other.watermark
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{OffsetRange, Timestamp};

    fn partition(index: i32) -> Arc<Partition> {
        Arc::new(Partition { topic: "t".into(), index })
    }

    fn advance(index: i32, next: i64, watermark: i64) -> IdleAdvance {
        let partition = partition(index);
        IdleAdvance { partition, next: Offset(next), watermark: Timestamp(watermark) }
    }

    async fn on(lake: &Lake, index: i32) -> Vec<IdleAdvance> {
        let keys = lake.journal().await.unwrap();
        keys.iter().filter_map(|key| key.advance_of(&partition(index))).collect()
    }

    #[tokio::test]
    async fn only_the_newest_of_a_silence_is_written_and_only_when_asked() {
        let lake = Lake::in_memory();
        let mut journal = Journal::new(lake.clone());
        journal.note(advance(0, 5, 100));
        journal.note(advance(0, 5, 200));
        journal.note(advance(1, 0, 200));
        assert!(journal.awaits(&partition(0)) && !journal.awaits(&partition(2)));
        assert_eq!(on(&lake, 0).await, []);
        journal.flush().await.unwrap();
        assert!(!journal.awaits(&partition(0)));
        assert_eq!(on(&lake, 0).await, [advance(0, 5, 200)]);
        assert_eq!(on(&lake, 1).await, [advance(1, 0, 200)]);
    }

    #[tokio::test]
    async fn what_a_newer_one_contains_is_deleted_and_what_it_does_not_stays() {
        let lake = Lake::in_memory();
        let mut journal = Journal::new(lake.clone());
        for advance in [advance(0, 5, 100), advance(0, 5, 200), advance(0, 9, 300)] {
            journal.note(advance);
            journal.flush().await.unwrap();
        }
        assert_eq!(on(&lake, 0).await.len(), 3);
        journal.tidy().await;
        assert_eq!(on(&lake, 0).await, [advance(0, 5, 200), advance(0, 9, 300)]);
    }

    #[tokio::test]
    async fn what_was_read_is_not_written_again_and_a_crash_leaves_nothing_behind() {
        let lake = Lake::in_memory();
        for advance in [advance(0, 5, 100), advance(0, 5, 200), advance(1, 2, 50)] {
            lake.put_journal(&advance).await.unwrap();
        }
        let mut journal = Journal::new(lake.clone());
        let read = journal.read(&[partition(0)], &Extents::new()).await.unwrap();
        assert_eq!(read, [advance(0, 5, 100), advance(0, 5, 200)]);
        journal.note(advance(0, 5, 200));
        assert!(!journal.awaits(&partition(0)));
        journal.tidy().await;
        assert_eq!(on(&lake, 0).await, [advance(0, 5, 200)]);
        assert_eq!(on(&lake, 1).await, [advance(1, 2, 50)]);
    }

    #[tokio::test]
    async fn a_record_after_a_silence_has_its_own_partitions_advance_written_down_alone() {
        let lake = Lake::in_memory();
        let mut journal = Journal::new(lake.clone());
        (0..3).for_each(|index| journal.note(advance(index, 5, 100)));
        journal.flush_of(&partition(1)).await.unwrap();
        assert_eq!(lake.journal().await.unwrap().len(), 1);
        assert_eq!(on(&lake, 1).await, [advance(1, 5, 100)]);
        assert!(!journal.awaits(&partition(1)) && journal.awaits(&partition(0)));
        journal.flush_of(&partition(1)).await.unwrap();
        journal.flush().await.unwrap();
        assert_eq!(lake.journal().await.unwrap().len(), 3);
    }

    /// Offsets up to 40 are gone: before the first record that is left, the furthest advance holds,
    /// though it is not the last.
    #[tokio::test]
    async fn of_what_precedes_the_first_record_that_is_left_the_furthest_stays() {
        let lake = Lake::in_memory();
        let all = [(5, 100), (20, 300), (40, 250), (41, 260), (60, 400)];
        for (next, watermark) in all {
            lake.put_journal(&advance(0, next, watermark)).await.unwrap();
            lake.put_journal(&advance(1, next, watermark)).await.unwrap();
        }
        let range = OffsetRange { from: Offset(40), to: Offset(99) };
        let mut journal = Journal::new(lake.clone());
        let extents = Extents::from([(partition(0), range)]);
        let read = journal.read(&[partition(1), partition(0)], &extents).await.unwrap();
        let of = |index, some: &[(i64, i64)]| -> Vec<IdleAdvance> {
            some.iter().map(|(next, watermark)| advance(index, *next, *watermark)).collect()
        };
        let left = [(20, 300), (41, 260), (60, 400)];
        assert_eq!(read, [of(1, &all), of(0, &left)].concat());
        journal.tidy().await;
        assert_eq!(on(&lake, 0).await, of(0, &left));
        assert_eq!(on(&lake, 1).await, of(1, &all));
    }

    #[tokio::test]
    async fn a_long_silence_leaves_few_objects() {
        let lake = Lake::in_memory();
        let mut journal = Journal::new(lake.clone());
        for watermark in 0..1_000 {
            journal.note(advance(0, 5, watermark));
            journal.flush().await.unwrap();
        }
        assert!(on(&lake, 0).await.len() <= SUPERSEDED_AT_MOST + 1);
        assert_eq!(on(&lake, 0).await.last(), Some(&advance(0, 5, 999)));
    }
}

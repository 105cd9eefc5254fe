//! Judges records in the order of their offsets: the watermark before each, repeats, idleness.
//!
//! This is the one stage whose answer depends on what came before in the partition, so it runs
//! alone and in order; what comes before and after it runs on every core.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, Int64Array};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

use crate::decode::{Decoded, Repeats};
use crate::flow::{DeadLetter, EventBatch, Partition, Span, Timestamp};
use crate::source::CAUGHT_UP_HOLDS;
use crate::window::PartitionWatermark;

/// How long repeats are remembered, in event time.
const REPEATS_REMEMBERED: Span = Span::HOUR;

/// A batch of events, each with the watermark that stood before it.
pub struct Judged {
    /// The events that are not repeats.
    pub events: EventBatch,
    /// The partition's watermark before each, microseconds.
    pub watermark_before: Int64Array,
    /// Repeats, in the same form; kept for the archive.
    pub repeated: EventBatch,
    /// The watermark before each repeat.
    pub repeated_watermark: Int64Array,
    /// Records that could not become events, each with the watermark that stood before it.
    pub dead_letters: Vec<(DeadLetter, Timestamp)>,
    /// The partition's watermark after the batch.
    pub watermark: Timestamp,
    /// The largest event time of the batch.
    pub largest: Timestamp,
    /// Records that the batch was decoded from.
    pub records: u64,
    /// Fields that were not known.
    pub unknown_fields: u64,
}

/// What is remembered of each partition.
pub struct Judge {
    max_disorder: Span,
    idle_after: Span,
    shards: BTreeMap<Arc<Partition>, Shard>,
    /// Processing time of the last record of any partition.
    last_record_at: Option<Timestamp>,
}

struct Shard {
    watermark: PartitionWatermark,
    repeats: Repeats,
    last_record_at: Timestamp,
    caught_up_at: Option<Timestamp>,
}

impl Judge {
    /// A judge of partitions that have delivered nothing by `now`.
    pub fn new(
        partitions: &[Arc<Partition>],
        max_disorder: Span,
        idle_after: Span,
        now: Timestamp,
    ) -> Judge {
        let shard = || Shard {
            watermark: PartitionWatermark::new(max_disorder),
            repeats: Repeats::new(REPEATS_REMEMBERED),
            last_record_at: now,
            caught_up_at: None,
        };
        let shards = partitions.iter().map(|partition| (Arc::clone(partition), shard())).collect();
        Judge { max_disorder, idle_after, shards, last_record_at: None }
    }

    /// Judges a batch that has arrived at `now`.
    pub fn judge(&mut self, decoded: Decoded, now: Timestamp) -> Judged {
        let shard = self.shards.entry(Arc::clone(&decoded.events.partition)).or_insert(Shard {
            watermark: PartitionWatermark::new(self.max_disorder),
            repeats: Repeats::new(REPEATS_REMEMBERED),
            last_record_at: now,
            caught_up_at: None,
        });
        shard.last_record_at = now;
        self.last_record_at = Some(now);
        let times = event_times(&decoded.events);
        let stood = shard.watermark.current();
        let before = shard.watermark.observe(&times);
        let watermark = shard.watermark.current();
        let watermarks: Vec<Timestamp> = before.iter().map(|micros| Timestamp(*micros)).collect();
        let retained = shard.repeats.retain(&decoded.events, &decoded.identities, &watermarks);
        let dead_letters = with_watermarks(decoded.dead_letters, &decoded.events, &before, stood);
        let before = Int64Array::from(before);
        let largest = times.iter().copied().max().map_or(Timestamp::MIN, Timestamp);
        let (events, repeated, watermark_before, repeated_watermark) = if retained.repeats == 0 {
            let none = select(&decoded.events, &BooleanArray::from(vec![false; times.len()]));
            (decoded.events, none, before, Int64Array::from(Vec::<i64>::new()))
        } else {
            let dropped = arrow::compute::not(&retained.keep).unwrap_or(retained.keep.clone());
            (
                select(&decoded.events, &retained.keep),
                select(&decoded.events, &dropped),
                select_times(&before, &retained.keep),
                select_times(&before, &dropped),
            )
        };
        Judged {
            events,
            watermark_before,
            repeated,
            repeated_watermark,
            dead_letters,
            watermark,
            largest,
            records: decoded.records,
            unknown_fields: decoded.unknown_fields,
        }
    }

    /// Notes that everything a partition holds has been delivered.
    pub fn caught_up(&mut self, partition: &Arc<Partition>, now: Timestamp) {
        if let Some(shard) = self.shards.get_mut(partition) {
            shard.caught_up_at = Some(now);
        }
    }

    /// The watermarks of idle partitions, moved on: each follows the job's; when all are idle the
    /// job's follows the clock, never beyond now less the disorder. Empty when nothing moved.
    pub fn advance_idle(&mut self, now: Timestamp) -> Vec<(Arc<Partition>, Timestamp)> {
        let idle_after = self.idle_after;
        let holds = i64::try_from(CAUGHT_UP_HOLDS.as_micros()).unwrap_or(i64::MAX);
        let is_idle = |shard: &Shard| {
            let silent = now.minus(idle_after) >= shard.last_record_at;
            let read = shard.caught_up_at.is_some_and(|at| now.minus(Span(holds)) <= at);
            silent && read
        };
        let active = self.shards.values().filter(|shard| !is_idle(shard));
        let slowest = active.map(|shard| shard.watermark.current()).min();
        let target = match (slowest, self.last_record_at) {
            (Some(slowest), _) => slowest,
            (None, None) => return Vec::new(),
            (None, Some(last)) => {
                let furthest = self.shards.values().map(|shard| shard.watermark.current()).max();
                let elapsed = Span(now.0.saturating_sub(last.0));
                let Some(furthest) = furthest.filter(|furthest| *furthest > Timestamp::MIN) else {
                    return Vec::new();
                };
                self.last_record_at = Some(now);
                furthest.plus(elapsed).min(now.minus(self.max_disorder)).max(furthest)
            }
        };
        let mut moved = Vec::new();
        for (partition, shard) in self.shards.iter_mut().filter(|(_, shard)| is_idle(shard)) {
            if target > shard.watermark.current() {
                shard.watermark.advance_to(target);
                moved.push((Arc::clone(partition), target));
            }
        }
        moved
    }
}

fn event_times(events: &EventBatch) -> Vec<i64> {
    let column = events.rows.column_by_name("event_time");
    let times = column.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    times.map_or_else(Vec::new, |times| times.values().to_vec())
}

/// The watermark before each dead letter: that before the first event after it.
fn with_watermarks(
    dead_letters: Vec<DeadLetter>,
    events: &EventBatch,
    before: &[i64],
    stood: Timestamp,
) -> Vec<(DeadLetter, Timestamp)> {
    let judged = dead_letters.into_iter().map(|letter| {
        let next = events.offsets.partition_point(|offset| *offset < letter.offset);
        let known = before.get(next).or(before.last()).copied();
        (letter, known.map_or(stood, Timestamp))
    });
    judged.collect()
}

fn select(events: &EventBatch, keep: &BooleanArray) -> EventBatch {
    let rows = filter_record_batch(&events.rows, keep);
    let kept = |row: &usize| keep.value(*row);
    let places: Vec<usize> = (0..keep.len()).filter(kept).collect();
    EventBatch {
        partition: Arc::clone(&events.partition),
        rows: rows.unwrap_or_else(|_| events.rows.slice(0, 0)),
        offsets: places.iter().map(|row| events.offsets[*row]).collect(),
        record_times: places.iter().map(|row| events.record_times[*row]).collect(),
    }
}

fn select_times(times: &Int64Array, keep: &BooleanArray) -> Int64Array {
    let selected = filter(times, keep);
    selected.map_or_else(|_| times.slice(0, 0), |kept| kept.as_primitive::<Int64Type>().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(index: i32) -> Arc<Partition> {
        Arc::new(Partition { topic: "t".into(), index })
    }

    fn judge_of(partitions: &[Arc<Partition>]) -> Judge {
        Judge::new(partitions, Span(10), Span(100), Timestamp(0))
    }

    fn deliver(judge: &mut Judge, partition: &Arc<Partition>, time: i64, now: i64) {
        let shard = judge.shards.get_mut(partition).unwrap();
        shard.watermark.observe(&[time]);
        shard.last_record_at = Timestamp(now);
        judge.last_record_at = Some(Timestamp(now));
    }

    #[test]
    fn an_idle_partition_follows_the_others() {
        let (a, b) = (partition(0), partition(1));
        let mut judge = judge_of(&[Arc::clone(&a), Arc::clone(&b)]);
        deliver(&mut judge, &a, 1_000, 950);
        judge.caught_up(&b, Timestamp(950));
        assert_eq!(judge.advance_idle(Timestamp(960)), vec![(b, Timestamp(990))]);
    }

    #[test]
    fn a_lagging_partition_is_never_idle() {
        let (a, b) = (partition(0), partition(1));
        let mut judge = judge_of(&[Arc::clone(&a), Arc::clone(&b)]);
        deliver(&mut judge, &a, 1_000, 950);
        assert_eq!(judge.advance_idle(Timestamp(960)), vec![]);
    }

    #[test]
    fn when_all_are_idle_the_clock_moves_time_but_not_beyond_now() {
        let a = partition(0);
        let mut judge = judge_of(std::slice::from_ref(&a));
        deliver(&mut judge, &a, 1_000, 5_000);
        judge.caught_up(&a, Timestamp(5_200));
        assert_eq!(judge.advance_idle(Timestamp(5_050)), vec![], "not silent for long enough");
        assert_eq!(judge.advance_idle(Timestamp(5_200)), vec![(Arc::clone(&a), Timestamp(1_190))]);
        assert_eq!(judge.advance_idle(Timestamp(5_300)), vec![(Arc::clone(&a), Timestamp(1_290))]);
        let mut near = judge_of(std::slice::from_ref(&a));
        deliver(&mut near, &a, 5_000, 5_000);
        near.caught_up(&a, Timestamp(5_200));
        assert_eq!(near.advance_idle(Timestamp(5_200)), vec![(a, Timestamp(5_190))]);
    }
}

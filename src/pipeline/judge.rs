//! Judges records in the order of their offsets: the watermark before each, repeats, idleness.
//!
//! What the clock decides here, that an idle partition's watermark moves on, is told as
//! [`IdleAdvance`]s; given those of earlier runs, a replay judges as they did. This is the one stage whose answer depends on what came before in the partition, so it runs
//! alone and in order; what comes before and after it runs on every core.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, Int64Array};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

use crate::decode::{Decoded, Repeats};
use crate::flow::{DeadLetter, EventBatch, IdleAdvance, Offset, Partition, Span, Timestamp};
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
    /// The offset after the last record.
    next: i64,
    /// Watermarks of earlier runs' advances that are still to come, by next offset.
    journal: BTreeMap<i64, Timestamp>,
}

impl Shard {
    fn new(max_disorder: Span, now: Timestamp) -> Shard {
        Shard {
            watermark: PartitionWatermark::new(max_disorder),
            repeats: Repeats::new(REPEATS_REMEMBERED),
            last_record_at: now,
            caught_up_at: None,
            next: 0,
            journal: BTreeMap::new(),
        }
    }

    /// Takes in records in the order of their offsets: the watermark before each event, in
    /// microseconds, and before each dead letter.
    fn observe(
        &mut self,
        events: &EventBatch,
        times: &[i64],
        dead_letters: Vec<DeadLetter>,
    ) -> (Vec<i64>, Vec<(DeadLetter, Timestamp)>) {
        let offsets = &events.offsets;
        let mut before = Vec::with_capacity(times.len());
        let mut letters = Vec::with_capacity(dead_letters.len());
        for letter in dead_letters {
            self.observe_until(letter.offset, offsets, times, &mut before);
            self.apply_journal(letter.offset);
            self.next = self.next.max(letter.offset + 1);
            letters.push((letter, self.watermark.current()));
        }
        self.observe_until(i64::MAX, offsets, times, &mut before);
        if let Some(last) = offsets.last() {
            self.next = self.next.max(last + 1);
        }
        (before, letters)
    }

    /// Takes in the events that are not in `before` yet and come before `offset`.
    fn observe_until(
        &mut self,
        offset: i64,
        offsets: &[i64],
        times: &[i64],
        before: &mut Vec<i64>,
    ) {
        let first_not = |from: usize, offset: i64| {
            from + offsets[from..].partition_point(|held| *held < offset)
        };
        let end = first_not(before.len(), offset).min(times.len());
        while before.len() < end {
            let from = before.len();
            self.apply_journal(offsets[from]);
            let to = match self.journal.first_key_value() {
                Some((next, _)) => first_not(from, *next).min(end),
                None => end,
            };
            before.extend(self.watermark.observe(&times[from..to]));
        }
    }

    /// Advances as earlier runs did before a record at `offset`.
    fn apply_journal(&mut self, offset: i64) {
        while let Some(entry) = self.journal.first_entry()
            && *entry.key() <= offset
        {
            self.watermark.advance_to(entry.remove());
        }
    }
}

impl Judge {
    /// A judge of partitions that have delivered nothing by `now`.
    pub fn new(
        partitions: &[Arc<Partition>],
        max_disorder: Span,
        idle_after: Span,
        now: Timestamp,
    ) -> Judge {
        let shard = |partition| (Arc::clone(partition), Shard::new(max_disorder, now));
        let shards = partitions.iter().map(shard).collect();
        Judge { max_disorder, idle_after, shards, last_record_at: None }
    }

    /// The judge that will advance where earlier runs did: before the first record that has an
    /// advance's next offset or a later one, or when the partition is caught up.
    pub fn with_journal(mut self, journal: Vec<IdleAdvance>) -> Judge {
        for IdleAdvance { partition, next, watermark } in journal {
            if let Some(shard) = self.shards.get_mut(&partition) {
                let entry = shard.journal.entry(next.0).or_insert(watermark);
                *entry = watermark.max(*entry);
            }
        }
        self
    }

    /// Judges a batch that has arrived at `now`.
    pub fn judge(&mut self, decoded: Decoded, now: Timestamp) -> Judged {
        let partition = Arc::clone(&decoded.events.partition);
        let fresh = || Shard::new(self.max_disorder, now);
        let shard = self.shards.entry(partition).or_insert_with(fresh);
        shard.last_record_at = now;
        self.last_record_at = Some(now);
        let times = event_times(&decoded.events);
        let (before, dead_letters) = shard.observe(&decoded.events, &times, decoded.dead_letters);
        let watermark = shard.watermark.current();
        let repeats = shard.repeats.find(&decoded.identities, &times, &before);
        let before = Int64Array::from(before);
        let largest = times.iter().copied().max().map_or(Timestamp::MIN, Timestamp);
        let (events, repeated, watermark_before, repeated_watermark) = if repeats.is_empty() {
            let none = EventBatch {
                partition: Arc::clone(&decoded.events.partition),
                rows: decoded.events.rows.slice(0, 0),
                offsets: Vec::new(),
                record_times: Vec::new(),
            };
            (decoded.events, none, before, Int64Array::from(Vec::<i64>::new()))
        } else {
            let mut keep = vec![true; before.len()];
            repeats.iter().for_each(|row| keep[*row as usize] = false);
            let dropped = BooleanArray::from_iter(keep.iter().map(|keep| Some(!keep)));
            let keep = BooleanArray::from(keep);
            (
                select(&decoded.events, &keep),
                select(&decoded.events, &dropped),
                select_times(&before, &keep),
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

    /// Notes that everything a partition holds has been delivered; gives the advance that an
    /// earlier run made at this place, if it did.
    pub fn caught_up(&mut self, partition: &Arc<Partition>, now: Timestamp) -> Option<IdleAdvance> {
        let shard = self.shards.get_mut(partition)?;
        shard.caught_up_at = Some(now);
        let stood = shard.watermark.current();
        shard.apply_journal(shard.next);
        let watermark = shard.watermark.current();
        let (partition, next) = (Arc::clone(partition), Offset(shard.next));
        (watermark > stood).then_some(IdleAdvance { partition, next, watermark })
    }

    /// The watermarks of idle partitions, moved on: each follows the job's; when all are idle the
    /// job's follows the clock, never beyond now less the disorder. Empty when nothing moved.
    pub fn advance_idle(&mut self, now: Timestamp) -> Vec<IdleAdvance> {
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
                let (partition, next) = (Arc::clone(partition), Offset(shard.next));
                moved.push(IdleAdvance { partition, next, watermark: target });
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
    use crate::decode::Identity;
    use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
    use proptest::prelude::*;

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
        assert_eq!(judge.advance_idle(Timestamp(960)), [advance(&b, 0, 990)]);
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
        assert_eq!(judge.advance_idle(Timestamp(5_200)), [advance(&a, 0, 1_190)]);
        assert_eq!(judge.advance_idle(Timestamp(5_300)), [advance(&a, 0, 1_290)]);
        let mut near = judge_of(std::slice::from_ref(&a));
        deliver(&mut near, &a, 5_000, 5_000);
        near.caught_up(&a, Timestamp(5_200));
        assert_eq!(near.advance_idle(Timestamp(5_200)), [advance(&a, 0, 5_190)]);
    }

    #[test]
    fn an_earlier_runs_advances_come_before_the_records_that_they_preceded() {
        let a = partition(0);
        let journal = vec![advance(&a, 0, 50), advance(&a, 2, 150), advance(&a, 9, 900)];
        let mut judge = judge_of(std::slice::from_ref(&a)).with_journal(journal);
        let judged = judge.judge(decoded(&a, &[(0, 100), (1, 110), (3, 120)], &[2]), Timestamp(0));
        assert_eq!(judged.watermark_before.values(), &[50, 90, 150]);
        let letters: Vec<i64> = judged.dead_letters.iter().map(|(_, stood)| stood.0).collect();
        assert_eq!(letters, [150], "offset 2 is the first after the second advance");
        assert_eq!(judged.watermark, Timestamp(150), "the third is still to come");
        assert_eq!(judge.caught_up(&a, Timestamp(0)), None, "and is not at this place");
        let judged = judge.judge(decoded(&a, &[(8, 130)], &[]), Timestamp(0));
        assert_eq!(judged.watermark_before.values(), &[150]);
        assert_eq!(judge.caught_up(&a, Timestamp(0)), Some(advance(&a, 9, 900)));
        assert_eq!(judge.caught_up(&a, Timestamp(0)), None, "once is enough");
    }

    #[test]
    fn a_gap_in_the_offsets_hides_no_advance() {
        let a = partition(0);
        let mut judge = judge_of(std::slice::from_ref(&a))
            .with_journal(vec![advance(&a, 3, 70), advance(&a, 3, 60)]);
        let judged = judge.judge(decoded(&a, &[(1, 20), (40, 30)], &[]), Timestamp(0));
        assert_eq!(judged.watermark_before.values(), &[i64::MIN, 70]);
    }

    fn advance(partition: &Arc<Partition>, next: i64, watermark: i64) -> IdleAdvance {
        let partition = Arc::clone(partition);
        IdleAdvance { partition, next: Offset(next), watermark: Timestamp(watermark) }
    }

    /// Events as (offset, time), and the offsets of dead letters.
    fn decoded(partition: &Arc<Partition>, events: &[(i64, i64)], letters: &[i64]) -> Decoded {
        let times: TimestampMicrosecondArray = events.iter().map(|(_, time)| Some(*time)).collect();
        let times: ArrayRef = Arc::new(times.with_timezone("UTC"));
        let letter = |offset: &i64| DeadLetter {
            partition: Arc::clone(partition),
            offset: *offset,
            record_time: Timestamp(0),
            reason: crate::flow::Reason::Malformed,
            detail: String::new(),
            bytes: bytes::Bytes::new(),
        };
        Decoded {
            events: EventBatch {
                partition: Arc::clone(partition),
                rows: RecordBatch::try_from_iter([("event_time", times)]).unwrap(),
                offsets: events.iter().map(|(offset, _)| *offset).collect(),
                record_times: vec![Timestamp(0); events.len()],
            },
            identities: vec![Identity::NONE; events.len()],
            dead_letters: letters.iter().map(letter).collect(),
            records: (events.len() + letters.len()) as u64,
            blank_lines: 0,
            unknown_fields: 0,
            careful_records: 0,
        }
    }

    proptest! {
        /// What two runs judge alike does not depend on how they read in batches; and a replay
        /// with the journal judges as the run that advanced.
        #[test]
        fn a_replay_with_the_journal_judges_as_the_first_run(
            records in prop::collection::vec((0i64..1_000, any::<bool>()), 1..40),
            advances in prop::collection::btree_map(0usize..40, 0i64..1_500, 0..6),
            cut in 0usize..40,
        ) {
            let a = partition(0);
            let mut first = judge_of(std::slice::from_ref(&a));
            let (mut before, mut letters) = (Vec::<i64>::new(), Vec::<i64>::new());
            let mut journal = Vec::new();
            for (place, (time, letter)) in records.iter().enumerate() {
                if let Some(watermark) = advances.get(&place) {
                    let shard = first.shards.get_mut(&a).unwrap();
                    shard.watermark.advance_to(Timestamp(*watermark));
                    journal.push(advance(&a, place as i64, *watermark));
                }
                let one = deliver_some(&a, &[(*time, *letter)], place);
                let judged = first.judge(one, Timestamp(0));
                before.extend(judged.watermark_before.values());
                letters.extend(judged.dead_letters.iter().map(|(_, stood)| stood.0));
            }
            let cut = cut.min(records.len());
            let mut again = judge_of(std::slice::from_ref(&a)).with_journal(journal);
            let (mut seen, mut seen_letters) = (Vec::<i64>::new(), Vec::<i64>::new());
            for (part, from) in [(&records[..cut], 0), (&records[cut..], cut)] {
                let judged = again.judge(deliver_some(&a, part, from), Timestamp(0));
                seen.extend(judged.watermark_before.values());
                seen_letters.extend(judged.dead_letters.iter().map(|(_, stood)| stood.0));
            }
            prop_assert_eq!(seen, before);
            prop_assert_eq!(seen_letters, letters);
        }
    }

    /// Records as (time, whether a dead letter), from an offset on.
    fn deliver_some(a: &Arc<Partition>, records: &[(i64, bool)], from: usize) -> Decoded {
        let placed = || records.iter().zip(from as i64..);
        let events = placed().filter(|((_, letter), _)| !letter);
        let events: Vec<_> = events.map(|((time, _), offset)| (offset, *time)).collect();
        let letters = placed().filter(|((_, letter), _)| *letter);
        let letters: Vec<i64> = letters.map(|(_, offset)| offset).collect();
        decoded(a, &events, &letters)
    }
}

//! Judges records in the order of their offsets: the watermark before each, leaps, repeats, idleness.
//!
//! What the clock decides here, that a partition's watermark moves on because the partition is idle
//! or because a lone leap agrees with the clock, is told as [`IdleAdvance`]s; given those of earlier
//! runs, a replay judges as they did. This is the one stage whose answer depends on what came before
//! in the partition, so it runs alone and in order; what comes before and after it runs on every core.
//!
//! Comes in: decoded batches, partition by partition. Goes out: the same with a verdict for each record.
//! It keeps each partition's line (`window::line`) and the ids that it has seen. `leaps` tells of wrong
//! clocks, `forgetting` of ids that were forgotten before their time.

pub mod forgetting;
pub mod leaps;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;

use crate::decode::{Decoded, Forgotten, Repeats};
use crate::flow::coded::Codes;
use crate::flow::{DeadLetter, EventBatch, IdleAdvance, Offset, Partition, Span, Timestamp};
use crate::source::CAUGHT_UP_HOLDS;
use crate::window::{HeldBack, Line, Records, Seen, Sighting, Witness};

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
    /// Where the partition begins, once it has a record.
    pub begin: Option<Timestamp>,
    /// The largest event time of the batch.
    pub largest: Timestamp,
    /// Leaps that the batch's records have contradicted.
    pub held_back: Vec<HeldBack>,
    /// Records that the batch was decoded from.
    pub records: u64,
    /// Fields that were not known.
    pub unknown_fields: u64,
    /// Ids that were forgotten before their time.
    pub forgotten: Option<Forgotten>,
    /// Bytes of the ids that are remembered, over all partitions.
    pub remembered: usize,
}

/// How time is judged.
#[derive(Clone, Copy, Debug)]
pub struct EventPace {
    /// The watermark trails the line by this.
    pub max_disorder: Span,
    /// A record further ahead of the line than this moves it only when it is borne out.
    pub max_leap: Span,
    /// A partition that is silent and read for so long is idle.
    pub idle_after: Span,
}

/// What is remembered of each partition.
pub struct Judge {
    pace: EventPace,
    shards: BTreeMap<Arc<Partition>, Shard>,
    /// Processing time of the last record of any partition.
    last_record_at: Option<Timestamp>,
}

struct Shard {
    line: Line,
    repeats: Repeats,
    last_record_at: Timestamp,
    caught_up_at: Option<Timestamp>,
    /// The offset after the last record.
    next: i64,
    /// Watermarks of earlier runs' advances that are still to come, by next offset.
    journal: BTreeMap<i64, Timestamp>,
}

impl Shard {
    fn new(pace: EventPace, now: Timestamp) -> Shard {
        Shard {
            line: Line::new(pace.max_disorder, pace.max_leap),
            repeats: Repeats::new(REPEATS_REMEMBERED),
            last_record_at: now,
            caught_up_at: None,
            next: 0,
            journal: BTreeMap::new(),
        }
    }

    /// Takes in records in the order of their offsets: what each event was judged to be, and the
    /// watermark before each dead letter.
    fn observe(
        &mut self,
        records: &Records<'_>,
        dead_letters: Vec<DeadLetter>,
    ) -> (Seen, Vec<(DeadLetter, Timestamp)>) {
        let mut seen = Seen::default();
        seen.before.reserve(records.times.len());
        let mut letters = Vec::with_capacity(dead_letters.len());
        for letter in dead_letters {
            self.observe_until(letter.offset, records, &mut seen);
            self.apply_journal(letter.offset);
            self.next = self.next.max(letter.offset + 1);
            letters.push((letter, self.line.watermark()));
        }
        self.observe_until(i64::MAX, records, &mut seen);
        if let Some(last) = records.offsets.last() {
            self.next = self.next.max(last + 1);
        }
        (seen, letters)
    }

    /// Takes in the events that were not seen yet and come before `offset`.
    fn observe_until(&mut self, offset: i64, records: &Records<'_>, seen: &mut Seen) {
        let first_not = |from: usize, offset: i64| {
            from + records.offsets[from..].partition_point(|held| *held < offset)
        };
        let end = first_not(seen.before.len(), offset).min(records.times.len());
        while seen.before.len() < end {
            let from = seen.before.len();
            self.apply_journal(records.offsets[from]);
            let to = match self.journal.first_key_value() {
                Some((next, _)) => first_not(from, *next).min(end),
                None => end,
            };
            self.line.observe(records, (from, to), seen);
        }
    }

    /// Advances as earlier runs did before a record at `offset`.
    fn apply_journal(&mut self, offset: i64) {
        while let Some(entry) = self.journal.first_entry()
            && *entry.key() <= offset
        {
            self.line.advance_to(entry.remove());
        }
    }

    /// Takes a leap that nobody has borne out for true, if it is one of those that `counts` says,
    /// up to `limit`.
    fn count_lone(
        &mut self,
        counts: impl Fn(Timestamp) -> bool,
        pace: EventPace,
        limit: Timestamp,
    ) {
        if let Some(time) = self.line.lone().filter(|time| counts(*time)) {
            self.line.advance_to(time.minus(pace.max_disorder).min(limit));
        }
    }
}

impl Judge {
    /// A judge of partitions that have delivered nothing by `now`.
    pub fn new(partitions: &[Arc<Partition>], pace: EventPace, now: Timestamp) -> Judge {
        let shard = |partition| (Arc::clone(partition), Shard::new(pace, now));
        let shards = partitions.iter().map(shard).collect();
        Judge { pace, shards, last_record_at: None }
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
    ///
    /// # Errors
    /// When the batch does not tell its event times, or its columns cannot be divided into events and
    /// repeats.
    pub fn judge(&mut self, decoded: Decoded, now: Timestamp) -> Result<Judged, ArrowError> {
        let times = decoded.events.times()?.to_vec();
        let partition = Arc::clone(&decoded.events.partition);
        let fresh = || Shard::new(self.pace, now);
        let shard = self.shards.entry(partition).or_insert_with(fresh);
        shard.last_record_at = now;
        self.last_record_at = Some(now);
        let witnesses = Witnesses::of(&decoded.events);
        let records = Records {
            times: &times,
            offsets: &decoded.events.offsets,
            see: &|row| witnesses.see(row),
        };
        let (Seen { before, held_back }, dead_letters) =
            shard.observe(&records, decoded.dead_letters);
        let watermark = shard.line.watermark();
        let begin = shard.line.begin();
        let repeats = shard.repeats.find(&decoded.identities, &times, &before);
        let forgotten = shard.repeats.take_forgotten();
        let remembered = self.shards.values().map(|shard| shard.repeats.size()).sum();
        let before = Int64Array::from(before);
        let largest = times.iter().copied().max().map_or(Timestamp::MIN, Timestamp);
        let (events, repeated, watermark_before, repeated_watermark) = if repeats.is_empty() {
            let none = EventBatch {
                partition: Arc::clone(&decoded.events.partition),
                rows: decoded.events.rows.slice(0, 0),
                offsets: Vec::new(),
                record_times: Vec::new(),
                appended: Vec::new(),
            };
            (decoded.events, none, before, Int64Array::from(Vec::<i64>::new()))
        } else {
            let mut keep = vec![true; before.len()];
            repeats.iter().for_each(|row| keep[*row as usize] = false);
            let dropped = BooleanArray::from_iter(keep.iter().map(|keep| Some(!keep)));
            let keep = BooleanArray::from(keep);
            (
                select(&decoded.events, &keep)?,
                select(&decoded.events, &dropped)?,
                select_times(&before, &keep)?,
                select_times(&before, &dropped)?,
            )
        };
        Ok(Judged {
            events,
            watermark_before,
            repeated,
            repeated_watermark,
            dead_letters,
            watermark,
            begin,
            largest,
            held_back,
            records: decoded.records,
            unknown_fields: decoded.unknown_fields,
            forgotten,
            remembered,
        })
    }

    /// Notes that everything a partition held at `at` has been delivered. Gives the advance that an
    /// earlier run made at this place, if it did, or that of a leap that agrees with the clock: here,
    /// at the live edge, the clock is a witness. What was so long ago says nothing about now, so `at`
    /// is when the source said it, not when it is heard.
    pub fn caught_up(&mut self, partition: &Arc<Partition>, at: Timestamp) -> Option<IdleAdvance> {
        let pace = self.pace;
        let shard = self.shards.get_mut(partition)?;
        shard.caught_up_at = Some(at);
        let stood = shard.line.watermark();
        shard.apply_journal(shard.next);
        let near =
            |time: Timestamp| at.minus(pace.max_leap) <= time && time <= at.plus(pace.max_leap);
        shard.count_lone(near, pace, Timestamp::MAX);
        let watermark = shard.line.watermark();
        let (partition, next) = (Arc::clone(partition), Offset(shard.next));
        (watermark > stood).then_some(IdleAdvance { partition, next, watermark })
    }

    /// The watermarks of idle partitions, moved on: a leap that nothing has contradicted counts; each
    /// follows the job's; when all are idle the job's follows the clock; never beyond now less the
    /// disorder. Empty when nothing moved.
    pub fn advance_idle(&mut self, now: Timestamp) -> Vec<IdleAdvance> {
        let EventPace { max_disorder, idle_after, .. } = self.pace;
        let limit = now.minus(max_disorder);
        let holds = i64::try_from(CAUGHT_UP_HOLDS.as_micros()).unwrap_or(i64::MAX);
        let is_idle = |shard: &Shard| {
            let silent = now.minus(idle_after) >= shard.last_record_at;
            let read = shard.caught_up_at.is_some_and(|at| now.minus(Span(holds)) <= at);
            silent && read
        };
        let stood: Vec<Timestamp> =
            self.shards.values().map(|shard| shard.line.watermark()).collect();
        for shard in self.shards.values_mut().filter(|shard| is_idle(shard)) {
            shard.count_lone(|_| true, self.pace, limit);
        }
        let active = self.shards.values().filter(|shard| !is_idle(shard));
        let slowest = active.map(|shard| shard.line.watermark()).min();
        let target = match (slowest, self.last_record_at) {
            (Some(slowest), _) => slowest.min(limit),
            (None, None) => return Vec::new(),
            (None, Some(last)) => {
                let furthest = self.shards.values().map(|shard| shard.line.watermark()).max();
                let elapsed = Span(now.0.saturating_sub(last.0));
                let Some(furthest) = furthest.filter(|furthest| *furthest > Timestamp::MIN) else {
                    return Vec::new();
                };
                self.last_record_at = Some(now);
                furthest.plus(elapsed).min(limit)
            }
        };
        let mut moved = Vec::new();
        for ((partition, shard), stood) in self.shards.iter_mut().zip(stood) {
            if is_idle(shard) {
                shard.line.advance_to(target);
            }
            let watermark = shard.line.watermark();
            if watermark > stood {
                let (partition, next) = (Arc::clone(partition), Offset(shard.next));
                moved.push(IdleAdvance { partition, next, watermark });
            }
        }
        moved
    }

    /// How far the input has come at its end: the furthest line, a leap that nothing has contradicted
    /// counting up to `limit`; none when nothing came.
    pub fn reached(&self, limit: Timestamp) -> Option<Timestamp> {
        let lines = self.shards.values().map(|shard| {
            let lone = shard.line.lone().map(|time| time.min(limit));
            lone.map_or(shard.line.at(), |lone| lone.max(shard.line.at()))
        });
        lines.max().filter(|line| *line > Timestamp::MIN)
    }
}

/// The machines and laboratories of a batch, looked at when a record leaps.
struct Witnesses<'a> {
    events: &'a EventBatch,
    named: OnceCell<SharedTexts>,
}

/// Texts by row, shared by the rows that have the same.
struct SharedTexts {
    labs: Names,
    machines: Names,
}

struct Names {
    codes: Option<Codes>,
    texts: Vec<Arc<str>>,
}

impl Names {
    fn of(rows: &RecordBatch, column: &str) -> Names {
        let codes = rows.column_by_name(column).and_then(|column| Codes::of(column).ok());
        let texts =
            codes.as_ref().map_or_else(Vec::new, |codes| codes.each(|text| Arc::from(text)));
        Names { codes, texts }
    }

    fn name(&self, row: usize) -> Option<Arc<str>> {
        let code = self.codes.as_ref()?.code(row)?;
        self.texts.get(code).map(Arc::clone)
    }
}

impl Witnesses<'_> {
    fn of(events: &EventBatch) -> Witnesses<'_> {
        Witnesses { events, named: OnceCell::new() }
    }

    fn see(&self, row: usize) -> Sighting {
        let rows = &self.events.rows;
        let named = self.named.get_or_init(|| SharedTexts {
            labs: Names::of(rows, "lab_id"),
            machines: Names::of(rows, "machine_id"),
        });
        let lab = named.labs.name(row).unwrap_or_default();
        let is_appended = self.events.appended.get(row).copied().unwrap_or(false);
        Sighting {
            witness: Witness { lab, machine: named.machines.name(row) },
            appended_at: is_appended.then(|| self.events.record_times[row]),
        }
    }
}

fn select(events: &EventBatch, keep: &BooleanArray) -> Result<EventBatch, ArrowError> {
    let kept = |row: &usize| keep.value(*row);
    let places: Vec<usize> = (0..keep.len()).filter(kept).collect();
    Ok(EventBatch {
        partition: Arc::clone(&events.partition),
        rows: filter_record_batch(&events.rows, keep)?,
        offsets: places.iter().map(|row| events.offsets[*row]).collect(),
        record_times: places.iter().map(|row| events.record_times[*row]).collect(),
        appended: if events.appended.is_empty() {
            Vec::new()
        } else {
            places.iter().map(|row| events.appended[*row]).collect()
        },
    })
}

fn select_times(times: &Int64Array, keep: &BooleanArray) -> Result<Int64Array, ArrowError> {
    Ok(filter(times, keep)?.as_primitive::<Int64Type>().clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Identity;
    use arrow::array::{ArrayRef, StringArray, TimestampMicrosecondArray};
    use proptest::prelude::*;

    fn partition(index: i32) -> Arc<Partition> {
        Arc::new(Partition { topic: "t".into(), index })
    }

    const PACE: EventPace =
        EventPace { max_disorder: Span(10), max_leap: Span(50), idle_after: Span(100) };

    fn judge_of(partitions: &[Arc<Partition>]) -> Judge {
        Judge::new(partitions, PACE, Timestamp(0))
    }

    fn deliver(judge: &mut Judge, partition: &Arc<Partition>, time: i64, now: i64) {
        let shard = judge.shards.get_mut(partition).unwrap();
        shard.line.advance_to(Timestamp(time - 10));
        shard.last_record_at = Timestamp(now);
        judge.last_record_at = Some(Timestamp(now));
    }

    #[test]
    fn an_idle_partition_follows_the_others() {
        let (a, b) = (partition(0), partition(1));
        let mut judge = judge_of(&[Arc::clone(&a), Arc::clone(&b)]);
        deliver(&mut judge, &a, 1_000, 950);
        judge.caught_up(&b, Timestamp(950));
        assert_eq!(judge.advance_idle(Timestamp(960)), [advance(&b, 0, 950)], "a fast clock's");
        deliver(&mut judge, &a, 1_100, 1_200);
        judge.caught_up(&b, Timestamp(1_200));
        assert_eq!(judge.advance_idle(Timestamp(1_200)), [advance(&b, 0, 1_090)]);
    }

    /// The loop was held up for longer than what a source says can be believed.
    #[test]
    fn what_was_said_before_a_stall_makes_nobody_idle_after_it() {
        let (a, b) = (partition(0), partition(1));
        let mut judge = judge_of(&[Arc::clone(&a), Arc::clone(&b)]);
        let now = 60_000_000;
        deliver(&mut judge, &a, 1_000, now);
        judge.caught_up(&b, Timestamp(now - 5_000_001));
        assert_eq!(judge.advance_idle(Timestamp(now)), []);
        judge.caught_up(&b, Timestamp(now - 5_000_000));
        assert_eq!(judge.advance_idle(Timestamp(now)), [advance(&b, 0, 990)]);
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
        let judged = judged.unwrap();
        assert_eq!(judged.watermark_before.values(), &[50, 90, 150]);
        let letters: Vec<i64> = judged.dead_letters.iter().map(|(_, stood)| stood.0).collect();
        assert_eq!(letters, [150], "offset 2 is the first after the second advance");
        assert_eq!(judged.watermark, Timestamp(150), "the third is still to come");
        assert_eq!(judge.caught_up(&a, Timestamp(0)), None, "and is not at this place");
        let judged = judge.judge(decoded(&a, &[(8, 130)], &[]), Timestamp(0)).unwrap();
        assert_eq!(judged.watermark_before.values(), &[150]);
        assert_eq!(judge.caught_up(&a, Timestamp(0)), Some(advance(&a, 9, 900)));
        assert_eq!(judge.caught_up(&a, Timestamp(0)), None, "once is enough");
    }

    #[test]
    fn a_gap_in_the_offsets_hides_no_advance() {
        let a = partition(0);
        let mut judge = judge_of(std::slice::from_ref(&a))
            .with_journal(vec![advance(&a, 3, 70), advance(&a, 3, 60)]);
        let judged = judge.judge(decoded(&a, &[(1, 20), (40, 30)], &[]), Timestamp(0)).unwrap();
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
                appended: Vec::new(),
            },
            identities: vec![Identity::NONE; events.len()],
            dead_letters: letters.iter().map(letter).collect(),
            records: (events.len() + letters.len()) as u64,
            blank_lines: 0,
            unknown_fields: 0,
            careful_records: 0,
        }
    }

    /// What a clock does after a record: nothing, tells that all is read, or sees a silence.
    #[derive(Clone, Copy, Debug)]
    enum After {
        Nothing,
        CaughtUp(i64),
        Silence(i64),
    }

    #[derive(Clone, Copy, Debug)]
    struct Arrival {
        time: i64,
        machine: u8,
        is_letter: bool,
        after: After,
    }

    fn arrival() -> impl Strategy<Value = Arrival> {
        let after = prop_oneof![
            4 => Just(After::Nothing),
            1 => (0i64..1_500).prop_map(After::CaughtUp),
            1 => (0i64..1_500).prop_map(After::Silence),
        ];
        (0i64..1_000, 0u8..3, prop::bool::weighted(0.2), after).prop_map(
            |(time, machine, is_letter, after)| Arrival { time, machine, is_letter, after },
        )
    }

    /// What was judged: watermarks before events and dead letters, and leaps that were held back.
    #[derive(Debug, Default, PartialEq)]
    struct Judgement(Vec<i64>, Vec<i64>, Vec<HeldBack>);

    impl Judgement {
        fn take(&mut self, judged: Judged) {
            self.0.extend(judged.watermark_before.values());
            self.1.extend(judged.dead_letters.iter().map(|(_, stood)| stood.0));
            self.2.extend(judged.held_back);
        }
    }

    /// A run with a clock, one record per batch; gives what it has journalled.
    fn run_with_a_clock(a: &Arc<Partition>, arrivals: &[Arrival]) -> (Judgement, Vec<IdleAdvance>) {
        let mut judge = judge_of(std::slice::from_ref(a));
        let (mut judgement, mut journal) = (Judgement::default(), Vec::new());
        for (place, arrival) in arrivals.iter().enumerate() {
            let one = deliver_some(a, std::slice::from_ref(arrival), place);
            judgement.take(judge.judge(one, Timestamp(0)).unwrap());
            match arrival.after {
                After::Nothing => {}
                After::CaughtUp(now) => journal.extend(judge.caught_up(a, Timestamp(now))),
                After::Silence(now) => {
                    let shard = judge.shards.get_mut(a).unwrap();
                    shard.last_record_at = Timestamp(now - 200);
                    shard.caught_up_at = Some(Timestamp(now));
                    journal.extend(judge.advance_idle(Timestamp(now)));
                }
            }
        }
        (judgement, journal)
    }

    proptest! {
        /// However a replay reads in batches, with the journal it judges as the run that advanced;
        /// and an advance contains those before it at the same offset.
        #[test]
        fn a_replay_with_the_journal_judges_as_the_first_run(
            arrivals in prop::collection::vec(arrival(), 1..40),
            cuts in prop::collection::vec(0usize..40, 0..4),
            newest_alone: bool,
        ) {
            let a = partition(0);
            let (expected, mut journal) = run_with_a_clock(&a, &arrivals);
            if newest_alone {
                let newest: BTreeMap<i64, IdleAdvance> =
                    journal.into_iter().map(|advance| (advance.next.0, advance)).collect();
                journal = newest.into_values().collect();
            }
            let mut again = judge_of(std::slice::from_ref(&a)).with_journal(journal);
            let mut seen = Judgement::default();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| *cut.min(&arrivals.len())).collect();
            cuts.extend([0, arrivals.len()]);
            cuts.sort_unstable();
            for pair in cuts.windows(2) {
                let some = deliver_some(&a, &arrivals[pair[0]..pair[1]], pair[0]);
                seen.take(again.judge(some, Timestamp(0)).unwrap());
            }
            prop_assert_eq!(seen, expected);
        }
    }

    fn deliver_some(a: &Arc<Partition>, arrivals: &[Arrival], from: usize) -> Decoded {
        let placed = || arrivals.iter().zip(from as i64..);
        let events: Vec<(&Arrival, i64)> =
            placed().filter(|(arrival, _)| !arrival.is_letter).collect();
        let letters: Vec<i64> =
            placed().filter(|(arrival, _)| arrival.is_letter).map(|(_, offset)| offset).collect();
        let timed: Vec<(i64, i64)> =
            events.iter().map(|(arrival, offset)| (*offset, arrival.time)).collect();
        let mut decoded = decoded(a, &timed, &letters);
        let machines = events.iter().map(|(arrival, _)| Some(format!("M{}", arrival.machine)));
        let machines: ArrayRef = Arc::new(machines.collect::<StringArray>());
        let labs: ArrayRef = Arc::new(StringArray::from_iter_values(events.iter().map(|_| "L")));
        let times = Arc::clone(decoded.events.rows.column(0));
        let columns = [("event_time", times), ("lab_id", labs), ("machine_id", machines)];
        decoded.events.rows = RecordBatch::try_from_iter_with_nullable(
            columns.map(|(name, column)| (name, column, true)),
        )
        .unwrap();
        decoded
    }

    #[test]
    fn events_that_do_not_tell_their_times_are_an_error_and_not_nothing() {
        let a = partition(0);
        let mut judge = judge_of(std::slice::from_ref(&a));
        let mut some = decoded(&a, &[(0, 100)], &[]);
        let times = Arc::clone(some.events.rows.column(0));
        some.events.rows = RecordBatch::try_from_iter([("other", times)]).unwrap();
        let Err(error) = judge.judge(some, Timestamp(0)) else { panic!("they are judged by none") };
        assert!(error.to_string().contains("no column `event_time`"), "{error}");
    }

    #[test]
    fn at_the_live_edge_a_leap_that_agrees_with_the_clock_counts() {
        let a = partition(0);
        let mut judge = judge_of(std::slice::from_ref(&a));
        let deliver = |judge: &mut Judge, offset, time| {
            judge.judge(decoded(&a, &[(offset, time)], &[]), Timestamp(0)).unwrap().watermark
        };
        assert_eq!(deliver(&mut judge, 0, 100), Timestamp::MIN);
        assert_eq!(judge.caught_up(&a, Timestamp(151)), None, "history");
        assert_eq!(judge.caught_up(&a, Timestamp(150)), Some(advance(&a, 1, 90)));
        // Closed for long; and a clock that is ahead of ours.
        assert_eq!(deliver(&mut judge, 1, 9_000), Timestamp(90));
        assert_eq!(judge.caught_up(&a, Timestamp(8_949)), None);
        assert_eq!(judge.caught_up(&a, Timestamp(8_950)), Some(advance(&a, 2, 8_990)));
        assert_eq!(judge.caught_up(&a, Timestamp(8_950)), None, "once is enough");
    }

    #[test]
    fn in_a_silence_a_leap_that_nothing_has_contradicted_counts_but_not_beyond_now() {
        let (a, b) = (partition(0), partition(1));
        let mut judge = judge_of(&[Arc::clone(&a), Arc::clone(&b)]);
        deliver(&mut judge, &b, 700, 1_000_000);
        let some = decoded(&a, &[(0, 500), (1, 600)], &[]);
        judge.judge(some, Timestamp(1_000)).unwrap();
        judge.caught_up(&a, Timestamp(1_000_200));
        assert_eq!(judge.reached(Timestamp::MAX), Some(Timestamp(700)));
        judge.shards.get_mut(&a).unwrap().last_record_at = Timestamp(0);
        // The other partition is active, and holds what follows it to 690.
        assert_eq!(judge.advance_idle(Timestamp(1_000_200)), [advance(&a, 2, 690)]);
        let some = decoded(&a, &[(2, 2_000_000)], &[]);
        judge.judge(some, Timestamp(0)).unwrap();
        assert_eq!(judge.reached(Timestamp(1_000_200)), Some(Timestamp(1_000_200)));
        assert_eq!(judge.advance_idle(Timestamp(1_000_200)), [advance(&a, 3, 1_000_190)]);
        let some = decoded(&a, &[(3, 3_000_000), (4, 1_000_201)], &[]);
        judge.judge(some, Timestamp(0)).unwrap();
        assert_eq!(judge.advance_idle(Timestamp(1_000_202)), [], "the last record contradicts it");
    }
}

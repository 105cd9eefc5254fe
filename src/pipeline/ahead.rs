//! What runs ahead of the windows: batches are read, decoded, judged and worked on while the loop
//! fires windows and delivers what they give.
//!
//! A batch stays on one core from its first byte to its partial states, so that what one stage has
//! written is in the cache when the next one reads it. Judging is done in the order in which batches
//! were read: the judge is handed from each batch to the next, and a batch that is decoded before
//! its turn waits for it. Where tests are followed, `following` is handed on in the same way, after it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use tokio::sync::mpsc;

use super::RunError;
use super::following::{FollowedState, Following, PartitionChanges};
use super::handed::{Handed, Turn};
use super::pump::Events;
use super::released::{ReleasedWork, released};
use super::work::{Worked, begin, finish};
use crate::clock::Clock;
use crate::cores;
use crate::decode::decode;
use crate::flow::{IdleAdvance, Partition, RawBatch, Span, Timestamp};
use crate::judge::Judge;
use crate::lake::write::parts::Filing;
use crate::plan::planned::Plan;
use crate::source::SourceEvent;
use crate::source::align::Alignment;

/// At most so many batches are decoded, judged and worked on at once, however many cores there are:
/// each holds some 10 MiB. Never more than the blocking threads, of which it takes one each.
const MOST_AT_ONCE: usize = 32;

/// Batches that wait for the windows: while these fire, which takes tens of milliseconds, cores go
/// on with the batches to come.
pub(super) const WORKED_AHEAD: usize = 4;

/// What comes out, in the order in which batches were read.
pub(super) enum Done {
    /// A batch.
    Worked(datafusion::common::Result<Worked>),
    /// Idle partitions whose watermarks have moved on, and what that gives.
    Idle(Vec<IdleAdvance>, Vec<ReleasedWork>),
    /// A partition of which nothing will come any more, and what that gives.
    Ended(Arc<Partition>, Vec<ReleasedWork>),
    /// The input has ended; how far it has come, where anything came, and what that gives.
    End(Option<Timestamp>, Vec<ReleasedWork>),
}

/// What is begun, in order. Perhaps no watermark has moved.
enum Step {
    Worked(datafusion::common::Result<Worked>),
    CaughtUp(Vec<IdleAdvance>, Vec<ReleasedWork>),
    Ticked(Vec<IdleAdvance>, Vec<ReleasedWork>),
    Ended(Arc<Partition>, Vec<ReleasedWork>),
    End(Option<Timestamp>, Vec<ReleasedWork>),
}

/// Something of which the end is waited for.
type Promise = BoxFuture<'static, Result<Step, RunError>>;

/// The stages ahead of the windows.
pub(super) struct Ahead {
    plan: Arc<Plan>,
    alignment: Arc<Alignment>,
    clock: Arc<dyn Clock>,
    tick: Duration,
    filing: Filing,
    judge: Handed<Judge>,
    following: Option<Handed<Following>>,
    /// Up to when time passes at the end of the input, where that is later than its last event.
    until: Option<Timestamp>,
}

impl Ahead {
    pub(super) fn new(
        plan: Arc<Plan>,
        (judge, partitions): (Judge, &[Arc<Partition>]),
        alignment: Arc<Alignment>,
        (clock, tick): (Arc<dyn Clock>, Duration),
        filing: Filing,
    ) -> Ahead {
        let following = plan.follow.as_ref().map(|follow| Following::new(follow, partitions));
        let (judge, following) = (Handed::new(judge), following.map(Handed::new));
        Ahead { plan, alignment, clock, tick, filing, judge, following, until: None }
    }

    /// Lets time pass up to `until` at the end of the input.
    pub(super) fn until(self, until: Option<Timestamp>) -> Ahead {
        Ahead { until, ..self }
    }

    /// Runs until the input ends, fails, or nobody waits for what comes.
    pub(super) async fn run(
        mut self,
        mut events: Events,
        to: mpsc::Sender<Result<Done, RunError>>,
    ) {
        // One more than there are cores, since one of them may wait for its turn.
        let at_once = (cores::count() + 1).min(MOST_AT_ONCE);
        let mut running: FuturesOrdered<Promise> = FuturesOrdered::new();
        let mut batches = 0;
        let mut tick = super::ticks(self.tick);
        // Where the input is read to its end, no silence moves time on.
        let mut ticks = !self.filing.once;
        let mut ended = false;
        loop {
            tokio::select! {
                biased;
                Some(step) = running.next() => {
                    let done = match step {
                        Ok(Step::Worked(worked)) => {
                            batches -= 1;
                            Ok(Done::Worked(worked))
                        }
                        Ok(Step::CaughtUp(moved, released)) => Ok(Done::Idle(moved, released)),
                        Ok(Step::Ticked(moved, released)) => {
                            ticks = !ended;
                            Ok(Done::Idle(moved, released))
                        }
                        Ok(Step::Ended(partition, released)) => Ok(Done::Ended(partition, released)),
                        Ok(Step::End(reached, released)) => Ok(Done::End(reached, released)),
                        Err(error) => Err(error),
                    };
                    let last = matches!(done, Ok(Done::End(..)) | Err(_));
                    let nothing = matches!(&done, Ok(Done::Idle(moved, _)) if moved.is_empty());
                    if !nothing && to.send(done).await.is_err() || last {
                        return;
                    }
                }
                _ = tick.tick(), if ticks => {
                    // One at a time.
                    ticks = false;
                    running.push_back(self.advancing());
                }
                event = events.next(), if !ended && batches < at_once => match event {
                    Ok(SourceEvent::Batch(raw)) => {
                        batches += 1;
                        running.push_back(self.working(raw));
                    }
                    Ok(SourceEvent::CaughtUp(partition, said)) => {
                        running.push_back(self.caught_up(partition, said));
                    }
                    Ok(SourceEvent::Ended(partition)) => {
                        running.push_back(self.caught_up(Arc::clone(&partition), Instant::now()));
                        running.push_back(self.ended(partition));
                    }
                    Ok(SourceEvent::Quiet) => {}
                    Ok(SourceEvent::End) => {
                        (ended, ticks) = (true, false);
                        running.push_back(self.ending());
                    }
                    Err(error) => {
                        (ended, ticks) = (true, false);
                        running.push_back(Box::pin(async { Err(error) }));
                    }
                },
            }
        }
    }

    /// Begins to decode, judge and work on a batch, on a core that is free.
    fn working(&mut self, raw: RawBatch) -> Promise {
        let (judge, following) = self.turns();
        let (plan, clock, filing) = (Arc::clone(&self.plan), Arc::clone(&self.clock), self.filing);
        let alignment = Arc::clone(&self.alignment);
        let working = tokio::task::spawn_blocking(move || {
            let decoded = decode(&raw, &plan.decode);
            let (partition, bytes) = (Arc::clone(&raw.partition), raw.bytes.len() as u64);
            drop(raw);
            let judged = judge.take(|judge| judge.judge(decoded, clock.now()))?;
            let worked = judged.map_err(Into::into).and_then(|judged| {
                alignment.judged(&partition, bytes, judged.watermark);
                begin(&plan, judged, filing.once)
            });
            let (begun, followed) = match worked {
                Ok(begun) => begun,
                Err(error) => return Ok(Step::Worked(Err(error))),
            };
            let (changes, held) = match (following, followed) {
                (Some(turn), Some(batch)) => {
                    turn.take(|following| (following.batch(batch), following.state()))?
                }
                (_, _) => (Vec::new(), FollowedState::default()),
            };
            let worked = released(&plan, changes, filing.once)
                .and_then(|released| finish(begun, (released, held), filing));
            Ok(Step::Worked(worked))
        });
        Box::pin(async { working.await? })
    }

    /// Notes that everything a partition held when it was `said` has been delivered.
    fn caught_up(&mut self, partition: Arc<Partition>, said: Instant) -> Promise {
        let (clock, alignment) = (Arc::clone(&self.clock), Arc::clone(&self.alignment));
        let caught_up = move |judge: &mut Judge| {
            let advance = judge.caught_up(&partition, before(clock.now(), said.elapsed()));
            if let Some(IdleAdvance { partition, watermark, .. }) = &advance {
                alignment.moved(partition, *watermark);
            }
            advance.into_iter().collect::<Vec<_>>()
        };
        self.judging(caught_up, |following, moved| following.moved(moved), Step::CaughtUp)
    }

    /// Lets time move on in partitions that are idle.
    fn advancing(&mut self) -> Promise {
        let (clock, alignment) = (Arc::clone(&self.clock), Arc::clone(&self.alignment));
        let advance = move |judge: &mut Judge| {
            let moved = judge.advance_idle(clock.now());
            moved.iter().for_each(|to| alignment.moved(&to.partition, to.watermark));
            moved
        };
        self.judging(advance, |following, moved| following.moved(moved), Step::Ticked)
    }

    /// Nothing will come of a partition any more.
    fn ended(&mut self, partition: Arc<Partition>) -> Promise {
        self.judging(|_| partition, Following::ended, Step::Ended)
    }

    /// Asks how far the input has come. Only records that bear times of their own can be ahead of
    /// the clock and yet count.
    fn ending(&mut self) -> Promise {
        let limit = if self.filing.record_times { self.clock.now() } else { Timestamp::MAX };
        let (reached, until) = (move |judge: &mut Judge| judge.reached(limit), self.until);
        let finish = move |following: &mut Following, reached: &Option<Timestamp>| {
            following.finish((*reached).max(until))
        };
        self.judging(reached, finish, Step::End)
    }

    /// The next places in the order of judging and of following.
    fn turns(&mut self) -> (Turn<Judge>, Option<Turn<Following>>) {
        (self.judge.turn(), self.following.as_mut().map(Handed::turn))
    }

    /// Begins to judge something that is not a batch, and to follow it: a task, so that both are handed
    /// on also while nobody asks for what comes out.
    fn judging<T: Send + Sync + 'static>(
        &mut self,
        judging: impl FnOnce(&mut Judge) -> T + Send + 'static,
        follow: impl FnOnce(&mut Following, &T) -> Vec<PartitionChanges> + Send + 'static,
        step: impl FnOnce(T, Vec<ReleasedWork>) -> Step + Send + 'static,
    ) -> Promise {
        let (judge, following) = self.turns();
        let (plan, once) = (Arc::clone(&self.plan), self.filing.once);
        let judged = tokio::spawn(async move {
            let judged = judge.taken(judging).await?;
            let changes = match following {
                Some(turn) => turn.taken(|following| follow(following, &judged)).await?,
                None => Vec::new(),
            };
            let released = released(&plan, changes, once);
            let released = released.map_err(|source| super::failed("relations", source))?;
            Ok(step(judged, released))
        });
        Box::pin(async { judged.await? })
    }
}

/// The time of the clock so long ago.
fn before(now: Timestamp, ago: Duration) -> Timestamp {
    now.minus(Span(i64::try_from(ago.as_micros()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, VecDeque};

    use bytes::Bytes;
    use datafusion::prelude::SessionContext;
    use tokio::runtime::{Builder, Handle};
    use tokio::time::timeout;

    use super::*;
    use crate::clock::SystemClock;
    use crate::decode::DecodeOptions;
    use crate::flow::{Framing, Offset};
    use crate::judge::EventPace;
    use crate::pipeline::pump::Pump;
    use crate::source::{CAUGHT_UP_HOLDS, Source, SourceError};
    use crate::sql::plan::execute::Executor;

    /// What the source says, its partitions, and how long it is quiet before its end.
    struct Told(VecDeque<SourceEvent>, Vec<Arc<Partition>>, Duration);

    #[async_trait::async_trait]
    impl Source for Told {
        fn partitions(&self) -> &[Arc<Partition>] {
            &self.1
        }

        async fn next(&mut self) -> Result<SourceEvent, SourceError> {
            if let Some(event) = self.0.pop_front() {
                return Ok(event);
            }
            tokio::time::sleep(self.2).await;
            Ok(SourceEvent::End)
        }
    }

    /// Nothing is computed: batches are decoded, judged and handed on.
    fn idle_plan() -> Plan {
        let decode = DecodeOptions {
            default_lab: None,
            max_future: Span::HOUR,
            columns: Some(BTreeSet::new()),
        };
        Plan {
            pipelines: Vec::new(),
            decode,
            relations: Vec::new(),
            follow: None,
            by_lab: false,
            executor: Executor::new(SessionContext::new().task_ctx(), Handle::current()),
            labs: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }

    /// With one blocking thread and nobody who takes what comes: a batch that waits for its turn
    /// behind something that is not a batch must not keep the thread, which objects are put on.
    #[test]
    fn nothing_that_waits_keeps_a_thread_while_the_windows_are_busy() {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let partition = Arc::new(Partition { topic: "t".into(), index: 0 });
            let batch = |number: i64| {
                SourceEvent::Batch(RawBatch {
                    partition: Arc::clone(&partition),
                    bytes: Bytes::from_static(b"{}\n"),
                    framing: Framing::Lines { first_offset: number, record_time: Timestamp(0) },
                })
            };
            let said = Instant::now();
            let told = (0..20).flat_map(|number| {
                [batch(number), SourceEvent::CaughtUp(Arc::clone(&partition), said)]
            });
            let partitions = vec![Arc::clone(&partition)];
            let source = Told(told.collect(), partitions.clone(), Duration::ZERO);
            let (events, _pump) = Pump::start(Box::new(source), Arc::default());
            let minute = Span::MINUTE;
            let pace = EventPace { max_disorder: minute, max_leap: minute, idle_after: minute };
            let judge = Judge::new(&partitions, pace, Timestamp(0));
            let filing = Filing { archive: false, record_times: false, once: false };
            let (plan, clock) = (Arc::new(idle_plan()), Arc::new(SystemClock));
            let pace = (clock as Arc<dyn Clock>, Duration::from_millis(1));
            let ahead = Ahead::new(plan, (judge, &partitions), Arc::default(), pace, filing);
            let (to, mut done) = mpsc::channel(1);
            let running = tokio::spawn(ahead.run(events, to));
            while done.is_empty() {
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            let put = tokio::task::spawn_blocking(|| ());
            timeout(Duration::from_secs(20), put).await.expect("a thread is free").unwrap();
            let mut batches = 0;
            let mut ended = false;
            while let Some(some) = done.recv().await {
                match some.unwrap() {
                    Done::Worked(worked) => {
                        batches += 1;
                        assert_eq!(worked.unwrap().next_offset, batches, "in their order");
                    }
                    Done::Idle(..) | Done::Ended(..) => {}
                    Done::End(..) => ended = true,
                }
            }
            assert_eq!((batches, ended), (20, true));
            running.await.unwrap();
        });
    }

    /// Two partitions; the first has a record, and an earlier run's advance after it. The second has
    /// none, and its end was said so long ago. Gives what moved, and where the alignment then has the
    /// slowest.
    async fn moved_when_said(ago: Duration) -> (Vec<IdleAdvance>, Timestamp) {
        let partitions: Vec<Arc<Partition>> =
            (0..2).map(|index| Arc::new(Partition { topic: "t".into(), index })).collect();
        let alignment = Arc::new(Alignment::new(&partitions));
        let first = RawBatch {
            partition: Arc::clone(&partitions[0]),
            bytes: Bytes::from_static(b"{}\n"),
            framing: Framing::Lines { first_offset: 0, record_time: Timestamp(0) },
        };
        let said = Instant::now().checked_sub(ago).expect("the machine runs for longer");
        let told = [
            SourceEvent::Batch(first),
            SourceEvent::CaughtUp(Arc::clone(&partitions[0]), Instant::now()),
            SourceEvent::CaughtUp(Arc::clone(&partitions[1]), said),
        ];
        let source = Told(told.into(), partitions.clone(), Duration::from_millis(300));
        let (events, _pump) = Pump::start(Box::new(source), Arc::default());
        let minute = Span::MINUTE;
        let pace = EventPace { max_disorder: minute, max_leap: minute, idle_after: minute };
        let journal = vec![advance_of(&partitions[0], 1)];
        let judge = Judge::new(&partitions, pace, Timestamp(0)).with_journal(journal);
        let filing = Filing { archive: false, record_times: false, once: false };
        let (plan, clock) = (Arc::new(idle_plan()), Arc::new(SystemClock));
        let tick = Duration::from_millis(1);
        let ahead =
            Ahead::new(plan, (judge, &partitions), Arc::clone(&alignment), (clock, tick), filing);
        let (to, mut done) = mpsc::channel(100);
        ahead.run(events, to).await;
        let mut moved = Vec::new();
        while let Some(some) = done.recv().await {
            if let Done::Idle(some, _) = some.unwrap() {
                moved.extend(some);
            }
        }
        (moved, alignment.slowest(Instant::now()))
    }

    /// 2026-03-01T12:00:00Z, by `date -u -d 2026-03-01T12:00:00Z +%s`.
    fn advance_of(partition: &Arc<Partition>, next: i64) -> IdleAdvance {
        let (next, watermark) = (Offset(next), Timestamp(1_772_366_400_000_000));
        IdleAdvance { partition: Arc::clone(partition), next, watermark }
    }

    /// Else whoever reads holds back all the others for a partition that is empty.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_moves_without_a_record_is_told_to_the_alignment() {
        let (moved, slowest) = moved_when_said(Duration::ZERO).await;
        let of = |advance: &IdleAdvance| (advance.partition.index, advance.next.0);
        assert_eq!(moved.iter().map(of).collect::<Vec<_>>(), [(0, 1), (1, 0)]);
        assert_eq!(slowest, Timestamp(1_772_366_400_000_000));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_end_that_was_said_before_a_stall_lets_nothing_move_after_it() {
        let (moved, slowest) = moved_when_said(CAUGHT_UP_HOLDS + Duration::from_secs(1)).await;
        assert_eq!(moved.iter().map(|advance| advance.partition.index).collect::<Vec<_>>(), [0]);
        assert_eq!(slowest, Timestamp::MIN);
    }
}

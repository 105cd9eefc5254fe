//! What runs ahead of the windows: batches are read, decoded, judged and worked on while the loop
//! fires windows and delivers what they give.
//!
//! A batch stays on one core from its first byte to its partial states, so that what one stage has
//! written is in the cache when the next one reads it. Judging is done in the order in which batches
//! were read: the judge is handed from each batch to the next, and a batch that is decoded before
//! its turn waits for it.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use tokio::sync::{mpsc, oneshot};

use super::RunError;
use super::build::Plan;
use super::filed::Filing;
use super::judge::Judge;
use super::pump::Events;
use super::work::{Worked, work};
use crate::clock::Clock;
use crate::decode::decode;
use crate::flow::{IdleAdvance, Partition, RawBatch};
use crate::source::SourceEvent;

/// Batches that wait for the windows: while these fire, which takes tens of milliseconds, cores go
/// on with the batches to come.
pub(super) const WORKED_AHEAD: usize = 4;

/// What comes out, in the order in which batches were read.
pub(super) enum Done {
    /// A batch.
    Worked(datafusion::common::Result<Worked>),
    /// Idle partitions whose watermarks have moved on; perhaps none.
    Idle(Vec<IdleAdvance>),
    /// The input has ended.
    End,
}

/// Something of which the end is waited for.
type Promise = BoxFuture<'static, Result<Done, RunError>>;

/// The stages ahead of the windows.
pub(super) struct Ahead {
    plan: Arc<Plan>,
    clock: Arc<dyn Clock>,
    tick: Duration,
    filing: Filing,
    /// The judge, once everything that was begun before has been judged.
    judge: oneshot::Receiver<Box<Judge>>,
}

/// A place in the order of judging.
struct Turn {
    judge: oneshot::Receiver<Box<Judge>>,
    next: oneshot::Sender<Box<Judge>>,
}

impl Ahead {
    pub(super) fn new(
        plan: Arc<Plan>,
        judge: Judge,
        clock: Arc<dyn Clock>,
        tick: Duration,
        filing: Filing,
    ) -> Ahead {
        let (first, waiting) = oneshot::channel();
        hand_on(first, Box::new(judge));
        Ahead { plan, clock, tick, filing, judge: waiting }
    }

    /// Runs until the input ends, fails, or nobody waits for what comes.
    pub(super) async fn run(
        mut self,
        mut events: Events,
        to: mpsc::Sender<Result<Done, RunError>>,
    ) {
        // One more than there are cores, since one of them may wait for its turn.
        let at_once = std::thread::available_parallelism().map_or(1, NonZero::get) + 1;
        let mut running: FuturesOrdered<Promise> = FuturesOrdered::new();
        let mut tick = tokio::time::interval(self.tick);
        let mut ended = false;
        loop {
            tokio::select! {
                biased;
                Some(done) = running.next() => {
                    let last = !matches!(done, Ok(Done::Worked(_) | Done::Idle(_)));
                    if to.send(done).await.is_err() || last {
                        return;
                    }
                }
                // Where the input is read to its end, no silence moves time on.
                _ = tick.tick(), if !self.filing.once && !ended => {
                    running.push_back(self.advancing());
                }
                event = events.next(), if !ended && running.len() < at_once => match event {
                    Ok(SourceEvent::Batch(raw)) => running.push_back(self.working(raw)),
                    Ok(SourceEvent::CaughtUp(partition)) => {
                        running.push_back(self.caught_up(partition));
                    }
                    Ok(SourceEvent::Quiet) => {}
                    Ok(SourceEvent::End) => {
                        ended = true;
                        running.push_back(Box::pin(async { Ok(Done::End) }));
                    }
                    Err(error) => {
                        ended = true;
                        running.push_back(Box::pin(async { Err(error) }));
                    }
                },
            }
        }
    }

    /// The next place in the order of judging.
    fn turn(&mut self) -> Turn {
        let (next, after) = oneshot::channel();
        Turn { judge: std::mem::replace(&mut self.judge, after), next }
    }

    /// Begins to decode, judge and work on a batch, on a core that is free.
    fn working(&mut self, raw: RawBatch) -> Promise {
        let turn = self.turn();
        let (plan, clock, filing) = (Arc::clone(&self.plan), Arc::clone(&self.clock), self.filing);
        let working = tokio::task::spawn_blocking(move || {
            let decoded = decode(&raw, &plan.decode);
            drop(raw);
            let mut judge = turn.judge.blocking_recv().map_err(|_| RunError::StageGone)?;
            let judged = judge.judge(decoded, clock.now());
            hand_on(turn.next, judge);
            Ok(Done::Worked(work(&plan, judged, filing)))
        });
        Box::pin(async { working.await? })
    }

    /// Notes that everything a partition holds has been delivered.
    fn caught_up(&mut self, partition: Arc<Partition>) -> Promise {
        let clock = Arc::clone(&self.clock);
        self.judging(move |judge| judge.caught_up(&partition, clock.now()).into_iter().collect())
    }

    /// Lets time move on in partitions that are idle.
    fn advancing(&mut self) -> Promise {
        let clock = Arc::clone(&self.clock);
        self.judging(move |judge| judge.advance_idle(clock.now()))
    }

    fn judging(
        &mut self,
        judging: impl FnOnce(&mut Judge) -> Vec<IdleAdvance> + Send + 'static,
    ) -> Promise {
        let turn = self.turn();
        Box::pin(async {
            let mut judge = turn.judge.await.map_err(|_| RunError::StageGone)?;
            let moved = judging(&mut judge);
            hand_on(turn.next, judge);
            Ok(Done::Idle(moved))
        })
    }
}

/// Hands the judge to whoever is next.
fn hand_on(next: oneshot::Sender<Box<Judge>>, judge: Box<Judge>) {
    // Nobody is next when the run has been stopped.
    drop(next.send(judge));
}

//! What runs ahead of the windows: batches are read, decoded, judged and worked on, in order, while
//! the loop fires windows and delivers what they give.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use tokio::sync::mpsc;

use super::build::Plan;
use super::filed::Filing;
use super::judge::Judge;
use super::pump::Events;
use super::work::{Worked, work};
use super::{Promise, RunError, ready};
use crate::clock::Clock;
use crate::decode::{Decoded, decode};
use crate::flow::{IdleAdvance, Partition, RawBatch};
use crate::source::SourceEvent;

/// Batches that are decoded at once: enough that every core has one while another one is awaited.
const DECODED_AT_ONCE: usize = 4;
/// Batches that are worked on, or wait for the windows: while these fire, which takes tens of
/// milliseconds, cores go on with the batches to come.
pub(super) const WORKED_AHEAD: usize = 6;

/// What comes out of working, in order.
pub(super) enum Done {
    /// A batch.
    Worked(datafusion::common::Result<Worked>),
    /// Idle partitions whose watermarks have moved on.
    Idle(Vec<IdleAdvance>),
    /// The input has ended.
    End,
}

/// What comes out of decoding, in order.
enum Read {
    Decoded(Box<Decoded>),
    CaughtUp(Arc<Partition>),
    End,
}

/// The stages ahead of the windows.
pub(super) struct Ahead {
    pub(super) plan: Arc<Plan>,
    pub(super) judge: Judge,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tick: Duration,
    /// Whether the input is read to its end, so that no silence moves time on.
    pub(super) once: bool,
    pub(super) filing: Filing,
}

/// Nobody waits for what comes any more.
struct Abandoned;

impl Ahead {
    /// Runs until the input ends, fails, or nobody waits for what comes.
    pub(super) async fn run(mut self, mut events: Events, to: mpsc::Sender<Promise<Done>>) {
        let mut reading: FuturesOrdered<Promise<Read>> = FuturesOrdered::new();
        let mut tick = tokio::time::interval(self.tick);
        let mut ended = false;
        loop {
            let sent = tokio::select! {
                biased;
                _ = tick.tick() => {
                    let moved =
                        if self.once { Vec::new() } else { self.judge.advance_idle(self.clock.now()) };
                    if moved.is_empty() { Ok(()) } else { send(&to, ready(Ok(Done::Idle(moved)))).await }
                }
                Some(read) = reading.next() => match read {
                    Ok(Read::Decoded(decoded)) => {
                        let judged = self.judge.judge(*decoded, self.clock.now());
                        let (plan, filing) = (Arc::clone(&self.plan), self.filing);
                        let working = on_a_core(move || Done::Worked(work(&plan, judged, filing)));
                        send(&to, working).await
                    }
                    Ok(Read::CaughtUp(partition)) => {
                        match self.judge.caught_up(&partition, self.clock.now()) {
                            Some(moved) => send(&to, ready(Ok(Done::Idle(vec![moved])))).await,
                            None => Ok(()),
                        }
                    }
                    Ok(Read::End) => send(&to, ready(Ok(Done::End))).await.and(Err(Abandoned)),
                    Err(error) => send(&to, ready(Err(error))).await.and(Err(Abandoned)),
                },
                event = events.next(), if !ended && reading.len() < DECODED_AT_ONCE => {
                    match event {
                        Ok(SourceEvent::Batch(raw)) => reading.push_back(self.decoding(raw)),
                        Ok(SourceEvent::CaughtUp(partition)) => {
                            reading.push_back(ready(Ok(Read::CaughtUp(partition))));
                        }
                        Ok(SourceEvent::Quiet) => {}
                        Ok(SourceEvent::End) => {
                            ended = true;
                            reading.push_back(ready(Ok(Read::End)));
                        }
                        Err(error) => {
                            ended = true;
                            reading.push_back(ready(Err(error)));
                        }
                    }
                    Ok(())
                }
            };
            if let Err(Abandoned) = sent {
                return;
            }
        }
    }

    /// Decodes a batch on a core that is free.
    fn decoding(&self, raw: RawBatch) -> Promise<Read> {
        let plan = Arc::clone(&self.plan);
        on_a_core(move || Read::Decoded(Box::new(decode(&raw, &plan.decode))))
    }
}

async fn send(to: &mpsc::Sender<Promise<Done>>, done: Promise<Done>) -> Result<(), Abandoned> {
    to.send(done).await.map_err(|_| Abandoned)
}

/// Begins to compute something on a core that is free.
fn on_a_core<T: Send + 'static>(compute: impl FnOnce() -> T + Send + 'static) -> Promise<T> {
    let task = tokio::task::spawn_blocking(compute);
    Box::pin(async { task.await.map_err(RunError::from) })
}

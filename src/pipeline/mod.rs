//! The main flow: one loop that moves values from stage to stage.
//!
//! ```text
//! source ──▶ decode ‖ ──▶ judge ──▶ work ‖ ──▶ collect ──▶ fire ──▶ lake, cards
//! ```
//!
//! What the clock decides, the advances of idle partitions, is journalled on the lake before
//! anything that depends on it is put; the journal of earlier runs is input.
//!
//! `‖` marks what runs on every core: batches are decoded and worked on in parallel and come back
//! in the order in which they were read. Judging (watermarks, repeats) and collecting run alone,
//! in that order. So results do not depend on how many cores there are.

pub mod build;
pub mod deliver;
pub mod faults;
pub mod filed;
pub mod journal;
pub mod judge;
pub mod progress;
pub mod pump;
pub mod reference;
pub mod rules;
mod sessions;
pub mod stage;
pub mod tables;
pub mod work;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};

use crate::clock::Clock;
use crate::decode::{Decoded, decode};
use crate::flow::{IdleAdvance, Partition, RawBatch, Span, Timestamp};
use crate::sink::lake::{Lake, LakeError};
use crate::sink::teams::AlertSink;
use crate::source::{Source, SourceError, SourceEvent};
use build::Plan;
use deliver::Delivery;
use filed::Filing;
use judge::{Judge, Judged};
use progress::{Progress, Summary};
use pump::Pump;
use stage::Stage;
use work::{Worked, work};

/// Batches that are decoded, and as many that are worked on, at once: so many that every core has
/// something to do while the loop fires windows, which takes tens of milliseconds.
const BATCHES_AT_ONCE: usize = 4;
/// How often timed work is done, unless a job says otherwise.
pub const TICK: Duration = Duration::from_millis(500);
/// How long a stop waits for cards.
const CARD_PATIENCE: Duration = Duration::from_secs(10);

/// What a run is made of.
pub struct Job {
    /// The planned pipelines.
    pub plan: Plan,
    /// Where results go.
    pub lake: Lake,
    /// Where dead letters go, when not to the lake.
    pub dead_letters: Option<Lake>,
    /// The breach sink.
    pub alerts: AlertSink,
    /// Processing time.
    pub clock: Arc<dyn Clock>,
    /// The watermark trails by this.
    pub max_disorder: Span,
    /// A partition that is silent and read for so long is idle.
    pub idle_after: Span,
    /// How often timed work (idleness, sweeping, gauges) is done.
    pub tick: Duration,
    /// Whether the run ends with its input.
    pub once: bool,
    /// Up to when windows without rows fire at the end; none means the largest event time.
    pub empty_until: Option<Timestamp>,
    /// What is filed and how.
    pub filing: Filing,
    /// Who watches.
    pub progress: Arc<Progress>,
}

/// Why a run ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The source cannot go on.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The lake cannot be written.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A stage failed.
    #[error("could not compute `{pipeline}`")]
    Compute {
        /// The pipeline, or the stage.
        pipeline: String,
        /// What happened.
        #[source]
        source: datafusion::error::DataFusionError,
    },
    /// A thread panicked.
    #[error("a stage panicked")]
    Panicked(#[from] tokio::task::JoinError),
}

/// What comes out of decoding, in order.
enum Read {
    Decoded(Box<Decoded>),
    CaughtUp(Arc<Partition>),
    End,
}

/// What comes out of working, in order.
enum Done {
    Worked(datafusion::common::Result<Worked>),
    Idle(Vec<IdleAdvance>),
    End,
}

/// Values in the order in which they were begun, perhaps still being made.
type InOrder<T> = FuturesOrdered<BoxFuture<'static, Result<T, RunError>>>;

/// Runs until the input ends or `stop` is ready.
pub async fn run(
    job: Job,
    source: Box<dyn Source>,
    stop: impl Future<Output = ()>,
) -> Result<Summary, RunError> {
    let began = Instant::now();
    let partitions = source.partitions().to_vec();
    let clock = Arc::clone(&job.clock);
    let judge = Judge::new(&partitions, job.max_disorder, job.idle_after, clock.now());
    let mut delivery = Delivery::new(job.lake, job.dead_letters, &job.plan.pipelines);
    let mut judge = judge.with_journal(delivery.learn(&partitions).await?);
    let plan = Arc::new(job.plan);
    let mut stage = Stage::new(&plan, &partitions, delivery, job.alerts, &clock, job.filing)?;
    let mut pump = Pump::start(source, Arc::clone(&job.progress));
    let mut reading: InOrder<Read> = FuturesOrdered::new();
    let mut working: InOrder<Done> = FuturesOrdered::new();
    let mut tick = tokio::time::interval(job.tick);
    let mut stop = pin!(stop);
    let mut ended = false;
    job.progress.ready.store(true, Ordering::Relaxed);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => {
                stage.interrupted();
                break;
            }
            _ = tick.tick() => {
                let moved = if job.once { Vec::new() } else { judge.advance_idle(clock.now()) };
                if !moved.is_empty() {
                    working.push_back(ready(Done::Idle(moved)));
                }
                stage.tick(&job.progress).await?;
            }
            Some(done) = working.next() => match done? {
                Done::Worked(worked) => {
                    let worked = worked.map_err(|source| failed("relations", source))?;
                    pump.commit(&worked.partition, worked.next_offset);
                    stage.collect(worked, &job.progress).await?;
                }
                Done::Idle(moved) => stage.moved(moved).await?,
                Done::End => break,
            },
            Some(read) = reading.next(), if working.len() < BATCHES_AT_ONCE => match read? {
                Read::Decoded(decoded) => {
                    let judged = judge.judge(*decoded, clock.now());
                    working.push_back(working_on(&plan, judged, job.filing));
                }
                Read::CaughtUp(partition) => {
                    if let Some(moved) = judge.caught_up(&partition, clock.now()) {
                        working.push_back(ready(Done::Idle(vec![moved])));
                    }
                }
                Read::End => working.push_back(ready(Done::End)),
            },
            event = pump.next(), if !ended && reading.len() < BATCHES_AT_ONCE => match event? {
                SourceEvent::Batch(raw) => reading.push_back(decoding(&plan, raw)),
                SourceEvent::CaughtUp(partition) => {
                    reading.push_back(ready(Read::CaughtUp(partition)));
                }
                SourceEvent::Quiet => {}
                SourceEvent::End => {
                    ended = true;
                    reading.push_back(ready(Read::End));
                }
            },
        }
    }
    pump.stop().await;
    let mut summary = stage.finish(job.empty_until, CARD_PATIENCE).await?;
    summary.seconds = began.elapsed().as_secs_f64();
    Ok(summary)
}

/// Decodes a batch on a core that is free.
fn decoding(plan: &Arc<Plan>, raw: RawBatch) -> BoxFuture<'static, Result<Read, RunError>> {
    let plan = Arc::clone(plan);
    let task = tokio::task::spawn_blocking(move || decode(&raw, &plan.decode));
    async { Ok(Read::Decoded(Box::new(task.await?))) }.boxed()
}

/// Works on a judged batch on a core that is free.
fn working_on(
    plan: &Arc<Plan>,
    judged: Judged,
    filing: Filing,
) -> BoxFuture<'static, Result<Done, RunError>> {
    let plan = Arc::clone(plan);
    let task = tokio::task::spawn_blocking(move || work(&plan, judged, filing));
    async { Ok(Done::Worked(task.await?)) }.boxed()
}

fn failed(pipeline: &str, source: datafusion::error::DataFusionError) -> RunError {
    RunError::Compute { pipeline: pipeline.to_owned(), source }
}

/// A value that is there already, in its place in the order.
fn ready<T: Send + 'static>(value: T) -> BoxFuture<'static, Result<T, RunError>> {
    futures::future::ready(Ok(value)).boxed()
}

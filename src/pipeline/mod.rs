//! The main flow: one loop that moves values from stage to stage.
//!
//! ```text
//! source ──▶ decode ‖ ──▶ judge ──▶ work ‖ ──▶ collect ──▶ fire ──▶ lake, cards
//!            `ahead`, a batch on a core        the loop
//! ```
//!
//! What the clock decides, the advances of idle partitions, is journalled on the lake before
//! anything that depends on it is put; the journal of earlier runs is input.
//!
//! `‖` marks what runs on every core: batches are decoded and worked on in parallel and come back
//! in the order in which they were read. Judging (watermarks, repeats) and collecting run alone,
//! in that order. So results do not depend on how many cores there are.
//!
//! In come a plan, a source, a lake and the cards' sink; out goes a summary. This file is the loop, read it
//! first. Its steps: `pump` reads beside it, `ahead` and `work` are what comes before the windows, `stage`
//! what comes from there on, over the `tables` of each pipeline, each of them an `open_table`.
//! `notes` says what objects tell of their table, `memory` what is held, `progress` how far it has come.

mod ahead;
pub mod counts;
pub mod family_work;
mod following;
mod handed;
mod joined;
pub mod memory;
mod notes;
pub mod open_table;
pub mod progress;
pub mod pump;
pub mod released;
mod share;
pub mod stage;
pub mod tables;
pub mod work;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::alert::AlertSink;
use crate::clock::Clock;
use crate::flow::Timestamp;
use crate::judge::{EventPace, Judge};
use crate::lake::write::WriteError;
use crate::lake::write::archived::OtherInput;
use crate::lake::write::deliver::Delivery;
use crate::lake::write::parts::Filing;
use crate::lake::{Lake, LakeError};
use crate::plan::planned::Plan;
use crate::source::{Source, SourceError};
use ahead::{Ahead, Done, WORKED_AHEAD};
use memory::MemoryBound;
use notes::table_notes;
use progress::{Progress, Summary};
use pump::Pump;
use stage::Stage;
use work::Worked;

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
    /// How long a lake that is away is waited for at the start, and where the run ends with its
    /// input; a stream that has begun waits without end.
    pub lake_patience: Duration,
    /// The breach sink.
    pub alerts: AlertSink,
    /// Processing time.
    pub clock: Arc<dyn Clock>,
    /// How time is judged.
    pub pace: EventPace,
    /// How often timed work (idleness, sweeping, gauges) is done.
    pub tick: Duration,
    /// Up to when windows without rows fire at the end; none means as far as the input has come.
    pub empty_until: Option<Timestamp>,
    /// What is filed and how.
    pub filing: Filing,
    /// How many bytes may be held for open windows and days; any number where none is given.
    pub memory: Option<u64>,
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
    /// The lake was filled from other input.
    #[error(transparent)]
    OtherInput(#[from] OtherInput),
    /// A stage failed.
    #[error("could not compute `{pipeline}`")]
    Compute {
        /// The pipeline, or the stage.
        pipeline: String,
        /// What happened.
        #[source]
        source: datafusion::error::DataFusionError,
    },
    /// The source has gone without a word.
    #[error("the source panicked; what it has not read is not counted")]
    SourceGone,
    /// A thread panicked.
    #[error("a stage panicked")]
    Panicked(#[from] tokio::task::JoinError),
    /// Follows upon `Panicked`: a batch waited for one that has panicked.
    #[error("the batch before this one was not judged")]
    StageGone,
}

impl From<WriteError> for RunError {
    fn from(error: WriteError) -> RunError {
        match error {
            WriteError::Lake(error) => RunError::Lake(error),
            WriteError::OtherInput(error) => RunError::OtherInput(error),
            WriteError::Rows { of, source } => RunError::Compute { pipeline: of, source },
        }
    }
}

/// Runs until the input ends or `stop` is ready.
pub async fn run(
    job: Job,
    source: Box<dyn Source>,
    stop: impl Future<Output = ()>,
) -> Result<Summary, RunError> {
    let asked = CancellationToken::new();
    let tell = async {
        stop.await;
        asked.cancel();
        std::future::pending().await
    };
    tokio::select! {
        biased;
        outcome = tell => outcome,
        outcome = run_until(&asked, job, source) => outcome,
    }
}

/// Runs until the input ends or it is `asked` to stop. Whoever waits for the lake sees that too.
async fn run_until(
    asked: &CancellationToken,
    job: Job,
    source: Box<dyn Source>,
) -> Result<Summary, RunError> {
    let began = Instant::now();
    let partitions = source.partitions().to_vec();
    let clock = Arc::clone(&job.clock);
    let for_run = |lake: Lake| {
        let lake = lake.for_run(job.lake_patience, !job.filing.once, asked.clone());
        job.progress.watch(&lake);
        lake
    };
    let (lake, dead_letters) = (for_run(job.lake), job.dead_letters.map(for_run));
    let judge = Judge::new(&partitions, job.pace, clock.now());
    let mut delivery = Delivery::new(lake.clone(), dead_letters, table_notes(&job.plan.pipelines));
    let judge = match delivery.learn(&partitions, &source.extents(), clock.now()).await {
        Ok(journal) => judge.with_journal(journal),
        // Nothing has been read yet, so nothing is due.
        Err(WriteError::Lake(LakeError::Stopped { .. })) => {
            return Ok(Summary { interrupted: true, ..Summary::default() });
        }
        Err(error) => return Err(error.into()),
    };
    let plan = Arc::new(job.plan);
    let mut alerts = job.alerts;
    match alerts.resume(&lake).await {
        Ok(()) => {}
        Err(LakeError::Stopped { .. }) => {
            return Ok(Summary { interrupted: true, ..Summary::default() });
        }
        Err(error) => return Err(error.into()),
    }
    let mut stage = Stage::new(&plan, &partitions, delivery, alerts, &clock, job.filing)?
        .with_memory(MemoryBound::new(job.memory));
    let alignment = source.alignment();
    let trimmed = source.trimmed();
    if let Some(first) = trimmed.first() {
        tracing::warn!(
            partition = %first,
            partitions = trimmed.len(),
            "the first records of partitions are gone; windows that begin before those that are left \
             are marked `incomplete`"
        );
    }
    stage.trimmed(trimmed);
    let (events, pump) = Pump::start(source, Arc::clone(&job.progress));
    let (ahead, done) = mpsc::channel(WORKED_AHEAD);
    let judging = (judge, partitions.as_slice());
    let stages = Ahead::new(plan, judging, alignment, (clock, job.tick), job.filing);
    let stages = stages.until(job.empty_until);
    let stages = tokio::spawn(stages.run(events, ahead));
    let commit = |worked: &Worked| pump.commit(&worked.partition, worked.next_offset);
    job.progress.ready.store(true, Ordering::Relaxed);
    let mut ended = drive(&mut stage, done, commit, asked, job.tick, &job.progress).await;
    if let Ok(Ended::Silently) = ended {
        ended = stages.await.map(|()| Ended::Told).map_err(RunError::from);
    }
    let closing = pump.stop();
    let finished = stage.finish(ended.map(drop), job.empty_until, CARD_PATIENCE).await;
    closing.closed().await;
    let mut summary = finished?;
    summary.seconds = began.elapsed().as_secs_f64();
    Ok(summary)
}

/// Why the loop ended.
enum Ended {
    /// It was asked to stop, or the input ended.
    Told,
    /// Nothing comes any more, and nobody has said why.
    Silently,
}

/// The loop: what comes is collected, windows fire, results are delivered. Where these wait for a lake
/// that is away, nothing more is taken, so that the source is held up.
async fn drive(
    stage: &mut Stage,
    mut done: mpsc::Receiver<Result<Done, RunError>>,
    commit: impl Fn(&Worked),
    asked: &CancellationToken,
    tick: Duration,
    progress: &Progress,
) -> Result<Ended, RunError> {
    let mut tick = ticks(tick);
    loop {
        tokio::select! {
            biased;
            () = asked.cancelled() => {
                stage.interrupted();
                return Ok(Ended::Told);
            }
            _ = tick.tick() => stage.tick(progress).await?,
            done = done.recv() => match done.transpose()? {
                Some(Done::Worked(worked)) => {
                    let worked = worked.map_err(|source| failed("relations", source))?;
                    commit(&worked);
                    stage.collect(worked, progress).await?;
                }
                Some(Done::Idle(moved, released)) => stage.moved(moved, released).await?,
                Some(Done::Ended(partition, released)) => stage.ended(&partition, released).await?,
                Some(Done::End(reached, released)) => {
                    stage.input_ended(reached, released);
                    return Ok(Ended::Told);
                }
                None => return Ok(Ended::Silently),
            },
        }
    }
}

/// Ticks of which those that were missed do not come in a burst: after the loop was held up, by a lake
/// that was away, say, they would find nothing read between them and take the input to rest.
fn ticks(every: Duration) -> Interval {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn failed(pipeline: &str, source: datafusion::error::DataFusionError) -> RunError {
    RunError::Compute { pipeline: pipeline.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn ticks_that_were_missed_do_not_come_in_a_burst() {
        let mut ticks = ticks(Duration::from_millis(20));
        ticks.tick().await;
        // As long as five ticks.
        tokio::time::sleep(Duration::from_millis(110)).await;
        ticks.tick().await;
        assert!(ticks.tick().now_or_never().is_none(), "the next one comes in its time");
    }
}

//! Runs the source on a task of its own, so that the loop may stop waiting for it at any time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::RunError;
use super::progress::Progress;
use crate::flow::{Offset, Partition};
use crate::source::{Source, SourceError, SourceEvent};

/// Source events between the source and the loop: the source has queues of its own.
const EVENTS_AHEAD: usize = 1;
/// Positions to commit that wait for the source: only the latest of a partition matters.
const COMMITS_AHEAD: usize = 64;

/// What the source brings; given to whoever reads it.
pub struct Events(mpsc::Receiver<Result<SourceEvent, SourceError>>);

/// The source as the loop holds it: where to say what is done, and how to stop.
pub struct Pump {
    commits: mpsc::Sender<(Arc<Partition>, i64)>,
    task: JoinHandle<()>,
}

impl Events {
    /// The next event; safe to stop waiting for.
    pub async fn next(&mut self) -> Result<SourceEvent, RunError> {
        match self.0.recv().await {
            Some(event) => Ok(event?),
            // The end is told; a source that has told nothing has panicked.
            None => Err(RunError::SourceGone),
        }
    }
}

impl Pump {
    /// Starts to read.
    pub fn start(mut source: Box<dyn Source>, progress: Arc<Progress>) -> (Events, Pump) {
        let (sender, events) = mpsc::channel(EVENTS_AHEAD);
        let (commits, mut to_commit) = mpsc::channel::<(Arc<Partition>, i64)>(COMMITS_AHEAD);
        let task = tokio::spawn(async move {
            loop {
                let event = source.next().await;
                if let Some(far) = source.progress() {
                    progress.done.store(far.done, Ordering::Relaxed);
                    progress.total.store(far.total.unwrap_or(0), Ordering::Relaxed);
                }
                while let Ok((partition, next)) = to_commit.try_recv() {
                    source.commit(&partition, Offset(next));
                }
                let last = matches!(event, Ok(SourceEvent::End) | Err(_));
                if sender.send(event).await.is_err() || last {
                    return;
                }
            }
        });
        (Events(events), Pump { commits, task })
    }

    /// Tells the source that everything before `next` has been worked on. Advisory: when the queue
    /// is full the position is left to a later one.
    pub fn commit(&self, partition: &Arc<Partition>, next: i64) {
        if self.commits.try_send((Arc::clone(partition), next)).is_err() {
            tracing::trace!(%partition, next, "position not noted: the source is behind");
        }
    }

    /// Stops reading.
    pub async fn stop(self) {
        self.task.abort();
        if let Err(error) = self.task.await
            && error.is_panic()
        {
            tracing::error!("the source panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Panics;

    #[async_trait::async_trait]
    impl Source for Panics {
        fn partitions(&self) -> &[Arc<Partition>] {
            &[]
        }

        async fn next(&mut self) -> Result<SourceEvent, SourceError> {
            panic!("as a bug would")
        }
    }

    /// Else everything that was read so far would settle as if it were all there is.
    #[tokio::test]
    async fn a_source_that_panics_is_not_the_end_of_the_input() {
        let (mut events, pump) = Pump::start(Box::new(Panics), Arc::default());
        assert!(matches!(events.next().await, Err(RunError::SourceGone)));
        pump.stop().await;
    }
}

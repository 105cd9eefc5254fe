//! Runs the source on a task of its own, so that the loop may stop waiting for it at any time.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::RunError;
use super::progress::Progress;
use crate::flow::{Offset, Partition};
use crate::source::{Source, SourceError, SourceEvent};

/// Source events between the source and the loop: the source has queues of its own.
const EVENTS_AHEAD: usize = 1;

/// What the source brings; given to whoever reads it.
pub struct Events(mpsc::Receiver<Result<SourceEvent, SourceError>>);

/// Positions that the source has not been told of; only the latest of a partition matters.
type Positions = Arc<Mutex<BTreeMap<Arc<Partition>, Offset>>>;

/// The source as the loop holds it: where to say what is done, and how to stop.
pub struct Pump {
    positions: Positions,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// A source that has been told to stop and is being closed.
pub struct Closing(JoinHandle<()>);

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
    pub fn start(source: Box<dyn Source>, progress: Arc<Progress>) -> (Events, Pump) {
        let (sender, events) = mpsc::channel(EVENTS_AHEAD);
        let (positions, stop) = (Positions::default(), CancellationToken::new());
        let pumping = pumping(source, sender, Arc::clone(&positions), stop.clone(), progress);
        (Events(events), Pump { positions, stop, task: tokio::spawn(pumping) })
    }

    /// Notes that everything before `next` has been worked on.
    pub fn commit(&self, partition: &Arc<Partition>, next: i64) {
        lock(&self.positions).insert(Arc::clone(partition), Offset(next));
    }

    /// Stops reading. Closing a source may take a while (leaving a group, say), which nothing else
    /// needs to wait for.
    pub fn stop(self) -> Closing {
        self.stop.cancel();
        Closing(self.task)
    }
}

impl Closing {
    /// Waits until the source is closed.
    pub async fn closed(self) {
        if let Err(error) = self.0.await
            && error.is_panic()
        {
            tracing::error!("the source panicked");
        }
    }
}

/// Brings what the source says until it ends or is stopped, then closes it.
async fn pumping(
    mut source: Box<dyn Source>,
    sender: mpsc::Sender<Result<SourceEvent, SourceError>>,
    positions: Positions,
    stop: CancellationToken,
    progress: Arc<Progress>,
) {
    loop {
        let event = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            event = source.next() => event,
        };
        if let Some(far) = source.progress() {
            progress.done.store(far.done, Ordering::Relaxed);
            progress.total.store(far.total.unwrap_or(0), Ordering::Relaxed);
        }
        commit(source.as_mut(), &positions);
        let last = matches!(event, Ok(SourceEvent::End) | Err(_));
        let sent = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            sent = sender.send(event) => sent,
        };
        if sent.is_err() || last {
            // What it has brought is still being worked on.
            stop.cancelled().await;
            break;
        }
    }
    commit(source.as_mut(), &positions);
    let closing = tokio::task::spawn_blocking(move || drop(source));
    if closing.await.is_err() {
        tracing::error!("the source panicked when it was closed");
    }
}

/// Tells the source what it has not been told yet.
fn commit(source: &mut dyn Source, positions: &Positions) {
    let positions = std::mem::take(&mut *lock(positions));
    for (partition, next) in &positions {
        source.commit(partition, *next);
    }
}

fn lock(positions: &Positions) -> std::sync::MutexGuard<'_, BTreeMap<Arc<Partition>, Offset>> {
    positions.lock().unwrap_or_else(PoisonError::into_inner)
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
        pump.stop().closed().await;
    }

    /// Notes what it is told, and that it is closed.
    struct Notes(Arc<Mutex<Vec<i64>>>);

    #[async_trait::async_trait]
    impl Source for Notes {
        fn partitions(&self) -> &[Arc<Partition>] {
            &[]
        }

        async fn next(&mut self) -> Result<SourceEvent, SourceError> {
            tokio::task::yield_now().await;
            Ok(SourceEvent::Quiet)
        }

        fn commit(&mut self, partition: &Partition, next: Offset) {
            self.0.lock().unwrap().push(i64::from(partition.index) * 1000 + next.0);
        }
    }

    impl Drop for Notes {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(-1);
        }
    }

    /// Also while nobody takes what it brings.
    #[tokio::test]
    async fn a_source_is_told_the_latest_positions_before_it_is_closed() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let (_events, pump) = Pump::start(Box::new(Notes(Arc::clone(&told))), Arc::default());
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let partition = |index| Arc::new(Partition { topic: "t".into(), index });
        for offset in 1..=125 {
            pump.commit(&partition(1), offset);
            pump.commit(&partition(0), 2 * offset);
        }
        pump.stop().closed().await;
        assert_eq!(*told.lock().unwrap(), [250, 1125, -1]);
    }
}

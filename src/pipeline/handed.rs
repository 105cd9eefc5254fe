//! What is handed on from one piece of work to the next, in the order in which they were begun.

use tokio::sync::oneshot;

use super::RunError;

/// Whoever waits has it once everything that was begun before is done with it.
pub(super) struct Handed<T>(oneshot::Receiver<Box<T>>);

/// A place in the order.
pub(super) struct Turn<T> {
    mine: oneshot::Receiver<Box<T>>,
    next: oneshot::Sender<Box<T>>,
}

impl<T> Handed<T> {
    pub(super) fn new(first: T) -> Handed<T> {
        let (next, waiting) = oneshot::channel();
        hand_on(next, Box::new(first));
        Handed(waiting)
    }

    /// The next place.
    pub(super) fn turn(&mut self) -> Turn<T> {
        let (next, after) = oneshot::channel();
        Turn { mine: std::mem::replace(&mut self.0, after), next }
    }
}

impl<T> Turn<T> {
    /// Waits for the turn and takes it, on a thread that may wait.
    ///
    /// # Errors
    /// When one before has failed.
    pub(super) fn take<R>(self, work: impl FnOnce(&mut T) -> R) -> Result<R, RunError> {
        let mut mine = self.mine.blocking_recv().map_err(|_| RunError::StageGone)?;
        let done = work(&mut mine);
        hand_on(self.next, mine);
        Ok(done)
    }

    /// Waits for the turn and takes it.
    ///
    /// # Errors
    /// When one before has failed.
    pub(super) async fn taken<R>(self, work: impl FnOnce(&mut T) -> R) -> Result<R, RunError> {
        let mut mine = self.mine.await.map_err(|_| RunError::StageGone)?;
        let done = work(&mut mine);
        hand_on(self.next, mine);
        Ok(done)
    }
}

fn hand_on<T>(next: oneshot::Sender<Box<T>>, mine: Box<T>) {
    // Nobody is next when the run has been stopped.
    drop(next.send(mine));
}

//! The task that gives listeners what fires. It lists and reads while anyone listens, and waits for nobody.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use super::fired::{FiredObject, FiredObjects};
use super::frames::{FrameChunk, chunks, frame};
use super::place::StreamPlace;
use super::wanted::StreamWanted;
use crate::api::follow::FollowedLake;
use crate::lake::read::Scope;
use crate::lake::read::object::ObjectRows;

/// Listeners at once.
pub const LISTENERS: usize = 100;
/// Chunks that a listener's connection may be behind.
const CHUNKS: usize = 8;
/// How long a listener may read nothing before it is cut off.
const SLOW: Duration = Duration::from_secs(10);
/// The pause where there is more to give.
const SOON: Duration = Duration::from_millis(10);
/// Objects that one listener is given before it is another's turn.
const OBJECTS_A_TURN: usize = 64;
/// Objects whose rows are kept for the next listener.
const KEPT_OBJECTS: usize = 64;
/// Behind this age of its place a listener is told that something may be missing: objects that others have
/// taken the place of are kept for an hour.
const RESUMES_WITHIN_US: i64 = 30 * 60 * 1_000_000;

/// A listener that comes.
pub struct StreamJoin {
    /// What it may see.
    pub scope: Scope,
    /// What it wants.
    pub wanted: StreamWanted,
    /// Where it was; nothing where it begins now.
    pub from: Option<StreamPlace>,
}

/// A listener's end of the line.
pub struct StreamLine {
    /// What it is to send.
    pub chunks: mpsc::Receiver<Bytes>,
    /// What it is to say last.
    pub last: Arc<OnceLock<Bytes>>,
    _place: OwnedSemaphorePermit,
}

/// Where listeners come in.
pub struct StreamHub {
    joins: mpsc::Sender<StreamListener>,
    places: Arc<Semaphore>,
}

/// The hub cannot take a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPlace;

struct StreamListener {
    join: StreamJoin,
    chunks: mpsc::Sender<Bytes>,
    last: Arc<OnceLock<Bytes>>,
    /// Nothing until it was told where it begins.
    place: Option<StreamPlace>,
    full_since: Option<Instant>,
}

/// What came of a listener's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListenerTurn {
    /// It has everything.
    Done,
    /// There is more.
    More,
    /// It is gone, or was cut off.
    Gone,
}

impl StreamHub {
    /// A hub, and the task to be run.
    pub fn new(lake: Arc<FollowedLake>, period: Duration) -> (StreamHub, HubTask) {
        let (joins, joining) = mpsc::channel(LISTENERS);
        let places = Arc::new(Semaphore::new(LISTENERS));
        let task = HubTask {
            lake,
            period,
            joining,
            fired: FiredObjects::default(),
            listed_at: None,
            listeners: Vec::new(),
            kept: HashMap::new(),
            written: HashMap::new(),
        };
        (StreamHub { joins, places }, task)
    }

    /// Takes a listener.
    ///
    /// # Errors
    /// Where there are as many as there may be, or the hub has ended.
    pub fn join(&self, join: StreamJoin) -> Result<StreamLine, NoPlace> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| NoPlace)?;
        let (sender, chunks) = mpsc::channel(CHUNKS);
        let last = Arc::new(OnceLock::new());
        let listener = StreamListener {
            join,
            chunks: sender,
            last: Arc::clone(&last),
            place: None,
            full_since: None,
        };
        self.joins.try_send(listener).map_err(|_| NoPlace)?;
        Ok(StreamLine { chunks, last, _place: place })
    }
}

/// What was written for the listener at a place.
type WrittenFor = (usize, Arc<Vec<FrameChunk>>);

/// The hub's task.
pub struct HubTask {
    lake: Arc<FollowedLake>,
    period: Duration,
    joining: mpsc::Receiver<StreamListener>,
    fired: FiredObjects,
    listed_at: Option<Instant>,
    listeners: Vec<StreamListener>,
    /// Rows of objects by name; nothing where the object is gone.
    kept: HashMap<String, Option<ObjectRows>>,
    /// What was written in this round, by object, place in it, and the listener that it was written for.
    written: HashMap<(StreamPlace, u64), Vec<WrittenFor>>,
}

impl HubTask {
    /// Works for as long as anyone may come.
    pub async fn run(mut self) {
        let mut pause = Duration::ZERO;
        loop {
            if self.listeners.is_empty() {
                // Nobody listens: what is known is forgotten, and nothing is asked of the lake.
                (self.fired, self.listed_at) = (FiredObjects::default(), None);
                self.kept.clear();
                let Some(first) = self.joining.recv().await else { return };
                self.listeners.push(first);
            } else {
                tokio::select! {
                    joined = self.joining.recv() => match joined {
                        Some(listener) => self.listeners.push(listener),
                        None => return,
                    },
                    () = tokio::time::sleep(pause) => {}
                }
            }
            while let Ok(listener) = self.joining.try_recv() {
                self.listeners.push(listener);
            }
            self.list().await;
            pause = if self.round().await { SOON } else { self.period };
        }
    }

    /// Lists what fired, where it is time or someone has come.
    async fn list(&mut self) {
        let now = Instant::now();
        let is_new = self.listeners.iter().any(|listener| listener.place.is_none());
        if !is_new && self.listed_at.is_some_and(|at| at + self.period > now) {
            return;
        }
        match self.lake.fired().await {
            Ok(listed) => {
                self.fired.list(listed, self.lake.ripens(), Instant::now());
                self.listed_at = Some(now);
            }
            Err(error) => {
                tracing::debug!(%error, "could not list what fired");
                return;
            }
        }
        let end = self.fired.end();
        let oldest = self.lake.now().0.saturating_sub(RESUMES_WITHIN_US);
        for listener in self.listeners.iter_mut().filter(|listener| listener.place.is_none()) {
            let place = listener.join.from.unwrap_or(end);
            listener.place = Some(place);
            let has_gap = listener.join.from.is_some_and(|from| from.put_at < oldest);
            let said = if has_gap {
                let detail = "what was told before may have been put together with later rows by now; \
                              ask `tables/{name}/rows` for what was missed";
                frame("gap", Some(place), &json!({ "detail": detail }))
            } else {
                frame("begin", Some(place), &json!({ "resumed": listener.join.from.is_some() }))
            };
            // The line is empty yet; one that is gone already is noticed in its turn.
            if listener.chunks.try_send(said).is_err() {
                tracing::debug!("a listener went before it was told anything");
            }
        }
    }

    /// Gives each listener what there is for it; says whether there is more.
    async fn round(&mut self) -> bool {
        self.written.clear();
        let mut more = false;
        let mut place = 0;
        while place < self.listeners.len() {
            match self.turn(place).await {
                ListenerTurn::Done => place += 1,
                ListenerTurn::More => {
                    more = true;
                    place += 1;
                }
                ListenerTurn::Gone => {
                    drop(self.listeners.remove(place));
                    // What is written names listeners by their places, which have changed.
                    self.written.clear();
                }
            }
        }
        more
    }

    /// One listener's turn.
    async fn turn(&mut self, which: usize) -> ListenerTurn {
        let Some(from) = self.listeners[which].place else { return ListenerTurn::More };
        let objects: Vec<FiredObject> =
            self.fired.behind(from).iter().take(OBJECTS_A_TURN).cloned().collect();
        if objects.is_empty() {
            return if self.listeners[which].chunks.is_closed() {
                ListenerTurn::Gone
            } else {
                ListenerTurn::Done
            };
        }
        for object in objects {
            if object.ripe_at > Instant::now() {
                return ListenerTurn::More;
            }
            let listener = &self.listeners[which];
            let StreamJoin { scope, wanted, .. } = &listener.join;
            if !object.is_told || !wanted.holds_table(&object.table) || scope.closes(&object.table)
            {
                self.listeners[which].place = Some(object.place.behind());
                continue;
            }
            if listener.chunks.capacity() == 0 {
                return self.listeners[which].waits();
            }
            let Some(chunks) = self.chunks(which, &object).await else { return ListenerTurn::More };
            if let Some(turn) = self.listeners[which].give(&chunks) {
                return turn;
            }
            self.listeners[which].place = Some(object.place.behind());
        }
        ListenerTurn::More
    }

    /// What an object tells a listener; nothing where it cannot be read now.
    async fn chunks(&mut self, which: usize, object: &FiredObject) -> Option<Arc<Vec<FrameChunk>>> {
        let place = self.listeners[which].place.unwrap_or_default();
        let told = if place.is_within(object.place) { place.rows } else { 0 };
        let alike = self.written.get(&(object.place, told)).and_then(|written| {
            let mine = &self.listeners[which].join;
            let same = written.iter().find(|(other, _)| {
                let other = self.listeners.get(*other).map(|listener| &listener.join);
                other.is_some_and(|other| other.scope == mine.scope && other.wanted == mine.wanted)
            });
            same.map(|(_, chunks)| Arc::clone(chunks))
        });
        if alike.is_some() {
            return alike;
        }
        let name = object.meta.location.to_string();
        if !self.kept.contains_key(&name) {
            if self.kept.len() >= KEPT_OBJECTS {
                self.kept.clear();
            }
            match self.lake.object(&object.meta).await {
                Ok(rows) => drop(self.kept.insert(name.clone(), rows)),
                Err(error) => {
                    tracing::debug!(%error, "could not read what fired");
                    return None;
                }
            }
        }
        let StreamJoin { scope, wanted, .. } = &self.listeners[which].join;
        let written = match self.kept.get(&name).and_then(Option::as_ref) {
            None => Ok(Vec::new()),
            Some(rows) => rows
                .seen(&object.table, scope)
                .and_then(|seen| chunks((&object.table, object.place), &seen, wanted, place)),
        };
        let written = written.unwrap_or_else(|error| {
            tracing::error!(%error, object = name, "could not write what fired");
            Vec::new()
        });
        let written = Arc::new(written);
        let others = self.written.entry((object.place, told)).or_default();
        others.push((which, Arc::clone(&written)));
        Some(written)
    }
}

impl StreamListener {
    /// Gives chunks, as far as there is room; nothing where all were given.
    fn give(&mut self, chunks: &[FrameChunk]) -> Option<ListenerTurn> {
        for FrameChunk { text, place } in chunks {
            match self.chunks.try_send(text.clone()) {
                Ok(()) => {
                    self.place = Some(*place);
                    self.full_since = None;
                }
                Err(TrySendError::Full(_)) => return Some(self.waits()),
                Err(TrySendError::Closed(_)) => return Some(ListenerTurn::Gone),
            }
        }
        None
    }

    /// Waits for a listener that has not read, unless it has not for too long.
    fn waits(&mut self) -> ListenerTurn {
        let now = Instant::now();
        let since = *self.full_since.get_or_insert(now);
        if self.chunks.is_closed() {
            return ListenerTurn::Gone;
        }
        if since + SLOW > now {
            return ListenerTurn::More;
        }
        let detail = format!(
            "nothing was read for {} s; connect again with `Last-Event-ID` to go on where this ends",
            SLOW.as_secs()
        );
        // Set once: the listener goes now.
        if self.last.set(frame("cut", None, &json!({ "detail": detail }))).is_err() {
            tracing::debug!("a listener was cut off twice");
        }
        tracing::info!("a listener that read nothing was cut off");
        ListenerTurn::Gone
    }
}

//! The world of a timeline: a source and a clock that do as they are told, and the real loop
//! between them and a lake on disk.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use turnaround::alert::pace::Tempo;
use turnaround::alert::rule::AlertSettings;
use turnaround::alert::webhook::WebhookReach;
use turnaround::alert::zones::LabZones;
use turnaround::alert::{AlertSetup, AlertSink};
use turnaround::clock::Clock;
use turnaround::config::{Project, Settings};
use turnaround::flow::offset::Extents;
use turnaround::flow::record::RecordFrame;
use turnaround::flow::{Framing, Offset, OffsetRange, Partition, RawBatch, Timestamp};
use turnaround::judge::EventPace;
use turnaround::lake::Lake;
use turnaround::lake::write::parts::Filing;
use turnaround::pipeline;
use turnaround::pipeline::progress::{Progress, Summary};
use turnaround::pipeline::{Job, RunError};
use turnaround::plan::build;
use turnaround::source::{Source, SourceError, SourceEvent};

use super::case::Arrival;
use crate::binary::repository;

/// How long the loop may take for what it is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Answers of the source between which the loop has surely done what it had to do: more than
/// wait between the two.
const ANSWERS_BETWEEN: u64 = 8;
/// How often the loop of a test does its timed work.
const TICK: Duration = Duration::from_millis(3);
/// Questions to the clock within which the timed work was done twice from beginning to end.
const QUESTIONS_BETWEEN: u64 = 8;

/// What the source is to say, what the clock shows, and how far the loop has come.
#[derive(Default)]
struct Script {
    to_say: Mutex<VecDeque<SourceEvent>>,
    committed: Mutex<BTreeMap<i32, i64>>,
    answers: AtomicU64,
    time: AtomicI64,
    questions: AtomicU64,
}

impl Clock for Script {
    fn now(&self) -> Timestamp {
        self.questions.fetch_add(1, Ordering::SeqCst);
        Timestamp(self.time.load(Ordering::SeqCst))
    }
}

struct Scripted {
    script: Arc<Script>,
    partitions: Vec<Arc<Partition>>,
    extents: Extents,
}

/// The project of the timelines.
pub(crate) const TIMELINES: &str = "tests/cases/timelines/project";

/// What is the case before a loop begins.
pub(crate) struct Setting {
    /// A project of the repository.
    pub(crate) project: &'static str,
    pub(crate) lake: Lake,
    pub(crate) partitions: i32,
    pub(crate) now: Timestamp,
    pub(crate) once: bool,
    /// What the source says of its partitions, first offset and end.
    pub(crate) extents: Vec<(i32, i64, i64)>,
    pub(crate) lake_patience: Duration,
    /// Whether the broker has stamped the records itself, and so bears out what they say.
    pub(crate) appended: bool,
}

impl Setting {
    /// A lake in a folder, of which the source says nothing.
    pub(crate) fn new(
        project: &'static str,
        lake: &Path,
        partitions: i32,
        (now, once): (Timestamp, bool),
    ) -> Setting {
        let location = format!("file://{}", lake.to_str().expect("the path is text"));
        let lake = Lake::open(&location, []).expect("a temporary folder can be written");
        let (extents, lake_patience) = (Vec::new(), Duration::ZERO);
        Setting { project, lake, partitions, now, once, extents, lake_patience, appended: false }
    }
}

#[async_trait]
impl Source for Scripted {
    fn partitions(&self) -> &[Arc<Partition>] {
        &self.partitions
    }

    fn extents(&self) -> Extents {
        self.extents.clone()
    }

    async fn next(&mut self) -> Result<SourceEvent, SourceError> {
        self.script.answers.fetch_add(1, Ordering::SeqCst);
        let said = self.script.to_say.lock().expect("nobody panicked").pop_front();
        if let Some(event) = said {
            return Ok(event);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(SourceEvent::Quiet)
    }

    fn commit(&mut self, partition: &Partition, next: Offset) {
        let mut committed = self.script.committed.lock().expect("nobody panicked");
        committed.insert(partition.index, next.0);
    }
}

/// Records by partition, in the order of their offsets.
pub(crate) type Log = BTreeMap<i32, Vec<Arrival>>;

/// A running loop.
pub(crate) struct World {
    appended: bool,
    script: Arc<Script>,
    progress: Arc<Progress>,
    partitions: i32,
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<Summary, RunError>>,
}

impl World {
    /// Starts a loop over a lake at a time of the clock.
    pub(crate) async fn start(lake: &Path, partitions: i32, now: Timestamp, once: bool) -> World {
        World::of(TIMELINES, lake, partitions, (now, once)).await
    }

    /// Starts a loop for a project of the repository.
    pub(crate) async fn of(
        project: &'static str,
        lake: &Path,
        partitions: i32,
        (now, once): (Timestamp, bool),
    ) -> World {
        World::begin(Setting::new(project, lake, partitions, (now, once))).await
    }

    /// Starts a loop.
    pub(crate) async fn begin(setting: Setting) -> World {
        let (partitions, appended) = (setting.partitions, setting.appended);
        let script = Arc::new(Script { time: AtomicI64::new(setting.now.0), ..Script::default() });
        let progress = Arc::new(Progress::default());
        let range = |(index, from, to): &(i32, i64, i64)| {
            (partition(*index), OffsetRange { from: Offset(*from), to: Offset(*to) })
        };
        let source = Scripted {
            script: Arc::clone(&script),
            partitions: (0..partitions).map(partition).collect(),
            extents: setting.extents.iter().map(range).collect(),
        };
        let clock: Arc<dyn Clock> = Arc::clone(&script) as Arc<dyn Clock>;
        let filing = Filing { archive: true, record_times: true, once: setting.once };
        let job = job(setting, (clock, Arc::clone(&progress)), filing).await;
        let (stop, stopped) = oneshot::channel();
        let run = tokio::spawn(pipeline::run(job, Box::new(source), async {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        }));
        World { appended, script, progress, partitions, stop, run }
    }

    /// Moves the clock.
    pub(crate) fn clock(&self, now: Timestamp) {
        let before = self.script.time.swap(now.0, Ordering::SeqCst);
        assert!(before <= now.0, "the clock does not go back");
    }

    fn raw(&self, index: i32, first: usize, records: &[Arrival]) -> RawBatch {
        raw(index, first, records, self.appended)
    }

    /// Delivers what the log holds from `from` on, `batch` records at once, and waits until the
    /// loop has taken it in.
    pub(crate) async fn deliver(&self, log: &Log, from: &BTreeMap<i32, usize>, batch: usize) {
        for (index, records) in log {
            let from = from.get(index).copied().unwrap_or(0);
            for (place, some) in records[from..].chunks(batch).enumerate() {
                self.say(SourceEvent::Batch(self.raw(*index, from + place * batch, some)));
            }
        }
        let lengths: BTreeMap<i32, i64> = log
            .iter()
            .filter(|(_, records)| !records.is_empty())
            .map(|(index, records)| (*index, records.len() as i64))
            .collect();
        let taken = || *self.script.committed.lock().expect("nobody panicked") == lengths;
        self.wait("records", taken).await;
        self.settle().await;
    }

    /// Says of partitions that they are read to their end, and waits for what follows from it.
    pub(crate) async fn caught_up(&self, behind: &[i32]) {
        for index in (0..self.partitions).filter(|index| !behind.contains(index)) {
            self.say(SourceEvent::CaughtUp(partition(index), Instant::now()));
        }
        self.settle().await;
        let asked = self.script.questions.load(Ordering::SeqCst);
        let ticked = || self.script.questions.load(Ordering::SeqCst) >= asked + QUESTIONS_BETWEEN;
        self.wait("timed work", ticked).await;
        self.settle().await;
    }

    /// Delivers everything, then the end of the input.
    pub(crate) async fn run_to_the_end(self, log: &Log) -> Summary {
        self.run_to_the_end_by(log, &BTreeMap::new(), usize::MAX).await
    }

    /// Delivers what the log holds from `from` on, so many records at once, then the end of the input.
    pub(crate) async fn run_to_the_end_by(
        self,
        log: &Log,
        from: &BTreeMap<i32, usize>,
        batch: usize,
    ) -> Summary {
        self.deliver(log, from, batch).await;
        self.say(SourceEvent::End);
        let summary = self.run.await.expect("no panic").expect("the world is whole");
        drop(self.stop);
        summary
    }

    /// Stops the loop, as a signal would.
    pub(crate) async fn stop(self) -> Summary {
        self.stopped().await.expect("the world is whole")
    }

    /// Stops the loop, which may have reason to complain.
    pub(crate) async fn stopped(self) -> Result<Summary, RunError> {
        assert!(self.stop.send(()).is_ok(), "the loop ended early: {:?}", self.run.await);
        self.run.await.expect("no panic")
    }

    /// What the loop complains of by itself.
    pub(crate) async fn complains(self) -> RunError {
        let outcome = tokio::time::timeout(PATIENCE, self.run).await.expect("it ends");
        drop(self.stop);
        outcome.expect("no panic").expect_err("the loop has reason to complain")
    }

    /// Says of the input that it has ended.
    pub(crate) fn end(&self) {
        self.say(SourceEvent::End);
    }

    /// Hands over what the log holds from `from` on, and does not wait.
    pub(crate) fn hand_over(&self, log: &Log, from: &BTreeMap<i32, usize>) {
        for (index, records) in log {
            let from = from.get(index).copied().unwrap_or(0);
            for (place, record) in records.iter().enumerate().skip(from) {
                self.say(SourceEvent::Batch(self.raw(*index, place, std::slice::from_ref(record))));
            }
        }
    }

    /// How far the loop has come, and whether its lake answers.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The job's watermark, in microseconds; 0 when there is none.
    pub(crate) fn watermark(&self) -> i64 {
        self.progress.watermark.load(Ordering::SeqCst)
    }

    fn say(&self, event: SourceEvent) {
        self.script.to_say.lock().expect("nobody panicked").push_back(event);
    }

    /// Waits until the loop has done all that it has to do for what was said. The source's answers
    /// pass through a short queue, and the loop takes one only when it has nothing else to do.
    async fn settle(&self) {
        let said = || self.script.to_say.lock().expect("nobody panicked").is_empty();
        self.wait("the source", said).await;
        let heard = self.script.answers.load(Ordering::SeqCst);
        let passed = || self.script.answers.load(Ordering::SeqCst) >= heard + ANSWERS_BETWEEN;
        self.wait("the loop", passed).await;
    }

    async fn wait(&self, what: &str, ready: impl Fn() -> bool) {
        let begun = Instant::now();
        while !ready() {
            assert!(!self.run.is_finished(), "the loop ended while {what} was waited for");
            assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn partition(index: i32) -> Arc<Partition> {
    Arc::new(Partition { topic: "lab".into(), index })
}

fn raw(index: i32, first: usize, records: &[Arrival], appended: bool) -> RawBatch {
    let mut bytes = Vec::new();
    let mut frames = Vec::new();
    for (record, offset) in records.iter().zip(first as i64..) {
        let start = bytes.len();
        bytes.extend_from_slice(record.payload.as_bytes());
        let record_time = record.record_time;
        let end = bytes.len();
        frames.push(RecordFrame { offset, record_time, appended, start, end });
    }
    let framing = Framing::Records(frames);
    RawBatch { partition: partition(index), bytes: Bytes::from(bytes), framing }
}

/// A run of a project of the repository.
pub(crate) async fn job(
    setting: Setting,
    (clock, progress): (Arc<dyn Clock>, Arc<Progress>),
    filing: Filing,
) -> Job {
    let folder = repository().join(setting.project);
    let project = Project::load(Some(&folder)).expect("the project is right");
    let settings = Settings::default();
    let plan = build::plan(&project, &settings, None, true).await.expect("the project is right");
    let setup = AlertSetup {
        settings: AlertSettings { dry_run: true, ..AlertSettings::default() },
        webhooks: BTreeMap::new(),
        zones: LabZones::new(plan.labs.clone()),
        reach: WebhookReach::Public,
        tempo: Tempo::default(),
    };
    let alerts = AlertSink::start(setup, Arc::clone(&clock), setting.lake.clone());
    Job {
        plan,
        lake: setting.lake,
        dead_letters: None,
        lake_patience: setting.lake_patience,
        alerts: alerts.expect("no webhook is needed"),
        clock,
        pace: EventPace {
            max_disorder: settings.time.max_disorder,
            max_leap: settings.time.max_leap,
            idle_after: settings.time.idle_after,
        },
        tick: TICK,
        empty_until: None,
        filing,
        memory: None,
        progress,
    }
}

//! The stage: what is shared by all cores, and what is kept of each partition.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::error::ArrowError;

use super::cut::BatchRises;
use super::machine::StateMachine;
use super::prepare::{StepEvents, steps};
use super::scatter::{Scatter, ScatterBits, ScatteredTubes};
use super::test::Tests;
use super::test::change::Changes;
use super::test::rules::{Rules, TestSettings};
use super::test::step::TestStep;
use super::test::tally::{TestCounts, WantedRows};
use super::texts::RunTexts;
use crate::flow::{Partition, Timestamp};
use crate::reference::Target;

/// What all cores read: the machine, and the texts that records hold as codes.
#[derive(Clone, Debug)]
pub struct LifecycleShared {
    rules: Arc<Rules>,
    settings: Arc<TestSettings>,
    texts: Arc<RunTexts>,
    scatter: ScatterBits,
}

/// Judged events of one partition, in the order of their offsets.
#[derive(Clone, Copy, Debug)]
pub struct JudgedEvents<'a> {
    /// The events, with the columns that [`super::columns`] names.
    pub rows: &'a RecordBatch,
    /// Their offsets.
    pub offsets: &'a [i64],
    /// Their event times, microseconds.
    pub times: &'a [i64],
    /// The partition's watermark before each.
    pub watermark_before: &'a [i64],
    /// For each guard of the machine, whether it holds for each event.
    pub guards: &'a [BooleanArray],
    /// Whether a table has counted each event by itself; none where none has.
    pub counted: Option<&'a [bool]>,
}

/// A batch's steps, made on any core.
#[derive(Debug)]
pub struct Prepared {
    steps: Vec<TestStep>,
    /// Tubes of which it is looked at where their events come.
    sample: Vec<u64>,
}

impl Prepared {
    /// The rows of the events that say something to the machine, ascending.
    pub fn rows(&self) -> impl Iterator<Item = u32> {
        self.steps.iter().map(|step| step.row)
    }
}

impl LifecycleShared {
    /// What is shared by all who follow tests by this machine.
    ///
    /// # Errors
    /// The states and words that the test's machine must have and has not.
    pub fn new(
        machine: StateMachine,
        settings: TestSettings,
    ) -> Result<LifecycleShared, Vec<&'static str>> {
        let rules = Arc::new(Rules::new(machine, &settings)?);
        let settings = Arc::new(settings);
        let (texts, scatter) = (Arc::default(), ScatterBits::default());
        Ok(LifecycleShared { rules, settings, texts, scatter })
    }

    /// Makes a batch's events into steps: pure but for codes of new texts, so on any core.
    ///
    /// # Errors
    /// When a column does not hold what decode puts into it.
    pub fn prepare(&self, events: JudgedEvents<'_>) -> Result<Prepared, ArrowError> {
        let JudgedEvents { rows, offsets, times, watermark_before, guards, counted } = events;
        let events = StepEvents { rows, offsets, times, watermark_before, guards, counted };
        let steps = steps(&self.rules.machine, &self.texts, &events)?;
        let sample = self.scatter.sample(steps.iter().map(|step| step.tube));
        Ok(Prepared { steps, sample })
    }

    /// The machine.
    pub fn machine(&self) -> &StateMachine {
        &self.rules.machine
    }

    /// The texts of codes.
    pub fn texts(&self) -> &RunTexts {
        &self.texts
    }
}

/// The tests of all partitions.
#[derive(Debug)]
pub struct Lifecycle {
    shared: LifecycleShared,
    wanted: WantedRows,
    partitions: BTreeMap<Arc<Partition>, Tests>,
    scatter: Scatter,
}

impl Lifecycle {
    /// Nothing has been seen.
    pub fn new(shared: LifecycleShared, wanted: WantedRows) -> Lifecycle {
        Lifecycle { shared, wanted, partitions: BTreeMap::new(), scatter: Scatter::default() }
    }

    /// Of several partitions it is looked at whether a tube's events come on one of them.
    pub fn over(mut self, partitions: usize) -> Lifecycle {
        if partitions > 1 {
            self.scatter = Scatter::watch(self.shared.scatter.clone());
        }
        self
    }

    fn of(&mut self, partition: &Arc<Partition>) -> &mut Tests {
        let Lifecycle { shared, wanted, partitions, .. } = self;
        let LifecycleShared { rules, settings, texts, .. } = shared;
        partitions
            .entry(Arc::clone(partition))
            .or_insert_with(|| Tests::new(Arc::clone(rules), settings, Arc::clone(texts), *wanted))
    }

    /// A centre of the partition has published targets for tests received from then on. Told before the
    /// batch that brought it about: so it does not matter how batches are cut.
    pub fn publish(
        &mut self,
        partition: &Arc<Partition>,
        lab_id: &str,
        (rows, valid_from): (&[Target], Timestamp),
    ) {
        self.of(partition).publish(lab_id, rows, valid_from);
    }

    /// Takes in a batch, in which the watermark rose so, and does what is due by the partition's watermark
    /// after it.
    pub fn batch(
        &mut self,
        partition: &Arc<Partition>,
        (Prepared { steps, sample }, rises): (Prepared, &BatchRises),
        watermark: i64,
    ) -> Changes {
        self.scatter.note(partition, &sample);
        self.of(partition).batch(steps, rises, watermark)
    }

    /// Does what is due by a watermark that moved without a record.
    pub fn advance(&mut self, partition: &Arc<Partition>, watermark: i64) -> Changes {
        self.of(partition).advance(watermark)
    }

    /// Nothing will come of a partition any more: what waits is applied. What is open there goes on as
    /// [`Lifecycle::advance`] says.
    pub fn end(&mut self, partition: &Arc<Partition>) -> Changes {
        self.of(partition).end()
    }

    /// The input has ended at `end`: all that waits is applied, and timers go off up to there.
    pub fn finish(&mut self, end: i64) -> Vec<(Arc<Partition>, Changes)> {
        let finish = |(partition, tests): (&Arc<Partition>, &mut Tests)| {
            (Arc::clone(partition), tests.finish(end))
        };
        self.partitions.iter_mut().map(finish).collect()
    }

    /// How many came to what, over all partitions.
    pub fn counts(&self) -> TestCounts {
        let counts = self.partitions.values().map(Tests::counts);
        counts.fold(TestCounts::default(), TestCounts::plus)
    }

    /// Tests that are held whole, and those that are put down.
    pub fn held(&self) -> (usize, usize) {
        let held = self.partitions.values().map(Tests::held);
        held.fold((0, 0), |sum, held| (sum.0 + held.0, sum.1 + held.1))
    }

    /// Whether tubes' events came on one partition each.
    pub fn scattered(&self) -> ScatteredTubes {
        self.scatter.found()
    }

    /// Bytes of memory that are held.
    pub fn bytes(&self) -> usize {
        self.partitions.values().map(Tests::bytes).sum()
    }
}

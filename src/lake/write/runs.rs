//! The rows of a table that pass without a window as runs of each partition's input, for `live/`.
//!
//! They come cut into runs. Those of an hour are put together once the partition's watermark has
//! passed it.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::common::Result;

use super::live::{LiveName, LiveObject, Moment};
use crate::flow::lake_key::InputKey;
use crate::flow::{Cut, Offset, OffsetRange, Partition, RowCut, RowPart, Span, Timestamp};
use crate::keep::held::Keeper;
use crate::keep::pile::Pile;
use crate::window::OffsetsByPartition;

/// Bytes of runs' rows that a table keeps in memory.
const RUNS_IN_MEMORY: usize = 4 << 20;

/// The runs of a table whose days have not settled; none where rows pass through windows.
pub struct TableRuns {
    table: Arc<str>,
    partitions: BTreeMap<Arc<Partition>, Runs>,
    /// Keeps the rows of runs until their hour is put together.
    keeper: Keeper,
}

/// One partition's runs.
struct Runs {
    /// The offset and watermark at which the next record will be judged.
    reached: RowCut,
    /// Those that go on.
    open: BTreeMap<(Cut, Cut, NaiveDate), Run>,
    /// Those that are complete and whose hour goes on.
    hours: BTreeMap<(Cut, NaiveDate), Vec<Run>>,
    /// Whole hours of days that are past.
    past: BTreeMap<(Cut, NaiveDate), Run>,
}

#[derive(Clone)]
struct Run {
    first: i64,
    last: i64,
    rows: Pile,
    put: bool,
}

impl TableRuns {
    /// A table without rows.
    pub fn new(table: &Arc<str>) -> TableRuns {
        TableRuns {
            table: Arc::clone(table),
            partitions: BTreeMap::new(),
            keeper: Keeper::new(RUNS_IN_MEMORY),
        }
    }

    /// Takes in a part of what one batch of a partition gave.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written.
    pub fn add(&mut self, partition: &Arc<Partition>, part: RowPart) -> Result<()> {
        let runs = self.partitions.entry(Arc::clone(partition));
        runs.or_insert_with(Runs::new).add(part, &mut self.keeper)
    }

    /// Notes the offset and watermark at which a partition's next record will be judged.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written.
    pub fn reached(
        &mut self,
        partition: &Arc<Partition>,
        next: i64,
        watermark: Timestamp,
    ) -> Result<()> {
        let Some(runs) = self.partitions.get_mut(partition) else { return Ok(()) };
        runs.reached = RowCut { offset: next, watermark: watermark.0 };
        runs.complete(runs.reached.run(), &mut self.keeper)
    }

    /// What is to be put into `live/` now; `present` is the first day that is not past.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written.
    pub fn due(&mut self, moment: Moment, present: NaiveDate) -> Result<Vec<LiveObject>> {
        let past = |date: NaiveDate| date < present && !moment.rests;
        let mut due = Vec::new();
        for (partition, runs) in &mut self.partitions {
            let objects =
                runs.due(moment, &past, &mut self.keeper)?.into_iter().map(|(date, run)| {
                    let input = InputKey::of(partition, Offset(run.first), Offset(run.last));
                    let range = OffsetRange { from: Offset(run.first), to: Offset(run.last + 1) };
                    LiveObject {
                        table: Arc::clone(&self.table),
                        date,
                        name: LiveName::Rows(input),
                        rows: run.rows,
                        origins: OffsetsByPartition::from([(Arc::clone(partition), range)]),
                    }
                });
            due.extend(objects);
        }
        Ok(due)
    }

    /// Forgets the days before one, which have settled.
    pub fn settled_before(&mut self, before: NaiveDate) {
        for runs in self.partitions.values_mut() {
            runs.open.retain(|(.., date), _| *date >= before);
            runs.hours.retain(|(_, date), _| *date >= before);
            runs.past.retain(|(_, date), _| *date >= before);
        }
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        let runs = self.partitions.values().flat_map(|runs| {
            let hours = runs.hours.values().flatten();
            runs.open.values().chain(hours).chain(runs.past.values())
        });
        runs.map(|run| run.rows.size()).sum::<usize>() + self.keeper.in_memory()
    }

    /// Keeps rows on disk from now on.
    pub fn spill(&mut self) {
        self.keeper.keep_on_disk();
    }
}

impl Runs {
    fn new() -> Runs {
        Runs {
            reached: RowCut { offset: 0, watermark: i64::MIN },
            open: BTreeMap::new(),
            hours: BTreeMap::new(),
            past: BTreeMap::new(),
        }
    }

    fn add(&mut self, part: RowPart, keeper: &mut Keeper) -> Result<()> {
        let RowPart { run, hour, date, first, last, rows } = part;
        let fresh = || Run { first, last, rows: Pile::default(), put: false };
        let open = self.open.entry((run, hour, date)).or_insert_with(fresh);
        open.last = last;
        open.rows.add(&rows, keeper)
    }

    /// Moves the runs that nothing can be added to any more to their hours.
    fn complete(&mut self, reached: Cut, keeper: &mut Keeper) -> Result<()> {
        let goes_on = ((reached.0, reached.1), (i64::MIN, i64::MIN), NaiveDate::MIN);
        let open = self.open.split_off(&goes_on);
        for ((_, hour, date), mut run) in std::mem::replace(&mut self.open, open) {
            run.rows.settle(keeper)?;
            self.hours.entry((hour, date)).or_default().push(run);
        }
        Ok(())
    }

    fn due(
        &mut self,
        moment: Moment,
        past: &impl Fn(NaiveDate) -> bool,
        keeper: &mut Keeper,
    ) -> Result<Vec<(NaiveDate, Run)>> {
        let reached = self.reached.hour();
        let go_on = self.hours.split_off(&(reached, NaiveDate::MIN));
        let mut due = Vec::new();
        for ((hour, date), runs) in std::mem::replace(&mut self.hours, go_on) {
            let Some(whole) = together(runs, keeper)?.filter(|whole| !whole.put) else { continue };
            if past(date) {
                self.past.insert((hour, date), whole);
            } else {
                due.push((date, whole));
            }
        }
        if moment.rests {
            let past = std::mem::take(&mut self.past).into_iter();
            due.extend(past.map(|((_, date), whole)| (date, whole)));
        }
        for ((hour, date), runs) in &mut self.hours {
            let closes = Timestamp(hour.1.saturating_add(1).saturating_mul(Span::HOUR.0));
            if moment.is_behind(closes) || past(*date) {
                continue;
            }
            for run in runs.iter_mut().filter(|run| !run.put) {
                run.put = true;
                due.push((*date, run.clone()));
            }
        }
        Ok(due)
    }
}

/// The runs of an hour as one; a lone one as it is.
fn together(runs: Vec<Run>, keeper: &mut Keeper) -> Result<Option<Run>> {
    let mut runs = runs.into_iter();
    let Some(mut whole) = runs.next() else { return Ok(None) };
    for run in runs {
        whole.last = run.last;
        whole.rows.append(run.rows, keeper)?;
        whole.put = false;
    }
    Ok(Some(whole))
}

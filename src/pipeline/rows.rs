//! The rows of a row-level table until their day settles; and as runs of each partition's input,
//! for `live/`.
//!
//! Runs are cut by `parting`. Those of an hour are put together once the partition's watermark has
//! passed it.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::common::Result;

use super::filed::Cut;
use super::live::{LiveName, LiveObject, Moment};
use super::parting::{RowPart, hour_of, run_of, with_date};
use super::tables::Settled;
use crate::flow::lake_key::InputKey;
use crate::flow::{Offset, OffsetRange, Partition, Span, Timestamp};
use crate::keep::held::Keeper;
use crate::keep::order::RowOrder;
use crate::keep::pile::Pile;
use crate::keep::runs;
use crate::keep::runs::SortedDays;
use crate::plan::planned::PipelinePlan;
use crate::sql::collect::collected::Tally;
use crate::sql::fire::output::epoch_day;
use crate::window::OffsetsByPartition;

/// Bytes of runs' rows that a table keeps in memory.
const RUNS_IN_MEMORY: usize = 4 << 20;

/// When a row-level table's day settles: its end and the allowed lateness.
pub fn settles_at(date: NaiveDate, lateness: Span) -> Timestamp {
    let days = i64::from(epoch_day(date)) + 1;
    Timestamp(days.saturating_mul(Span::DAY.0)).plus(lateness)
}

/// The rows of a row-level table whose days have not settled.
pub struct RowLevel {
    table: Arc<str>,
    lateness: Span,
    days: SortedDays,
    origins: BTreeMap<NaiveDate, OffsetsByPartition>,
    partitions: BTreeMap<Arc<Partition>, Runs>,
    /// Keeps the rows of runs until their hour is put together.
    keeper: Keeper,
    tally: Tally,
}

/// One partition's runs.
struct Runs {
    /// The offset and watermark at which the next record will be judged.
    reached: (i64, i64),
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

impl RowLevel {
    /// A table without rows.
    pub fn new(pipeline: &PipelinePlan) -> Result<RowLevel> {
        let schema = with_date(&pipeline.query.schema);
        // The grain tells rows apart, but for repeats that came too late to be known as such.
        let places = pipeline.spec.grain.iter().map(|name| schema.index_of(name));
        let grain = places.collect::<std::result::Result<Vec<usize>, _>>()?;
        let columns: Vec<usize> = (0..schema.fields().len()).collect();
        let deciding = grain.iter().max().map_or(columns.len(), |last| last + 1);
        let order = RowOrder::new(&schema, &columns, deciding)?;
        let lateness = pipeline.spec.allowed_lateness;
        Ok(RowLevel::of(pipeline.spec.name.as_str().into(), lateness, order))
    }

    fn of(table: Arc<str>, lateness: Span, order: RowOrder) -> RowLevel {
        RowLevel {
            table,
            lateness,
            days: SortedDays::new(order, runs::IN_MEMORY),
            origins: BTreeMap::new(),
            partitions: BTreeMap::new(),
            keeper: Keeper::new(RUNS_IN_MEMORY),
            tally: Tally::default(),
        }
    }

    /// Takes in what one batch of a partition gave; `live` says whether runs are asked for.
    pub fn collect(
        &mut self,
        parts: Vec<RowPart>,
        tally: Tally,
        partition: &Arc<Partition>,
        live: bool,
    ) -> Result<()> {
        self.tally.counted += tally.counted;
        self.tally.late += tally.late;
        self.tally.other += tally.other;
        for part in parts {
            let range = OffsetRange { from: Offset(part.first), to: Offset(part.last + 1) };
            let origins = self.origins.entry(part.date).or_default();
            let covered = origins.entry(Arc::clone(partition)).or_insert(range);
            covered.from = covered.from.min(range.from);
            covered.to = covered.to.max(range.to);
            self.days.add(part.date, part.rows.clone())?;
            if live {
                let runs = self.partitions.entry(Arc::clone(partition));
                runs.or_insert_with(Runs::new).add(part, &mut self.keeper)?;
            }
        }
        Ok(())
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
        runs.reached = (next, watermark.0);
        runs.complete(run_of(next, watermark.0), &mut self.keeper)
    }

    /// What is to be put into `live/` now.
    pub fn due(&mut self, moment: Moment) -> Result<Vec<LiveObject>> {
        let lateness = self.lateness;
        let past = |date: NaiveDate| {
            let past = moment.past().is_some_and(|past| settles_at(date, lateness) <= past);
            past && !moment.rests
        };
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

    /// Takes out the days that have settled.
    pub fn settle(&mut self, watermark: Timestamp) -> Vec<Settled> {
        let (before, taken) = match watermark {
            Timestamp::MAX => (NaiveDate::MAX, self.days.settle_all()),
            Timestamp::MIN => return Vec::new(),
            reached => {
                let before = reached.minus(self.lateness).date();
                (before, self.days.settle_before(before))
            }
        };
        if taken.is_empty() {
            return Vec::new();
        }
        for runs in self.partitions.values_mut() {
            runs.open.retain(|(.., date), _| *date >= before);
            runs.hours.retain(|(_, date), _| *date >= before);
            runs.past.retain(|(_, date), _| *date >= before);
        }
        let mut settled = Vec::with_capacity(taken.len());
        for (date, rows) in taken {
            let (table, rows) = (Arc::clone(&self.table), rows.into_rows());
            let origins = self.origins.remove(&date).unwrap_or_default();
            settled.push(Settled { table, date, rows, origins });
        }
        settled
    }

    /// Bytes held: rows of days that have not settled, and those that wait for `live/`.
    pub fn size(&self) -> usize {
        let runs = self.partitions.values().flat_map(|runs| {
            let hours = runs.hours.values().flatten();
            runs.open.values().chain(hours).chain(runs.past.values())
        });
        let young: usize = runs.map(|run| run.rows.size()).sum();
        young + self.keeper.in_memory() + self.days.size()
    }

    /// Brings the rows of days that have not settled to disk.
    pub fn spill(&mut self) -> Result<()> {
        self.keeper.keep_on_disk();
        self.days.spill()
    }

    /// The table's name and what became of the events in it.
    pub fn tally(&self) -> (Arc<str>, Tally) {
        (Arc::clone(&self.table), self.tally)
    }
}

impl Runs {
    fn new() -> Runs {
        Runs {
            reached: (0, i64::MIN),
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
        let reached = hour_of(self.reached.0, self.reached.1);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::parting::Parting;
    use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use proptest::prelude::*;

    /// 2026-03-01T00:00:00Z, by `date -u -d 2026-03-01 +%s`.
    const MIDNIGHT: i64 = 1_772_323_200_000_000;
    const SECOND: i64 = 1_000_000;

    /// A record: how long after the one before it, and how many rows it gives.
    type Record = (i64, usize);

    /// Records of one partition with their offsets and times; the watermark trails by a minute.
    fn times(records: &[Record]) -> Vec<i64> {
        let mut time = MIDNIGHT + 23 * 3_600 * SECOND;
        let after = |(gap, _): &Record| {
            time += gap * SECOND;
            time
        };
        records.iter().map(after).collect()
    }

    fn watermark(times: &[i64], offset: usize) -> i64 {
        if offset == 0 { i64::MIN } else { times[offset - 1] - 60 * SECOND }
    }

    /// The parts of the records of a batch; a row says the partition and the offset, and which of the
    /// record's rows it is, the last of them first.
    fn parts(partition: i64, records: &[Record], batch: std::ops::Range<usize>) -> Vec<RowPart> {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
        let times = times(records);
        let mut rows: Vec<(usize, i64)> = Vec::new();
        for offset in batch {
            let several = (0..records[offset].1).rev();
            let number = |row: usize| partition * 1_000_000 + (offset * 10 + row) as i64;
            rows.extend(several.map(|row| (offset, number(row))));
        }
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1)));
        let batch = RecordBatch::try_new(Arc::new(schema.clone()), vec![column]).unwrap();
        let mut parting = Parting::new(&schema, true);
        let place = |row: usize| {
            let offset = rows[row].0;
            Some((times[offset], offset as i64, watermark(&times, offset)))
        };
        parting.add(&batch, place).unwrap();
        parting.finish().unwrap()
    }

    fn numbers(rows: &[RecordBatch]) -> Vec<i64> {
        let column = |rows: &RecordBatch| rows.column(0).as_primitive::<Int64Type>().clone();
        rows.iter().flat_map(|rows| column(rows).values().to_vec()).collect()
    }

    type Put = BTreeMap<(NaiveDate, String), Vec<i64>>;

    /// Delivers two partitions in turns of so many records; gives what stands in `live/` and is not
    /// covered, and the days as they settle.
    fn deliver(partitions: [&[Record]; 2], turns: &[usize]) -> (Put, Vec<(NaiveDate, Vec<i64>)>) {
        let names = [0, 1].map(|index| Arc::new(Partition { topic: "lab".into(), index }));
        let schema = with_date(&Schema::new(vec![Field::new("n", DataType::Int64, false)]));
        let order = RowOrder::new(&schema, &[0, 1], 1).unwrap();
        let mut rows = RowLevel::of("t".into(), Span::HOUR, order);
        let moment = Moment {
            watermark: Timestamp::MIN,
            now: Timestamp(0),
            reading: true,
            rests: false,
            follows_clock: true,
        };
        let mut put: Vec<(NaiveDate, InputKey, Vec<i64>)> = Vec::new();
        let mut read = [0, 0];
        for (number, turn) in turns.iter().chain([&1_000, &1_000]).enumerate() {
            let p = number % 2;
            let batch = read[p]..partitions[p].len().min(read[p] + turn);
            read[p] = batch.end;
            let parts = parts(p as i64, partitions[p], batch.clone());
            rows.collect(parts, Tally::default(), &names[p], true).unwrap();
            let watermark = watermark(&times(partitions[p]), batch.end);
            rows.reached(&names[p], batch.end as i64, Timestamp(watermark)).unwrap();
            for object in rows.due(moment).unwrap() {
                let LiveName::Rows(key) = object.name else { panic!("rows are runs") };
                let new = (object.date, key, numbers(&object.rows.load().unwrap()));
                let there = put.iter().find(|held| (held.0, &held.1) == (new.0, &new.1));
                assert!(there.is_none_or(|held| *held == new), "one name, one content");
                put.push(new);
            }
        }
        let covers = |one: &(NaiveDate, InputKey, Vec<i64>), other: &(NaiveDate, InputKey, _)| {
            one.0 == other.0
                && one.1.index == other.1.index
                && one.1 != other.1
                && one.1.first <= other.1.first
                && other.1.last <= one.1.last
        };
        let stand = put.iter().filter(|one| !put.iter().any(|other| covers(other, one)));
        let stand = stand.map(|(date, key, rows)| ((*date, key.to_string()), rows.clone()));
        let settled = rows.settle(Timestamp::MAX).into_iter().map(|day| {
            let rows: Vec<RecordBatch> = day.rows.map(Result::unwrap).collect();
            (day.date, numbers(&rows))
        });
        (stand.collect(), settled.collect())
    }

    fn any_records() -> impl Strategy<Value = Vec<Record>> {
        prop::collection::vec((0i64..1_500, 1usize..3), 0..60)
    }

    proptest! {
        #[test]
        fn runs_do_not_depend_on_how_partitions_interleave_nor_on_batches(
            one in any_records(), other in any_records(),
            turns in prop::collection::vec(0usize..9, 0..30),
        ) {
            let whole = deliver([&one, &other], &[]);
            let (put, settled) = deliver([&one, &other], &turns);
            prop_assert_eq!(&put, &whole.0);
            prop_assert_eq!(&settled, &whole.1);
            // Each row that is put stands there once, in the order of offsets.
            let all: Vec<i64> = settled.iter().flat_map(|(_, rows)| rows.clone()).collect();
            prop_assert_eq!(all.len(), one.iter().chain(&other).map(|(_, rows)| rows).sum::<usize>());
            let mut shown: Vec<i64> = put.values().flatten().copied().collect();
            for rows in put.values() {
                prop_assert!(rows.windows(2).all(|pair| pair[0] < pair[1]));
            }
            let count = shown.len();
            shown.sort_unstable();
            shown.dedup();
            prop_assert_eq!(shown.len(), count);
            prop_assert!(shown.iter().all(|row| all.contains(row)));
        }
    }

    #[test]
    fn runs_are_cut_by_the_minute_and_put_together_by_the_hour() {
        // From 23:00 on, one a minute: the watermark stands at 22:59 before the second.
        let records: Vec<Record> = (0..70).map(|minute| (i64::from(minute > 0) * 60, 1)).collect();
        let (put, settled) = deliver([&records, &[]], &[]);
        let names: Vec<String> = put.keys().map(|(date, name)| format!("{date} {name}")).collect();
        // Before the first there was no watermark; 22:59 is one minute; then the hour from 23:00,
        // in which the day changes at the 60th; from 00:00 on the hour goes on, minute by minute.
        let mut expected = vec![
            "2026-03-01 lab-0-0-0".to_owned(),
            "2026-03-01 lab-0-1-1".to_owned(),
            "2026-03-01 lab-0-2-59".to_owned(),
            "2026-03-02 lab-0-60-61".to_owned(),
        ];
        expected.extend((62..70).map(|offset| format!("2026-03-02 lab-0-{offset}-{offset}")));
        assert_eq!(names, expected);
        let days: Vec<usize> = settled.iter().map(|(_, rows)| rows.len()).collect();
        assert_eq!(days, [60, 10]);
    }
}

//! A table as a run fills it: the days that have not settled, and, where rows pass without a window,
//! the runs of each partition's input for `live/`.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use datafusion::common::Result;

use crate::flow::{OutputBatch, Partition, RowPart, Timestamp};
use crate::keep::order::RowStream;
use crate::lake::write::live::{LiveObject, Moment};
use crate::lake::write::runs::TableRuns;
use crate::sql::fire::day::OpenDays;
use crate::sql::fire::output::OutputShape;

/// A table whose days have not settled.
pub struct OpenTable {
    days: OpenDays,
    runs: TableRuns,
    /// Rows of each partition of which the run is not known before its next record comes.
    open: BTreeMap<Arc<Partition>, Vec<RowPart>>,
}

impl OpenTable {
    /// A table of this shape, without rows.
    ///
    /// # Errors
    /// Where a column cannot be sorted by.
    pub fn new(shape: &OutputShape) -> Result<OpenTable> {
        let (days, runs) = (OpenDays::of(shape)?, TableRuns::new(&shape.table));
        Ok(OpenTable { days, runs, open: BTreeMap::new() })
    }

    /// Takes in what has fired.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written.
    pub fn fired(&mut self, fired: &OutputBatch) -> Result<()> {
        self.days.add(fired)
    }

    /// Takes in rows of a partition that pass without a window; `live` says whether runs are asked
    /// for.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written.
    pub fn passed(
        &mut self,
        parts: Vec<RowPart>,
        partition: &Arc<Partition>,
        live: bool,
    ) -> Result<()> {
        for part in parts {
            self.days.add_rows(part.date, part.rows.clone())?;
            if live && part.is_open() {
                self.open.entry(Arc::clone(partition)).or_default().push(part);
            } else if live {
                self.runs.add(partition, part)?;
            }
        }
        Ok(())
    }

    /// Notes the watermark that stands before a partition's next record, which has come.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written.
    pub fn comes(&mut self, partition: &Arc<Partition>, watermark: i64) -> Result<()> {
        for part in self.open.remove(partition).unwrap_or_default() {
            self.runs.add(partition, part.closed_at(watermark))?;
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
        self.runs.reached(partition, next, watermark)
    }

    /// The runs that are to be put into `live/` now; `present` is the first day that is not past.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written.
    pub fn due(&mut self, moment: Moment, present: NaiveDate) -> Result<Vec<LiveObject>> {
        self.runs.due(moment, present)
    }

    /// Takes out the days before a date, and every day where there is none.
    pub fn settle_before(&mut self, date: Option<NaiveDate>) -> Vec<(NaiveDate, RowStream)> {
        let settled = self.days.settle_before(date);
        if !settled.is_empty() {
            let before = date.unwrap_or(NaiveDate::MAX);
            self.runs.settled_before(before);
            self.open.values_mut().for_each(|parts| parts.retain(|part| part.date >= before));
        }
        settled
    }

    /// Bytes held: rows of days that have not settled, and those that wait for `live/`.
    pub fn size(&self) -> usize {
        self.runs.size() + self.days.size()
    }

    /// Brings to disk what can be, and keeps it there from now on.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn spill(&mut self) -> Result<()> {
        self.runs.spill();
        self.days.spill()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::lake_key::InputKey;
    use crate::flow::{RowCut, epoch_day};
    use crate::lake::write::live::LiveName;
    use crate::sql::collect::parting::{Parting, RowPlace};
    use crate::sql::collect::row_family::with_date;
    use crate::sql::collect::window_family::TableForm;
    use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use chrono::NaiveDate;
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
        let mut parting = Parting::new(with_date(&schema), true);
        let place = |row: usize| {
            let offset = rows[row].0;
            let cut = RowCut { offset: offset as i64, watermark: watermark(&times, offset) };
            Some(RowPlace { day: epoch_day(Timestamp(times[offset]).date()), cut })
        };
        parting.add(&batch, place).unwrap();
        parting.finish().unwrap()
    }

    fn numbers(rows: &[RecordBatch]) -> Vec<i64> {
        let column = |rows: &RecordBatch| rows.column(0).as_primitive::<Int64Type>().clone();
        rows.iter().flat_map(|rows| column(rows).values().to_vec()).collect()
    }

    /// A table of one column, rows of which pass without a window.
    fn row_level_shape() -> OutputShape {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
        OutputShape {
            table: "t".into(),
            schema: with_date(&schema),
            form: TableForm::Rows,
            grain: vec![0],
            presorted: false,
            complete_from: Timestamp::MIN,
        }
    }

    type Put = BTreeMap<(NaiveDate, String), Vec<i64>>;

    /// Delivers two partitions in turns of so many records; gives what stands in `live/` and is not
    /// covered, and the days as they settle.
    fn deliver(partitions: [&[Record]; 2], turns: &[usize]) -> (Put, Vec<(NaiveDate, Vec<i64>)>) {
        let names = [0, 1].map(|index| Arc::new(Partition { topic: "lab".into(), index }));
        let mut rows = OpenTable::new(&row_level_shape()).unwrap();
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
            rows.passed(parts, &names[p], true).unwrap();
            let watermark = watermark(&times(partitions[p]), batch.end);
            rows.reached(&names[p], batch.end as i64, Timestamp(watermark)).unwrap();
            for object in rows.due(moment, NaiveDate::MIN).unwrap() {
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
        let settled = rows.settle_before(None).into_iter().map(|(date, rows)| {
            let rows: Vec<RecordBatch> = rows.map(Result::unwrap).collect();
            (date, numbers(&rows))
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

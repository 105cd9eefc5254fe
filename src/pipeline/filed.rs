//! What is filed beside the tables: the archive of events, late rows, dead letters, findings.
//!
//! Rows are filed under a date and cut into objects where the partition's offsets or its watermark
//! cross a mark, so that the objects are a function of the input alone.

// long because every section makes and cuts its rows alike, side by side.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Float64Array, Int32Array,
    Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::{concat_batches, filter_record_batch, sort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use chrono::NaiveDate;
use datafusion::common::{Result, internal_err};

use super::work::LateRows;
use crate::flow::coded::plain_rows;
use crate::flow::event::timestamp_type;
use crate::flow::lake_key::Section;
use crate::flow::{DeadLetter, EventBatch, Partition, Span, Timestamp, Window};
use crate::judge::Judged;
use crate::keep::held::Keeper;
use crate::keep::pile::Pile;
use crate::lake::section::section_schema;
use crate::sql::collect::collected::LateEvent;
use crate::sql::fire::output::epoch_day;
use crate::window::HeldBack;

/// Offsets per object at most: some 20 MiB of events in memory.
const OFFSETS_PER_OBJECT: i64 = 65_536;
/// Raw bytes of dead letters per object at most, unless one alone has more: a record may be as long as
/// a batch, and offsets alone would let an object grow beyond what memory, or a column, holds.
const RAW_BYTES_PER_OBJECT: usize = 32 << 20;
/// Event time per object at most while a stream runs, so that a slow feed is filed within the
/// hour.
const TIME_PER_OBJECT: Span = Span::HOUR;
/// Event time per object at most where the input ends and nothing waits.
const TIME_PER_OBJECT_ONCE: Span = Span::DAY;

/// The kind of finding that a leap is.
const LEAP: &str = "leap";

/// Where an object is cut: offsets and watermark in units of their marks. Rises with the offset.
pub type Cut = (i64, i64);

/// Rows of one object, or a part of it.
pub struct FiledPart {
    /// The section of the lake.
    pub section: Section,
    /// The date.
    pub date: NaiveDate,
    /// The object within the date.
    pub cut: Cut,
    /// The first offset.
    pub first: i64,
    /// The last offset.
    pub last: i64,
    /// The rows.
    pub rows: RecordBatch,
}

/// What one batch files.
pub struct Filed {
    /// The parts.
    pub parts: Vec<FiledPart>,
    /// The cut at the batch's end: what is cut before it is complete.
    pub reached: Cut,
}

/// What is filed and how.
#[derive(Clone, Copy, Debug)]
pub struct Filing {
    /// Whether events are archived.
    pub archive: bool,
    /// Whether records bear times of their own; a file's lines do not, and the run's clock must
    /// not reach an object.
    pub record_times: bool,
    /// Whether the run ends with its input.
    pub once: bool,
}

impl Filing {
    /// The cut at an offset before which the watermark stood so.
    pub fn cut_of(self, offset: i64, watermark: i64) -> Cut {
        let mark = if self.once { TIME_PER_OBJECT_ONCE } else { TIME_PER_OBJECT };
        let time = if watermark == i64::MIN { i64::MIN } else { watermark.div_euclid(mark.0) };
        (offset.div_euclid(OFFSETS_PER_OBJECT), time)
    }
}

/// The rows that a judged batch files.
pub fn file(judged: &Judged, late: &[LateRows], filing: Filing) -> Result<Filed> {
    let mut parts = Vec::new();
    let partition = &judged.events.partition;
    if filing.archive {
        parts.extend(archive(judged, filing)?);
    }
    if !late.is_empty() {
        parts.extend(late_rows(&judged.events, judged.watermark_before.values(), late, filing)?);
    }
    if !judged.dead_letters.is_empty() {
        parts.extend(dead_letters(partition, &judged.dead_letters, filing)?);
    }
    if !judged.held_back.is_empty() {
        parts.extend(leaps(partition, &judged.held_back, filing)?);
    }
    let last = |events: &EventBatch| events.offsets.last().copied();
    let last_letter = judged.dead_letters.last().map(|(letter, _)| letter.offset);
    let last = last(&judged.events).max(last(&judged.repeated)).max(last_letter).unwrap_or(0);
    Ok(Filed { parts, reached: filing.cut_of(last, judged.watermark.0) })
}

/// Topic, partition, offset and record time of events.
fn positions(
    partition: &Partition,
    offsets: &[i64],
    record_times: impl Iterator<Item = Option<i64>>,
) -> (Vec<Field>, Vec<ArrayRef>) {
    let fields = vec![
        Field::new("topic", DataType::Utf8, true),
        Field::new("partition", DataType::Int32, true),
        Field::new("offset", DataType::Int64, true),
        Field::new("record_time", timestamp_type(), true),
    ];
    let times: TimestampMicrosecondArray = record_times.collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(offsets.iter().map(|_| &*partition.topic))),
        Arc::new(Int32Array::from_value(partition.index, offsets.len())),
        Arc::new(Int64Array::from(offsets.to_vec())),
        Arc::new(times.with_timezone("UTC")),
    ];
    (fields, columns)
}

fn record_times(
    events: &EventBatch,
    filing: Filing,
) -> impl Iterator<Item = Option<i64>> + use<'_> {
    events.record_times.iter().map(move |time| filing.record_times.then_some(time.0))
}

fn batch(fields: Vec<Field>, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

fn archive(judged: &Judged, filing: Filing) -> Result<Vec<FiledPart>> {
    let of = |events: &EventBatch, disposition: &str| -> Result<RecordBatch> {
        let (mut fields, mut columns) =
            positions(&events.partition, &events.offsets, record_times(events, filing));
        let rows = plain_rows(&events.rows)?;
        fields.extend(rows.schema().fields().iter().map(|field| field.as_ref().clone()));
        columns.extend(rows.columns().iter().map(Arc::clone));
        fields.push(Field::new("disposition", DataType::Utf8, true));
        let count = events.rows.num_rows();
        columns.push(Arc::new(StringArray::from_iter_values((0..count).map(|_| disposition))));
        batch(fields, columns)
    };
    let mut rows = of(&judged.events, "accepted")?;
    let mut offsets = judged.events.offsets.clone();
    let mut watermarks = judged.watermark_before.values().to_vec();
    let mut times = judged.events.times()?.to_vec();
    if judged.repeated.rows.num_rows() > 0 {
        let repeated = of(&judged.repeated, "repeated")?;
        rows = concat_batches(&rows.schema(), [&rows, &repeated])?;
        offsets.extend(&judged.repeated.offsets);
        watermarks.extend(judged.repeated_watermark.values());
        times.extend(judged.repeated.times()?);
        let order = sort_to_indices(&Int64Array::from(offsets.clone()), None, None)?;
        rows = take_record_batch(&rows, &order)?;
        let pick = |values: &[i64]| order.values().iter().map(|i| values[*i as usize]).collect();
        (offsets, watermarks, times) = (pick(&offsets), pick(&watermarks), pick(&times));
    }
    divide((Section::Events, filing), rows, &offsets, &watermarks, &times)
}

/// Rows that missed a table, by offset and table: an order that does not depend on where batches
/// are cut.
fn late_rows(
    events: &EventBatch,
    watermark_before: &[i64],
    late: &[LateRows],
    filing: Filing,
) -> Result<Vec<FiledPart>> {
    let mut missing: Vec<(&LateEvent, &str)> = late
        .iter()
        .flat_map(|rows| rows.events.iter().map(|event| (event, &*rows.table)))
        .collect();
    missing.sort_by_key(|(late, table)| (late.event, *table));
    let places = UInt32Array::from_iter_values(missing.iter().map(|(late, _)| late.event));
    let picked = plain_rows(&take_record_batch(&events.rows, &places)?)?;
    let pick = |values: &[i64]| -> Vec<i64> {
        missing.iter().map(|(late, _)| values[late.event as usize]).collect()
    };
    let offsets = pick(&events.offsets);
    let watermarks = pick(watermark_before);
    let times = pick(events.times()?);
    let record = missing
        .iter()
        .map(|(late, _)| filing.record_times.then(|| events.record_times[late.event as usize].0));
    let mut fields = vec![Field::new("table_name", DataType::Utf8, true)];
    let names = StringArray::from_iter_values(missing.iter().map(|(_, table)| *table));
    let mut columns: Vec<ArrayRef> = vec![Arc::new(names)];
    let (position_fields, position_columns) = positions(&events.partition, &offsets, record);
    fields.extend(position_fields);
    columns.extend(position_columns);
    fields.push(Field::new("watermark", timestamp_type(), true));
    let marks = TimestampMicrosecondArray::from(watermarks.clone()).with_timezone("UTC");
    columns.push(Arc::new(marks));
    let missed = |of: fn(Window) -> Timestamp| -> ArrayRef {
        let instants = missing.iter().map(|(late, _)| late.missed.map(|windows| of(windows).0));
        Arc::new(instants.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    fields
        .extend(["missed_from", "missed_to"].map(|name| Field::new(name, timestamp_type(), true)));
    columns.extend([missed(|windows| windows.start), missed(|windows| windows.end)]);
    fields.extend(picked.schema().fields().iter().map(|field| field.as_ref().clone()));
    columns.extend(picked.columns().iter().map(Arc::clone));
    divide((Section::Late, filing), batch(fields, columns)?, &offsets, &watermarks, &times)
}

fn dead_letters(
    partition: &Partition,
    letters: &[(DeadLetter, Timestamp)],
    filing: Filing,
) -> Result<Vec<FiledPart>> {
    let offsets: Vec<i64> = letters.iter().map(|(letter, _)| letter.offset).collect();
    let watermarks: Vec<i64> = letters.iter().map(|(_, watermark)| watermark.0).collect();
    let record =
        letters.iter().map(|(letter, _)| filing.record_times.then_some(letter.record_time.0));
    let (mut fields, mut columns) = positions(partition, &offsets, record);
    fields.push(Field::new("reason", DataType::Utf8, true));
    let reasons = letters.iter().map(|(letter, _)| letter.reason.as_str());
    columns.push(Arc::new(StringArray::from_iter_values(reasons)));
    fields.push(Field::new("detail", DataType::Utf8, true));
    let details = letters.iter().map(|(letter, _)| letter.detail.as_str());
    columns.push(Arc::new(StringArray::from_iter_values(details)));
    fields.push(Field::new("bytes", DataType::Binary, true));
    let bytes = letters.iter().map(|(letter, _)| letter.bytes.as_ref());
    columns.push(Arc::new(BinaryArray::from_iter_values(bytes)));
    // Filed under the record's own day, else under the day that its partition had reached.
    let times: Vec<i64> = letters
        .iter()
        .map(|(letter, watermark)| match (filing.record_times, *watermark) {
            (true, _) => letter.record_time.0,
            (false, Timestamp::MIN) => 0,
            (false, watermark) => watermark.0,
        })
        .collect();
    divide((Section::DeadLetters, filing), batch(fields, columns)?, &offsets, &watermarks, &times)
}

/// Leaps that were contradicted, filed where that was noticed: under the day that their partition had
/// reached, since their own is most likely wrong.
fn leaps(partition: &Partition, leaps: &[HeldBack], filing: Filing) -> Result<Vec<FiledPart>> {
    let texts = |of: &dyn Fn(&HeldBack) -> Option<Arc<str>>| -> ArrayRef {
        Arc::new(leaps.iter().map(of).collect::<StringArray>())
    };
    let offsets = |of: &dyn Fn(&HeldBack) -> i64| -> Vec<i64> { leaps.iter().map(of).collect() };
    let times = |of: &dyn Fn(&HeldBack) -> Timestamp| -> ArrayRef {
        let times = leaps.iter().map(|leap| of(leap).0);
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
    };
    let ahead = |leap: &HeldBack| {
        leap.event_time.0.saturating_sub(leap.line.0) as f64 / Span::MINUTE.0 as f64
    };
    let noticed = offsets(&|leap| leap.noticed_at);
    let columns: Vec<ArrayRef> = vec![
        texts(&|_| Some(LEAP.into())),
        texts(&|_| Some(Arc::clone(&partition.topic))),
        Arc::new(Int32Array::from_value(partition.index, leaps.len())),
        Arc::new(Int64Array::from(offsets(&|leap| leap.offset))),
        Arc::new(Int64Array::from(noticed.clone())),
        texts(&|leap| Some(Arc::clone(&leap.witness.lab))),
        texts(&|leap| leap.witness.machine.clone()),
        times(&|leap| leap.event_time),
        times(&|leap| leap.line),
        Arc::new(leaps.iter().map(|leap| Some(ahead(leap))).collect::<Float64Array>()),
    ];
    let schema = section_schema(Section::Quality);
    let fields = schema.fields().iter().take(columns.len()).map(|field| field.as_ref().clone());
    let rows = batch(fields.collect(), columns)?;
    let watermarks = offsets(&|leap| leap.watermark.0);
    let lines = offsets(&|leap| leap.line.0);
    divide((Section::Quality, filing), rows, &noticed, &watermarks, &lines)
}

/// Rows by cut and date, each part with the date as its last column.
fn divide(
    (section, filing): (Section, Filing),
    rows: RecordBatch,
    offsets: &[i64],
    watermarks: &[i64],
    times: &[i64],
) -> Result<Vec<FiledPart>> {
    let days: Vec<i32> = times.iter().map(|time| day_of(*time)).collect();
    let keys: Vec<(Cut, i32)> = offsets
        .iter()
        .zip(watermarks)
        .zip(&days)
        .map(|((offset, watermark), day)| (filing.cut_of(*offset, *watermark), *day))
        .collect();
    let mut fields: Vec<Field> =
        rows.schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    fields.push(Field::new("date", DataType::Date32, true));
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(Date32Array::from(days)));
    let rows = batch(fields, columns)?;
    let mut distinct = keys.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let parts = distinct.iter().map(|(cut, day)| {
        let mine: Vec<bool> = keys.iter().map(|key| key == &(*cut, *day)).collect();
        let of_part = || offsets.iter().zip(&mine).filter(|(_, mine)| **mine).map(|(o, _)| *o);
        let (first, last) = (of_part().min().unwrap_or(0), of_part().max().unwrap_or(0));
        let date = Timestamp(i64::from(*day).saturating_mul(Span::DAY.0)).date();
        let rows = if distinct.len() == 1 {
            rows.clone()
        } else {
            filter_record_batch(&rows, &BooleanArray::from(mine))?
        };
        Ok(FiledPart { section, date, cut: *cut, first, last, rows })
    });
    parts.collect()
}

fn day_of(time: i64) -> i32 {
    epoch_day(Timestamp(time).date())
}

/// Parts that wait for the rest of their object, by section, object and date.
#[derive(Default)]
pub struct Cabinet {
    waiting: BTreeMap<(Section, Cut, NaiveDate), Folder>,
}

/// Whether a letter goes into an object that holds so many bytes.
fn fits(held: usize, letter: usize) -> bool {
    held == 0 || held + letter <= RAW_BYTES_PER_OBJECT
}

/// The length of each letter's raw bytes.
fn raw_lengths(rows: &RecordBatch) -> Result<Vec<usize>> {
    let column = rows.column_by_name("bytes").and_then(|column| column.as_binary_opt::<i32>());
    let length = |value: Option<&[u8]>| value.map_or(0, <[u8]>::len);
    match column {
        Some(letters) => Ok(letters.iter().map(length).collect()),
        None => internal_err!("dead letters that are to be filed have no column `bytes`"),
    }
}

/// Each letter's offset.
fn offsets_of(rows: &RecordBatch) -> Result<Vec<i64>> {
    let column = rows.column_by_name("offset");
    match column.and_then(|column| column.as_primitive_opt::<Int64Type>()) {
        Some(offsets) => Ok(offsets.values().to_vec()),
        None => internal_err!("dead letters that are to be filed have no column `offset`"),
    }
}

/// What waits for one object.
#[derive(Default)]
pub struct Folder {
    /// The rows so far.
    pub rows: Pile,
    /// The first offset.
    pub first: i64,
    /// The last offset.
    pub last: i64,
    /// Raw bytes of the rows, where they have any.
    pub bytes: usize,
}

impl Folder {
    fn add(
        &mut self,
        (rows, keeper): (&RecordBatch, &mut Keeper),
        (first, last): (i64, i64),
        bytes: usize,
    ) -> Result<()> {
        (self.first, self.last) = match self.rows.is_empty() {
            true => (first, last),
            false => (self.first.min(first), self.last.max(last)),
        };
        self.bytes += bytes;
        self.rows.add(rows, keeper)
    }
}

/// An object that is complete.
pub struct Complete {
    /// The section of the lake.
    pub section: Section,
    /// The date.
    pub date: NaiveDate,
    /// Its rows and offsets.
    pub folder: Folder,
}

impl Cabinet {
    /// Takes in what a batch files; gives the objects that are complete.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written, or dead letters do not tell their offsets.
    pub fn add(&mut self, filed: Filed, keeper: &mut Keeper) -> Result<Vec<Complete>> {
        let mut complete = Vec::new();
        for part in filed.parts {
            match part.section {
                Section::DeadLetters => complete.extend(self.add_letters(&part, keeper)?),
                Section::Events | Section::Late | Section::Alerts | Section::Quality => {
                    let key = (part.section, part.cut, part.date);
                    let folder = self.waiting.entry(key).or_default();
                    folder.add((&part.rows, keeper), (part.first, part.last), 0)?;
                }
            }
        }
        complete.extend(self.complete(filed.reached));
        Ok(complete)
    }

    /// Takes in dead letters, which are cut by their bytes as well: an object is complete before the
    /// letter that would make it too large. So where it is cut follows from the letters alone.
    fn add_letters(&mut self, part: &FiledPart, keeper: &mut Keeper) -> Result<Vec<Complete>> {
        let key = (part.section, part.cut, part.date);
        let lengths = raw_lengths(&part.rows)?;
        let offsets = offsets_of(&part.rows)?;
        let mut complete = Vec::new();
        let mut from = 0;
        while from < lengths.len() {
            let folder = self.waiting.entry(key).or_default();
            let (mut to, mut bytes) = (from, 0);
            while to < lengths.len() && fits(folder.bytes + bytes, lengths[to]) {
                bytes += lengths[to];
                to += 1;
            }
            if to > from {
                let range = (offsets[from], offsets[to - 1]);
                folder.add((&part.rows.slice(from, to - from), keeper), range, bytes)?;
            }
            if to < lengths.len() {
                complete.extend(self.take(key));
            }
            from = to;
        }
        Ok(complete)
    }

    /// Bytes held, but for what the keeper has.
    pub fn size(&self) -> usize {
        self.waiting.values().map(|folder| folder.rows.size()).sum()
    }

    /// The objects that are complete once nothing before a cut can follow.
    pub fn complete(&mut self, reached: Cut) -> Vec<Complete> {
        let done: Vec<_> =
            self.waiting.keys().filter(|(_, cut, _)| *cut < reached).copied().collect();
        done.into_iter().filter_map(|key| self.take(key)).collect()
    }

    /// Every object: the input has ended.
    pub fn finish(&mut self) -> Vec<Complete> {
        let keys: Vec<_> = self.waiting.keys().copied().collect();
        keys.into_iter().filter_map(|key| self.take(key)).collect()
    }

    fn take(&mut self, key: (Section, Cut, NaiveDate)) -> Option<Complete> {
        let folder = self.waiting.remove(&key)?;
        Some(Complete { section: key.0, date: key.2, folder })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-03-01T23:00:00Z, by `date -u -d 2026-03-01T23:00:00Z +%s`.
    const EVENING: i64 = 1_772_406_000_000_000;

    /// Of each event: seconds after the one before it, and which of three tables it missed.
    type Event = (i64, [bool; 3]);

    /// One event a record, every one of its tables' rows late; the watermark is the time.
    fn batch_of(events: &[Event], range: std::ops::Range<usize>) -> (EventBatch, Vec<i64>) {
        let mut time = EVENING;
        let times = events.iter().map(|(after, _)| {
            time += after * 1_000_000;
            time
        });
        let times: Vec<i64> = times.collect::<Vec<i64>>()[range.clone()].to_vec();
        let offsets: Vec<i64> = range.map(|offset| offset as i64).collect();
        let column = TimestampMicrosecondArray::from(times.clone()).with_timezone("UTC");
        let column: ArrayRef = Arc::new(column);
        let batch = EventBatch {
            partition: Arc::new(Partition { topic: "lab".into(), index: 0 }),
            rows: RecordBatch::try_from_iter([("event_time", column)]).unwrap(),
            record_times: offsets.iter().map(|_| Timestamp(EVENING)).collect(),
            offsets,
            appended: Vec::new(),
        };
        (batch, times)
    }

    type Object = (NaiveDate, i64, i64, RecordBatch);

    fn filed(events: &[Event], lengths: &[usize]) -> Vec<Object> {
        let filing = Filing { archive: false, record_times: true, once: false };
        let (mut cabinet, mut keeper) = (Cabinet::default(), Keeper::new(0));
        let mut complete = Vec::new();
        let mut start = 0;
        for length in lengths.iter().chain([&events.len()]) {
            let end = events.len().min(start + length);
            if start == end {
                continue;
            }
            let (batch, watermarks) = batch_of(events, start..end);
            let late: Vec<LateRows> = ["b", "a", "c"]
                .iter()
                .enumerate()
                .map(|(place, table)| {
                    let missed = (start..end).filter(|event| events[*event].1[place]);
                    let event = |event| LateEvent { event: (event - start) as u32, missed: None };
                    LateRows { table: (*table).into(), events: missed.map(event).collect() }
                })
                .filter(|rows| !rows.events.is_empty())
                .collect();
            let parts = match late.is_empty() {
                true => Vec::new(),
                false => late_rows(&batch, &watermarks, &late, filing).unwrap(),
            };
            let reached = filing.cut_of(end as i64 - 1, watermarks[watermarks.len() - 1]);
            complete.extend(cabinet.add(Filed { parts, reached }, &mut keeper).unwrap());
            start = end;
        }
        complete.extend(cabinet.finish());
        let object = |Complete { date, folder, .. }: Complete| {
            let rows = folder.rows.load().unwrap();
            let rows = concat_batches(&rows[0].schema(), &rows).unwrap();
            (date, folder.first, folder.last, rows)
        };
        complete.into_iter().map(object).collect()
    }

    proptest! {
        #[test]
        fn late_objects_do_not_depend_on_batches(
            events in prop::collection::vec((0i64..300, any::<[bool; 3]>()), 1..60),
            lengths in prop::collection::vec(0usize..9, 0..30),
        ) {
            let whole = filed(&events, &[]);
            prop_assert_eq!(filed(&events, &lengths), whole.clone());
            let rows: usize = whole.iter().map(|(.., rows)| rows.num_rows()).sum();
            let missed = events.iter().flat_map(|(_, missed)| missed).filter(|missed| **missed);
            prop_assert_eq!(rows, missed.count());
        }
    }

    /// Rows that bear another name for what is asked of them.
    fn without(rows: &RecordBatch, name: &str) -> RecordBatch {
        let schema = rows.schema();
        let fields = schema.fields().iter().map(|field| match field.name() == name {
            true => Arc::new(Field::new("other", field.data_type().clone(), true)),
            false => Arc::clone(field),
        });
        let schema = Schema::new(fields.collect::<Vec<_>>());
        RecordBatch::try_new(Arc::new(schema), rows.columns().to_vec()).unwrap()
    }

    #[test]
    fn what_does_not_tell_its_times_or_offsets_is_an_error_and_not_nothing() {
        let filing = Filing { archive: true, record_times: true, once: false };
        let (mut events, watermarks) = batch_of(&[(1, [true; 3])], 0..1);
        events.rows = without(&events.rows, "event_time");
        let missed = vec![LateEvent { event: 0, missed: None }];
        let late = [LateRows { table: "t".into(), events: missed }];
        let Err(error) = late_rows(&events, &watermarks, &late, filing) else {
            panic!("late rows without times are filed")
        };
        assert!(error.to_string().contains("no column `event_time`"), "{error}");
        for name in ["offset", "bytes"] {
            let mut filed = letters(7, &[3]);
            filed.parts[0].rows = without(&filed.parts[0].rows, name);
            let Err(error) = Cabinet::default().add(filed, &mut Keeper::new(0)) else {
                panic!("letters without `{name}` are filed")
            };
            assert!(error.to_string().contains(&format!("no column `{name}`")), "{error}");
        }
    }

    const MIB: usize = 1 << 20;

    /// Letters of so many bytes each, as one batch of a partition.
    fn letters(first: i64, lengths: &[usize]) -> Filed {
        let letter = |(place, length): (usize, &usize)| {
            let letter = DeadLetter {
                partition: Arc::new(Partition { topic: "t".into(), index: 0 }),
                offset: first + place as i64,
                record_time: Timestamp(0),
                reason: crate::flow::dead_letter::Reason::Malformed,
                detail: String::new(),
                bytes: vec![b'x'; *length].into(),
            };
            (letter, Timestamp(0))
        };
        let filing = Filing { archive: false, record_times: true, once: false };
        let letters: Vec<_> = lengths.iter().enumerate().map(letter).collect();
        let partition = Partition { topic: "t".into(), index: 0 };
        let parts = dead_letters(&partition, &letters, filing).unwrap();
        Filed { parts, reached: filing.cut_of(first, 0) }
    }

    /// The offsets and the rows of each object.
    fn objects(complete: Vec<Complete>) -> Vec<(i64, i64, usize)> {
        let of = |object: Complete| {
            let rows = object.folder.rows.load().unwrap();
            let rows = rows.iter().map(RecordBatch::num_rows).sum();
            (object.folder.first, object.folder.last, rows)
        };
        complete.into_iter().map(of).collect()
    }

    #[test]
    fn letters_are_cut_by_their_bytes_however_they_come() {
        // 16 and 16 fill 32 MiB, 20 and 13 are too much, 13 and 12 leave no room for 20.
        let lengths = [16, 16, 20, 13, 12, 20, 1].map(|length| length * MIB);
        let expected = [(100, 101, 2), (102, 102, 1), (103, 104, 2), (105, 106, 2)];
        let mut keeper = Keeper::new(0);
        let mut at_once = Cabinet::default();
        let mut whole = at_once.add(letters(100, &lengths), &mut keeper).unwrap();
        whole.extend(at_once.finish());
        assert_eq!(objects(whole), expected);
        let mut one_by_one = Cabinet::default();
        let mut single = Vec::new();
        for (place, length) in lengths.iter().enumerate() {
            single.extend(
                one_by_one.add(letters(100 + place as i64, &[*length]), &mut keeper).unwrap(),
            );
        }
        single.extend(one_by_one.finish());
        assert_eq!(objects(single), expected);
    }

    #[test]
    fn a_letter_larger_than_an_object_stands_alone() {
        let (mut cabinet, mut keeper) = (Cabinet::default(), Keeper::new(0));
        let mut complete = cabinet.add(letters(0, &[3, 40 * MIB, 5]), &mut keeper).unwrap();
        complete.extend(cabinet.finish());
        assert_eq!(objects(complete), [(0, 0, 1), (1, 1, 1), (2, 2, 1)]);
    }
}

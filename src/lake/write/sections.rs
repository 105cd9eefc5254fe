//! What is filed beside the tables: the archive of events, late rows, dead letters, findings.
//!
//! A batch's records → rows of the sections, with the columns that `lake::section` names, in parts
//! (`parts`). Pure.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::{concat_batches, sort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::Result;

use super::parts::{Filed, FiledPart, Filing, divide};
use crate::flow::coded::plain_rows;
use crate::flow::event::timestamp_type;
use crate::flow::lake_key::Section;
use crate::flow::{DeadLetter, EventBatch, LateEvent, Partition, Span, Timestamp, Window};
use crate::lake::section::section_schema;
use crate::window::HeldBack;

/// The kind of finding that a leap is.
const LEAP: &str = "leap";

/// What of a judged batch is filed.
pub struct FiledRecords<'a> {
    /// The events that are not repeats.
    pub events: &'a EventBatch,
    /// The partition's watermark before each, microseconds.
    pub watermark_before: &'a [i64],
    /// Repeats.
    pub repeated: &'a EventBatch,
    /// The watermark before each repeat.
    pub repeated_watermark: &'a [i64],
    /// FiledRecords that could not become events, each with the watermark that stood before it.
    pub dead_letters: &'a [(DeadLetter, Timestamp)],
    /// Leaps that the batch's records have contradicted.
    pub leaps: &'a [HeldBack],
    /// The partition's watermark after the batch.
    pub watermark: Timestamp,
}

/// The rows that a judged batch files.
pub fn file(records: &FiledRecords<'_>, late: &[LateRows], filing: Filing) -> Result<Filed> {
    let mut parts = Vec::new();
    let partition = &records.events.partition;
    if filing.archive {
        parts.extend(archive(records, filing)?);
    }
    if !late.is_empty() {
        parts.extend(late_rows(records.events, records.watermark_before, late, filing)?);
    }
    if !records.dead_letters.is_empty() {
        parts.extend(dead_letters(partition, records.dead_letters, filing)?);
    }
    if !records.leaps.is_empty() {
        parts.extend(leaps(partition, records.leaps, filing)?);
    }
    let last = |events: &EventBatch| events.offsets.last().copied();
    let last_letter = records.dead_letters.last().map(|(letter, _)| letter.offset);
    let last = last(records.events).max(last(records.repeated)).max(last_letter).unwrap_or(0);
    Ok(Filed { parts, reached: filing.cut_of(last, records.watermark.0) })
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

fn archive(records: &FiledRecords<'_>, filing: Filing) -> Result<Vec<FiledPart>> {
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
    let mut rows = of(records.events, "accepted")?;
    let mut offsets = records.events.offsets.clone();
    let mut watermarks = records.watermark_before.to_vec();
    let mut times = records.events.times()?.to_vec();
    if records.repeated.rows.num_rows() > 0 {
        let repeated = of(records.repeated, "repeated")?;
        rows = concat_batches(&rows.schema(), [&rows, &repeated])?;
        offsets.extend(&records.repeated.offsets);
        watermarks.extend(records.repeated_watermark);
        times.extend(records.repeated.times()?);
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

/// Rows of events that missed a table.
pub struct LateRows {
    /// The table.
    pub table: Arc<str>,
    /// The events, with the windows that they missed.
    pub events: Vec<LateEvent>,
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use proptest::prelude::*;

    use super::super::cabinet::{Cabinet, Complete};
    use super::*;
    use crate::keep::held::Keeper;

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

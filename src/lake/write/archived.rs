//! Which input earlier runs have filed, so that a source that has grown is filed from where it ended,
//! and whether it is the same input at all.
//!
//! A topic made anew counts its offsets from 0 again: filed by offset, its records would pass for those
//! of the old one. So the lake is compared with the source, by how far both reach and, where they
//! overlap, by what the records say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use datafusion::common::{Result, internal_err};

use super::cabinet::Complete;
use crate::flow::Extents;
use crate::flow::lake_key::{InputKey, LakeKey, Section};
use crate::flow::{Offset, OffsetRange, Partition};
use crate::keep::pile::Pile;
use crate::lake::{ArchivedRun, Lake, LakeError};

/// The sections that hold runs of input.
pub const SECTIONS: [Section; 4] =
    [Section::Events, Section::Late, Section::DeadLetters, Section::Quality];
/// Columns of the archive that tell one record from another, whatever the project makes of it.
const TELLING: [&str; 3] = ["event_id", "specimen_id", "event_time"];

/// The input is not the one that the lake was filled from.
#[derive(Debug, thiserror::Error)]
pub enum OtherInput {
    /// The lake reaches further than the source.
    #[error(
        "partition {index} of `{topic}` ends at offset {end}, but the lake holds its records up to \
         {held}: the topic was made anew, or the lake was filled from another; write to an empty \
         lake, or read what this one was filled from"
    )]
    Shorter {
        /// The topic.
        topic: Arc<str>,
        /// The partition's number.
        index: i32,
        /// The source's end.
        end: i64,
        /// The lake's.
        held: i64,
    },
    /// Other records stand at the same offsets.
    #[error(
        "partition {index} of `{topic}` holds another record at offset {offset} than `{key}` in the \
         lake: the topic was made anew, or the lake was filled from another; write to an empty \
         lake, or read what this one was filled from"
    )]
    Differs {
        /// The topic.
        topic: Arc<str>,
        /// The partition's number.
        index: i32,
        /// The first offset at which they differ.
        offset: i64,
        /// The lake's object.
        key: String,
    },
}

/// What earlier runs have filed.
#[derive(Default)]
pub struct Archived {
    runs: BTreeMap<(Section, Arc<Partition>), Vec<ArchivedRun>>,
    /// Partitions of which the archive has been compared with the source.
    compared: BTreeSet<Arc<Partition>>,
}

/// A stretch of an object that is still to be filed.
pub struct Rest {
    /// Its rows.
    pub rows: Pile,
    /// The first offset.
    pub first: i64,
    /// The last.
    pub last: i64,
}

impl Archived {
    /// Takes in what a section holds of these partitions.
    pub async fn read(
        &mut self,
        lake: &Lake,
        section: Section,
        partitions: &[Arc<Partition>],
    ) -> std::result::Result<(), LakeError> {
        for (partition, runs) in lake.list_ranges(section, partitions).await? {
            self.runs.insert((section, partition), runs);
        }
        Ok(())
    }

    /// The first offset of a partition that is filed, and the first beyond the last.
    pub fn reach(&self, partition: &Arc<Partition>) -> Option<OffsetRange> {
        let runs = SECTIONS.iter().filter_map(|section| {
            let runs = self.runs.get(&(*section, Arc::clone(partition)))?;
            let from = runs.iter().map(|run| run.first).min()?;
            let to = runs.iter().map(|run| run.to).max()?;
            Some((from, to))
        });
        let (from, to) = runs.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))?;
        Some(OffsetRange { from: Offset(from), to: Offset(to) })
    }

    /// Whether the lake was filled from a source that began where it begins now: from the first offset
    /// of all, or from the first of which the archive has an event. The other sections do not tell:
    /// of most records they hold nothing. Where nothing is archived, or what was has expired, it is
    /// taken for filled from more.
    pub fn begins_at(&self, partition: &Arc<Partition>, from: Offset) -> bool {
        if from.0 <= 0 {
            return true;
        }
        let events = self.runs.get(&(Section::Events, Arc::clone(partition)));
        let first_event = events.and_then(|runs| runs.iter().map(|run| run.first).min());
        let first = self.reach(partition).map(|reach| reach.from);
        first_event == Some(from.0) && first == Some(from)
    }

    /// Errs when the lake holds more of a partition than the source ever had.
    pub fn check(&self, extents: &Extents) -> std::result::Result<(), OtherInput> {
        for (partition, extent) in extents {
            let held = self.reach(partition).map_or(0, |held| held.to.0);
            if held > extent.to.0 {
                let (topic, index) = (Arc::clone(&partition.topic), partition.index);
                return Err(OtherInput::Shorter { topic, index, end: extent.to.0, held });
            }
        }
        Ok(())
    }

    /// What of a complete object earlier runs have not filed: the stretches between what they have,
    /// each to be an object of its own.
    pub fn rest(&self, partition: &Arc<Partition>, object: Complete) -> Result<Vec<Rest>> {
        let folder = object.folder;
        let filed = self
            .overlapping(partition, object.section, folder.first, folder.last)
            .filter(|run| run.date == object.date)
            .map(|run| (run.first, run.to));
        let gaps = gaps((folder.first, folder.last), filed.collect());
        if gaps == [(folder.first, folder.last)] {
            return Ok(vec![Rest { rows: folder.rows, first: folder.first, last: folder.last }]);
        }
        if gaps.is_empty() {
            return Ok(Vec::new());
        }
        let rows = folder.rows.load()?;
        let mut rest = Vec::new();
        for (first, last) in gaps {
            let rows = within(&rows, position_of(object.section), (first, last))?;
            match rows.iter().all(|rows| rows.num_rows() == 0) {
                // Between two objects there may be no more than records of other sections and dates.
                true if last < folder.last => {}
                true => {
                    return internal_err!(
                        "no rows between offset {first} and the last, {}",
                        folder.last
                    );
                }
                false => rest.push(Rest { rows: rows.into(), first, last }),
            }
        }
        Ok(rest)
    }

    /// The archive's object to compare a partition's records with: once for each partition, the first
    /// that holds the same offsets.
    pub fn to_compare(&mut self, partition: &Arc<Partition>, object: &Complete) -> Option<LakeKey> {
        if object.section != Section::Events || self.compared.contains(partition) {
            return None;
        }
        let (first, last) = (object.folder.first, object.folder.last);
        let run = self.overlapping(partition, Section::Events, first, last).next().copied()?;
        self.compared.insert(Arc::clone(partition));
        let input = InputKey::of(partition, Offset(run.first), Offset(run.to - 1));
        Some(LakeKey::Input { section: Section::Events, date: run.date, input })
    }

    fn overlapping(
        &self,
        partition: &Arc<Partition>,
        section: Section,
        first: i64,
        last: i64,
    ) -> impl Iterator<Item = &ArchivedRun> {
        let runs = self.runs.get(&(section, Arc::clone(partition)));
        let runs = runs.map_or(&[][..], Vec::as_slice).iter();
        runs.filter(move |run| run.first <= last && run.to > first)
    }
}

/// The first offset at which two sets of records differ in what tells them apart.
pub fn first_difference(ours: &[RecordBatch], theirs: &[RecordBatch]) -> Result<Option<i64>> {
    let (ours, theirs) = (records(ours)?, records(theirs)?);
    let differs = |(offset, record): (&i64, &String)| {
        theirs.get(offset).is_some_and(|there| there != record).then_some(*offset)
    };
    Ok(ours.iter().find_map(differs))
}

/// What tells the records apart, by offset.
fn records(batches: &[RecordBatch]) -> Result<BTreeMap<i64, String>> {
    let mut records = BTreeMap::new();
    for rows in batches {
        let telling = TELLING.iter().filter_map(|name| rows.column_by_name(name));
        let shown = telling
            .map(|column| arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        for (row, offset) in offsets_of(rows, "offset")?.iter().enumerate() {
            let text = |column: &Arc<dyn Array>| {
                let column = column.as_string::<i32>();
                column.is_valid(row).then(|| column.value(row).to_owned())
            };
            let texts: Vec<Option<String>> = shown.iter().map(text).collect();
            let Some(offset) = offset else {
                return internal_err!("a row of the archive has no offset");
            };
            records.insert(offset, format!("{texts:?}"));
        }
    }
    Ok(records)
}

/// The column that says where in the input a section's row was found.
fn position_of(section: Section) -> &'static str {
    match section {
        Section::Quality => "noticed_offset",
        Section::Events
        | Section::Late
        | Section::DeadLetters
        | Section::Alerts
        | Section::Audit => "offset",
    }
}

fn offsets_of<'a>(rows: &'a RecordBatch, position: &str) -> Result<&'a arrow::array::Int64Array> {
    let column = rows.column_by_name(position);
    match column.and_then(|column| column.as_primitive_opt::<Int64Type>()) {
        Some(offsets) => Ok(offsets),
        None => internal_err!("rows that are filed have no column `{position}`"),
    }
}

/// What of the offsets from the first to the last no run holds, first and last of each stretch; a
/// run is told by its first offset and the one beyond its last.
fn gaps((first, last): (i64, i64), mut runs: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    runs.sort_unstable();
    let mut gaps = Vec::new();
    let mut next = first;
    for (from, to) in runs {
        if from > next {
            gaps.push((next, from - 1));
        }
        next = next.max(to);
    }
    if next <= last {
        gaps.push((next, last));
    }
    gaps
}

/// The rows from one offset to another.
fn within(
    batches: &[RecordBatch],
    position: &str,
    (first, last): (i64, i64),
) -> Result<Vec<RecordBatch>> {
    let kept = batches.iter().map(|rows| {
        let offsets = offsets_of(rows, position)?.iter();
        let keep: BooleanArray =
            offsets.map(|offset| Some((first..=last).contains(&offset?))).collect();
        Ok(filter_record_batch(rows, &keep)?)
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use chrono::NaiveDate;

    use super::*;
    use crate::lake::write::cabinet::Folder;

    fn rows(offsets: &[i64], specimens: &[&str]) -> RecordBatch {
        let offsets: ArrayRef = Arc::new(Int64Array::from(offsets.to_vec()));
        let specimens: ArrayRef = Arc::new(StringArray::from(specimens.to_vec()));
        RecordBatch::try_from_iter([("offset", offsets), ("specimen_id", specimens)]).unwrap()
    }

    #[test]
    fn rows_without_offsets_are_an_error_and_not_nothing() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let other = RecordBatch::try_from_iter([("n", column)]).unwrap();
        assert!(within(&[other], "offset", (0, 9)).is_err());
        let rows_of = [rows(&[3, 4, 7, 8], &["a", "b", "c", "d"])];
        let kept = within(&rows_of, "offset", (4, 7)).unwrap();
        assert_eq!(kept, [rows(&[4, 7], &["b", "c"])]);
    }

    fn archived(runs: &[(Section, i64, i64)]) -> Archived {
        let mut archived = Archived::default();
        for (section, first, to) in runs {
            let run = ArchivedRun { date: NaiveDate::default(), first: *first, to: *to };
            archived.runs.entry((*section, partition())).or_default().push(run);
        }
        archived
    }

    fn partition() -> Arc<Partition> {
        Arc::new(Partition { topic: "t".into(), index: 0 })
    }

    /// What is still to be filed of events of these offsets: first, last and the rows' offsets.
    fn rest(filed: &[(Section, i64, i64)], offsets: &[i64]) -> Vec<(i64, i64, Vec<i64>)> {
        let texts = vec!["s"; offsets.len()];
        let folder = Folder {
            rows: vec![rows(offsets, &texts)].into(),
            first: offsets[0],
            last: offsets[offsets.len() - 1],
            ..Folder::default()
        };
        let object = Complete { section: Section::Events, date: NaiveDate::default(), folder };
        let rest = archived(filed).rest(&partition(), object).unwrap().into_iter();
        let of = |rest: Rest| {
            let rows = rest.rows.load().unwrap();
            let offsets =
                rows.iter().flat_map(|rows| offsets_of(rows, "offset").unwrap().values().to_vec());
            (rest.first, rest.last, offsets.collect())
        };
        rest.map(of).collect()
    }

    /// Two objects were under way when the process was killed, and the later one alone was put; the
    /// next run cuts otherwise.
    #[test]
    fn holes_between_objects_are_filed() {
        let events = |runs: &[(i64, i64)]| -> Vec<(Section, i64, i64)> {
            runs.iter().map(|(first, to)| (Section::Events, *first, *to)).collect()
        };
        let offsets = [10, 11, 12, 14, 15, 18, 19];
        let all = vec![(10, 19, offsets.to_vec())];
        assert_eq!(rest(&[], &offsets), all);
        assert_eq!(rest(&events(&[(0, 10), (20, 25)]), &offsets), all, "beside it");
        assert_eq!(rest(&events(&[(5, 20)]), &offsets), []);
        assert_eq!(rest(&events(&[(5, 12), (12, 20)]), &offsets), []);
        assert_eq!(rest(&events(&[(5, 12)]), &offsets), [(12, 19, vec![12, 14, 15, 18, 19])]);
        assert_eq!(rest(&events(&[(14, 20)]), &offsets), [(10, 13, vec![10, 11, 12])]);
        let two = [(10, 10, vec![10]), (14, 19, vec![14, 15, 18, 19])];
        assert_eq!(rest(&events(&[(11, 13), (12, 14)]), &offsets), two);
        assert_eq!(rest(&events(&[(10, 16), (18, 20)]), &offsets), [], "16 and 17 are no events");
    }

    #[test]
    fn the_archive_of_events_tells_where_a_lake_was_begun() {
        let begins = |runs: &[(Section, i64, i64)], from| {
            archived(runs).begins_at(&partition(), Offset(from))
        };
        let (events, letters) = (Section::Events, Section::DeadLetters);
        assert!(begins(&[], 0) && begins(&[(events, 0, 90)], 0));
        assert!(begins(&[(events, 50, 90), (letters, 70, 71)], 50), "it never held more");
        assert!(!begins(&[(events, 0, 90)], 50), "what was before is gone");
        assert!(!begins(&[(letters, 0, 1), (events, 50, 90)], 50), "the archive has expired");
        assert!(!begins(&[(events, 60, 90)], 50), "the archive has expired further");
        assert!(!begins(&[(letters, 70, 71)], 50), "nothing is archived");
        assert!(!begins(&[], 50), "nothing tells");
    }

    #[test]
    fn records_are_compared_where_both_hold_them() {
        let ours = [rows(&[1, 2, 3], &["a", "b", "c"])];
        assert_eq!(first_difference(&ours, &[rows(&[2, 9], &["b", "x"])]).unwrap(), None);
        assert_eq!(first_difference(&ours, &[rows(&[2, 3], &["b", "x"])]).unwrap(), Some(3));
    }

    #[test]
    fn the_lake_may_reach_no_further_than_the_source() {
        let (partition, archived) = (partition(), archived(&[(Section::Events, 5, 20)]));
        let extents = |from, to| {
            let range = OffsetRange { from: Offset(from), to: Offset(to) };
            Extents::from([(Arc::clone(&partition), range)])
        };
        assert!(archived.check(&extents(5, 20)).is_ok());
        assert!(archived.check(&extents(30, 30)).is_ok());
        let error = archived.check(&extents(0, 19)).unwrap_err().to_string();
        assert!(error.contains("ends at offset 19") && error.contains("up to 20"), "{error}");
    }
}

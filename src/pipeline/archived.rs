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

use super::filed::Complete;
use crate::flow::lake_key::{InputKey, LakeKey, Section};
use crate::flow::{Offset, OffsetRange, Partition};
use crate::keep::pile::Pile;
use crate::lake::{ArchivedRun, Lake, LakeError};
use crate::source::Extents;

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

/// What of an object is still to be filed.
pub enum Rest {
    /// Nothing: it is there.
    Nothing,
    /// These rows, of which this is the first offset.
    Rows(Pile, i64),
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

    /// What of a complete object earlier runs have not filed.
    pub fn rest(&self, partition: &Arc<Partition>, object: Complete) -> Result<Rest> {
        let folder = object.folder;
        let reached = self
            .overlapping(partition, object.section, folder.first, folder.last)
            .filter(|run| run.date == object.date)
            .map(|run| run.to)
            .max();
        match reached {
            None => Ok(Rest::Rows(folder.rows, folder.first)),
            Some(to) if to > folder.last => Ok(Rest::Nothing),
            Some(to) => {
                let rows = folder.rows.load()?;
                let rows = from_offset(&rows, position_of(object.section), to)?;
                if rows.iter().all(|rows| rows.num_rows() == 0) {
                    return internal_err!(
                        "no rows between offset {to} and the last, {}",
                        folder.last
                    );
                }
                Ok(Rest::Rows(rows.into(), to))
            }
        }
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
            records.insert(offset.unwrap_or_default(), format!("{texts:?}"));
        }
    }
    Ok(records)
}

/// The column that says where in the input a section's row was found.
fn position_of(section: Section) -> &'static str {
    match section {
        Section::Quality => "noticed_offset",
        Section::Events | Section::Late | Section::DeadLetters | Section::Alerts => "offset",
    }
}

fn offsets_of<'a>(rows: &'a RecordBatch, position: &str) -> Result<&'a arrow::array::Int64Array> {
    let column = rows.column_by_name(position);
    match column.and_then(|column| column.as_primitive_opt::<Int64Type>()) {
        Some(offsets) => Ok(offsets),
        None => internal_err!("rows that are filed have no column `{position}`"),
    }
}

/// The rows whose offset is at least `from`.
fn from_offset(batches: &[RecordBatch], position: &str, from: i64) -> Result<Vec<RecordBatch>> {
    let kept = batches.iter().map(|rows| {
        let offsets = offsets_of(rows, position)?.iter();
        let keep: BooleanArray = offsets.map(|offset| Some(offset? >= from)).collect();
        Ok(filter_record_batch(rows, &keep)?)
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use chrono::NaiveDate;

    use super::*;

    fn rows(offsets: &[i64], specimens: &[&str]) -> RecordBatch {
        let offsets: ArrayRef = Arc::new(Int64Array::from(offsets.to_vec()));
        let specimens: ArrayRef = Arc::new(StringArray::from(specimens.to_vec()));
        RecordBatch::try_from_iter([("offset", offsets), ("specimen_id", specimens)]).unwrap()
    }

    #[test]
    fn rows_without_offsets_are_an_error_and_not_nothing() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let other = RecordBatch::try_from_iter([("n", column)]).unwrap();
        assert!(from_offset(&[other], "offset", 0).is_err());
        let kept = from_offset(&[rows(&[3, 4, 7], &["a", "b", "c"])], "offset", 4).unwrap();
        assert_eq!(kept, [rows(&[4, 7], &["b", "c"])]);
    }

    #[test]
    fn records_are_compared_where_both_hold_them() {
        let ours = [rows(&[1, 2, 3], &["a", "b", "c"])];
        assert_eq!(first_difference(&ours, &[rows(&[2, 9], &["b", "x"])]).unwrap(), None);
        assert_eq!(first_difference(&ours, &[rows(&[2, 3], &["b", "x"])]).unwrap(), Some(3));
    }

    #[test]
    fn the_lake_may_reach_no_further_than_the_source() {
        let partition = Arc::new(Partition { topic: "t".into(), index: 0 });
        let run = ArchivedRun { date: NaiveDate::default(), first: 5, to: 20 };
        let runs = BTreeMap::from([((Section::Events, Arc::clone(&partition)), vec![run])]);
        let archived = Archived { runs, compared: BTreeSet::new() };
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

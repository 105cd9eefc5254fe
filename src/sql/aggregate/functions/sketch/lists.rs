//! Sketches ↔ state columns: lists of values, of buckets and of counts.
//!
//! A row has values or buckets, never both, and their counts; counts that are all 1, as most are in
//! a pane, are left out. So the state of a group's few values in a pane is little more than those
//! values, and is read in place.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, AsArray, Float64Array, Int32Array, Int64Array, ListArray,
    PrimitiveArray,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int32Type, Int64Type};
use datafusion::common::{Result, exec_datafusion_err};

use super::buckets::BucketNumber;
use super::state::SketchEntries;

/// The state columns of an aggregate called `name`.
pub fn fields(name: &str) -> Vec<FieldRef> {
    let field = |part: &str, item: DataType| {
        let list = DataType::List(Arc::new(Field::new_list_field(item, true)));
        Arc::new(Field::new(format!("{name}[{part}]"), list, true))
    };
    vec![
        field("values", DataType::Float64),
        field("buckets", DataType::Int32),
        field("counts", DataType::Int64),
    ]
}

/// State columns in the making.
#[derive(Debug)]
pub struct ListBuilder {
    values: Vec<f64>,
    keys: Vec<BucketNumber>,
    counts: Vec<i64>,
    /// Where the rows so far end, for values, keys and counts.
    ends: [Vec<usize>; 3],
}

impl Default for ListBuilder {
    fn default() -> ListBuilder {
        ListBuilder {
            values: Vec::new(),
            keys: Vec::new(),
            counts: Vec::new(),
            ends: [vec![0], vec![0], vec![0]],
        }
    }
}

impl ListBuilder {
    /// Appends a row.
    pub fn push(&mut self, entries: &SketchEntries) {
        match entries {
            SketchEntries::Exact(values) => {
                self.values.extend(values.iter().map(|(value, _)| *value));
                push_counts(&mut self.counts, values);
            }
            SketchEntries::Buckets(buckets) => {
                self.keys.extend(buckets.iter().map(|(key, _)| *key));
                push_counts(&mut self.counts, buckets);
            }
        }
        let lengths = [self.values.len(), self.keys.len(), self.counts.len()];
        for (ends, length) in self.ends.iter_mut().zip(lengths) {
            ends.push(length);
        }
    }

    /// The columns.
    pub fn finish(self) -> Result<Vec<ArrayRef>> {
        let [values, keys, counts] = &self.ends;
        Ok(vec![
            list(values, Float64Array::from(self.values))?,
            list(keys, Int32Array::from(self.keys))?,
            list(counts, Int64Array::from(self.counts))?,
        ])
    }
}

fn push_counts<T>(out: &mut Vec<i64>, entries: &[(T, u64)]) {
    if entries.iter().any(|(_, count)| *count != 1) {
        // A sketch's count fits a bigint.
        out.extend(entries.iter().map(|(_, count)| i64::try_from(*count).unwrap_or(i64::MAX)));
    }
}

fn list<T: ArrowPrimitiveType>(ends: &[usize], items: PrimitiveArray<T>) -> Result<ArrayRef> {
    let offsets: std::result::Result<Vec<i32>, _> =
        ends.iter().map(|end| i32::try_from(*end)).collect();
    let offsets = offsets.map_err(|_| {
        exec_datafusion_err!(
            "the sketches of one batch hold more than 2^31 values; use smaller batches"
        )
    })?;
    let field = Arc::new(Field::new_list_field(T::DATA_TYPE, true));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Arc::new(ListArray::try_new(field, offsets, Arc::new(items), None)?))
}

/// State columns, read in place.
#[derive(Clone, Copy, Debug)]
pub struct States<'a> {
    values: (&'a [f64], &'a [i32]),
    keys: (&'a [BucketNumber], &'a [i32]),
    counts: (&'a [i64], &'a [i32]),
}

/// One row of state columns.
#[derive(Clone, Copy, Debug)]
pub struct StateRow<'a> {
    values: &'a [f64],
    keys: &'a [BucketNumber],
    counts: &'a [i64],
}

impl<'a> States<'a> {
    /// Columns as [`ListBuilder`] makes them.
    pub fn of(columns: &'a [ArrayRef]) -> States<'a> {
        States {
            values: items::<Float64Type>(&columns[0]),
            keys: items::<Int32Type>(&columns[1]),
            counts: items::<Int64Type>(&columns[2]),
        }
    }

    /// A row.
    pub fn row(&self, row: usize) -> StateRow<'a> {
        StateRow {
            values: of_row(self.values, row),
            keys: of_row(self.keys, row),
            counts: of_row(self.counts, row),
        }
    }
}

impl<'a> StateRow<'a> {
    /// Whether values have become buckets.
    pub fn is_bucketed(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Its values with their counts, if it is exact.
    pub fn values(self) -> impl Iterator<Item = (f64, u64)> + 'a {
        self.values.iter().enumerate().map(move |(place, value)| (*value, self.count_at(place)))
    }

    /// Its buckets with their counts, if it is not.
    pub fn buckets(self) -> impl Iterator<Item = (BucketNumber, u64)> + 'a {
        self.keys.iter().enumerate().map(move |(place, key)| (*key, self.count_at(place)))
    }

    fn count_at(&self, place: usize) -> u64 {
        self.counts.get(place).map_or(1, |count| count.unsigned_abs())
    }
}

fn items<T: ArrowPrimitiveType>(column: &ArrayRef) -> (&[T::Native], &[i32]) {
    let lists = column.as_list::<i32>();
    (lists.values().as_primitive::<T>().values(), lists.value_offsets())
}

fn of_row<'a, T>((items, offsets): (&'a [T], &[i32]), row: usize) -> &'a [T] {
    &items[offsets[row] as usize..offsets[row + 1] as usize]
}

//! Rows into Arrow columns.
//!
//! A column that no row has a value for costs nothing per row: nulls are written when the next
//! value comes, or at the end. Only the wanted columns are kept.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::array::{BooleanBufferBuilder, NullBufferBuilder};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{Field, Fields};

use crate::flow::event::{EVENT_FIELDS, EVENT_SCHEMA, FieldKind};

use super::fields::{EVENT_TYPE, EVENT_TYPES, FIELDS, LAB_ID, PRIORITY, SNAPSHOT, bit};
use super::row::Row;

/// What absent fields are taken as.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    /// The lab of events that name none. Empty when every event must name one.
    pub(super) lab_id: String,
}

/// The columns under construction.
#[derive(Debug)]
pub(super) struct Columns {
    columns: Vec<Column>,
    wanted: u64,
    defaults: Defaults,
    rows: usize,
}

#[derive(Debug)]
enum Column {
    Text(TextColumn),
    Time(WordColumn<i64>),
    Int(WordColumn<i64>),
    Float(WordColumn<f64>),
    Bool(BoolColumn),
}

impl Columns {
    pub(super) fn new(wanted: u64, defaults: Defaults) -> Columns {
        let columns = EVENT_FIELDS.iter().map(|(_, kind)| Column::new(*kind)).collect();
        Columns { columns, wanted, defaults, rows: 0 }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Makes room for about `more` rows beside those that are there, judged by how full the
    /// columns are by now.
    pub(super) fn reserve(&mut self, more: usize) {
        let rows = self.rows;
        for column in &mut self.columns {
            column.reserve(rows, more);
        }
    }

    /// Appends one row whose texts lie in `source`.
    #[inline(always)]
    pub(super) fn push(&mut self, row: &Row, source: &[u8]) {
        let mut fields = row.present & self.wanted;
        while fields != 0 {
            let field = fields.trailing_zeros() as usize;
            fields &= fields - 1;
            let word = row.words[field];
            match &mut self.columns[field] {
                Column::Text(column) => {
                    let start = word as usize;
                    column.push(self.rows, source, start, row.lengths[field] as usize);
                }
                Column::Time(column) | Column::Int(column) => column.push(self.rows, word as i64),
                Column::Float(column) => column.push(self.rows, f64::from_bits(word)),
                Column::Bool(column) => column.push(self.rows, word != 0),
            }
        }
        let defaulted = self.wanted & !row.present;
        if defaulted & (bit(EVENT_TYPE) | bit(PRIORITY) | bit(LAB_ID)) != 0 {
            self.push_defaults(defaulted);
        }
        self.rows += 1;
    }

    #[inline(always)]
    fn push_defaults(&mut self, absent: u64) {
        let texts = [
            (EVENT_TYPE, EVENT_TYPES[SNAPSHOT]),
            (PRIORITY, "R"),
            (LAB_ID, self.defaults.lab_id.as_str()),
        ];
        for (field, text) in texts {
            if absent & bit(field) != 0
                && let Column::Text(column) = &mut self.columns[field]
            {
                column.push(self.rows, text.as_bytes(), 0, text.len());
            }
        }
    }

    /// The batch: the wanted columns in the order of [`EVENT_SCHEMA`].
    pub(super) fn finish(self) -> RecordBatch {
        let rows = self.rows;
        let wanted = |field: &usize| self.wanted & bit(*field) != 0;
        let fields: Vec<Arc<Field>> =
            (0..FIELDS).filter(wanted).map(|field| EVENT_SCHEMA.fields()[field].clone()).collect();
        if fields.is_empty() {
            return RecordBatch::from(StructArray::new_empty_fields(rows, None));
        }
        let arrays = self
            .columns
            .into_iter()
            .enumerate()
            .filter(|(field, _)| self.wanted & bit(*field) != 0)
            .map(|(_, column)| column.finish(rows))
            .collect();
        RecordBatch::from(StructArray::new(Fields::from(fields), arrays, None))
    }
}

impl Column {
    fn new(kind: FieldKind) -> Column {
        match kind {
            FieldKind::Text(_) => Column::Text(TextColumn::default()),
            FieldKind::Time => Column::Time(WordColumn::default()),
            FieldKind::Int => Column::Int(WordColumn::default()),
            FieldKind::Float => Column::Float(WordColumn::default()),
            FieldKind::Bool => Column::Bool(BoolColumn::default()),
        }
    }

    fn reserve(&mut self, rows: usize, more: usize) {
        match self {
            Column::Text(column) => column.reserve(rows, more),
            Column::Time(column) | Column::Int(column) => column.reserve(more),
            Column::Float(column) => column.reserve(more),
            Column::Bool(_) => {}
        }
    }

    fn finish(self, rows: usize) -> ArrayRef {
        match self {
            Column::Text(column) => column.finish(rows),
            Column::Time(column) => {
                let (values, nulls) = column.finish(rows);
                Arc::new(TimestampMicrosecondArray::new(values, nulls).with_timezone("UTC"))
            }
            Column::Int(column) => {
                let (values, nulls) = column.finish(rows);
                Arc::new(Int64Array::new(values, nulls))
            }
            Column::Float(column) => {
                let (values, nulls) = column.finish(rows);
                Arc::new(Float64Array::new(values, nulls))
            }
            Column::Bool(column) => column.finish(rows),
        }
    }
}

/// Texts: a row's end for each row, behind a leading 0 once there is a value.
#[derive(Debug)]
struct TextColumn {
    ends: Vec<i32>,
    bytes: Vec<u8>,
    nulls: NullBufferBuilder,
}

impl Default for TextColumn {
    fn default() -> TextColumn {
        TextColumn { ends: Vec::new(), bytes: Vec::new(), nulls: NullBufferBuilder::new(0) }
    }
}

impl TextColumn {
    /// The text lies within `source`; `row` is the row's number.
    #[inline(always)]
    fn push(&mut self, row: usize, source: &[u8], start: usize, length: usize) {
        if self.ends.len() != row + 1 {
            self.pad(row);
        }
        // A copy of a fixed size is a store or two; the excess is cut off again.
        let end = self.bytes.len() + length;
        if length <= 16
            && let Some(chunk) = source.get(start..).and_then(|rest| rest.first_chunk::<16>())
        {
            self.bytes.extend_from_slice(chunk);
            self.bytes.truncate(end);
        } else {
            self.bytes.extend_from_slice(&source[start..start + length]);
        }
        // Texts are parts of a batch's bytes, of which sources deliver far less than 2 GiB.
        self.ends.push(end as i32);
        self.nulls.append_non_null();
    }

    #[cold]
    fn pad(&mut self, row: usize) {
        if self.ends.is_empty() {
            self.ends.push(0);
        }
        self.nulls.append_n_nulls(row + 1 - self.ends.len());
        self.ends.resize(row + 1, self.bytes.len() as i32);
    }

    fn reserve(&mut self, rows: usize, more: usize) {
        if self.ends.len() > 1 {
            self.ends.reserve(more);
            self.bytes.reserve(self.bytes.len() * more / rows.max(1) + 16);
        }
    }

    fn finish(mut self, rows: usize) -> ArrayRef {
        if self.ends.is_empty() {
            return new_null_array(&arrow::datatypes::DataType::Utf8, rows);
        }
        self.pad(rows);
        let ends = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        Arc::new(StringArray::new(ends, Buffer::from_vec(self.bytes), self.nulls.finish()))
    }
}

/// Values of eight bytes.
#[derive(Debug)]
struct WordColumn<T> {
    values: Vec<T>,
    nulls: NullBufferBuilder,
}

impl<T> Default for WordColumn<T> {
    fn default() -> WordColumn<T> {
        WordColumn { values: Vec::new(), nulls: NullBufferBuilder::new(0) }
    }
}

impl<T: Copy + Default + arrow::datatypes::ArrowNativeType> WordColumn<T> {
    #[inline(always)]
    fn push(&mut self, row: usize, value: T) {
        if self.values.len() != row {
            self.pad(row);
        }
        self.values.push(value);
        self.nulls.append_non_null();
    }

    #[cold]
    fn pad(&mut self, row: usize) {
        self.nulls.append_n_nulls(row - self.values.len());
        self.values.resize(row, T::default());
    }

    fn reserve(&mut self, more: usize) {
        if !self.values.is_empty() {
            self.values.reserve(more);
        }
    }

    fn finish(mut self, rows: usize) -> (ScalarBuffer<T>, Option<NullBuffer>) {
        self.pad(rows);
        (ScalarBuffer::from(self.values), self.nulls.finish())
    }
}

/// Truths.
#[derive(Debug)]
struct BoolColumn {
    values: BooleanBufferBuilder,
    nulls: NullBufferBuilder,
}

impl Default for BoolColumn {
    fn default() -> BoolColumn {
        BoolColumn { values: BooleanBufferBuilder::new(0), nulls: NullBufferBuilder::new(0) }
    }
}

impl BoolColumn {
    fn push(&mut self, row: usize, value: bool) {
        self.pad(row);
        self.values.append(value);
        self.nulls.append_non_null();
    }

    fn pad(&mut self, row: usize) {
        let missing = row - self.values.len();
        self.values.append_n(missing, false);
        self.nulls.append_n_nulls(missing);
    }

    fn finish(mut self, rows: usize) -> ArrayRef {
        self.pad(rows);
        let values: BooleanBuffer = self.values.finish();
        Arc::new(BooleanArray::new(values, self.nulls.finish()))
    }
}

//! Rows into Arrow columns.
//!
//! A column that no row has a value for costs nothing per row: nulls are written when the next
//! value comes, or at the end. Only the wanted columns are kept.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::array::{BooleanBufferBuilder, NullBufferBuilder};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{Field, Fields};

use crate::flow::event::{DECODED_SCHEMA, EVENT_FIELDS, FieldKind};

use super::block::{Block, Text, Texts};
use super::codes::CodeColumn;
use super::field_run::FieldRun;
use super::fields::{EVENT_TYPE, EVENT_TYPES, FIELDS, LAB_ID, PRIORITY, SNAPSHOT, bit};

/// What absent fields are taken as.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    /// The lab of events that name none. Empty when every event must name one.
    pub(super) lab_id: String,
}

/// The columns under construction.
#[derive(Debug)]
pub(super) struct Columns {
    columns: Vec<EventColumn>,
    wanted: u64,
    defaults: Defaults,
    rows: usize,
}

#[derive(Debug)]
enum EventColumn {
    Text(TextColumn),
    Code(CodeColumn),
    Time(WordColumn<i64>),
    Int(WordColumn<i64>),
    Float(WordColumn<f64>),
    Bool(BoolColumn),
}

impl Columns {
    pub(super) fn new(wanted: u64, defaults: Defaults) -> Columns {
        let columns = EVENT_FIELDS.iter().map(|(_, kind)| EventColumn::new(*kind)).collect();
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

    /// Appends the block's rows, whose texts lie in `texts`.
    pub(super) fn append(&mut self, block: &Block, texts: Texts<'_>) {
        let (mut every, mut any) = (u64::MAX, 0);
        for present in block.present() {
            every &= present;
            any |= present;
        }
        let defaults = bit(EVENT_TYPE) | bit(PRIORITY) | bit(LAB_ID);
        let mut fields = self.wanted & (any | defaults);
        while fields != 0 {
            let field = fields.trailing_zeros() as usize;
            fields &= fields - 1;
            let run = FieldRun {
                first: self.rows,
                words: block.words(field),
                present: block.present(),
                bit: bit(field),
                full: every & bit(field) != 0,
            };
            let default = match field {
                EVENT_TYPE => Some(EVENT_TYPES[SNAPSHOT]),
                PRIORITY => Some("R"),
                LAB_ID => Some(self.defaults.lab_id.as_str()),
                _ => None,
            };
            match &mut self.columns[field] {
                EventColumn::Text(column) => column.append(run, texts),
                EventColumn::Code(column) => column.append(run, texts, default),
                EventColumn::Time(column) | EventColumn::Int(column) => {
                    column.append(run, |word| word as i64);
                }
                EventColumn::Float(column) => column.append(run, f64::from_bits),
                EventColumn::Bool(column) => column.append(run),
            }
        }
        self.rows += block.rows();
    }

    /// The batch: the wanted columns in the order of [`DECODED_SCHEMA`].
    pub(super) fn finish(self) -> RecordBatch {
        let rows = self.rows;
        let wanted = |field: &usize| self.wanted & bit(*field) != 0;
        let fields: Vec<Arc<Field>> = (0..FIELDS)
            .filter(wanted)
            .map(|field| DECODED_SCHEMA.fields()[field].clone())
            .collect();
        if fields.is_empty() {
            return RecordBatch::from(StructArray::new_empty_fields(rows, None));
        }
        // Columns without any value share one array of nulls for each type.
        let mut nulls: Vec<ArrayRef> = Vec::new();
        let mut arrays = Vec::with_capacity(fields.len());
        for (field, column) in self.columns.into_iter().enumerate() {
            if self.wanted & bit(field) == 0 {
                continue;
            }
            if column.is_untouched() {
                let data_type = DECODED_SCHEMA.field(field).data_type();
                let made = nulls.iter().find(|nulls| nulls.data_type() == data_type).cloned();
                arrays.push(made.unwrap_or_else(|| {
                    nulls.push(new_null_array(data_type, rows));
                    nulls[nulls.len() - 1].clone()
                }));
            } else {
                arrays.push(column.finish(rows));
            }
        }
        RecordBatch::from(StructArray::new(Fields::from(fields), arrays, None))
    }
}

impl EventColumn {
    fn new(kind: FieldKind) -> EventColumn {
        match kind {
            FieldKind::Text(_) => EventColumn::Text(TextColumn::default()),
            FieldKind::Code(_) => EventColumn::Code(CodeColumn::default()),
            FieldKind::Time => EventColumn::Time(WordColumn::default()),
            FieldKind::Int => EventColumn::Int(WordColumn::default()),
            FieldKind::Float => EventColumn::Float(WordColumn::default()),
            FieldKind::Bool => EventColumn::Bool(BoolColumn::default()),
        }
    }

    fn reserve(&mut self, rows: usize, more: usize) {
        match self {
            EventColumn::Text(column) => column.reserve(rows, more),
            EventColumn::Code(column) => column.reserve(more),
            EventColumn::Time(column) | EventColumn::Int(column) => column.reserve(more),
            EventColumn::Float(column) => column.reserve(more),
            EventColumn::Bool(_) => {}
        }
    }

    /// No row has come near it.
    fn is_untouched(&self) -> bool {
        match self {
            EventColumn::Text(column) => column.ends.is_empty(),
            EventColumn::Code(column) => column.is_untouched(),
            EventColumn::Time(column) | EventColumn::Int(column) => column.values.is_empty(),
            EventColumn::Float(column) => column.values.is_empty(),
            EventColumn::Bool(column) => column.values.is_empty(),
        }
    }

    fn finish(self, rows: usize) -> ArrayRef {
        match self {
            EventColumn::Text(column) => column.finish(rows),
            EventColumn::Code(column) => column.finish(rows),
            EventColumn::Time(column) => {
                let (values, nulls) = column.finish(rows);
                Arc::new(TimestampMicrosecondArray::new(values, nulls).with_timezone("UTC"))
            }
            EventColumn::Int(column) => {
                let (values, nulls) = column.finish(rows);
                Arc::new(Int64Array::new(values, nulls))
            }
            EventColumn::Float(column) => {
                let (values, nulls) = column.finish(rows);
                Arc::new(Float64Array::new(values, nulls))
            }
            EventColumn::Bool(column) => column.finish(rows),
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
    fn append(&mut self, run: FieldRun<'_>, texts: Texts<'_>) {
        if run.full {
            self.pad(run.first);
            self.append_full(run.words, texts);
            return;
        }
        for (row, value) in run.values() {
            if let Some(word) = value {
                self.pad(row);
                self.bytes.extend_from_slice(texts.text(word));
                self.ends.push(self.bytes.len() as i32);
                self.nulls.append_non_null();
            }
        }
    }

    /// Every row has a text. Short ones are copied as sixteen bytes, which is two instructions; what
    /// is too much is written over by the next text, and cut off at the end.
    fn append_full(&mut self, words: &[u64], texts: Texts<'_>) {
        let mut at = self.bytes.len();
        let total: usize = words.iter().map(|word| Text::of_word(*word).length).sum();
        self.bytes.resize(at + total + 16, 0);
        let bytes = self.bytes.as_mut_slice();
        // Texts are parts of a batch's bytes, of which sources deliver far less than 2 GiB.
        self.ends.extend(words.iter().map(|word| {
            let text = Text::of_word(*word);
            let from = texts.from(text);
            match (from.first_chunk::<16>(), bytes[at..].first_chunk_mut::<16>()) {
                (Some(from), Some(to)) if text.length <= 16 => *to = *from,
                _ => bytes[at..at + text.length].copy_from_slice(&from[..text.length]),
            }
            at += text.length;
            at as i32
        }));
        self.bytes.truncate(at);
        self.nulls.append_n_non_nulls(words.len());
    }

    /// Nulls up to the row.
    fn pad(&mut self, row: usize) {
        if self.ends.len() == row + 1 {
            return;
        }
        if self.ends.is_empty() {
            self.ends.push(0);
        }
        // Even no nulls at all would make the builder keep a bitmap.
        if self.ends.len() < row + 1 {
            self.nulls.append_n_nulls(row + 1 - self.ends.len());
            self.ends.resize(row + 1, self.bytes.len() as i32);
        }
    }

    fn reserve(&mut self, rows: usize, more: usize) {
        if self.ends.len() > 1 {
            self.ends.reserve(more);
            self.bytes.reserve(self.bytes.len() * more / rows.max(1) + 16);
        }
    }

    fn finish(mut self, rows: usize) -> ArrayRef {
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
    fn append(&mut self, run: FieldRun<'_>, of_word: impl Fn(u64) -> T) {
        if run.full {
            self.pad(run.first);
            self.values.extend(run.words.iter().map(|word| of_word(*word)));
            self.nulls.append_n_non_nulls(run.words.len());
            return;
        }
        for (row, value) in run.values() {
            if let Some(word) = value {
                self.pad(row);
                self.values.push(of_word(word));
                self.nulls.append_non_null();
            }
        }
    }

    /// Nulls up to the row.
    fn pad(&mut self, row: usize) {
        // Even no nulls at all would make the builder keep a bitmap.
        if self.values.len() < row {
            self.nulls.append_n_nulls(row - self.values.len());
            self.values.resize(row, T::default());
        }
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
    fn append(&mut self, run: FieldRun<'_>) {
        for (row, value) in run.values() {
            if let Some(word) = value {
                self.pad(row);
                self.values.append(word == 1);
                self.nulls.append_non_null();
            }
        }
    }

    fn pad(&mut self, row: usize) {
        let missing = row - self.values.len();
        if missing > 0 {
            self.values.append_n(missing, false);
            self.nulls.append_n_nulls(missing);
        }
    }

    fn finish(mut self, rows: usize) -> ArrayRef {
        self.pad(rows);
        let values: BooleanBuffer = self.values.finish();
        Arc::new(BooleanArray::new(values, self.nulls.finish()))
    }
}

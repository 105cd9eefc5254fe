//! In which order rows stand, and rows that are given out in it.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{RecordBatch, make_comparator};
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::Result;

/// Rows as they are asked for.
pub type RowStream = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// By which columns rows are sorted.
#[derive(Clone, Debug)]
pub struct RowOrder {
    pub(super) schema: SchemaRef,
    /// The columns whose values nearly always decide, compared as bytes.
    first: Vec<usize>,
    converter: Arc<RowConverter>,
    /// Those that decide where the first are alike.
    rest: Vec<usize>,
}

impl RowOrder {
    /// Rows of these columns, by those of `columns` in turn. The first `deciding` of them are those
    /// that tell rows apart but for a few.
    pub fn new(schema: &SchemaRef, columns: &[usize], deciding: usize) -> Result<RowOrder> {
        let (first, rest) = columns.split_at(deciding.max(1).min(columns.len()));
        let fields = |columns: &[usize]| -> Vec<SortField> {
            let types = columns.iter().map(|place| schema.field(*place).data_type().clone());
            types.map(SortField::new).collect()
        };
        // Whether the rest can be compared is found out here.
        RowConverter::new(fields(rest))?;
        Ok(RowOrder {
            converter: Arc::new(RowConverter::new(fields(first))?),
            schema: Arc::clone(schema),
            first: first.to_vec(),
            rest: rest.to_vec(),
        })
    }

    /// What the first columns say, as bytes that compare as they do.
    pub(crate) fn keys(&self, rows: &RecordBatch) -> Result<Rows> {
        let columns: Vec<_> =
            self.first.iter().map(|place| Arc::clone(rows.column(*place))).collect();
        Ok(self.converter.convert_columns(&columns)?)
    }

    /// Compares rows by the columns beyond the first.
    pub(crate) fn compare_rest(
        &self,
        (one, row): (&RecordBatch, usize),
        (other, other_row): (&RecordBatch, usize),
    ) -> Ordering {
        let of_column = |place: &usize| {
            let (one, other) = (one.column(*place), other.column(*place));
            let compare = make_comparator(one, other, SortOptions::default());
            // The types were looked at when the order was made.
            compare.map_or(Ordering::Equal, |compare| compare(row, other_row))
        };
        self.rest.iter().map(of_column).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

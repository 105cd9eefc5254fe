//! Rows → row groups, and the columns of one row group → their Parquet chunks, encoded side by side
//! on the cores: a day that settles as the input ends would otherwise keep one busy while the others
//! wait.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::error::ArrowError;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::errors::Result;

use crate::cores;

/// Below so many rows a thread costs more than it saves.
const WORTH_A_THREAD: usize = 8 * 1024;

/// Encodes the columns of `rows`, each with its writer, in order.
pub(super) fn encode_columns(
    rows: &RecordBatch,
    writers: Vec<ArrowColumnWriter>,
) -> Result<Vec<ArrowColumnChunk>> {
    let fields = rows.schema_ref().fields().iter();
    let columns = fields.zip(rows.columns()).zip(writers);
    let encode = |((field, values), mut writer): ((&FieldRef, &ArrayRef), ArrowColumnWriter)| {
        for leaf in compute_leaves(field, values)? {
            writer.write(&leaf)?;
        }
        writer.close()
    };
    if rows.num_rows() < WORTH_A_THREAD {
        return columns.map(encode).collect();
    }
    cores::side_by_side(columns.collect(), encode).into_iter().collect()
}

/// The rows in batches of exactly `group` rows, the last one shorter: page boundaries
/// depend on how rows are handed to the encoder, so that must not depend on the caller.
pub(super) fn row_groups<E: From<ArrowError>>(
    schema: &SchemaRef,
    group: usize,
    mut batches: impl Iterator<Item = Result<RecordBatch, E>>,
) -> impl Iterator<Item = Result<RecordBatch, E>> {
    let mut rest: Option<RecordBatch> = None;
    std::iter::from_fn(move || {
        let mut slices = Vec::new();
        let mut room = group;
        while room > 0 {
            let batch = match rest.take().map(Ok).or_else(|| batches.next()) {
                Some(Ok(batch)) => batch,
                Some(Err(error)) => return Some(Err(error)),
                None => break,
            };
            let take = room.min(batch.num_rows());
            if take < batch.num_rows() {
                rest = Some(batch.slice(take, batch.num_rows() - take));
            }
            if take > 0 {
                slices.push(batch.slice(0, take));
            }
            room -= take;
        }
        if slices.is_empty() {
            None
        } else {
            Some(concat_batches(schema, &slices).map_err(E::from))
        }
    })
}

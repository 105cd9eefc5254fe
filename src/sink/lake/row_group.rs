//! The columns of one row group → their Parquet chunks, encoded side by side on the cores:
//! a day that settles as the input ends would otherwise keep one busy while the others wait.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::FieldRef;
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

//! The columns of one row group → their Parquet chunks, encoded side by side on the cores:
//! a day that settles as the input ends would otherwise keep one busy while the others wait.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::Field;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::errors::{ParquetError, Result};

/// Below so many rows a thread costs more than it saves.
const WORTH_A_THREAD: usize = 8 * 1024;

/// A column to encode.
struct Column<'a> {
    place: usize,
    field: &'a Field,
    values: &'a ArrayRef,
    writer: ArrowColumnWriter,
}

/// Encodes the columns of `rows`, each with its writer, in order.
pub(super) fn encode_columns(
    rows: &RecordBatch,
    writers: Vec<ArrowColumnWriter>,
) -> Result<Vec<ArrowColumnChunk>> {
    let fields = rows.schema_ref().fields().iter();
    let columns: Vec<Column<'_>> = (fields.zip(rows.columns()).zip(writers).enumerate())
        .map(|(place, ((field, values), writer))| Column { place, field, values, writer })
        .collect();
    let wanted = match rows.num_rows() >= WORTH_A_THREAD {
        true => columns.len().saturating_sub(1),
        false => 0,
    };
    let helpers = Helpers::at_most(wanted);
    let queue = Mutex::new(columns.into_iter());
    let mut chunks = thread::scope(|scope| {
        // Where the system has no thread left, there are fewer.
        let help = |_| thread::Builder::new().spawn_scoped(scope, || take_columns(&queue)).ok();
        let helping: Vec<_> = (0..helpers.0).filter_map(help).collect();
        let mut chunks = take_columns(&queue)?;
        for helper in helping {
            match helper.join() {
                Ok(encoded) => chunks.extend(encoded?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok::<_, ParquetError>(chunks)
    })?;
    chunks.sort_by_key(|(place, _)| *place);
    Ok(chunks.into_iter().map(|(_, chunk)| chunk).collect())
}

/// Threads that help, over all objects that are being encoded: together with whoever they help no
/// more than one for each core.
struct Helpers(usize);

static HELPING: Mutex<usize> = Mutex::new(0);

impl Helpers {
    fn at_most(wanted: usize) -> Helpers {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let mut helping = HELPING.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = wanted.min((cores - 1).saturating_sub(*helping));
        *helping += taken;
        Helpers(taken)
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        *HELPING.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
    }
}

/// Encodes columns until none is left; each chunk with its place.
fn take_columns<'a>(
    queue: &Mutex<impl Iterator<Item = Column<'a>>>,
) -> Result<Vec<(usize, ArrowColumnChunk)>> {
    let mut chunks = Vec::new();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some(Column { place, field, values, mut writer }) = next else { return Ok(chunks) };
        for leaf in compute_leaves(field, values)? {
            writer.write(&leaf)?;
        }
        chunks.push((place, writer.close()?));
    }
}

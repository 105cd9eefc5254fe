//! Placed rows to the states of their cells.

use arrow::array::{ArrayRef, RecordBatch};
use datafusion::common::Result;

use super::cells::{Slices, number_cells};
use super::collected::Cells;
use crate::sql::keys::Keys;
use crate::sql::plan::query::Incremental;

/// Rows with the slice of each.
pub(crate) struct PlacedRows {
    pub(crate) rows: RecordBatch,
    pub(crate) slices: Slices,
}

/// The states of placed rows by cell; none when there are no rows.
pub(crate) fn cells(query: &Incremental, placed: PlacedRows) -> Result<Option<Cells>> {
    let PlacedRows { rows, slices } = placed;
    let count = rows.num_rows();
    if count == 0 {
        return Ok(None);
    }
    let columns: Result<Vec<ArrayRef>> =
        query.group_exprs.iter().map(|expr| expr.evaluate(&rows)?.into_array(count)).collect();
    let mut keys = Keys::default();
    let groups = query.codec.intern(&columns?, count, &mut keys)?;
    let numbering = number_cells(&slices, &groups);
    let states: Result<Vec<Vec<ArrayRef>>> = query
        .slots
        .iter()
        .map(|slot| slot.states(&rows, &numbering.of_row, numbering.groups.len()))
        .collect();
    Ok(Some(Cells {
        keys,
        slices: numbering.slices,
        groups: numbering.groups,
        rows: numbering.rows,
        states: states?,
    }))
}

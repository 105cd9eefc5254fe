//! Columns of a relation by their places in its whole schema, of which a batch holds only some.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use datafusion::common::{Result, exec_datafusion_err};

use crate::flow::coded::{plain, with_columns};

/// The key of schema metadata that lists, for each column of [`RelationRows::rows`](crate::sql::plan::relation_rows::RelationRows::rows), its place in
/// the relation's whole schema.
pub const PLACES: &str = "places";

/// The columns of rows of a relation, given by their places in the relation's whole schema, and
/// plain, as plans know them.
pub fn project_by_place(rows: &RecordBatch, columns: &[usize]) -> Result<RecordBatch> {
    project_coded(rows, columns, &vec![false; columns.len()])
}

/// The places that are listed; a batch without columns lists none.
fn places_of(listed: &str) -> Result<Vec<usize>> {
    let listed = listed.split(',').filter(|place| !place.is_empty());
    let place = |place: &str| {
        place.parse().map_err(|_| exec_datafusion_err!("`{place}` is no place of a column"))
    };
    listed.map(place).collect()
}

/// The columns of rows of a relation, plain but for those that may stay coded.
pub fn project_coded(rows: &RecordBatch, columns: &[usize], coded: &[bool]) -> Result<RecordBatch> {
    let metadata = rows.schema_ref().metadata();
    let places = match metadata.get(PLACES) {
        Some(listed) => places_of(listed)?,
        None => Vec::new(),
    };
    let picked: Result<Vec<usize>> = columns
        .iter()
        .map(|column| {
            places
                .iter()
                .position(|place| place == column)
                .ok_or_else(|| exec_datafusion_err!("column {column} of a relation was not made"))
        })
        .collect();
    let picked = rows.project(&picked?)?;
    // The leaf's own schema bears no metadata.
    let schema = picked.schema().as_ref().clone().with_metadata(HashMap::new());
    let made = |(column, coded): (&ArrayRef, &bool)| {
        if *coded { Ok(Arc::clone(column)) } else { plain(column) }
    };
    let made: std::result::Result<Vec<_>, _> =
        picked.columns().iter().zip(coded).map(made).collect();
    Ok(with_columns(&Arc::new(schema), made?, picked.num_rows())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passed over, it would shift those after it to the wrong columns.
    #[test]
    fn a_place_that_cannot_be_read_is_an_error() {
        assert_eq!(places_of("").unwrap(), Vec::<usize>::new());
        assert_eq!(places_of("3,0,12").unwrap(), [3, 0, 12]);
        let told = places_of("3,x,12").unwrap_err().strip_backtrace();
        assert_eq!(told, "Execution error: `x` is no place of a column");
    }
}

//! Columns of a relation by their places in its whole schema, of which a batch holds only some.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{Result, exec_datafusion_err};

use crate::flow::coded::{plain, with_columns};

/// Which columns of a relation a batch of its rows holds: by column of the batch, its place in the
/// relation's whole schema. It travels in the schema's metadata, so that rows have it also when they
/// come back from a temporary file.
#[derive(Debug, PartialEq, Eq)]
pub struct Places(Vec<usize>);

/// The key of the metadata, under which the places stand with commas between.
const KEY: &str = "places";

impl Places {
    /// These places.
    pub fn new(places: &[usize]) -> Places {
        Places(places.to_vec())
    }

    /// A schema of so many columns that says which they are.
    pub fn said_by(&self, schema: &Schema) -> SchemaRef {
        let places: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        let metadata = HashMap::from([(KEY.to_owned(), places.join(","))]);
        Arc::new(Schema::new_with_metadata(schema.fields().clone(), metadata))
    }

    /// What a schema says; none when it says nothing.
    fn read(schema: &Schema) -> Result<Places> {
        let said = schema.metadata().get(KEY).map_or("", String::as_str);
        let places = said.split_terminator(',').map(|place| {
            let wrong = |_| exec_datafusion_err!("`{place}` is no place of a column");
            place.parse().map_err(wrong)
        });
        Ok(Places(places.collect::<Result<_>>()?))
    }

    /// Where a batch holds a column of the relation.
    fn find(&self, column: usize) -> Result<usize> {
        let found = self.0.iter().position(|place| *place == column);
        found.ok_or_else(|| exec_datafusion_err!("column {column} of a relation was not made"))
    }
}

/// The columns of rows of a relation, given by their places in the relation's whole schema, and
/// plain, as plans know them.
pub fn project_by_place(rows: &RecordBatch, columns: &[usize]) -> Result<RecordBatch> {
    project_coded(rows, columns, &vec![false; columns.len()])
}

/// The columns of rows of a relation, plain but for those that may stay coded.
pub fn project_coded(rows: &RecordBatch, columns: &[usize], coded: &[bool]) -> Result<RecordBatch> {
    let places = Places::read(rows.schema_ref())?;
    let picked: Result<Vec<usize>> = columns.iter().map(|column| places.find(*column)).collect();
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
    use arrow::datatypes::{DataType, Field};

    use super::*;

    #[test]
    fn a_schema_says_which_columns_of_the_relation_it_has() -> Result<()> {
        let field = |name: &str| Field::new(name, DataType::Int64, true);
        let schema = Schema::new(vec![field("c"), field("a")]);
        let said = Places::new(&[12, 0]).said_by(&schema);
        assert_eq!(said.metadata()["places"], "12,0");
        let places = Places::read(&said)?;
        assert_eq!((places.find(12)?, places.find(0)?), (0, 1));
        let absent = places.find(1).expect_err("it is not there").to_string();
        assert!(absent.contains("column 1 of a relation was not made"), "{absent}");
        // No column at all, as count(*) asks for.
        assert_eq!(Places::read(&Places::new(&[]).said_by(&Schema::empty()))?, Places::new(&[]));
        assert_eq!(Places::read(&schema)?, Places::new(&[]));
        // Passed over, it would shift those after it to the wrong columns.
        let garbled = schema.with_metadata([("places".to_owned(), "3,x,12".to_owned())].into());
        let told = Places::read(&garbled).expect_err("x is no number").strip_backtrace();
        assert_eq!(told, "Execution error: `x` is no place of a column");
        Ok(())
    }
}

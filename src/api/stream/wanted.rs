//! What a listener wants: of which tables, laboratories and assays.

use arrow::array::{Array, AsArray, RecordBatch};

use crate::api::parameters::Parameters;
use crate::lake::read::scope::LAB;

/// The column of assays.
const ASSAY: &str = "assay";

/// What a listener wants; everything where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StreamWanted {
    /// These tables.
    pub tables: Vec<String>,
    /// These laboratories.
    pub labs: Vec<String>,
    /// These assays; a table without assays has none of them.
    pub assays: Vec<String>,
}

impl StreamWanted {
    /// Takes `table`, `lab` and `assay`.
    pub fn take(parameters: &mut Parameters) -> StreamWanted {
        StreamWanted {
            tables: parameters.all("table"),
            labs: parameters.all("lab"),
            assays: parameters.all(ASSAY),
        }
    }

    /// Whether anything of a table is wanted.
    pub fn holds_table(&self, table: &str) -> bool {
        self.tables.is_empty() || self.tables.iter().any(|wanted| wanted == table)
    }

    /// Of each row whether it is wanted.
    pub fn rows(&self, rows: &RecordBatch) -> Vec<bool> {
        let mut wanted = vec![true; rows.num_rows()];
        for (column, values) in [(LAB, &self.labs), (ASSAY, &self.assays)] {
            if values.is_empty() {
                continue;
            }
            let texts = rows.column_by_name(column).and_then(|texts| texts.as_string_opt::<i32>());
            for (row, wanted) in wanted.iter_mut().enumerate() {
                let text = texts.filter(|texts| texts.is_valid(row)).map(|texts| texts.value(row));
                *wanted &= text.is_some_and(|text| values.iter().any(|value| value == text));
            }
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};

    use super::*;

    #[test]
    fn rows_are_chosen_by_laboratory_and_assay() {
        let column =
            |texts: [Option<&str>; 3]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
        let labs = column([Some("a"), Some("b"), None]);
        let assays = column([Some("K"), Some("K"), Some("NA")]);
        let rows = RecordBatch::try_from_iter([("lab_id", labs), ("assay", assays)]).unwrap();
        let wanted = |query: &str| {
            let mut parameters = Parameters::parse(query).unwrap();
            StreamWanted::take(&mut parameters)
        };
        assert_eq!(wanted("").rows(&rows), [true, true, true]);
        assert_eq!(wanted("lab=a&lab=c").rows(&rows), [true, false, false]);
        assert_eq!(wanted("assay=K&lab=b").rows(&rows), [false, true, false]);
        let other = rows.project(&[0]).unwrap();
        assert_eq!(wanted("assay=K").rows(&other), [false, false, false]);
        assert!(wanted("table=t").holds_table("t") && !wanted("table=t").holds_table("u"));
    }
}

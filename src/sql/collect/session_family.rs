//! Which rows can share a session: those of one key, with silences shorter than a gap.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err};

use crate::flow::Span;
use crate::sql::keys::{KeyCodec, Keys};
use crate::sql::plan::relation_rows::RelationRows;

/// Sessions by the values of columns.
#[derive(Clone, Debug)]
pub struct SessionFamily {
    /// The silence that ends a session.
    pub gap: Span,
    /// How far behind its partition's watermark a row may be and still count.
    pub wait: Span,
    by: Vec<String>,
    codec: KeyCodec,
}

impl SessionFamily {
    /// Sessions of each value of these columns of the relation, given with their types.
    pub fn new(gap: Span, wait: Span, by: &[(String, DataType)]) -> Result<SessionFamily> {
        let types: Vec<DataType> = by.iter().map(|(_, data_type)| data_type.clone()).collect();
        let names = by.iter().map(|(name, _)| name.clone());
        Ok(SessionFamily { gap, wait, by: names.collect(), codec: KeyCodec::new(&types)? })
    }

    /// The number of each row's key.
    pub(super) fn keys_of(&self, input: &RelationRows, keys: &mut Keys) -> Result<Vec<u32>> {
        let column = |name: &String| {
            let column = input.rows.column_by_name(name).cloned();
            column.ok_or_else(|| exec_datafusion_err!("column {name} of a relation was not made"))
        };
        let columns: Result<Vec<ArrayRef>> = self.by.iter().map(column).collect();
        self.codec.intern(&columns?, input.rows.num_rows(), keys)
    }
}

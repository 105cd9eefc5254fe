//! Which rows can share a session: those of one key, with silences shorter than a gap.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err, plan_err};

use crate::flow::Span;
use crate::sql::keys::{KeyCodec, Keys};
use crate::sql::plan::query::Query;
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
    /// Sessions with this gap and wait, of each value of columns that the relations have which a
    /// query reads.
    pub(super) fn of(
        (gap, wait): (Span, Span),
        by: &[String],
        query: &Query,
    ) -> Result<SessionFamily> {
        let mut typed: Vec<(String, DataType)> = Vec::new();
        for column in by {
            let types = query.relations.values().filter_map(|schema| {
                Some(schema.field_with_name(column).ok()?.data_type().clone())
            });
            let types: Vec<DataType> = types.collect();
            match types.as_slice() {
                [first, others @ ..] if others.iter().all(|other| other == first) => {
                    typed.push((column.clone(), first.clone()));
                }
                _ => {
                    return plan_err!(
                        "there are sessions by `{column}`, which is not of one type in the \
                         relations that the query reads; read one of them alone"
                    );
                }
            }
        }
        SessionFamily::new(gap, wait, &typed)
    }

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

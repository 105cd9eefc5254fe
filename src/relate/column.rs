//! One column of a relation: its name, what it means and what it holds.

use arrow::datatypes::DataType;

use crate::flow::event::{FieldKind, timestamp_type};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnHolds {
    Text,
    Time,
    Int,
    Float,
    Bool,
}

impl ColumnHolds {
    pub(super) const fn of_field(kind: FieldKind) -> ColumnHolds {
        match kind {
            FieldKind::Text(_) | FieldKind::Code(_) => ColumnHolds::Text,
            FieldKind::Time => ColumnHolds::Time,
            FieldKind::Int => ColumnHolds::Int,
            FieldKind::Float => ColumnHolds::Float,
            FieldKind::Bool => ColumnHolds::Bool,
        }
    }
}

/// One column of a relation.
#[derive(Clone, Copy, Debug)]
pub struct RelationColumn {
    /// Its name in SQL.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    pub(super) holds: ColumnHolds,
}

impl RelationColumn {
    /// Its Arrow type, texts plain.
    pub fn data_type(&self) -> DataType {
        match self.holds {
            ColumnHolds::Text => DataType::Utf8,
            ColumnHolds::Time => timestamp_type(),
            ColumnHolds::Int => DataType::Int64,
            ColumnHolds::Float => DataType::Float64,
            ColumnHolds::Bool => DataType::Boolean,
        }
    }
}

pub(super) const fn column(
    name: &'static str,
    holds: ColumnHolds,
    doc: &'static str,
) -> RelationColumn {
    RelationColumn { name, doc, holds }
}

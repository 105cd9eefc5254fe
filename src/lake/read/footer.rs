//! What an object's footer says of its table: for readers that have the lake alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::{ObjectMeta, ObjectStore};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;
use serde::Deserialize;

use crate::lake::RangeReads;
use crate::lake::encode::ColumnNote;

/// What is known of a table beside its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FooterNotes {
    /// What the table holds, for people; empty where the footer does not tell.
    pub description: String,
    /// Notes on columns, by name.
    pub columns: BTreeMap<String, ColumnNote>,
}

/// A column as the footer tells of it.
#[derive(Deserialize)]
struct NotedColumn {
    name: String,
    #[serde(default)]
    description: String,
    unit: Option<String>,
    additive: Option<bool>,
}

/// Reads the notes of one object.
///
/// # Errors
/// Where its footer cannot be read.
pub async fn notes(
    objects: &Arc<dyn ObjectStore>,
    meta: &ObjectMeta,
) -> Result<FooterNotes, ParquetError> {
    let reads = RangeReads { objects, path: &meta.location };
    let footer = ParquetMetaDataReader::new().load_and_finish(reads, meta.size).await?;
    let entries = footer.file_metadata().key_value_metadata();
    let said = |key: &str| {
        let mut entries = entries.into_iter().flatten();
        entries.find(|entry| entry.key == key)?.value.clone()
    };
    Ok(notes_of(said("turnaround.description"), said("turnaround.columns")))
}

/// What the footer's texts say; what cannot be understood says nothing.
fn notes_of(description: Option<String>, columns: Option<String>) -> FooterNotes {
    let columns = columns.and_then(|text| serde_json::from_str::<Vec<NotedColumn>>(&text).ok());
    let note = |column: NotedColumn| {
        let NotedColumn { name, description, unit, additive } = column;
        (name, ColumnNote { description, unit, additive })
    };
    FooterNotes {
        description: description.unwrap_or_default(),
        columns: columns.into_iter().flatten().map(note).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_understood_says_nothing() {
        let columns = r#"[{"name": "n", "description": "Tests", "unit": "tests", "additive": true},
                          {"name": "p", "description": "", "unit": null, "additive": null}]"#;
        let read = notes_of(Some("Tests by lab".to_owned()), Some(columns.to_owned()));
        assert_eq!(read.description, "Tests by lab");
        let n = ColumnNote {
            description: "Tests".to_owned(),
            unit: Some("tests".to_owned()),
            additive: Some(true),
        };
        assert_eq!(read.columns["n"], n);
        assert_eq!(read.columns["p"], ColumnNote::default());
        assert_eq!(notes_of(None, Some("{".to_owned())), FooterNotes::default());
    }
}

//! How large the tables of a lake are.

use super::{LakeView, LakeViewError};
use crate::flow::lake_key::Section;
use crate::lake::{Lake, LakeError};

/// Why it cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum SizeError {
    /// The objects cannot be listed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The rows cannot be counted.
    #[error("could not count the rows of `{table}`")]
    Count {
        /// The table.
        table: String,
        /// Why.
        #[source]
        source: LakeViewError,
    },
}

/// Rows, objects and bytes of every table, and of the archive.
pub async fn sizes(
    lake: &Lake,
    view: &LakeView,
    tables: impl IntoIterator<Item = String>,
) -> Result<Vec<Stored>, SizeError> {
    let mut sizes = Vec::new();
    for table in tables {
        let objects = lake.settled_days(&table).await?;
        let rows = count(view, &table).await?;
        let bytes = objects.iter().map(|object| object.size).sum();
        sizes.push(Stored { name: table, rows, objects: objects.len() as u64, bytes });
    }
    let archive = Section::Events.as_str();
    let objects = lake.list(archive).await?;
    let rows = count(view, archive).await?;
    let bytes = objects.iter().map(|object| object.size).sum();
    let name = format!("{archive} (the archive)");
    sizes.push(Stored { name, rows, objects: objects.len() as u64, bytes });
    Ok(sizes)
}

async fn count(view: &LakeView, table: &str) -> Result<u64, SizeError> {
    let rows = match view.rows(&format!("SELECT count(*) AS n FROM {table}")).await {
        // Of a table that never had a row there is no object.
        Err(LakeViewError::UnknownTable { .. }) => return Ok(0),
        rows => rows,
    };
    let rows = rows.map_err(|source| SizeError::Count { table: table.to_owned(), source })?;
    Ok(rows.first().map_or(0, |row| row.count("n")))
}

/// How large a table is on the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The table.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Its settled objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

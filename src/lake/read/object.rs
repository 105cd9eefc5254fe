//! Objects one by one, for those who follow a lake as it grows: which there are, and the rows of one as
//! far as a scope goes.

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::error::ArrowError;
use bytes::Bytes;
use datafusion::error::DataFusionError;
use object_store::{ObjectMeta, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;

use super::choose;
use super::error::LakeViewError;
use super::reader::LakeReader;
use super::scope::{LAB, LabScope, Scope};
use crate::flow::lake_key::{LIVE, LakeKey, Section};

/// The rows of one object, which are given as far as a scope goes alone.
#[derive(Clone, Debug)]
pub struct ObjectRows {
    batches: Vec<RecordBatch>,
}

/// Rows of one object that are seen.
#[derive(Clone, Debug)]
pub struct SeenRows {
    /// The place of each among all rows of the object.
    pub places: Vec<u64>,
    /// The rows.
    pub rows: RecordBatch,
}

impl LakeReader {
    /// What fired for days that are not settled, and what fired beside it: the objects of `live/` and
    /// `alerts/`, those that later ones cover too.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub async fn fired(&self) -> Result<Vec<(LakeKey, ObjectMeta)>, LakeViewError> {
        let folders = [LIVE, Section::Alerts.as_str()];
        choose::list_folders(&self.objects, &self.prefix, &folders).await
    }

    /// The rows of an object; nothing where it is gone.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub async fn object(&self, meta: &ObjectMeta) -> Result<Option<ObjectRows>, LakeViewError> {
        let read = match self.objects.get(&meta.location).await {
            Ok(found) => found.bytes().await,
            Err(error) => Err(error),
        };
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(LakeViewError::Object(error.into())),
        };
        let decoded = tokio::task::spawn_blocking(move || decoded(bytes)).await;
        let decoded = decoded
            .map_err(|error| LakeViewError::Object(DataFusionError::External(Box::new(error))))?;
        let batches = decoded.map_err(|error| LakeViewError::Object(error.into()))?;
        Ok(Some(ObjectRows { batches }))
    }
}

fn decoded(bytes: Bytes) -> Result<Vec<RecordBatch>, ParquetError> {
    let rows = ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()?;
    Ok(rows.collect::<Result<_, ArrowError>>()?)
}

impl ObjectRows {
    /// The rows of a table's object that a scope shows.
    ///
    /// # Errors
    /// Where they cannot be filtered, which is our own fault.
    pub fn seen(&self, table: &str, scope: &Scope) -> Result<Vec<SeenRows>, ArrowError> {
        let mut seen = Vec::new();
        let mut before = 0;
        for batch in &self.batches {
            let shown = shown(table, scope, batch);
            let places = (before..).zip(shown.iter()).filter(|(_, shown)| *shown == Some(true));
            let places: Vec<u64> = places.map(|(place, _)| place).collect();
            before += batch.num_rows() as u64;
            if places.is_empty() {
                continue;
            }
            let rows = filter_record_batch(batch, &shown)?;
            let columns = scope.seen(table, &rows.schema());
            let fields = columns.fields().iter();
            let kept = fields.map(|field| rows.schema().index_of(field.name()));
            let rows = rows.project(&kept.collect::<Result<Vec<usize>, _>>()?)?;
            seen.push(SeenRows { places, rows });
        }
        Ok(seen)
    }
}

/// Which rows of a table a scope shows.
fn shown(table: &str, scope: &Scope, rows: &RecordBatch) -> BooleanArray {
    let all = |shown: bool| BooleanArray::from(vec![shown; rows.num_rows()]);
    if scope.closes(table) {
        return all(false);
    }
    let LabScope::Labs(labs) = scope.labs() else { return all(true) };
    let column = rows.column_by_name(LAB).and_then(|column| column.as_string_opt::<i32>());
    let Some(column) = column else { return all(false) };
    let holds = |lab: Option<&str>| lab.is_some_and(|lab| labs.contains(lab));
    BooleanArray::from(column.iter().map(holds).collect::<Vec<bool>>())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    #[test]
    fn rows_are_given_as_far_as_a_scope_goes() {
        let labs: ArrayRef =
            Arc::new(StringArray::from(vec![Some("a"), Some("b"), None, Some("a")]));
        let n: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
        let batch = RecordBatch::try_from_iter([("lab_id", labs), ("n", n)]).unwrap();
        let rows = ObjectRows { batches: vec![batch.slice(0, 2), batch.slice(2, 2)] };
        let only = |lab: &str| Scope::of(LabScope::Labs([lab.to_owned()].into()));
        let places = |scope: &Scope| -> Vec<u64> {
            rows.seen("t", scope).unwrap().into_iter().flat_map(|seen| seen.places).collect()
        };
        assert_eq!(places(&Scope::all()), [0, 1, 2, 3]);
        assert_eq!(places(&only("a")), [0, 3]);
        assert_eq!(places(&only("c")), [] as [u64; 0]);
        assert_eq!(places(&Scope::all().closing(&["t"])), [] as [u64; 0]);
        let seen = rows.seen("t", &only("a").closing(&["n"])).unwrap();
        assert_eq!(seen[0].rows.schema().fields().len(), 1);
        let whole = ObjectRows { batches: vec![batch.project(&[1]).unwrap()] };
        assert!(whole.seen("t", &only("a")).unwrap().is_empty());
    }
}

//! The columns of a pipeline's tables, for those who ask for a table that has no rows yet.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::build;
use super::planned::PipelinePlan;
use crate::config::{Fault, Project, Settings};
use crate::lake::encode::{EncodeError, to_stored};

impl PipelinePlan {
    /// The columns of one of the pipeline's tables.
    pub fn table_schema(&self, table: &str) -> Option<SchemaRef> {
        let mut outputs = self.families.iter().flat_map(|family| &family.outputs);
        outputs.find(|output| *output.table == *table).map(|output| Arc::clone(&output.schema))
    }
}

/// Why the columns of a table cannot be told.
#[derive(Debug)]
pub enum NoColumns {
    /// The pipeline that writes it has faults.
    Faults(Vec<Fault>),
    /// A column cannot be stored.
    Stored(EncodeError),
}

/// The columns of a project's table, as they are stored; none when no pipeline writes it.
///
/// # Errors
/// Where the pipeline has faults, or a column cannot be stored.
pub async fn columns_of(
    project: &Project,
    settings: &Settings,
    table: &str,
) -> Result<Option<SchemaRef>, NoColumns> {
    let mut pipelines = project.pipelines.iter();
    let Some(spec) = pipelines.find(|spec| spec.tables().any(|name| name == table)) else {
        return Ok(None);
    };
    let chosen = BTreeSet::from([spec.name.clone()]);
    let plan = build::plan(project, settings, Some(&chosen), false).await;
    let plan = plan.map_err(|unplanned| NoColumns::Faults(unplanned.faults))?;
    let schema = plan.pipelines.iter().find_map(|pipeline| pipeline.table_schema(table));
    let stored = schema.map(|schema| to_stored(&[RecordBatch::new_empty(schema)])).transpose();
    let stored = stored.map_err(NoColumns::Stored)?;
    Ok(stored.and_then(|rows| rows.first().map(RecordBatch::schema)))
}

//! What session windows ask of a pipeline: columns to have sessions by, and a grain that tells
//! sessions of several keys apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result, plan_err};

use super::faults::{PlanFault, SpecPart};
use crate::config::PipelineSpec;
use crate::sql::plan::query::Query;
use crate::window::WindowKind;

/// The session windows of a pipeline: name and columns.
fn sessions(spec: &PipelineSpec) -> impl Iterator<Item = (&str, &[String])> {
    spec.windows.iter().filter_map(|window| {
        let WindowKind::Session { by, .. } = &window.kind else { return None };
        Some((window.name.as_str(), by.as_slice()))
    })
}

/// Checks the session windows of a pipeline against its query, and notes the columns that have
/// sessions of their own among those that the query reads. Every fault at once.
pub(crate) fn prepare(
    spec: &PipelineSpec,
    query: &mut Query,
) -> std::result::Result<(), Vec<PlanFault>> {
    let mut faults = Vec::new();
    for (window, by) in sessions(spec) {
        for (number, column) in by.iter().enumerate() {
            let Query { reads, relations, .. } = &mut *query;
            let checked = reads.iter_mut().try_for_each(|read| note(read, relations, column));
            let checked = checked.and_then(|()| grain_tells_apart(spec, query, column));
            if let Err(error) = checked {
                let place = SpecPart::Yaml(format!("windows.{window}.session.by[{number}]"));
                faults.push(PlanFault { place, error });
            }
        }
        if spec.expect.is_some() {
            let error = DataFusionError::Plan(format!(
                "a session is there only where rows came, so `expect` has nothing to add to \
                 window `{window}`; take `expect` out, or count what is silent in a tumbling \
                 window of another pipeline"
            ));
            faults.push(PlanFault { place: SpecPart::Yaml("expect".to_owned()), error });
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Sessions of two keys can have the same bounds by chance, so the key must be told in the row.
fn grain_tells_apart(spec: &PipelineSpec, query: &Query, column: &str) -> Result<()> {
    if query.schema.index_of(column).is_err() {
        return plan_err!(
            "there are sessions by `{column}`, but the query does not have that column: sessions \
             of two values could not be told apart; add it to SELECT and GROUP BY and to `grain`"
        );
    }
    if !spec.grain.iter().any(|name| name == column) {
        return plan_err!(
            "there are sessions by `{column}`, but `grain` does not name it: sessions of two \
             values could not be told apart; add it to `grain`"
        );
    }
    Ok(())
}

/// Adds a column to those that are read of a relation.
fn note(
    (relation, columns): &mut (Arc<str>, Vec<usize>),
    schemas: &BTreeMap<Arc<str>, SchemaRef>,
    column: &str,
) -> Result<()> {
    let Some(schema) = schemas.get(relation) else { return Ok(()) };
    let Ok(place) = schema.index_of(column) else {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        return plan_err!(
            "there are sessions by `{column}`, which the relation {relation} does not have; \
             choose among {}",
            names.join(", ")
        );
    };
    columns.push(place);
    columns.sort_unstable();
    columns.dedup();
    Ok(())
}

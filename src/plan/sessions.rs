//! What session windows ask of a pipeline: columns to have sessions by, and a grain that tells
//! sessions of several keys apart.

use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, plan_err};

use super::faults::{PlanFault, SpecPart};
use crate::config::PipelineSpec;
use crate::flow::Span;
use crate::relate::{Relation, relation_schema};
use crate::sql::collect::session_family::SessionFamily;
use crate::sql::plan::query::Query;
use crate::window::WindowKind;

/// The session windows of a pipeline: name, gap and columns.
fn sessions(spec: &PipelineSpec) -> impl Iterator<Item = (&str, Span, &[String])> {
    spec.windows.iter().filter_map(|window| match &window.kind {
        WindowKind::Session { gap, by, .. } => Some((window.name.as_str(), *gap, by.as_slice())),
        WindowKind::Tumbling { .. }
        | WindowKind::Hopping { .. }
        | WindowKind::Calendar { .. }
        | WindowKind::RowLevel => None,
    })
}

/// Checks the session windows of a pipeline against its query, and notes the columns that have
/// sessions of their own among those that the query reads. Every fault at once.
pub(crate) fn prepare(
    spec: &PipelineSpec,
    query: &mut Query,
) -> std::result::Result<(), Vec<PlanFault>> {
    let mut faults = Vec::new();
    for (window, _, by) in sessions(spec) {
        for (number, column) in by.iter().enumerate() {
            let checked = query.reads.iter_mut().try_for_each(|read| note(read, column));
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
fn note((relation, columns): &mut (std::sync::Arc<str>, Vec<usize>), column: &str) -> Result<()> {
    let Some(known) = Relation::named(relation) else { return Ok(()) };
    let schema = relation_schema(known);
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

/// How rows are divided into sessions by columns of the relations that a query reads.
pub(crate) fn family(gap: Span, wait: Span, by: &[String], query: &Query) -> Result<SessionFamily> {
    let mut typed: Vec<(String, DataType)> = Vec::new();
    for column in by {
        let types = query.reads.iter().filter_map(|(relation, _)| {
            let schema = relation_schema(Relation::named(relation)?);
            Some(schema.field_with_name(column).ok()?.data_type().clone())
        });
        let types: Vec<DataType> = types.collect();
        match types.as_slice() {
            [first, others @ ..] if others.iter().all(|other| other == first) => {
                typed.push((column.clone(), first.clone()));
            }
            _ => {
                return plan_err!(
                    "there are sessions by `{column}`, which is not of one type in the relations \
                     that the query reads; read one of them alone"
                );
            }
        }
    }
    SessionFamily::new(gap, wait, &typed)
}

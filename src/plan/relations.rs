//! The relations that SQL can read in a project.

use super::faults::ReadableNames;
use super::guards::machine_fault;
use crate::config::{Fault, Project};
use crate::lifecycle::machine::StateMachine;
use crate::relate::{Relation, RelationShape, shapes_of};
use crate::sql::plan::relation::RelationDef;

/// The relations of a project's own machines and those that are always there. A view of the project that
/// has the name of a machine stands in its place: shipped machines are in every project.
pub fn shapes(project: &Project) -> Vec<RelationShape> {
    let is_view =
        |shape: &RelationShape| project.staging.iter().any(|view| view.name == shape.name);
    let stands = |shape: &RelationShape| Relation::named(&shape.name).is_some() || !is_view(shape);
    shapes_of(&project.machines).into_iter().filter(stands).collect()
}

/// The names that SQL can read in a project.
pub(super) fn readable(project: &Project) -> ReadableNames {
    ReadableNames {
        relations: shapes(project).into_iter().map(|shape| shape.name).collect(),
        views: project.staging.iter().map(|view| view.name.clone()).collect(),
    }
}

/// The same as the planner takes them.
///
/// # Errors
/// Machines whose names are those of relations that are always there.
pub(super) fn relation_defs(project: &Project) -> Result<Vec<RelationDef>, Vec<Fault>> {
    let is_taken = |machine: &&StateMachine| Relation::named(&machine.spec.name).is_some();
    let fault = |machine: &StateMachine| {
        let what = format!("there is a relation `{}` already", machine.spec.name);
        machine_fault(machine, what, "give the file another name: it is that of its relation")
    };
    let faults: Vec<Fault> = project.machines.iter().filter(is_taken).map(fault).collect();
    if !faults.is_empty() {
        return Err(faults);
    }
    let def = |shape: RelationShape| RelationDef {
        name: shape.name.into(),
        schema: shape.schema,
        event_time: shape.event_time,
    };
    Ok(shapes(project).into_iter().map(def).collect())
}

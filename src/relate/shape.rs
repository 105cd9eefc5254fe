//! What the relations of a project look like: those that are always there, and one for each machine
//! beside the test's.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};

use super::column::RelationColumn;
use super::moved::moved_columns;
use super::schema::{Relation, relation_schema};
use crate::lifecycle::TEST_MACHINE;
use crate::lifecycle::critical::CRITICAL_MACHINE;
use crate::lifecycle::machine::StateMachine;

/// A relation's name, columns and column of event time.
#[derive(Clone, Debug)]
pub struct RelationShape {
    /// The name in SQL.
    pub name: String,
    /// The columns in order, with what they mean.
    pub columns: Vec<RelationColumn>,
    /// The same as a schema; all columns nullable.
    pub schema: SchemaRef,
    /// The column of event time.
    pub event_time: &'static str,
}

impl RelationShape {
    /// Of a relation that is always there.
    pub fn of(relation: Relation) -> RelationShape {
        RelationShape {
            name: relation.name().to_owned(),
            columns: relation.columns().into_iter().copied().collect(),
            schema: relation_schema(relation),
            event_time: relation.event_time_column(),
        }
    }

    /// Of what a machine's entities did.
    pub fn of_machine(machine: &StateMachine) -> RelationShape {
        let columns = moved_columns(machine);
        let field = |column: &RelationColumn| Field::new(column.name, column.data_type(), true);
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        RelationShape { name: machine.spec.name.clone(), columns, schema, event_time: "at" }
    }
}

/// The relations that SQL can read in a project of these machines.
pub fn shapes_of(machines: &[StateMachine]) -> Vec<RelationShape> {
    let own = machines.iter().filter(|machine| has_relation(machine));
    Relation::all().map(RelationShape::of).chain(own.map(RelationShape::of_machine)).collect()
}

/// The machine whose entities a relation tells of.
pub fn machine_of<'m>(machines: &'m [StateMachine], relation: &str) -> Option<&'m StateMachine> {
    let mut machines = machines.iter().filter(|machine| has_relation(machine));
    machines.find(|machine| machine.spec.name == relation)
}

/// The machine that what a relation tells follows from; none of tests' and events'.
pub fn machine_behind<'m>(
    machines: &'m [StateMachine],
    relation: &str,
) -> Option<&'m StateMachine> {
    match Relation::named(relation) {
        Some(Relation::Critical(_)) => machine_of(machines, CRITICAL_MACHINE),
        Some(Relation::Events | Relation::Changed(_)) | None => machine_of(machines, relation),
    }
}

/// What tests do is told by relations of their own.
fn has_relation(machine: &StateMachine) -> bool {
    machine.spec.name != TEST_MACHINE
}

//! The relations that SQL reads: events as they are, and what the lifecycle stage tells of them.
//!
//! `schema` says what there is. `events` are a batch's events by themselves: no state is kept, and what one
//! event cannot tell is null, never zero. `changed` are changes of tests, each brought about by an event
//! or by time; both forms of event give the same changes. `moved` is what the entities of other machines
//! did, a relation for each machine; `shape` is what all of a project's relations look like.
//!
//! `critical` is what became of critical results.
//!
//! Only the columns that are needed are made, a column at a time.

pub mod changed;
mod column;
pub mod critical;
mod events;
pub mod moved;
mod plain;
mod schema;
mod shape;

#[cfg(test)]
mod tests;

pub use changed::ChangeRelation;
pub use column::RelationColumn;
pub use critical::CriticalRelation;
pub use events::{event_columns, event_rows, event_times};
pub use schema::{Relation, relation_schema};
pub use shape::{RelationShape, machine_behind, machine_of, shapes_of};

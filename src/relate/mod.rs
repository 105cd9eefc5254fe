//! The relations that SQL reads: events as they are, and what the lifecycle stage tells of them.
//!
//! `schema` says what there is. `events` are a batch's events by themselves: no state is kept, and what one
//! event cannot tell is null, never zero. `changed` are changes of tests, each brought about by an event
//! or by time; both forms of event give the same changes.
//!
//! Only the columns that are needed are made, a column at a time.

pub mod changed;
mod column;
mod events;
mod schema;

#[cfg(test)]
mod tests;

pub use changed::ChangeRelation;
pub use column::RelationColumn;
pub use events::{event_columns, event_rows, event_times};
pub use schema::{Relation, relation_schema};

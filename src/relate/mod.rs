//! Between decode and window: events into the relations that SQL reads.
//!
//! A relation's row comes from one event, in the order of the events, and says no more than that
//! event does: no state is kept here, and what one event cannot tell is null, never zero.
//!
//! - The row form and the transition form give the same relations. COMPLETED is VERIFIED.
//! - A row with an outcome (`COMPLETED`, `ERROR`, `REJECTED`, `CANCELLED`, `IN_PROCESS`) is one
//!   transition, to that state. It is not also its receipt: a feed that writes the receipt as a row
//!   of its own (`turnaround import` does) would be counted twice, and without state one cannot
//!   know. A feed of outcome rows alone therefore shows no RECEIVED in `transitions`.
//! - The same holds for a second VERIFIED of a test: both are completions.
//! - A duration is null when either end is unknown or when it is negative.
//!
//! Only the columns that are needed are computed, a column at a time.

mod build;
pub mod changed;
mod schema;
mod select;
#[cfg(test)]
mod tests;

pub use build::{Related, event_columns, relate};
pub use schema::{Relation, RelationColumn, relation_schema};

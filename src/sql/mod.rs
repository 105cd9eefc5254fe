//! Stage 6: SQL. Plans a pipeline once, turns rows into partial states as they come and states
//! into result rows when windows close.
//!
//! Between stages everything is an Arrow batch, partial states included. Nothing in here does
//! input or output, but for rows that wait beyond what memory is given (`held`, `runs`).
//!
//! `session` and `relation` make a planner, `query` divides a plan, `partial` runs what stands
//! below the aggregate, `engine` fires windows, `output` makes the tables' rows.

mod cells;
pub mod chain;
pub mod day;
pub mod engine;
pub mod execute;
pub mod expect;
pub mod family;
pub mod functions;
pub mod grouped;
pub mod numbered;
pub mod groups;
pub mod held;
mod join;
mod merge;
pub mod ordered;
pub mod output;
mod own;
pub mod partial;
pub mod pile;
pub mod places;
pub mod predicate;
pub mod proto_session;
pub mod query;
pub mod refuse;
pub mod relation;
pub mod running;
pub mod runs;
pub mod session;
pub mod sliding;
pub mod slots;

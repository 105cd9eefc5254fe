//! What the lifecycle stage tells, as the relations that SQL reads.
//!
//! Comes in: changes, a value for each row, with codes for texts. Goes out: the columns that are asked
//! for, texts coded by the run's own lists. `columns` says what each relation has, `build` makes them.

mod build;
mod columns;
#[cfg(test)]
mod tests;

pub use build::{ChangeNames, Changed, changed};
pub use columns::ChangeRelation;

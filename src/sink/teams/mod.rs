//! Teams.
pub mod rule;

//! Aggregates: functions of the multiset of their inputs, so that neither the order of rows nor how they
//! were divided can change a bit of a result.
//!
//! `registry` lists all that are known, with what must be known of each; read it first. `functions` are
//! those of our own; `slots` tells which aggregates of a query share a state; `running` are states
//! that enter a sliding window and leave it.

pub mod functions;
pub mod registry;
pub mod running;
pub mod slots;

//! Aggregates: functions of the multiset of their inputs, so that neither the order of rows nor how they
//! were divided can change a bit of a result.
//!
//! `functions` are those of our own, registered with DataFusion; `slots` tells which aggregates of a
//! query share a state; `running` are states that enter a sliding window and leave it.

pub mod functions;
pub mod running;
pub mod slots;

//! Turnaround turns a stream of laboratory specimen events into turnaround-time percentiles,
//! throughput, error rates and rejection analyses as Parquet on object storage, and breaches into
//! cards.
//!
//! ```text
//! Kafka | files | generator
//!    └─ source ─ decode ─ judge ─ relate ─ sql: collect ─ fire ─┬─ lake ── Parquet on object storage
//!                  │        │                 (window, keep)    └─ alert ── cards in Teams and others
//!                  └────────┴── dead letters, late rows, wrong clocks: nothing is dropped silently
//! ```
//!
//! The modules stand in the order of the data. [`pipeline`] holds the one loop that moves values
//! from stage to stage: read it first. [`plan`] decides everything before the first record.

pub mod flow;

pub mod clock;
pub mod cores;
pub mod metrics;
#[cfg(test)]
mod skipped;

pub mod source;

pub mod decode;

pub mod judge;

pub mod reference;

pub mod lifecycle;

pub mod relate;

pub mod window;

pub mod keep;

pub mod sql;

pub mod lake;

pub mod alert;

pub mod config;

pub mod plan;

pub mod pipeline;

pub mod serve;

pub mod access;

pub mod api;

pub mod report;

pub mod feed;

pub mod import;

pub mod cli;

//! Turnaround turns a stream of laboratory specimen events into turnaround-time percentiles,
//! throughput, error rates and rejection analyses as Parquet on object storage, and breaches into
//! Microsoft Teams cards.
//!
//! ```text
//! Kafka | files | generator
//!    └─ source ─ decode ─ relate ─ window ─ sql ─ sink ── Parquet on object storage
//!                  │         │        │              └──── Teams cards
//!                  └─────────┴────────┴── dead letters, late rows (nothing is dropped silently)
//! ```
//!
//! The modules stand in the order of the data. [`pipeline`] holds the one loop that moves values
//! from stage to stage: read it first.

pub mod flow;

pub mod clock;
pub mod cores;
#[cfg(test)]
mod skipped;
pub mod metrics;

pub mod source;

pub mod decode;

pub mod relate;

pub mod window;

pub mod sql;

pub mod lake;

pub mod alert;

pub mod config;

pub mod pipeline;

pub mod serve;

pub mod cli;

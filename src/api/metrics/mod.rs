//! `metrics/…`: the four figures that the starter kit's clients ask for, by its field names.
//!
//! Each is one question of one or two tables, pure but for the asking. Rates stand beside both counts,
//! their numerator is part of their denominator, and where there is nothing they are null.

pub mod errors;
pub mod filter;
pub mod sla;
pub mod tat;
pub mod throughput;

//! Rows that wait: in memory up to a bound, beyond it in temporary files without a name, so that nothing
//! is left behind however the process ends.
//!
//! Comes in: batches of rows. Goes out: the same rows, in the order in which they came (`pile`, over
//! `held`) or sorted (`runs`, over `merge`, by an `order`), read as they are asked for. `own` copies what is a small
//! part of the buffers that it would hold on to. Read `held` first.

pub mod held;
pub mod merge;
pub mod order;
pub mod own;
pub mod pile;
pub mod runs;

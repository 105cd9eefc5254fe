//! Stage 7: SQL. Plans a pipeline once, turns rows into partial states as they come and states into
//! result rows when windows close.
//!
//! ```text
//! SQL ─ plan ─ divided plan            (once)
//! rows ─ collect ─ partial states      (every batch, any core)
//! states ─ fire ─ result rows          (as the watermark passes)
//! ```
//!
//! `keys` numbers group keys for all three, `mask` says where a condition holds.
//!
//! Between them everything is an Arrow batch, partial states included. Nothing in here does input or
//! output, but for rows that wait beyond what memory is given (`keep`).

pub mod mask;

pub mod aggregate;

pub mod keys;

pub mod plan;

pub mod collect;

pub mod fire;

//! SQL → a divided plan, made once: what runs on every batch of rows as it comes, what is kept per pane, and
//! what runs when a window closes.
//!
//! `planner` is the DataFusion session with our relations (`relation`) and functions; `refuse` what
//! would not give the same answer twice, `refuse_recompute` what would be computed too often; `query` divides the plan, by its chains of filters and
//! projections (`chain`), or says that it must be recomputed over whole windows (`ordered`,
//! `numbered`); `grouped` tells by what result rows are told apart. `execute` runs what is left of a
//! plan, over rows in hand (`relation_rows`, `places`, `held_rows`). `predicate` are conditions over result rows. Read
//! `query` first.

pub mod chain;
pub mod execute;
pub mod grouped;
pub mod held_rows;
pub mod numbered;
pub mod ordered;
pub mod places;
pub mod planner;
pub mod predicate;
pub mod query;
pub mod refuse;
pub mod refuse_recompute;
pub mod relation;
pub mod relation_rows;

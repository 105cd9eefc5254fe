//! A lake read as tables: what `query`, the report and every later page share.
//!
//! In come a store and what stands beside its tables (`ref.<name>`, functions); out come plans and rows.
//! Nothing is kept: a view is of the instant when it was opened.
//!
//! Read `view` first: it opens a lake and plans a query. `choose` says which objects make up which
//! table, `tables` makes them readable. `row` gives an answer as texts and numbers, `sizes` tells how
//! large the tables are.

pub mod choose;
pub mod error;
pub mod row;
pub mod sizes;
pub mod tables;
pub mod view;

pub use error::LakeViewError;
pub use view::{Beside, LakeView};

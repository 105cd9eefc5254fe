//! A lake read as tables: what `query`, the report and every later page share.
//!
//! In come a store and what stands beside its tables (`ref.<name>`, functions); out come plans and rows.
//! A view is of the instant when it was opened; a `reader` opens one after the other and keeps what
//! footers told, since objects never change.
//!
//! Read `view` first: it opens a lake and plans a query. `choose` says which objects make up which
//! table, `tables` makes them readable, `days` leaves out those of days that nobody asked for, `places` the
//! rows of laboratories that nobody asked for, `scope` what the reader may not see. `row` gives an answer as texts and numbers, `sizes` tells how large
//! the tables are, `footer` what an object says of its table, `object` the rows of one object.

pub mod choose;
pub mod days;
pub mod error;
pub mod footer;
pub mod object;
mod places;
pub mod reader;
pub mod row;
pub mod scope;
pub mod sizes;
pub mod tables;
pub mod view;

pub use error::LakeViewError;
pub use reader::LakeReader;
pub use scope::{LabScope, Scope};
pub use view::{Beside, LakeView};

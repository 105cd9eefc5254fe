//! Rows → partial states: one batch through everything below the aggregate, its rows placed in panes or
//! periods (`family`), numbered by group (`groups`) and by cell (`cells`), and each aggregate's state
//! per cell (`partial`; for sessions `proto_session`). `join` puts the states of several batches
//! together. Pure and independent of every other batch, so batches run on any core. Read `partial`
//! first.

pub mod cells;
pub mod family;
pub mod groups;
pub mod join;
pub mod partial;
pub mod proto_session;

//! Rows → partial states: one batch through everything below the aggregate (`partial`; for sessions
//! `proto_session`), its rows (`sourced_rows`) placed in panes or periods (`family`, `slice_key`; for sessions
//! `session_family`), numbered by cell (`cells`), and each aggregate's state per cell (`cell_states`).
//! `collected` is what comes out, `join` puts the states of several batches together. Pure and
//! independent of every other batch, so batches run on any core. Read `partial` first.

pub mod cell_states;
pub mod cells;
pub mod collected;
pub mod family;
pub mod join;
pub mod partial;
pub mod proto_session;
pub mod session_family;
pub mod slice_key;
pub mod sourced_rows;

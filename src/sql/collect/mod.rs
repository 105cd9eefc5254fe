//! Rows → partial states: one batch (`batch_input`) through everything below the aggregate, its rows
//! (`sourced_rows`) placed in time (`slice_key`), what became of them noted (`fates`), numbered by cell
//! (`cells`), and each aggregate's state per cell (`cell_states`). Where rows go is a family's matter:
//! `window_family` is what others ask of one, `family` the registry. Panes (`fixed_family`) and periods
//! (`calendar_family`) take row by row (`partial`), sessions (`session_family`) a whole batch
//! (`proto_session`), and rows without a window (`row_family`) go on as they are, by run and day
//! (`parting`). `collected` is what comes out, `join` puts the states of several batches together. Pure
//! and independent of every other batch, so batches run on any core. Read `partial` first.

pub mod batch_input;
pub mod calendar_family;
pub mod cell_states;
pub mod cells;
pub mod collected;
pub mod family;
pub mod fates;
pub mod fixed_family;
pub mod join;
pub mod partial;
pub mod parting;
pub mod proto_session;
pub mod row_family;
pub mod session_family;
pub mod slice_key;
pub mod sourced_rows;
pub mod window_family;

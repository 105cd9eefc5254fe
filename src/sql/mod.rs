//! Stage 6: plans, catalogue, functions; a firing becomes result rows.

pub mod lake_view;

//! Stage 7: where results go. Parquet on object storage, cards in Teams.

pub mod lake;
pub mod teams;

//! Stage 5: event time. Which windows a row belongs to, when they close, and what is kept meanwhile.
//!
//! Pure: no clock, file or socket. A **pane** is a disjoint slice of event time, a window a run of
//! panes. What arrives in a pane carries the first window end that may still count it (`ready`),
//! judged once, at ingest, against its own partition's watermark: so what a window holds does not
//! depend on how partitions interleave.

pub mod book;
pub mod calendar;
pub mod days;
pub mod fixed;
pub mod kind;
pub mod watermark;

pub use book::PaneBook;
pub use calendar::{Calendar, Period};
pub use days::DayBook;
pub use fixed::{PaneGrid, Shape};
pub use kind::{CalendarUnit, WindowKind, Zone};
pub use watermark::{JobWatermark, PartitionWatermark};

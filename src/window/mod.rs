//! Stage 5: event time. Which windows a row belongs to, when they close, and what is kept meanwhile.
//!
//! Pure: no clock, file or socket. A **pane** is a disjoint slice of event time, a window a run of
//! panes. What arrives in a pane carries the first instant at which a window may count it (`ready`),
//! judged once, at ingest, against its own partition's watermark: so what a window holds, and each
//! of its revisions, does not depend on how partitions interleave.

pub mod book;
pub mod calendar;
pub mod fixed;
pub mod kind;
pub mod lateness;
pub mod layers;
pub mod line;
pub mod origins;
pub mod session;
pub mod watermark;

pub use book::{Counted, PaneBook};
pub use calendar::{Calendar, Period};
pub use fixed::{PaneGrid, Shape};
pub use kind::{CalendarUnit, WindowKind, Zone};
pub use lateness::Lateness;
pub use layers::{Layers, Weigh};
pub use line::{CONNECTED, HeldBack, Line, Records, Seen, Sighting, Witness};
pub use origins::{OffsetsByPartition, Origins};
pub use session::{ProtoSession, Session, SessionBook};
pub use watermark::{Extent, JobWatermark};

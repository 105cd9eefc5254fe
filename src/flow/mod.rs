//! The values that travel from stage to stage.
//!
//! Nothing in here does work beyond its own arithmetic, and nothing in here names another
//! module of the crate: every stage may depend on these types, they depend on none.

pub mod access_key;
pub mod card_key;
pub mod coded;
pub mod dead_letter;
pub mod event;
pub mod journal;
pub mod lake_key;
pub mod layout;
pub mod local;
pub mod offset;
pub mod output;
pub mod record;
pub mod reference;
pub mod row_part;
pub mod safe_name;
pub mod section;
pub mod sql_type;
pub mod time;

pub use dead_letter::{DeadLetter, Reason};
pub use event::{EventBatch, LateEvent};
pub use journal::IdleAdvance;
pub use offset::{Extents, Offset, OffsetRange, Partition};
pub use output::{OutputBatch, Window};
pub use record::{Framing, RawBatch};
pub use reference::ReferenceRows;
pub use row_part::{Cut, NOT_YET, RowCut, RowPart, TimedRows};
pub use time::{Span, Timestamp, epoch_day};

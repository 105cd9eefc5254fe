//! Stage 5: event time. Which windows a row belongs to, when they close, and what is kept meanwhile.
//!
//! Pure: no clock, file or socket.

pub mod kind;

pub use kind::{CalendarUnit, WindowKind, Zone};

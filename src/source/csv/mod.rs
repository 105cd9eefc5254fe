//! CSV files into specimen events in the row form, sorted by event time.
//!
//! ```text
//! bytes ─ rows ─ convert (by a map) ─ sort ─ lines of JSON
//!           └───────┴── rejected rows with line and reason
//! ```
//!
//! A row of the file becomes two events: RECEIVED at `received_at`, and its status at
//! `processed_at` (at `received_at` when that is unknown). A bad row is a value and stops nothing.
//! A column that the map does not name never reaches an event, so patient data stays behind.
//! Does not read YAML (`config/csv_map.rs`) and opens no file but the sorter's spills.

pub mod convert;
pub mod infer;
pub mod map;
pub mod number;
mod profile;
mod resolve;
pub mod rows;
pub mod sort;
pub mod time;
mod value;

pub use convert::{ConvertedEvent, Converter};
pub use map::{CsvMap, FieldRule, MapFault};
pub use rows::{CsvRead, CsvRow, RowReader};
pub use sort::EventSorter;

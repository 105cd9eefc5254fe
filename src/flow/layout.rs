//! Which layout a lake has: one small JSON object, put when the lake is first written.
//!
//! Raised when names of objects change their meaning. Nothing in here touches a store.

use std::fmt;

/// The layout that this version writes and reads. 1 had no such object, and `date=` before the
/// day in the paths.
pub const LAYOUT: u32 = 2;
/// The object's name, relative to the lake.
pub const FORMAT: &str = "_turnaround/format";
/// What to do about a lake of another layout.
pub const REMEDY: &str = "name an empty place with `--lake` and compute from the input again; \
                          what is there stays as it is";

/// The layout of a lake that is not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherLayout {
    /// Of a version before layouts had numbers.
    Old,
    /// Of another version.
    Numbered(u32),
    /// The object cannot be understood.
    Unknown,
}

impl fmt::Display for OtherLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OtherLayout::Old => write!(f, "layout 1 (`date=` before the day)"),
            OtherLayout::Numbered(number) => write!(f, "layout {number}"),
            OtherLayout::Unknown => write!(f, "a layout that `{FORMAT}` does not tell"),
        }
    }
}

/// The object's text.
pub fn text() -> String {
    format!("{{\"layout\":{LAYOUT}}}\n")
}

/// Reads the object's text; fails with the layout when it is another than ours.
pub fn read(text: &[u8]) -> Result<(), OtherLayout> {
    let told = serde_json::from_slice::<serde_json::Value>(text).ok();
    let number = told.and_then(|told| u32::try_from(told.get("layout")?.as_u64()?).ok());
    match number {
        Some(LAYOUT) => Ok(()),
        Some(other) => Err(OtherLayout::Numbered(other)),
        None => Err(OtherLayout::Unknown),
    }
}

/// Whether an object's name is one of layout 1.
pub fn is_old(name: &str) -> bool {
    name.ends_with(".parquet") && name.split('/').any(|segment| segment.starts_with("date="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        assert_eq!(text(), "{\"layout\":2}\n");
        assert_eq!(read(text().as_bytes()), Ok(()));
        assert_eq!(read(b"{\"layout\": 3, \"more\": true}"), Err(OtherLayout::Numbered(3)));
        assert_eq!(read(b"{}"), Err(OtherLayout::Unknown));
        assert_eq!(read(b""), Err(OtherLayout::Unknown));
    }

    #[test]
    fn old_names_are_known() {
        assert!(is_old("tables/t/date=2026-03-01/day-r0.parquet"));
        assert!(is_old("events/date=2026-03-01/t-0-1-2.parquet"));
        assert!(!is_old("tables/t/day=2026-03-01/day-r0.parquet"));
        assert!(!is_old("tables/t/date=2026-03-01/notes.txt"));
    }
}

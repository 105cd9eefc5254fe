//! The names of the lake's objects: the one place that formats and parses them.
//!
//! ```text
//! tables/<table>/day=2026-03-01/day-r0.parquet                         a settled day
//! live/<table>/day=2026-03-01/<start>-<end>-r0-<fp8>.parquet           one firing
//! live/<table>/day=2026-03-01/<from>-<to>-final-<fp8>.parquet          windows that end in a range
//! live/<table>/day=2026-03-01/<topic>-<partition>-<first>-<last>-<fp8>.parquet   row-level rows
//! events/day=2026-03-01/<topic>-<partition>-<first>-<last>.parquet     a run of input
//! alerts/day=2026-03-01/<table>-<start>-<end>-r0-<fp8>.parquet         what a firing caused
//! ```
//!
//! `late/`, `dead_letters/`, `quality/`, `alerts/` and `audit/` take either of the last two forms; the names
//! below `_turnaround/` stand in `journal`. The first and last offset are both within. Formatting
//! and parsing are inverse to each other, and two different keys never have the same name.

use std::fmt::{self, Write as _};

use chrono::{NaiveDate, NaiveDateTime};
use xxhash_rust::xxh3::xxh3_128;

use super::{Offset, OffsetRange, Partition, Timestamp, Window};

pub use super::safe_name::SafeName;
pub use super::section::Section;

/// Eight hexadecimal digits that tell apart what was computed from different SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u32);

impl Fingerprint {
    /// The fingerprint of a text, as of a pipeline's SQL with everything it depends on.
    pub fn of(text: &str) -> Fingerprint {
        let [a, b, c, d, ..] = xxh3_128(text.as_bytes()).to_be_bytes();
        Fingerprint(u32::from_be_bytes([a, b, c, d]))
    }

    fn parse(text: &str) -> Option<Fingerprint> {
        let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 8 || !text.bytes().all(lower_hex) {
            return None;
        }
        u32::from_str_radix(text, 16).ok().map(Fingerprint)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Which firing of a table an object holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FiringKey {
    /// The table.
    pub table: SafeName,
    /// The window that fired. Years 1970 to 9999.
    pub window: Window,
    /// The window's revision.
    pub revision: u32,
    /// What it was computed with.
    pub fingerprint: Fingerprint,
}

/// Which run of input an object was made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputKey {
    /// The topic.
    pub topic: SafeName,
    /// The partition's number, not negative.
    pub index: u32,
    /// The first offset within, not negative.
    pub first: u64,
    /// The last offset within.
    pub last: u64,
}

impl InputKey {
    /// The key of a run of one partition. Negative numbers, which no source gives, count as 0.
    pub fn of(partition: &Partition, first: Offset, last: Offset) -> InputKey {
        let not_negative = |offset: Offset| u64::try_from(offset.0).unwrap_or(0);
        InputKey {
            topic: SafeName::of(&partition.topic),
            index: u32::try_from(partition.index).unwrap_or(0),
            first: not_negative(first),
            last: not_negative(last),
        }
    }

    /// Whether the run is one of this partition.
    pub fn is_of(&self, partition: &Partition) -> bool {
        u32::try_from(partition.index) == Ok(self.index)
            && self.topic == SafeName::of(&partition.topic)
    }

    /// The offsets, half-open.
    pub fn offsets(&self) -> OffsetRange {
        let offset = |number: u64| Offset(i64::try_from(number).unwrap_or(i64::MAX));
        OffsetRange { from: offset(self.first), to: offset(self.last.saturating_add(1)) }
    }
}

/// The name of one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LakeKey {
    /// A settled day of a table.
    Settled {
        /// The table.
        table: SafeName,
        /// The day.
        date: NaiveDate,
        /// 0, and one more each time the day is settled anew with other rows.
        revision: u32,
    },
    /// One firing of a day that is not settled yet.
    Live {
        /// The day.
        date: NaiveDate,
        /// The firing.
        firing: FiringKey,
    },
    /// The windows of a day not settled yet that end within a range, its end included, each in its
    /// last revision: it takes the place of their firings.
    Ending {
        /// The table.
        table: SafeName,
        /// The day.
        date: NaiveDate,
        /// The range.
        ends: Window,
        /// What the rows were computed with.
        fingerprint: Fingerprint,
    },
    /// A run of input's rows of a day not settled yet. A longer run takes the place of those within.
    Rows {
        /// The table.
        table: SafeName,
        /// The day.
        date: NaiveDate,
        /// The run.
        input: InputKey,
        /// What the rows were computed with.
        fingerprint: Fingerprint,
    },
    /// What a run of input left behind.
    Input {
        /// Where it is filed.
        section: Section,
        /// The day.
        date: NaiveDate,
        /// The run.
        input: InputKey,
    },
    /// What a firing left behind beside its rows.
    Aside {
        /// Where it is filed.
        section: Section,
        /// The day.
        date: NaiveDate,
        /// The firing.
        firing: FiringKey,
    },
}

/// Folder of the settled days.
pub const TABLES: &str = "tables";
/// Folder of the firings of days that are not settled.
pub const LIVE: &str = "live";
/// What stands before the day in a path. The rows' own column is `date`: readers that take keys for
/// columns would find two types under one name.
pub const DAY: &str = "day=";
const SUFFIX: &str = ".parquet";

impl LakeKey {
    /// The day the object is filed under.
    pub fn date(&self) -> NaiveDate {
        match self {
            LakeKey::Settled { date, .. }
            | LakeKey::Live { date, .. }
            | LakeKey::Ending { date, .. }
            | LakeKey::Rows { date, .. }
            | LakeKey::Input { date, .. }
            | LakeKey::Aside { date, .. } => *date,
        }
    }

    /// The table whose rows the object holds; none for those of a section.
    pub fn table(&self) -> Option<&SafeName> {
        match self {
            LakeKey::Settled { table, .. }
            | LakeKey::Ending { table, .. }
            | LakeKey::Rows { table, .. } => Some(table),
            LakeKey::Live { firing, .. } => Some(&firing.table),
            LakeKey::Input { .. } | LakeKey::Aside { .. } => None,
        }
    }

    /// Whether this live object takes the place of another one.
    pub fn covers(&self, other: &LakeKey) -> bool {
        if self == other || self.table() != other.table() || self.date() != other.date() {
            return false;
        }
        match (self, other) {
            (LakeKey::Ending { ends, .. }, LakeKey::Live { firing, .. }) => {
                ends.start < firing.window.end && firing.window.end <= ends.end
            }
            (LakeKey::Ending { ends, .. }, LakeKey::Ending { ends: within, .. }) => {
                ends != within && ends.start <= within.start && within.end <= ends.end
            }
            (LakeKey::Rows { input, .. }, LakeKey::Rows { input: within, .. }) => {
                input != within
                    && (&input.topic, input.index) == (&within.topic, within.index)
                    && input.first <= within.first
                    && within.last <= input.last
            }
            (_, _) => false,
        }
    }

    /// Reads an object's name, relative to the lake. `None` when it is none of ours.
    pub fn parse(name: &str) -> Option<LakeKey> {
        let mut segments = name.split('/');
        let top = segments.next()?;
        let table = if top == TABLES || top == LIVE {
            Some(SafeName::from_segment(segments.next()?)?)
        } else {
            None
        };
        let date = parse_date(segments.next()?.strip_prefix(DAY)?)?;
        let stem = segments.next()?.strip_suffix(SUFFIX)?;
        if segments.next().is_some() {
            return None;
        }
        match table {
            Some(table) if top == TABLES => {
                let revision = parse_number(stem.strip_prefix("day-r")?)?;
                Some(LakeKey::Settled { table, date, revision })
            }
            Some(table) => parse_live(table, date, stem),
            None => {
                let section = Section::parse(top)?;
                if let Some(input) = parse_input(stem) {
                    return Some(LakeKey::Input { section, date, input });
                }
                let name_before = |rest: &str| SafeName::from_segment(rest.strip_suffix('-')?);
                let (_, firing) = parse_firing(stem, name_before)?;
                Some(LakeKey::Aside { section, date, firing })
            }
        }
    }
}

impl fmt::Display for LakeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LakeKey::Settled { table, date, revision } => {
                write!(f, "{TABLES}/{table}/{DAY}{date}/day-r{revision}{SUFFIX}")
            }
            LakeKey::Live { date, firing } => {
                write!(f, "{LIVE}/{}/{DAY}{date}/", firing.table)?;
                write_firing(f, firing)
            }
            LakeKey::Ending { table, date, ends, fingerprint } => {
                let (from, to) = (ends.start.to_compact(), ends.end.to_compact());
                write!(f, "{LIVE}/{table}/{DAY}{date}/{from}-{to}{FINAL}-{fingerprint}{SUFFIX}")
            }
            LakeKey::Rows { table, date, input, fingerprint } => {
                write!(f, "{LIVE}/{table}/{DAY}{date}/{input}-{fingerprint}{SUFFIX}")
            }
            LakeKey::Input { section, date, input } => {
                write!(f, "{}/{DAY}{date}/{input}{SUFFIX}", section.as_str())
            }
            LakeKey::Aside { section, date, firing } => {
                write!(f, "{}/{DAY}{date}/{}-", section.as_str(), firing.table)?;
                write_firing(f, firing)
            }
        }
    }
}

impl fmt::Display for InputKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InputKey { topic, index, first, last } = self;
        write!(f, "{topic}-{index}-{first}-{last}")
    }
}

/// What stands in the place of the revision where every window is in its last one.
const FINAL: &str = "-final";

/// Reads the stem of a live object's name. The forms differ in what stands before the fingerprint:
/// `r<revision>`, `final`, or a number.
fn parse_live(table: SafeName, date: NaiveDate, stem: &str) -> Option<LakeKey> {
    let (before, fingerprint) = stem.rsplit_once('-')?;
    if let Some(ends) = before.strip_suffix(FINAL) {
        let (from, to) = ends.split_once('-')?;
        let ends = Window { start: parse_compact(from)?, end: parse_compact(to)? };
        let fingerprint = Fingerprint::parse(fingerprint)?;
        return Some(LakeKey::Ending { table, date, ends, fingerprint });
    }
    if let Some(input) = parse_input(before) {
        let fingerprint = Fingerprint::parse(fingerprint)?;
        return Some(LakeKey::Rows { table, date, input, fingerprint });
    }
    let (rest, firing) = parse_firing(stem, |_| Some(table))?;
    rest.is_empty().then_some(LakeKey::Live { date, firing })
}

fn write_firing(f: &mut fmt::Formatter<'_>, firing: &FiringKey) -> fmt::Result {
    f.write_str(&firing.window.start.to_compact())?;
    f.write_char('-')?;
    f.write_str(&firing.window.end.to_compact())?;
    write!(f, "-r{}-{}{SUFFIX}", firing.revision, firing.fingerprint)
}

/// Splits `<rest><start>-<end>-r<revision>-<fp8>`; `table` reads the table out of the rest.
fn parse_firing(
    stem: &str,
    table: impl FnOnce(&str) -> Option<SafeName>,
) -> Option<(&str, FiringKey)> {
    let (stem, fingerprint) = stem.rsplit_once('-')?;
    let (stem, revision) = stem.rsplit_once("-r")?;
    let (stem, end) = stem.rsplit_once('-')?;
    let at = stem.rfind('-').map_or(0, |dash| dash + 1);
    let (rest, start) = stem.split_at(at);
    let firing = FiringKey {
        table: table(rest)?,
        window: Window { start: parse_compact(start)?, end: parse_compact(end)? },
        revision: parse_number(revision)?,
        fingerprint: Fingerprint::parse(fingerprint)?,
    };
    Some((rest, firing))
}

/// Splits `<topic>-<partition>-<first>-<last>`.
fn parse_input(stem: &str) -> Option<InputKey> {
    let (stem, last) = stem.rsplit_once('-')?;
    let (stem, first) = stem.rsplit_once('-')?;
    let (topic, index) = stem.rsplit_once('-')?;
    Some(InputKey {
        topic: SafeName::from_segment(topic)?,
        index: parse_number(index)?,
        first: parse_number(first)?,
        last: parse_number(last)?,
    })
}

/// A number in its one canonical form: no sign, no leading zeros.
pub(super) fn parse_number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if canonical && digits { text.parse().ok() } else { None }
}

fn parse_date(text: &str) -> Option<NaiveDate> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    (date.to_string() == text).then_some(date)
}

pub(super) fn parse_compact(text: &str) -> Option<Timestamp> {
    let instant = NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S%.fZ").ok()?;
    let instant = Timestamp(instant.and_utc().timestamp_micros());
    (instant.to_compact() == text).then_some(instant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn day() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 3, 1).unwrap()
    }

    fn noon_hour() -> Window {
        // 2026-03-01T12:00:00Z, by `date -u -d 2026-03-01T12:00:00Z +%s`.
        let start = Timestamp(1_772_366_400_000_000);
        Window { start, end: Timestamp(1_772_370_000_000_000) }
    }

    #[test]
    fn names_are_those_of_the_design() {
        let firing = FiringKey {
            table: SafeName::of("throughput_1h"),
            window: noon_hour(),
            revision: 2,
            fingerprint: Fingerprint(0x00c0_ffee),
        };
        let partition = Partition { topic: Arc::from("lab.events_v1"), index: 3 };
        let input = InputKey::of(&partition, Offset(10), Offset(19));
        let cases = [
            (
                LakeKey::Settled { table: SafeName::of("throughput_1h"), date: day(), revision: 0 },
                "tables/throughput_1h/day=2026-03-01/day-r0.parquet",
            ),
            (
                LakeKey::Live { date: day(), firing: firing.clone() },
                "live/throughput_1h/day=2026-03-01/\
                 20260301T120000Z-20260301T130000Z-r2-00c0ffee.parquet",
            ),
            (
                LakeKey::Ending {
                    table: SafeName::of("throughput_1h"),
                    date: day(),
                    ends: noon_hour(),
                    fingerprint: Fingerprint(0x00c0_ffee),
                },
                "live/throughput_1h/day=2026-03-01/\
                 20260301T120000Z-20260301T130000Z-final-00c0ffee.parquet",
            ),
            (
                LakeKey::Rows {
                    table: SafeName::of("completions"),
                    date: day(),
                    input: input.clone(),
                    fingerprint: Fingerprint(0x00c0_ffee),
                },
                "live/completions/day=2026-03-01/lab.events_v1-3-10-19-00c0ffee.parquet",
            ),
            (
                LakeKey::Input { section: Section::Events, date: day(), input: input.clone() },
                "events/day=2026-03-01/lab.events_v1-3-10-19.parquet",
            ),
            (
                LakeKey::Input { section: Section::DeadLetters, date: day(), input },
                "dead_letters/day=2026-03-01/lab.events_v1-3-10-19.parquet",
            ),
            (
                LakeKey::Aside { section: Section::Alerts, date: day(), firing },
                "alerts/day=2026-03-01/throughput_1h-\
                 20260301T120000Z-20260301T130000Z-r2-00c0ffee.parquet",
            ),
        ];
        for (key, name) in cases {
            assert_eq!(key.to_string(), name);
            assert_eq!(LakeKey::parse(name), Some(key));
        }
    }

    #[test]
    fn foreign_names_are_not_parsed() {
        for name in [
            "",
            "tables",
            "tables/t/day-r0.parquet",
            "tables/t/day=2026-03-01/day-r0.parquet#1",
            "tables/t/day=2026-03-01/day-r00.parquet",
            "tables/t/day=2026-3-1/day-r0.parquet",
            "tables/t/day=2026-03-01/x/day-r0.parquet",
            "tables/t/date=2026-03-01/day-r0.parquet",
            "tables/_t/day=2026-03-01/day-r0.parquet",
            "live/t/day=2026-03-01/x20260301T120000Z-20260301T130000Z-r0-00c0ffee.parquet",
            "live/t/day=2026-03-01/20260301T120000Z-20260301T130000Z-r0-00C0FFEE.parquet",
            "events/day=2026-03-01/topic-0-1.parquet",
            "events/day=2026-03-01/topic-0--1-5.parquet",
            "_turnaround/checkpoint",
        ] {
            assert_eq!(LakeKey::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_long_topic_still_makes_a_file_name() {
        let one = Partition { topic: Arc::from("t".repeat(249).as_str()), index: i32::MAX };
        let other = Partition { topic: Arc::from("t".repeat(248).as_str()), index: i32::MAX };
        let key = |partition: &Partition| {
            let input = InputKey::of(partition, Offset(i64::MAX - 1), Offset(i64::MAX));
            LakeKey::Input { section: Section::Events, date: day(), input }
        };
        let name = key(&one).to_string();
        assert!(name.rsplit('/').next().unwrap().len() + "#99".len() <= 255);
        assert_ne!(name, key(&other).to_string());
        match LakeKey::parse(&name) {
            Some(LakeKey::Input { input, .. }) => {
                assert!(input.is_of(&one));
                assert!(!input.is_of(&other));
            }
            parsed => panic!("{parsed:?}"),
        }
    }

    fn any_window() -> impl Strategy<Value = Window> {
        let end_of_9999 = 253_402_300_799_999_999_i64;
        (0..=end_of_9999, 0..=end_of_9999)
            .prop_map(|(start, end)| Window { start: Timestamp(start), end: Timestamp(end) })
    }

    prop_compose! {
        fn any_firing()(
            table in any::<String>(), window in any_window(), revision: u32, print: u32,
        ) -> FiringKey {
            let fingerprint = Fingerprint(print);
            FiringKey { table: SafeName::of(&table), window, revision, fingerprint }
        }
    }

    fn any_key() -> impl Strategy<Value = LakeKey> {
        let date = || (0..2_900_000_i32).prop_map(day_of);
        let section = || (0..5_usize).prop_map(|i| Section::ALL[i]);
        let input = || {
            let numbers = (any::<u32>(), any::<u64>(), any::<u64>());
            (any::<String>(), numbers).prop_map(|(topic, (index, first, last))| InputKey {
                topic: SafeName::of(&topic),
                index,
                first,
                last,
            })
        };
        let table = || any::<String>().prop_map(|name| SafeName::of(&name));
        let print = || any::<u32>().prop_map(Fingerprint);
        prop_oneof![
            (any::<String>(), date(), any::<u32>()).prop_map(|(table, date, revision)| {
                LakeKey::Settled { table: SafeName::of(&table), date, revision }
            }),
            (date(), any_firing()).prop_map(|(date, firing)| LakeKey::Live { date, firing }),
            (table(), date(), any_window(), print()).prop_map(
                |(table, date, ends, fingerprint)| LakeKey::Ending {
                    table,
                    date,
                    ends,
                    fingerprint
                }
            ),
            (table(), date(), input(), print()).prop_map(|(table, date, input, fingerprint)| {
                LakeKey::Rows { table, date, input, fingerprint }
            }),
            (section(), date(), input()).prop_map(|(section, date, input)| LakeKey::Input {
                section,
                date,
                input
            }),
            (section(), date(), any_firing()).prop_map(|(section, date, firing)| LakeKey::Aside {
                section,
                date,
                firing
            }),
        ]
    }

    fn day_of(days: i32) -> NaiveDate {
        NaiveDate::from_ymd_opt(1970, 1, 1).unwrap() + chrono::Duration::days(i64::from(days))
    }

    proptest! {
        #[test]
        fn keys_read_back_what_they_print(key in any_key()) {
            prop_assert_eq!(LakeKey::parse(&key.to_string()), Some(key));
        }
    }
}

//! Small values that several files of the configuration write alike: times of day, zones,
//! severities, sizes.

use std::collections::BTreeSet;

use chrono_tz::Tz;

use crate::alert::rule::Severity;

use super::decode::{NamedNode, is_name};
use super::fault::{Faults, quoted};

/// Columns that stand in every output and so cannot be declared.
const GIVEN: &[&str] = &["window_start", "window_end", "revision", "is_tile", "incomplete", "date"];

/// `HH:MM` from 00:00 to 23:59 as minutes after midnight.
pub(crate) fn minute_of_day(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let part = |part: &str, end: u16| {
        let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<u16>().ok()).flatten().filter(|n| *n < end)
    };
    Some(part(hours, 24)? * 60 + part(minutes, 60)?)
}

/// `HH:MM-HH:MM` as minutes after midnight `[from, to)`; the end may be 24:00 and may wrap.
pub(crate) fn hours_range(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-')?;
    let (from, to) = (from.trim(), to.trim());
    let to = if to == "24:00" { 24 * 60 } else { minute_of_day(to)? };
    let from = minute_of_day(from)?;
    (from != to).then_some((from, to))
}

/// A whole number of bytes with an optional unit: `67108864`, `64 MiB`, `2GB`.
pub(crate) fn byte_count(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let scale = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(scale)
}

/// A zone of the IANA database.
pub(crate) fn zone(value: &NamedNode<'_>, faults: &mut Faults) -> Option<Tz> {
    const EXAMPLE: &str = "lab or a zone of the IANA database, as Europe/Berlin";
    let name = value.text(faults, EXAMPLE)?;
    let zone = name.parse().ok();
    if zone.is_none() {
        let what = format!("must be a time zone, not {}", quoted(name));
        value.wrong(faults, &what, format!("write {EXAMPLE}"));
    }
    zone
}

/// `low`, `medium` or `high`.
pub(crate) fn severity(value: &NamedNode<'_>, faults: &mut Faults) -> Option<Severity> {
    let name = value.text(faults, "low, medium or high")?;
    match name {
        "low" => Some(Severity::Low),
        "medium" => Some(Severity::Medium),
        "high" => Some(Severity::High),
        _ => {
            let what = format!("must be a severity, not {}", quoted(name));
            value.wrong(faults, &what, "write low, medium or high");
            None
        }
    }
}

/// A list of column names, each once.
pub(crate) fn names(
    value: &NamedNode<'_>,
    faults: &mut Faults,
    example: &str,
) -> Option<Vec<String>> {
    let before = faults.count();
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    for item in value.list(faults, &format!("it as {example}"))? {
        let Some(name) = item.text(faults, "a column's name") else { continue };
        if !is_name(name) {
            let what = format!("names no column: {}", quoted(name));
            item.wrong(faults, &what, "use the name of an output column, in lower case");
        } else if GIVEN.contains(&name) {
            let what = format!("names `{name}`, which every table has");
            item.wrong(faults, &what, "remove it from the list");
        } else if !seen.insert(name) {
            item.wrong(faults, &format!("names `{name}` again"), "keep it once");
        } else {
            names.push(name.to_owned());
        }
    }
    (faults.count() == before).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_and_their_ranges() {
        assert_eq!(minute_of_day("06:00"), Some(360));
        assert_eq!(minute_of_day("23:59"), Some(1439));
        for wrong in ["6:00", "24:00", "12:60", "+1:00", "1200", "12:00:00", ""] {
            assert_eq!(minute_of_day(wrong), None, "{wrong}");
        }
        assert_eq!(hours_range("22:00-06:00"), Some((1320, 360)));
        assert_eq!(hours_range("20:00 - 24:00"), Some((1200, 1440)));
        for wrong in ["22:00", "06:00-06:00", "22-6", "24:00-06:00"] {
            assert_eq!(hours_range(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn sizes_are_in_units() {
        assert_eq!(byte_count("64 MiB"), Some(67_108_864));
        assert_eq!(byte_count("1024"), Some(1024));
        assert_eq!(byte_count("2GiB"), Some(2_147_483_648));
        assert_eq!(byte_count("2GB"), Some(2_000_000_000));
        for wrong in ["64 M", "-1", "MiB", "99999999999999999999", "9999999999999 GiB"] {
            assert_eq!(byte_count(wrong), None, "{wrong}");
        }
    }
}

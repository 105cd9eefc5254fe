//! Numbers, durations and instants as people read them.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::figures::{Alert, Figures};
use crate::flow::Timestamp;

/// `150,735`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `6.6 %`; two decimals below one percent, an en dash for nothing.
pub fn percent(ratio: Option<f64>) -> String {
    match ratio {
        None => "–".to_owned(),
        Some(ratio) if ratio > 0.0 && ratio < 0.00995 => format!("{:.2} %", ratio * 100.0),
        Some(ratio) => format!("{:.1} %", ratio * 100.0),
    }
}

/// `71 min`, `24 h` from ten hours on, an en dash for nothing.
pub fn minutes(minutes: Option<f64>) -> String {
    let Some(minutes) = minutes else { return "–".to_owned() };
    let whole = minutes.round() as i64;
    if whole < 600 {
        return format!("{whole} min");
    }
    match (whole / 60, whole % 60) {
        (hours, 0) => format!("{hours} h"),
        (hours, rest) => format!("{hours} h {rest:02} min"),
    }
}

/// `17.2 MB`, in powers of ten.
pub fn bytes(count: u64) -> String {
    let count = count as f64;
    if count < 1e3 {
        format!("{count} B")
    } else if count < 1e6 {
        format!("{:.1} kB", count / 1e3)
    } else if count < 1e9 {
        format!("{:.1} MB", count / 1e6)
    } else {
        format!("{:.1} GB", count / 1e9)
    }
}

/// The instant in a zone; the epoch when it is outside of the calendar.
pub fn local(at: Timestamp, tz: Tz) -> DateTime<Tz> {
    let utc: DateTime<Utc> = DateTime::from_timestamp_micros(at.0).unwrap_or_default();
    utc.with_timezone(&tz)
}

/// `Mon 2 Mar 15:00`.
pub fn moment(at: Timestamp, tz: Tz) -> String {
    local(at, tz).format("%a %-d %b %H:%M").to_string()
}

/// `stat`, `asap`, `routine`.
pub fn priority(code: &str) -> &str {
    match code {
        "S" => "stat",
        "A" => "asap",
        "R" => "routine",
        other => other,
    }
}

/// `North` for `North District Laboratory`: the first word, which tells the demo's labs apart.
pub fn short_name(name: &str) -> &str {
    name.split_whitespace().next().unwrap_or(name)
}

/// A rule's name as words: `Error rate over 5 percent`.
pub fn rule(name: &str) -> String {
    let mut words = name.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words.replace("Tat ", "TAT ").replace("Stat ", "STAT ")
}

/// A group as words: `K, stat` for `assay=K, priority=S`.
pub fn group(text: &str) -> String {
    let part = |part: &str| match part.split_once('=') {
        Some(("priority", code)) => priority(code).to_owned(),
        Some(("phase", _)) | Some((_, "null")) => String::new(),
        Some((_, value)) => value.to_owned(),
        None => part.to_owned(),
    };
    let parts: Vec<String> = text.split(", ").map(part).filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

/// What was judged: `41.7 % (n 12)`, `83 min against 60 min (n 27)`.
pub fn reading(alert: &Alert) -> String {
    let is_minutes = alert.figure.ends_with("_minutes");
    let value = if is_minutes { minutes(alert.value) } else { percent(alert.value) };
    let target = match alert.target {
        Some(target) if is_minutes => format!(" against {}", minutes(Some(target))),
        Some(_) | None => String::new(),
    };
    let n = alert.n.map(|n| format!(" (n {})", grouped(n))).unwrap_or_default();
    format!("{value}{target}{n}")
}

/// The lab and the group of an alert: `West · K, stat`.
pub fn subject(figures: &Figures, alert: &Alert) -> String {
    let lab = alert.lab.and_then(|place| figures.labs.get(place));
    let lab = lab.map(|lab| short_name(&lab.name).to_owned());
    let parts = [lab.unwrap_or_default(), group(&alert.group)];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_rounded() {
        let counts = [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        for (count, text) in counts {
            assert_eq!(grouped(count), text);
        }
        let rates =
            [(None, "–"), (Some(0.0), "0.0 %"), (Some(0.0035), "0.35 %"), (Some(0.0661), "6.6 %")];
        for (ratio, text) in rates {
            assert_eq!(percent(ratio), text);
        }
        let spans =
            [(70.58, "71 min"), (370.6, "371 min"), (605.2, "10 h 05 min"), (1440.0, "24 h")];
        for (span, text) in spans {
            assert_eq!(minutes(Some(span)), text);
        }
        assert_eq!((bytes(999), bytes(17_226_709)), ("999 B".to_owned(), "17.2 MB".to_owned()));
    }

    #[test]
    fn instants_are_told_in_the_labs_own_time() {
        // 2026-03-02T20:00Z is three in the afternoon in New York, which is five hours behind.
        let at = Timestamp(1_772_481_600_000_000);
        assert_eq!(moment(at, Tz::America__New_York), "Mon 2 Mar 15:00");
        assert_eq!(moment(at, Tz::Europe__Oslo), "Mon 2 Mar 21:00");
    }

    #[test]
    fn rules_and_groups_are_told_in_words() {
        assert_eq!(rule("tat_p90_over_target"), "TAT p90 over target");
        assert_eq!(rule("error_rate_over_5_percent"), "Error rate over 5 percent");
        assert_eq!(group("assay=K, priority=S, phase=tat"), "K, stat");
        assert_eq!(group("machine_id=null"), "");
    }
}

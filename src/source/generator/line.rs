//! One JSON object, written by hand: the generator's speed is mostly this.
//!
//! Texts are the generator's own and need no escapes.

/// Writes the fields of one JSON object, without a line feed.
pub(super) struct JsonLine<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> JsonLine<'a> {
    pub(super) fn open(out: &'a mut Vec<u8>) -> JsonLine<'a> {
        out.push(b'{');
        JsonLine { out, first: true }
    }

    pub(super) fn close(self) {
        self.out.push(b'}');
    }

    fn key(&mut self, key: &str) {
        if self.first {
            self.out.push(b'"');
            self.first = false;
        } else {
            self.out.extend_from_slice(b",\"");
        }
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(value.as_bytes());
        self.out.push(b'"');
    }

    /// A text of a prefix and a number of at least `width` digits.
    pub(super) fn numbered(&mut self, key: &str, prefix: [&str; 2], number: u64, width: usize) {
        self.coded(key, prefix, number, (10, width));
    }

    /// A text of a prefix and a number of at least so many digits in this radix, at most 36.
    pub(super) fn coded(
        &mut self,
        key: &str,
        prefix: [&str; 2],
        number: u64,
        (radix, width): (u64, usize),
    ) {
        self.key(key);
        self.out.push(b'"');
        for piece in prefix {
            self.out.extend_from_slice(piece.as_bytes());
        }
        push_radix(self.out, number, (radix, width));
        self.out.push(b'"');
    }

    pub(super) fn flag(&mut self, key: &str, value: bool) {
        self.key(key);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(super) fn integer(&mut self, key: &str, value: u64) {
        self.key(key);
        push_digits(self.out, value);
    }

    /// A number with one decimal, given in tenths.
    pub(super) fn tenths(&mut self, key: &str, tenths: i32) {
        self.key(key);
        let tenths = u64::from(tenths.unsigned_abs());
        push_digits(self.out, tenths / 10);
        self.out.push(b'.');
        push_digits(self.out, tenths % 10);
    }

    /// RFC 3339, whole seconds, UTC.
    pub(super) fn time(&mut self, key: &str, at_s: i64) {
        self.key(key);
        self.out.push(b'"');
        push_time(self.out, at_s);
        self.out.push(b'"');
    }
}

fn push_digits(out: &mut Vec<u8>, number: u64) {
    push_radix(out, number, (10, 1));
}

/// Digits and lower-case letters, most significant first.
fn push_radix(out: &mut Vec<u8>, mut number: u64, (radix, width): (u64, usize)) {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut digits = [b'0'; 24];
    let mut start = digits.len();
    while number > 0 {
        start -= 1;
        digits[start] = DIGITS[(number % radix) as usize];
        number /= radix;
    }
    let start = start.min(digits.len() - width);
    out.extend_from_slice(&digits[start..]);
}

/// `2026-03-01T12:00:00Z` for seconds since the epoch, in the years 1970 to 9999.
fn push_time(out: &mut Vec<u8>, at_s: i64) {
    let (days, second) = (at_s.div_euclid(86_400), at_s.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let mut text = *b"0000-00-00T00:00:00Z";
    let mut pair = |at: usize, value: i64| {
        text[at] = b'0' + (value / 10) as u8;
        text[at + 1] = b'0' + (value % 10) as u8;
    };
    pair(0, year / 100);
    pair(2, year % 100);
    pair(5, month);
    pair(8, day);
    pair(11, second / 3600);
    pair(14, second / 60 % 60);
    pair(17, second % 60);
    out.extend_from_slice(&text);
}

/// Year, month and day of a day since the epoch (Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_chrono_writes_them() {
        for at in (0..4_102_444_800).step_by(7_654_321) {
            let mut out = Vec::new();
            push_time(&mut out, at);
            let expected = chrono::DateTime::from_timestamp(at, 0).map(|instant| {
                instant.to_rfc3339_opts(chrono::SecondsFormat::Secs, true).into_bytes()
            });
            assert_eq!(Some(out), expected);
        }
    }

    #[test]
    fn fields_are_one_object() {
        let mut out = Vec::new();
        let mut line = JsonLine::open(&mut out);
        line.text("a", "x");
        line.integer("b", 0);
        line.numbered("c", ["N", "-"], 42, 6);
        line.tenths("d", 65);
        line.flag("e", true);
        line.close();
        let text = String::from_utf8_lossy(&out);
        assert_eq!(text, r#"{"a":"x","b":0,"c":"N-000042","d":6.5,"e":true}"#);
        let mut out = Vec::new();
        push_radix(&mut out, 36 * 36 + 35, (36, 1));
        assert_eq!(out, b"10z");
    }
}

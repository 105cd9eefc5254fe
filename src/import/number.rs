//! Decimal texts times a unit into whole microseconds, exactly.
//!
//! Decimal throughout: `5.2` hours are 18,720,000,000 µs and not one more, because percentiles of
//! durations are compared to the last digit.

use crate::flow::Span;

/// No duration in a laboratory's file may be longer than a hundred years.
pub const MAX_SPAN: Span = Span(36_525 * Span::DAY.0);

/// A unit that a column of durations is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit(pub Span);

impl Unit {
    /// Reads a unit's name. `None` when there is no such unit.
    pub fn parse(name: &str) -> Option<Unit> {
        let span = match name.to_ascii_lowercase().as_str() {
            "us" => Span(1),
            "ms" => Span(1_000),
            "s" | "sec" | "second" | "seconds" => Span::SECOND,
            "m" | "min" | "minute" | "minutes" => Span::MINUTE,
            "h" | "hour" | "hours" => Span::HOUR,
            "d" | "day" | "days" => Span::DAY,
            "w" | "week" | "weeks" => Span(7 * Span::DAY.0),
            _ => return None,
        };
        Some(Unit(span))
    }
}

/// Reads a decimal number (`5.2`, `-93.4`, `1e3`, `.5`) of `unit`, rounded to whole microseconds,
/// halves away from zero. The error says what is wrong with the text.
pub fn read_span(text: &str, unit: Unit) -> Result<Span, String> {
    let decimal =
        Decimal::parse(text).ok_or_else(|| format!("`{}` is not a number", shown(text)))?;
    let too_long = || format!("a duration of {} is longer than a hundred years", shown(text));
    let micros = decimal.times(unit.0.0).ok_or_else(too_long)?;
    match i64::try_from(micros) {
        Ok(micros) if micros.abs() <= MAX_SPAN.0 => Ok(Span(micros)),
        Ok(_) | Err(_) => Err(too_long()),
    }
}

/// A value as an error shows it: its first 40 characters.
pub(super) fn shown(text: &str) -> String {
    let mut start: String = text.chars().take(40).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

/// `digits` × 10^`-scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decimal {
    digits: i128,
    scale: i32,
}

impl Decimal {
    /// At most 24 significant digits are kept: times a week in microseconds they fit an `i128`.
    const MAX_DIGITS: u32 = 24;

    fn parse(text: &str) -> Option<Decimal> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i16>().ok()?),
            None => (text, 0),
        };
        let (negative, unsigned) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut digits: i128 = 0;
        let mut kept = 0;
        let mut scale = -i32::from(exponent);
        for (index, byte) in whole.bytes().chain(fraction.bytes()).enumerate() {
            if !byte.is_ascii_digit() {
                return None;
            }
            let in_fraction = index >= whole.len();
            if kept < Decimal::MAX_DIGITS {
                digits = digits * 10 + i128::from(byte - b'0');
                kept += u32::from(digits != 0);
                scale += i32::from(in_fraction);
            } else if !in_fraction {
                scale -= 1;
            }
        }
        Some(Decimal { digits: if negative { -digits } else { digits }, scale })
    }

    /// This number times `factor`, rounded to a whole one. `None` when it does not fit.
    fn times(self, factor: i64) -> Option<i128> {
        let product = self.digits.checked_mul(i128::from(factor))?;
        if self.scale <= 0 {
            let up = 10_i128.checked_pow(self.scale.unsigned_abs())?;
            return product.checked_mul(up);
        }
        let Some(down) = 10_i128.checked_pow(self.scale.unsigned_abs()) else {
            return Some(0);
        };
        let (quotient, rest) = (product / down, product % down);
        let half_up = rest.unsigned_abs() >= down.unsigned_abs().div_ceil(2);
        Some(quotient + if half_up { product.signum() } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str, unit: &str) -> Option<i64> {
        read_span(text, Unit::parse(unit)?).ok().map(|span| span.0)
    }

    #[test]
    fn decimals_come_out_exact() {
        assert_eq!(micros("5.2", "h"), Some(18_720_000_000));
        assert_eq!(micros("-93.4", "h"), Some(-336_240_000_000));
        // What a float subtraction left behind in a real file: 1.1 h.
        assert_eq!(micros("1.0999999999999996", "h"), Some(3_960_000_000));
        assert_eq!(micros("0.0000001", "h"), Some(360));
        assert_eq!(micros("120", "min"), Some(7_200_000_000));
        assert_eq!(micros("1e3", "ms"), Some(1_000_000));
        assert_eq!(micros("1.5E-3", "s"), Some(1_500));
        assert_eq!(micros(".5", "us"), Some(1));
        assert_eq!(micros("-.4", "us"), Some(0));
        assert_eq!(micros("+0", "d"), Some(0));
        assert_eq!(micros("1e-400", "h"), Some(0));
    }

    #[test]
    fn what_is_no_duration_is_named() {
        for text in ["", "-", ".", "1,5", "12h", "0x1", "NaN", "inf", "1e", "1e99999", "--1"] {
            assert!(read_span(text, Unit(Span::HOUR)).is_err(), "{text}");
        }
        let century = read_span("123456789.01", Unit(Span::HOUR));
        assert_eq!(
            century,
            Err("a duration of 123456789.01 is longer than a hundred years".to_owned())
        );
        assert!(read_span("1e30", Unit(Span::HOUR)).is_err());
        assert!(read_span(&"9".repeat(400), Unit(Span::HOUR)).is_err());
        assert_eq!(read_span("876600", Unit(Span::HOUR)), Ok(MAX_SPAN));
    }
}

//! Exact sums of floating-point numbers.
//!
//! A sum of floats depends on the order of its terms, since each addition rounds. Here a number
//! that is a whole multiple of 2⁻⁷⁵ and smaller than 2³⁶ is added as a 128-bit integer, which is
//! exact and can be taken back; every other number (tiny, huge, infinite, NaN) is kept in a list
//! beside it. The sum is rounded once, when it is read: Shewchuk (1997), "Adaptive precision
//! floating-point arithmetic", grows an exact expansion of the few parts.

/// Bits after the binary point.
const SCALE_BITS: i32 = 75;
/// What a number must be smaller than to be added as an integer: leaves room for 2¹⁵ terms of that
/// size and for 2⁵⁵ minutes-sized ones.
const LIMIT: f64 = 68_719_476_736.0;

/// 2⁷⁵.
fn scale() -> f64 {
    f64::from_bits(((1023 + SCALE_BITS) as u64) << 52)
}

/// The number as a multiple of 2⁻⁷⁵, if it is one within the limit.
pub fn to_fixed(value: f64) -> Option<i128> {
    if value.abs() < LIMIT {
        let scaled = value * scale();
        let fixed = scaled as i128;
        if fixed as f64 == scaled {
            return Some(fixed);
        }
    }
    None
}

/// The sum of a fixed-point part and the numbers that did not fit it, correctly rounded.
pub fn total(fixed: i128, odd: &[f64]) -> f64 {
    if odd.is_empty() {
        return fixed as f64 / scale();
    }
    if let Some(special) = special_total(odd) {
        return special;
    }
    let mut partials: Vec<f64> = Vec::new();
    for part in parts(fixed) {
        grow(&mut partials, part);
    }
    // In the order of size, so that the expansion does not depend on the order of arrival.
    let mut sorted = odd.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    for value in sorted {
        grow(&mut partials, value);
    }
    rounded(&partials)
}

/// What infinities and NaN among the terms make of the sum.
fn special_total(odd: &[f64]) -> Option<f64> {
    let plus = odd.contains(&f64::INFINITY);
    let minus = odd.contains(&f64::NEG_INFINITY);
    if odd.iter().any(|value| value.is_nan()) || (plus && minus) {
        return Some(f64::NAN);
    }
    if plus {
        return Some(f64::INFINITY);
    }
    minus.then_some(f64::NEG_INFINITY)
}

/// The fixed-point number as floats that add up to it exactly, three of at most 43 bits each.
fn parts(fixed: i128) -> [f64; 3] {
    let negative = fixed < 0;
    let magnitude = fixed.unsigned_abs();
    let mask = (1u128 << 43) - 1;
    let part = |shift: u32| {
        let digits = ((magnitude >> shift) & mask) as f64;
        let value = digits / scale() * f64::from_bits((1023 + u64::from(shift)) << 52);
        if negative { -value } else { value }
    };
    [part(0), part(43), part(86)]
}

/// Adds a number to an expansion of non-overlapping parts without rounding.
fn grow(partials: &mut Vec<f64>, value: f64) {
    let mut carried = value;
    let mut kept = 0;
    for index in 0..partials.len() {
        let (mut large, mut small) = (carried, partials[index]);
        if large.abs() < small.abs() {
            std::mem::swap(&mut large, &mut small);
        }
        let sum = large + small;
        let lost = small - (sum - large);
        if lost != 0.0 {
            partials[kept] = lost;
            kept += 1;
        }
        carried = sum;
    }
    partials.truncate(kept);
    partials.push(carried);
}

/// The expansion's value, rounded half to even once.
fn rounded(partials: &[f64]) -> f64 {
    let Some((last, rest)) = partials.split_last() else { return 0.0 };
    let mut high = *last;
    let mut low = 0.0;
    let mut remaining = rest.iter().rev();
    for part in remaining.by_ref() {
        let sum = high + part;
        low = part - (sum - high);
        high = sum;
        if low != 0.0 {
            break;
        }
    }
    // Half-way cases are decided by the sign of what comes below.
    if let Some(below) = remaining.next()
        && ((low < 0.0 && *below < 0.0) || (low > 0.0 && *below > 0.0))
    {
        let doubled = low * 2.0;
        let candidate = high + doubled;
        if doubled == candidate - high {
            return candidate;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(values: &[f64]) -> f64 {
        let mut fixed = 0;
        let mut odd = Vec::new();
        for value in values {
            match to_fixed(*value) {
                Some(part) => fixed += part,
                None => odd.push(*value),
            }
        }
        total(fixed, &odd)
    }

    #[test]
    fn sums_are_exact_where_naive_ones_are_not() {
        assert_eq!(sum(&[1e100, 1.0, -1e100]), 1.0);
        assert_eq!(sum(&[0.1; 10]), 1.0, "ten times the double nearest to 0.1 rounds to 1");
        assert_eq!(sum(&[1e-300, 1.0, -1.0]), 1e-300);
        assert_eq!(sum(&[]), 0.0);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert_eq!(sum(&[f64::INFINITY, 1.0]), f64::INFINITY);
    }

    proptest! {
        #[test]
        fn the_order_of_terms_does_not_matter(
            mut values in prop::collection::vec(-1e12f64..1e12, 0..40),
            tiny in prop::collection::vec(-1e-9f64..1e-9, 0..10),
        ) {
            values.extend(tiny);
            let forward = sum(&values);
            values.reverse();
            prop_assert_eq!(forward.to_bits(), sum(&values).to_bits());
        }

        #[test]
        fn integers_add_as_integers(values in prop::collection::vec(-1_000_000i64..1_000_000, 0..100)) {
            let floats: Vec<f64> = values.iter().map(|value| *value as f64).collect();
            prop_assert_eq!(sum(&floats), values.iter().sum::<i64>() as f64);
        }
    }
}

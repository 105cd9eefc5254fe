//! Values → positions, and the values worth a grid line.

/// A linear scale. A domain without extent maps to the beginning of the range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Linear {
    domain: (f64, f64),
    range: (f64, f64),
}

impl Linear {
    /// From `domain` to `range`, which may run downwards.
    pub fn new(domain: (f64, f64), range: (f64, f64)) -> Linear {
        Linear { domain, range }
    }

    /// The position of a value, also outside of the domain.
    pub fn at(self, value: f64) -> f64 {
        let (low, high) = self.domain;
        let (from, to) = self.range;
        if high == low {
            return from;
        }
        from + (value - low) / (high - low) * (to - from)
    }
}

/// Round values from 0 to the first at or beyond `max`: steps of 1, 2 or 5 times a power of ten,
/// about `count` of them.
pub fn ticks(max: f64, count: usize) -> Vec<f64> {
    let max = if max.is_finite() && max > 0.0 { max } else { 1.0 };
    let rough = max / count.max(1) as f64;
    let magnitude = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * magnitude)
        .find(|step| *step >= rough * (1.0 - 1e-9))
        .unwrap_or(10.0 * magnitude);
    upto(max, step)
}

/// Multiples of `step` from 0 to the first at or beyond `max`.
pub fn upto(max: f64, step: f64) -> Vec<f64> {
    let last = (max / step * (1.0 - 1e-9)).ceil().max(1.0) as u32;
    (0..=last).map(|turn| f64::from(turn) * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_maps_ends_to_ends_and_halves_to_halves() {
        let down = Linear::new((0.0, 200.0), (150.0, 10.0));
        assert_eq!((down.at(0.0), down.at(200.0), down.at(100.0)), (150.0, 10.0, 80.0));
        assert_eq!(down.at(250.0), -25.0);
        assert_eq!(Linear::new((5.0, 5.0), (3.0, 9.0)).at(7.0), 3.0);
    }

    #[test]
    fn ticks_are_round_and_reach_the_largest_value() {
        assert_eq!(ticks(165.0, 4), [0.0, 50.0, 100.0, 150.0, 200.0]);
        assert_eq!(ticks(4.0, 4), [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(ticks(0.24, 3), [0.0, 0.1, 0.2, 0.30000000000000004]);
        assert_eq!(ticks(0.0, 2), [0.0, 0.5, 1.0]);
        assert_eq!(ticks(f64::NAN, 1), [0.0, 1.0]);
        assert_eq!(upto(130.0, 60.0), [0.0, 60.0, 120.0, 180.0]);
        assert_eq!(upto(120.0, 60.0), [0.0, 60.0, 120.0]);
    }
}

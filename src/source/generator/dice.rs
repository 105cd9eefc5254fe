//! Seeded randomness: the same seed and stream give the same numbers on every machine.
//!
//! Distributions are drawn by inverting their distribution function, so that each takes exactly
//! one number from the stream.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// One stream of random numbers.
#[derive(Clone, Debug)]
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// Streams of the same seed are independent of one another.
    pub(super) fn new(seed: u64, stream: u64) -> Dice {
        let mut numbers = ChaCha8Rng::seed_from_u64(seed);
        numbers.set_stream(stream);
        Dice(numbers)
    }

    /// A stream of its own, of which this one tells no more than its beginning.
    pub(super) fn fork(&mut self) -> Dice {
        Dice::new(self.0.next_u64(), 0)
    }

    /// Uniform in `(0, 1)`, never an end.
    pub(super) fn unit(&mut self) -> f64 {
        ((self.0.next_u64() >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64)
    }

    /// True with probability `p`.
    pub(super) fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Uniform in `0..n`; 0 for an empty range.
    pub(super) fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(n)) >> 32) as u32
    }

    /// Uniform between two numbers.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Log-normal with this median and this standard deviation of the logarithm.
    pub(super) fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * normal_quantile(self.unit())).exp()
    }

    /// Exponential with mean 1.
    pub(super) fn exponential(&mut self) -> f64 {
        -self.unit().ln()
    }

    /// Weibull.
    pub(super) fn weibull(&mut self, shape: f64, scale: f64) -> f64 {
        scale * self.exponential().powf(1.0 / shape)
    }

    /// An index with probability proportional to its weight; the last one if all are zero.
    pub(super) fn pick(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len().saturating_sub(1)
    }
}

/// The standard normal's quantile: Acklam's rational approximation, relative error below 1.2e-9.
pub(super) fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e1,
        2.209460984245205e2,
        -2.759285104469687e2,
        1.38357751867269e2,
        -3.066479806614716e1,
        2.506628277459239,
    ];
    const B: [f64; 5] = [
        -5.447609879822406e1,
        1.615858368580409e2,
        -1.556989798598866e2,
        6.680131188771972e1,
        -1.328068155288572e1,
    ];
    const C: [f64; 6] = [
        -7.784894002430293e-3,
        -3.223964580411365e-1,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 4] =
        [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416];
    const TAIL: f64 = 0.02425;
    let polynomial = |start: f64, coefficients: &[f64], x: f64| {
        coefficients.iter().fold(start, |sum, coefficient| sum * x + coefficient)
    };
    if p < TAIL {
        let q = (-2.0 * p.ln()).sqrt();
        polynomial(0.0, &C, q) / (polynomial(0.0, &D, q) * q + 1.0)
    } else if p > 1.0 - TAIL {
        -normal_quantile(1.0 - p)
    } else {
        let q = p - 0.5;
        let r = q * q;
        polynomial(0.0, &A, r) * q / (polynomial(0.0, &B, r) * r + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_printed_tables_of_the_normal_distribution() {
        for (p, z) in [
            (0.5, 0.0),
            (0.9, 1.281_551_6),
            (0.975, 1.959_964),
            (0.999, 3.090_232_3),
            (0.01, -2.326_347_9),
        ] {
            assert!((normal_quantile(p) - z).abs() < 1e-6, "{p}: {}", normal_quantile(p));
        }
    }

    #[test]
    fn draws_have_the_means_of_their_distributions() {
        let mut dice = Dice::new(7, 1);
        let n = 100_000;
        let mean =
            |draw: &mut dyn FnMut() -> f64| (0..n).map(|_| draw()).sum::<f64>() / f64::from(n);
        assert!((mean(&mut || dice.exponential()) - 1.0).abs() < 0.02);
        // Gamma(1 + 1/0.9) = 1.0522 (tables of the gamma function).
        assert!((mean(&mut || dice.weibull(0.9, 250.0)) / 250.0 - 1.0522).abs() < 0.02);
        // exp(sigma^2 / 2) = 1.1331 for sigma 0.5.
        assert!((mean(&mut || dice.log_normal(1.0, 0.5)) - 1.1331).abs() < 0.02);
        assert!((mean(&mut || f64::from(dice.below(10))) - 4.5).abs() < 0.05);
        assert!((mean(&mut || dice.pick(&[1.0, 0.0, 3.0]) as f64) - 1.5).abs() < 0.02);
    }
}

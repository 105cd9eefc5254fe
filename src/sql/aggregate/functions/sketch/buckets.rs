//! A double → the number of its logarithmic bucket, and back to the bucket's bounds.
//!
//! The buckets are those of DDSketch (Masson, Rim and Lee 2019, "DDSketch: a fast and
//! fully-mergeable quantile sketch with relative-error guarantees"), each gamma times as wide as
//! the one before. DDSketch takes gamma = (1 + a) / (1 − a) for a relative error of a; for half a
//! percent that is 1.01005. Ours is the 70th root of 2, 1.00995: the largest that divides every
//! octave alike, with an error of 0.4951 %. So a bucket is an exponent and one of 70 steps within
//! the octave, and needs no logarithm: libraries' `ln` differ in the last bit from machine to
//! machine, and a value at a boundary would fall now into one bucket, now into the next. Here a
//! value's bits are compared with integers ([`STEPS`]), which is exact, monotone and the same
//! everywhere.
//!
//! Keys ascend with their values. Zero has key 0. A positive double with biased exponent e and
//! step j has key 70 (e − 1) + j + 2, from 2 to 143221; 143222 is positive infinity alone, and 143223
//! NaN, which sorts last. Key 1 holds all positive subnormals, whose spacing is too coarse for the
//! relative bound: their error is below 2.3e-308 instead. Negative values have the negative key of
//! their magnitude.

/// The number of a bucket.
pub type BucketNumber = i32;

/// Steps in an octave.
const PER_OCTAVE: i32 = 70;
/// The key of the smallest normal double.
const FIRST_NORMAL: BucketNumber = 2;
/// The key of infinity.
const INFINITE: BucketNumber = FIRST_NORMAL + 2046 * PER_OCTAVE;
/// The key of NaN, which has no negative.
const NOT_A_NUMBER: BucketNumber = INFINITE + 1;
/// Bits of the fraction of a double.
const FRACTION_BITS: u32 = 52;
const FRACTION: u64 = (1 << FRACTION_BITS) - 1;
/// Cells of equal width in an octave, narrower than the narrowest step: a cell meets at most two
/// steps.
const CELLS: usize = 128;
const CELL_BITS: u32 = 7;

/// Where each step begins, as the fraction bits of a double: the least integer s for which
/// (2⁵² + s)⁷⁰ ≥ 2^(52 · 70 + j).
const STEPS: [u64; PER_OCTAVE as usize] = [
    0x0_0000_0000_0000,
    0x0_28c2_af3c_1ff5,
    0x0_51ed_3525_4d7b,
    0x0_7b80_9a43_b568,
    0x0_a57d_e9c1_6bc8,
    0x0_cfe6_3171_20a2,
    0x0_faba_81d4_e5e0,
    0x1_25fb_ee25_0665,
    0x1_51ab_8c56_eea3,
    0x1_7dca_7524_26bf,
    0x1_aa59_c411_5e7e,
    0x1_d75a_9775_8b26,
    0x2_04ce_1081_1782,
    0x2_32b5_5345_2630,
    0x2_6111_86ba_e675,
    0x2_8fe3_d4ca_fbb8,
    0x2_bf2d_6a54_f7db,
    0x2_eeef_7736_e8a3,
    0x3_1f2b_2e54_f85d,
    0x3_4fe1_c5a1_21ee,
    0x3_8114_7622_f887,
    0x3_b2c4_7bff_8329,
    0x3_e4f3_1681_2c30,
    0x4_17a1_881f_c50e,
    0x4_4ad1_1688_9e7c,
    0x4_7e83_0aa6_b53f,
    0x4_b2b8_b0aa_f3c8,
    0x4_e773_5814_88da,
    0x5_1cb4_53b9_536d,
    0x5_527c_f9ce_6407,
    0x5_88ce_a3f0_93be,
    0x5_bfaa_af2d_311f,
    0x5_f712_7c0a_c32a,
    0x6_2f07_6e91_e2a5,
    0x6_678a_ee56_29f8,
    0x6_a09e_667f_3bcd,
    0x6_da43_45d1_e0ae,
    0x7_147a_feb9_3bdc,
    0x7_4f47_0750_17a0,
    0x7_8aa8_d96a_493f,
    0x7_c6a1_f29e_2ce7,
    0x8_0333_d44e_39be,
    0x8_4060_03b2_ae5d,
    0x8_7e28_09e3_55e8,
    0x8_bc8d_73e1_6610,
    0x8_fb91_d2a1_763a,
    0x9_3b36_bb15_8fff,
    0x9_7b7d_c637_595d,
    0x9_bc68_9112_58c0,
    0x9_fdf8_bcce_533e,
    0xa_402f_eeb9_c533,
    0xa_830f_d054_7591,
    0xa_c69a_0f5a_241d,
    0xb_0ad0_5dcd_52e0,
    0xb_4fb4_7202_2b1b,
    0xb_9548_06a9_7df1,
    0xb_db8c_dadb_e121,
    0xc_2284_b224_e80b,
    0xc_6a31_548e_794e,
    0xc_b294_8eac_4143,
    0xc_fbb0_31a7_41a5,
    0xd_4586_1349_7eac,
    0xd_9018_0e09_c9e4,
    0xd_db68_0117_ab13,
    0xe_2777_d067_6771,
    0xe_7449_64be_278c,
    0xe_c1de_abbe_3c15,
    0xf_1039_97f3_81f5,
    0xf_5f5c_20df_e5f3,
    0xf_af48_4308_0836,
];

/// The step in which each cell begins.
const FIRST_STEP: [u8; CELLS] = first_steps();

const fn first_steps() -> [u8; CELLS] {
    let mut first = [0; CELLS];
    let mut cell = 0;
    let mut step = 0;
    while cell < CELLS {
        let begins = (cell as u64) << (FRACTION_BITS - CELL_BITS);
        while step + 1 < STEPS.len() && STEPS[step + 1] <= begins {
            step += 1;
        }
        first[cell] = step as u8;
        cell += 1;
    }
    first
}

/// Where a step ends: where the next one begins, in the next octave for the last.
fn end_of(step: usize) -> u64 {
    STEPS.get(step + 1).copied().unwrap_or(1 << FRACTION_BITS)
}

/// The bucket of a value.
pub fn key_of(value: f64) -> BucketNumber {
    let bits = value.abs().to_bits();
    let exponent = (bits >> FRACTION_BITS) as i32;
    let fraction = bits & FRACTION;
    let magnitude = match exponent {
        0 => BucketNumber::from(fraction != 0),
        2047 if fraction != 0 => return NOT_A_NUMBER,
        _ => {
            let first = usize::from(FIRST_STEP[(fraction >> (FRACTION_BITS - CELL_BITS)) as usize]);
            let step = first as i32 + i32::from(fraction >= end_of(first));
            (exponent - 1) * PER_OCTAVE + step + FIRST_NORMAL
        }
    };
    if value < 0.0 { -magnitude } else { magnitude }
}

/// Whether some value has this key.
pub fn is_key(key: BucketNumber) -> bool {
    (-INFINITE..=NOT_A_NUMBER).contains(&key)
}

/// The least and the greatest double of a bucket. Both are NaN for the bucket of NaN.
pub fn bounds(key: BucketNumber) -> (f64, f64) {
    let (low, high) = match key.abs() {
        0 => (0.0, 0.0),
        1 => (f64::from_bits(1), f64::from_bits(FRACTION)),
        INFINITE => (f64::INFINITY, f64::INFINITY),
        NOT_A_NUMBER => (f64::NAN, f64::NAN),
        normal => {
            let (octave, step) = octave_and_step(normal);
            let low = f64::from_bits(octave + STEPS[step]);
            (low, f64::from_bits(octave + end_of(step) - 1))
        }
    };
    if key < 0 { (-high, -low) } else { (low, high) }
}

/// The value that stands for a bucket: the harmonic mean of its ends, which is off by the same
/// ratio at both, (gamma − 1) / (gamma + 1).
pub fn middle(key: BucketNumber) -> f64 {
    let magnitude = match key.abs() {
        0 => 0.0,
        1 => f64::from_bits(FRACTION / 2),
        INFINITE => f64::INFINITY,
        NOT_A_NUMBER => f64::NAN,
        normal => {
            let (octave, step) = octave_and_step(normal);
            // Within [1, 2), so that no octave overflows.
            let one = 1.0f64.to_bits();
            let low = f64::from_bits(one + STEPS[step]);
            let high = f64::from_bits(one + end_of(step));
            let mean = 2.0 * low * high / (low + high);
            f64::from_bits(octave + (mean.to_bits() - one))
        }
    };
    if key < 0 { -magnitude } else { magnitude }
}

/// The bits of the power of two at which a normal key's octave begins, and its step.
fn octave_and_step(key: BucketNumber) -> (u64, usize) {
    let from_first = key - FIRST_NORMAL;
    let exponent = (from_first / PER_OCTAVE + 1) as u64;
    (exponent << FRACTION_BITS, (from_first % PER_OCTAVE) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A natural number, least digit first, in base 2³².
    #[derive(Clone, PartialEq, Eq)]
    struct Natural(Vec<u32>);

    impl Natural {
        fn power_of_two(exponent: usize) -> Natural {
            let mut digits = vec![0; exponent / 32];
            digits.push(1 << (exponent % 32));
            Natural(digits)
        }

        fn times(&self, other: u64) -> Natural {
            let mut carry = 0u128;
            let mut digits = Vec::new();
            for digit in &self.0 {
                carry += u128::from(*digit) * u128::from(other);
                digits.push(carry as u32);
                carry >>= 32;
            }
            while carry > 0 {
                digits.push(carry as u32);
                carry >>= 32;
            }
            Natural(digits)
        }

        fn power(base: u64, exponent: i32) -> Natural {
            (0..exponent).fold(Natural(vec![1]), |power, _| power.times(base))
        }

        fn at_least(&self, other: &Natural) -> bool {
            let by_length = self.0.len().cmp(&other.0.len());
            by_length.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev())).is_ge()
        }
    }

    #[test]
    fn steps_are_the_powers_of_the_seventieth_root_of_two() {
        for (step, begins) in STEPS.iter().enumerate() {
            let root = (1 << FRACTION_BITS) + begins;
            let power = Natural::power_of_two(52 * 70 + step);
            assert!(Natural::power(root, PER_OCTAVE).at_least(&power), "step {step}");
            assert!(!Natural::power(root - 1, PER_OCTAVE).at_least(&power), "step {step}");
        }
    }

    #[test]
    fn no_cell_meets_three_steps() {
        let width = 1u64 << (FRACTION_BITS - CELL_BITS);
        for (step, begins) in STEPS.iter().enumerate() {
            assert!(end_of(step) - begins > width, "step {step}");
        }
    }

    #[test]
    fn the_ends_of_the_range_have_keys_of_their_own() {
        let keys = [
            f64::NEG_INFINITY,
            f64::MIN,
            -1.0,
            -f64::MIN_POSITIVE,
            -5e-324,
            0.0,
            5e-324,
            f64::MIN_POSITIVE,
            1.0,
            f64::MAX,
            f64::INFINITY,
            f64::NAN,
        ]
        .map(key_of);
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{keys:?}");
        assert_eq!(keys[5..], [0, 1, 2, 71_542, 143_221, 143_222, 143_223]);
        assert_eq!((key_of(-0.0), key_of(-f64::NAN)), (0, 143_223));
        assert!(is_key(-143_222) && !is_key(-143_223) && !is_key(143_224));
    }

    #[test]
    fn every_bucket_begins_where_the_one_before_ends() {
        let mut before = 0.0f64;
        for key in 1..=INFINITE {
            let (low, high) = bounds(key);
            assert_eq!(low.to_bits(), before.to_bits() + 1, "key {key}");
            assert_eq!((key_of(low), key_of(high)), (key, key));
            let middle = middle(key);
            assert!(low <= middle && middle <= high, "key {key}");
            if (FIRST_NORMAL..INFINITE).contains(&key) {
                assert!((middle - low) / low <= 0.004_952, "key {key}");
                assert!((high - middle) / high <= 0.004_952, "key {key}");
            }
            before = high;
        }
    }

    proptest! {
        #[test]
        fn a_value_lies_within_its_bucket(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let key = key_of(value);
            let (low, high) = bounds(key);
            prop_assert!(is_key(key));
            prop_assert!(value.is_nan() && low.is_nan() || low <= value && value <= high);
        }

        #[test]
        fn keys_ascend(a in any::<f64>(), b in any::<f64>()) {
            prop_assert!(a > b || key_of(a) <= key_of(b));
        }
    }
}

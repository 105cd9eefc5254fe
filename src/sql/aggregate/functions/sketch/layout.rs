//! A sketch ↔ the bytes of a Binary value, one sequence of bytes for each sketch.
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | version of the layout: 1 |
//! | 1 | form: 0 values, 1 buckets |
//! | varint | number of entries: in form 0 at most 1024 |
//! | per entry | form 0: 8 bytes, the value as IEEE 754 binary64, little-endian; then a varint, its count |
//! | | form 1: a varint, the bucket's key, zigzag-coded, for the first, and for every further one its distance from the key before; then a varint, its count |
//!
//! A varint is an unsigned LEB128 of at most 64 bits in the fewest bytes. Entries ascend, values
//! in IEEE's total order; none occurs twice; counts are at least 1, and their sum fits a signed
//! 64-bit integer. Zero is written positive, NaN as 0x7ff8000000000000. The keys are those of
//! [`buckets`](super::buckets). Anything else is not a sketch: two sketches are equal exactly when
//! their bytes are.

use super::buckets::{BucketNumber, is_key};
use super::state::{EXACT_LIMIT, Sketch, SketchEntries};
use crate::sql::aggregate::functions::percentile::canonical;

const VERSION: u8 = 1;
const VALUES: u8 = 0;
const BUCKETS: u8 = 1;

/// Why bytes are not a sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They end too early.
    #[error("they end in the middle")]
    Short,
    /// Something follows the last entry.
    #[error("something follows after the end")]
    Long,
    /// Another layout.
    #[error("they say version {0}, and only version 1 is known")]
    Version(u8),
    /// Neither values nor buckets.
    #[error("they say form {0}, which is neither values (0) nor buckets (1)")]
    Form(u8),
    /// A number that no sketch is written with.
    #[error("a number in them is not one that a sketch is written with")]
    Number,
    /// Entries do not ascend.
    #[error("their entries do not ascend")]
    Order,
    /// Too many values or a sum of counts beyond a bigint.
    #[error("they hold more than a sketch can")]
    TooMuch,
}

/// Appends the bytes of a sketch that holds these entries.
pub fn write<'a>(entries: &SketchEntries, out: &'a mut Vec<u8>) -> &'a [u8] {
    let begins = out.len();
    match entries {
        SketchEntries::Exact(values) => {
            out.extend([VERSION, VALUES]);
            write_varint(values.len() as u64, out);
            for (value, count) in values {
                out.extend(value.to_le_bytes());
                write_varint(*count, out);
            }
        }
        SketchEntries::Buckets(buckets) => {
            out.extend([VERSION, BUCKETS]);
            write_varint(buckets.len() as u64, out);
            let mut before: Option<BucketNumber> = None;
            for (key, count) in buckets {
                write_varint(before.map_or_else(|| zigzag(*key), |b| step(b, *key)), out);
                write_varint(*count, out);
                before = Some(*key);
            }
        }
    }
    &out[begins..]
}

/// Reads a sketch back.
pub fn read(bytes: &[u8]) -> Result<Sketch, Malformed> {
    let mut rest = bytes;
    let [version, form] = take::<2>(&mut rest)?;
    if version != VERSION {
        return Err(Malformed::Version(version));
    }
    let length = read_varint(&mut rest)?;
    let entries = match form {
        VALUES => SketchEntries::Exact(read_values(length, &mut rest)?),
        BUCKETS => SketchEntries::Buckets(read_buckets(length, &mut rest)?),
        other => return Err(Malformed::Form(other)),
    };
    if !rest.is_empty() {
        return Err(Malformed::Long);
    }
    Sketch::of(entries).ok_or(Malformed::TooMuch)
}

fn read_values(length: u64, rest: &mut &[u8]) -> Result<Vec<(f64, u64)>, Malformed> {
    if length > EXACT_LIMIT as u64 {
        return Err(Malformed::TooMuch);
    }
    let mut values: Vec<(f64, u64)> = Vec::with_capacity(length as usize);
    for _ in 0..length {
        let value = f64::from_le_bytes(take::<8>(rest)?);
        if canonical(value).to_bits() != value.to_bits() {
            return Err(Malformed::Number);
        }
        if values.last().is_some_and(|(last, _)| last.total_cmp(&value).is_ge()) {
            return Err(Malformed::Order);
        }
        values.push((value, read_count(rest)?));
    }
    Ok(values)
}

fn read_buckets(length: u64, rest: &mut &[u8]) -> Result<Vec<(BucketNumber, u64)>, Malformed> {
    // Grown as they come: the bytes, not what they claim, bound the memory.
    let mut buckets: Vec<(BucketNumber, u64)> = Vec::new();
    for _ in 0..length {
        let number = read_varint(rest)?;
        let key = match buckets.last() {
            None => unzigzag(number),
            Some(_) if number == 0 => return Err(Malformed::Order),
            Some((last, _)) => {
                i64::try_from(number).ok().and_then(|step| step.checked_add(i64::from(*last)))
            }
        };
        let key = key.and_then(|key| BucketNumber::try_from(key).ok()).filter(|key| is_key(*key));
        buckets.push((key.ok_or(Malformed::Number)?, read_count(rest)?));
    }
    // More distinct values than can be listed stand for more than so many values.
    let count = buckets.iter().fold(0u64, |sum, (_, count)| sum.saturating_add(*count));
    if count <= EXACT_LIMIT as u64 {
        return Err(Malformed::Number);
    }
    Ok(buckets)
}

fn read_count(rest: &mut &[u8]) -> Result<u64, Malformed> {
    match read_varint(rest)? {
        0 => Err(Malformed::Number),
        count => Ok(count),
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (taken, left) = rest.split_first_chunk::<N>().ok_or(Malformed::Short)?;
    *rest = left;
    Ok(*taken)
}

fn zigzag(key: BucketNumber) -> u64 {
    let key = i64::from(key);
    ((key << 1) ^ (key >> 63)) as u64
}

fn unzigzag(number: u64) -> Option<i64> {
    let magnitude = i64::try_from(number >> 1).ok()?;
    Some(if number & 1 == 0 { magnitude } else { -magnitude - 1 })
}

fn step(before: BucketNumber, key: BucketNumber) -> u64 {
    key.abs_diff(before).into()
}

fn write_varint(number: u64, out: &mut Vec<u8>) {
    let mut rest = number;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn read_varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take::<1>(rest)?;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && byte > 1 {
            return Err(Malformed::Number);
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            let padded = byte == 0 && shift > 0;
            return if padded { Err(Malformed::Number) } else { Ok(number) };
        }
    }
    Err(Malformed::Number)
}

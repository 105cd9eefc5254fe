//! Finds where a JSON text ends or stops being plain, eight bytes at a time.

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const TOP_BITS: u64 = 0x8080_8080_8080_8080;

/// The top bit of the first byte that is a quote, a backslash or a control character (DEL is one);
/// the bits above the lowest one mean nothing.
///
/// Subtracting `n` from a byte below 0x80 sets its top bit when the byte is less than `n`, and adding
/// one when it is 0x7f; what is borrowed or carried goes to later bytes only.
#[inline(always)]
fn stops(text: u64) -> u64 {
    let control = text.wrapping_sub(LOW_BITS * 0x20);
    let quote = (text ^ (LOW_BITS * b'"' as u64)).wrapping_sub(LOW_BITS);
    let escape = (text ^ (LOW_BITS * b'\\' as u64)).wrapping_sub(LOW_BITS);
    let delete = text.wrapping_add(LOW_BITS);
    (control | quote | escape | delete) & !text & TOP_BITS
}

/// The length of the text that begins with `rest`, up to its closing quote; `None` when something
/// else stops it.
#[inline(always)]
pub(super) fn plain_length(rest: &[u8]) -> Option<usize> {
    if let Some(chunk) = rest.first_chunk::<16>() {
        let both = u128::from_le_bytes(*chunk);
        for (before, text) in [(0, both as u64), (8, (both >> 64) as u64)] {
            let stops = stops(text);
            if stops != 0 {
                let bits = stops.trailing_zeros() & !7;
                return ((text >> bits) as u8 == b'"').then_some(before + bits as usize / 8);
            }
        }
    }
    long_length(rest)
}

#[inline(never)]
fn long_length(rest: &[u8]) -> Option<usize> {
    let (chunks, _) = rest.as_chunks::<8>();
    let clear =
        chunks.iter().take_while(|chunk| stops(u64::from_le_bytes(**chunk)) == 0).count() * 8;
    let stop =
        rest[clear..].iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20 | 0x7f))?;
    (rest[clear + stop] == b'"').then_some(clear + stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_at_its_first_stop() {
        for length in 0..40 {
            let plain = "é-x".repeat(length);
            for (stop, found) in
                [("\"", true), ("\\", false), ("\n", false), ("\u{1f}", false), ("\u{7f}", false)]
            {
                for after in ["", "\"", "\" and some more \\ text \" behind it"] {
                    let all = format!("{plain}{stop}{after}");
                    let expected = found.then_some(plain.len());
                    assert_eq!(plain_length(all.as_bytes()), expected, "{all:?}");
                }
            }
            assert_eq!(plain_length(plain.as_bytes()), None);
        }
    }

    #[test]
    fn every_byte_stops_or_does_not() {
        for byte in 0..=u8::MAX {
            for place in 0..8 {
                let mut bytes = [b'x'; 8];
                bytes[place] = byte;
                let stop = matches!(byte, b'"' | b'\\' | ..0x20 | 0x7f);
                let found = stops(u64::from_le_bytes(bytes)).trailing_zeros() as usize / 8;
                assert_eq!(found, if stop { place } else { 8 }, "{byte}");
            }
        }
    }
}

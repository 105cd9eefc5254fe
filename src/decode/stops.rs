//! Finds where a JSON text ends or stops being plain, sixteen bytes at a time.

/// A byte of ones for each byte that is a quote, a backslash or a control character, the first
/// byte's lowest. Written so that it compiles to a handful of vector instructions.
#[inline(always)]
fn stops(bytes: &[u8; 16]) -> u128 {
    let stops: [u8; 16] = std::array::from_fn(|i| {
        let byte = bytes[i];
        let stop = (byte == b'"') | (byte == b'\\') | (byte < 0x20);
        if stop { u8::MAX } else { 0 }
    });
    u128::from_le_bytes(stops)
}

/// The length of the text that begins with `rest`, up to its closing quote; `None` when something
/// else stops it.
#[inline(always)]
pub(super) fn plain_length(rest: &[u8]) -> Option<usize> {
    if let Some(chunk) = rest.first_chunk() {
        let stops = stops(chunk);
        if stops != 0 {
            let length = stops.trailing_zeros() as usize / 8;
            return (chunk[length % 16] == b'"').then_some(length);
        }
    }
    long_length(rest)
}

#[inline(never)]
fn long_length(rest: &[u8]) -> Option<usize> {
    let (chunks, _) = rest.as_chunks::<16>();
    let clear = chunks.iter().take_while(|chunk| stops(chunk) == 0).count() * 16;
    let stop = rest[clear..].iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20))?;
    (rest[clear + stop] == b'"').then_some(clear + stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_at_its_first_stop() {
        for length in 0..40 {
            let plain = "é-x".repeat(length);
            for (stop, found) in [("\"", true), ("\\", false), ("\n", false), ("\u{1f}", false)] {
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
            for place in 0..16 {
                let mut bytes = [b'x'; 16];
                bytes[place] = byte;
                let stop = byte == b'"' || byte == b'\\' || byte < 0x20;
                let expected = if stop { 0xff << (8 * place) } else { 0 };
                assert_eq!(stops(&bytes), expected, "{byte}");
            }
        }
    }
}

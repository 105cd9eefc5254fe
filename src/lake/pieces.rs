//! The bytes of a file as it is written, in pieces.

use std::io::Write;

use bytes::Bytes;

/// The bytes of a piece: a large object is not moved as it grows.
const PIECE_BYTES: usize = 4 << 20;

/// Bytes in pieces.
#[derive(Default)]
pub(super) struct Pieces {
    full: Vec<Bytes>,
    open: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.open.extend_from_slice(bytes);
        if self.open.len() >= PIECE_BYTES {
            self.full.push(Bytes::from(std::mem::take(&mut self.open)));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Pieces {
    /// All of them.
    pub(super) fn finish(mut self) -> Vec<Bytes> {
        self.full.push(Bytes::from(self.open));
        self.full
    }
}

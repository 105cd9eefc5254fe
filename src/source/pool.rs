//! Buffers for batches, used again and again: one that is used again costs neither zeroing nor page
//! faults.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Buffers that a pool keeps: as many as are under way on a dozen cores, which is what is left of
/// more when they come back.
const KEPT: usize = 16;

/// Buffers that no batch uses any more.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

impl Pool {
    /// A buffer as it came back, or a new and empty one.
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// The first `end` bytes of a buffer, which comes back when nobody needs them any more.
    pub(super) fn lend(&self, buffer: Vec<u8>, end: usize) -> Bytes {
        Bytes::from_owner(Lent { buffer, end, pool: self.clone() })
    }

    fn put(&self, buffer: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(buffer);
        }
    }
}

struct Lent {
    buffer: Vec<u8>,
    end: usize,
    pool: Pool,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.end]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.pool.put(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_the_last_who_reads_it_is_done() {
        let pool = Pool::default();
        let mut buffer = pool.take();
        buffer.extend_from_slice(b"abcdef");
        let place = buffer.as_ptr();
        let bytes = pool.lend(buffer, 4);
        let part = bytes.slice(1..);
        drop(bytes);
        assert_eq!(&part[..], b"bcd");
        assert!(pool.take().is_empty(), "it is still read");
        drop(part);
        let again = pool.take();
        assert_eq!(again.as_ptr(), place);
    }
}

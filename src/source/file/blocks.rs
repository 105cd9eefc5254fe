//! Cuts a stream of bytes into blocks of whole lines.
//!
//! The blocks, one after another, hold every line of the input, in order, whatever the sizes of
//! the reads. No more than a block, or one line, is held at a time. It does not look for anything
//! but line feeds.

use std::io::{ErrorKind, Read, Result};

use bytes::Bytes;

use crate::source::pool::Pool;

const UTF8_BOM: &[u8] = b"\xef\xbb\xbf";

/// Whole lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LineBlock {
    /// The lines with their line feeds; the input's last line may lack it, and so does a line
    /// that was cut because it is too long.
    pub(super) bytes: Bytes,
    /// How many lines, a last one without line feed included.
    pub(super) lines: i64,
}

/// Reads one file or stream as blocks of whole lines.
pub(super) struct Blocks<R> {
    reader: R,
    /// The size of a block's buffer. At most `line_limit + 1`, so that a line's fate does not
    /// depend on it.
    block_bytes: usize,
    /// A longer line is delivered as its first `line_limit + 1` bytes.
    line_limit: usize,
    /// The start of a line whose end has not been read yet.
    carry: Vec<u8>,
    pool: Pool,
    state: LineState,
    consumed: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LineState {
    /// Nothing has been read: a byte order mark may follow.
    Start,
    Lines,
    /// Inside of a line that was too long: bytes are passed over up to its line feed.
    Skipping,
    Ended,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(reader: R, block_bytes: usize, line_limit: usize) -> Blocks<R> {
        let block_bytes = block_bytes.clamp(1, line_limit + 1);
        Blocks {
            reader,
            block_bytes,
            line_limit,
            carry: Vec::new(),
            pool: Pool::default(),
            state: LineState::Start,
            consumed: 0,
        }
    }

    /// How many bytes of the input the blocks delivered so far account for.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed - self.carry.len() as u64
    }

    /// The next block, or `None` at the end. Returns as soon as one read has brought a whole
    /// line, so that a slow pipe is not held back.
    pub(super) fn next_block(&mut self) -> Result<Option<LineBlock>> {
        if self.state == LineState::Start {
            self.skip_byte_order_mark()?;
        }
        if self.state == LineState::Skipping {
            self.skip_to_line_feed()?;
        }
        if self.state == LineState::Ended {
            return Ok(None);
        }
        let mut filled = self.carry.len();
        let mut buffer = self.pool.take();
        let size = self.block_bytes.max(filled);
        if buffer.len() < size {
            buffer.resize(size, 0);
        }
        buffer[..filled].copy_from_slice(&self.carry);
        self.carry.clear();
        let mut searched = 0;
        loop {
            // What was carried over has not been searched: after a cut line it may hold lines.
            if let Some(last) = memchr::memrchr(b'\n', &buffer[searched..filled]) {
                return Ok(Some(self.cut(buffer, filled, searched + last + 1)));
            }
            searched = filled;
            if filled > self.line_limit {
                return Ok(Some(self.cut_long_line(buffer, filled)));
            }
            if filled == buffer.len() {
                let grown = (buffer.len() + self.block_bytes).min(self.line_limit + 1);
                buffer.resize(grown, 0);
            }
            let read = read_some(&mut self.reader, &mut buffer[filled..])?;
            self.consumed += read as u64;
            filled += read;
            if read == 0 {
                self.state = LineState::Ended;
                return Ok(if filled == 0 { None } else { Some(self.block_of(buffer, filled)) });
            }
        }
    }

    /// The block up to `end`; what follows is kept for the next one.
    fn cut(&mut self, buffer: Vec<u8>, filled: usize, end: usize) -> LineBlock {
        self.carry.extend_from_slice(&buffer[end..filled]);
        self.block_of(buffer, end)
    }

    /// The first `line_limit + 1` bytes of a line that is longer than the limit.
    fn cut_long_line(&mut self, buffer: Vec<u8>, filled: usize) -> LineBlock {
        let end = self.line_limit + 1;
        self.carry.extend_from_slice(&buffer[end..filled]);
        self.state = LineState::Skipping;
        self.block_of(buffer, end)
    }

    /// The start of a buffer as a block.
    fn block_of(&self, mut buffer: Vec<u8>, end: usize) -> LineBlock {
        let bytes = &buffer[..end];
        let feeds = memchr::memchr_iter(b'\n', bytes).count();
        let lines = feeds + usize::from(bytes.last() != Some(&b'\n'));
        // One that a long line made larger than others is not kept.
        let bytes = if buffer.len() == self.block_bytes {
            self.pool.lend(buffer, end)
        } else {
            buffer.truncate(end);
            Bytes::from(buffer)
        };
        LineBlock { bytes, lines: i64::try_from(lines).unwrap_or(i64::MAX) }
    }

    /// Fills `carry` until it can hold a byte order mark, and drops the mark.
    fn skip_byte_order_mark(&mut self) -> Result<()> {
        self.state = LineState::Lines;
        let mut start = [0; UTF8_BOM.len()];
        let mut filled = 0;
        while filled < start.len() && UTF8_BOM.starts_with(&start[..filled]) {
            let read = read_some(&mut self.reader, &mut start[filled..])?;
            if read == 0 {
                break;
            }
            filled += read;
        }
        self.consumed += filled as u64;
        if start[..filled] != *UTF8_BOM {
            self.carry.extend_from_slice(&start[..filled]);
        }
        Ok(())
    }

    /// Passes over the rest of a line that was too long.
    fn skip_to_line_feed(&mut self) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.carry);
        let mut filled = buffer.len();
        loop {
            if let Some(end) = memchr::memchr(b'\n', &buffer[..filled]) {
                self.carry.extend_from_slice(&buffer[end + 1..filled]);
                self.state = LineState::Lines;
                return Ok(());
            }
            buffer.resize(self.block_bytes.max(filled), 0);
            filled = read_some(&mut self.reader, &mut buffer)?;
            self.consumed += filled as u64;
            if filled == 0 {
                self.state = LineState::Ended;
                return Ok(());
            }
        }
    }
}

/// One read that is not disturbed by signals.
fn read_some(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A reader that gives at most so many bytes at a time.
    struct Trickle<'a> {
        rest: &'a [u8],
        sizes: Vec<usize>,
        turn: usize,
    }

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
            let size = self.sizes[self.turn % self.sizes.len()];
            self.turn += 1;
            let count = size.min(buffer.len()).min(self.rest.len());
            buffer[..count].copy_from_slice(&self.rest[..count]);
            self.rest = &self.rest[count..];
            Ok(count)
        }
    }

    fn lines_of(input: &[u8], sizes: &[usize], block: usize, limit: usize) -> Vec<Vec<u8>> {
        let reader = Trickle { rest: input, sizes: sizes.to_vec(), turn: 0 };
        let mut blocks = Blocks::new(reader, block, limit);
        let mut lines = Vec::new();
        while let Some(block) = blocks.next_block().expect("reading memory does not fail") {
            assert!(!block.bytes.is_empty());
            let text = block.bytes.strip_suffix(b"\n").unwrap_or(&block.bytes);
            let found: Vec<Vec<u8>> = text.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
            assert_eq!(block.lines, i64::try_from(found.len()).expect("fits"));
            lines.extend(found);
        }
        assert_eq!(blocks.consumed(), input.len() as u64);
        assert!(blocks.next_block().expect("reading memory does not fail").is_none());
        lines
    }

    /// The lines by another way: the whole text split at once.
    fn expected(input: &[u8], limit: usize) -> Vec<Vec<u8>> {
        let text = input.strip_prefix(UTF8_BOM).unwrap_or(input);
        if text.is_empty() {
            return Vec::new();
        }
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        text.split(|b| *b == b'\n').map(|line| line[..line.len().min(limit + 1)].to_vec()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]
        #[test]
        fn the_blocks_hold_every_line_wherever_they_are_cut(
            input in proptest::collection::vec(
                prop_oneof![3 => Just(b'\n'), 8 => b'a'..=b'd', 1 => Just(0xef), 1 => Just(b'\r')],
                0..200,
            ),
            bom in any::<bool>(),
            sizes in proptest::collection::vec(1usize..40, 1..5),
            block in 1usize..64,
            limit in 1usize..32,
        ) {
            let mut text = if bom { UTF8_BOM.to_vec() } else { Vec::new() };
            text.extend(input);
            prop_assert_eq!(lines_of(&text, &sizes, block, limit), expected(&text, limit));
        }
    }

    #[test]
    fn small_inputs() {
        let lines = |input: &[u8]| lines_of(input, &[2, 1], 4, 8);
        assert_eq!(lines(b""), Vec::<Vec<u8>>::new());
        assert_eq!(lines(b"\xef\xbb\xbf"), Vec::<Vec<u8>>::new());
        assert_eq!(lines(b"\n"), vec![b"".to_vec()]);
        assert_eq!(lines(b"\xef\xbb"), vec![b"\xef\xbb".to_vec()]);
        assert_eq!(lines(b"a\n\nb"), vec![b"a".to_vec(), b"".to_vec(), b"b".to_vec()]);
        // The limit is 8: eight bytes come whole, nine and more as nine.
        assert_eq!(lines(b"12345678\nx"), vec![b"12345678".to_vec(), b"x".to_vec()]);
        assert_eq!(lines(b"123456789\nx\n"), vec![b"123456789".to_vec(), b"x".to_vec()]);
        assert_eq!(lines(b"123456789abcdef\nx\n"), vec![b"123456789".to_vec(), b"x".to_vec()]);
        assert_eq!(lines(b"123456789abcdef"), vec![b"123456789".to_vec()]);
    }

    #[test]
    fn an_endless_line_holds_no_more_than_the_limit() {
        let input = std::io::repeat(b'x').take(64 * 1024 * 1024);
        let mut blocks = Blocks::new(input, 4096, 100_000);
        let block = blocks.next_block().expect("reads").expect("a line");
        assert_eq!((block.bytes.len(), block.lines), (100_001, 1));
        assert!(blocks.next_block().expect("reads").is_none());
        assert_eq!(blocks.consumed(), 64 * 1024 * 1024);
    }
}

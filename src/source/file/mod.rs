//! Files of text lines, or standard input, as one partition.
//!
//! Several files are read in the lexical order of their paths, and their line numbering runs on:
//! the offsets are a function of the files alone, not of how they are read. A thread of its own
//! reads ahead by a few blocks. It does not look inside of a line, and does not unpack.

mod blocks;
mod expression;

use std::fs::File;
use std::io::{Read, stdin};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{
    MAX_RECORD_BYTES, ProgressUnit, QUIET_AFTER, Source, SourceError, SourceEvent, SourceProgress,
};
use crate::flow::{Framing, Partition, RawBatch, Timestamp};
use blocks::Blocks;

/// The block size to give to [`FileSource::open`]: so large that a thousand groups have several
/// rows each in a batch, and what is done once for a group is done for these together.
pub const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// Blocks that wait for the consumer; one more is being read meanwhile.
const READ_AHEAD_BLOCKS: usize = 1;

/// The block of a pipe or terminal; a pipe seldom gives more than 64 KiB at a read.
const PIPE_BLOCK_BYTES: usize = 128 * 1024;

/// The lines of a file expression.
pub struct FileSource {
    partitions: [Arc<Partition>; 1],
    blocks: mpsc::Receiver<Result<BlockDelivery, SourceError>>,
    waiting: Arc<AtomicBool>,
    /// Bytes delivered.
    done: u64,
    total: Option<u64>,
    said_caught_up: bool,
    ended: bool,
}

/// A block on its way to the consumer.
struct BlockDelivery {
    batch: RawBatch,
    /// Bytes of input that it and everything before it account for.
    position: u64,
}

/// What the reading thread reads, in order.
enum FileInput {
    Stdin,
    Files(Vec<PathBuf>),
}

impl FileSource {
    /// Opens a path, a glob or `-`. `record_time` stands for "now" when the future is judged
    /// (`--as-of`). Lines longer than [`MAX_RECORD_BYTES`] are cut, see there.
    ///
    /// # Errors
    /// [`SourceError::Wrong`] when nothing is there, or it cannot be read as text lines.
    pub fn open(
        expression: &str,
        record_time: Timestamp,
        chunk_bytes: usize,
    ) -> Result<FileSource, SourceError> {
        let (input, total, topic) = if expression == "-" {
            (FileInput::Stdin, None, expression::STDIN_TOPIC.to_owned())
        } else {
            let files = expression::resolve(expression)?;
            let topic = expression::topic(expression, &files);
            (FileInput::Files(files.paths), files.total_bytes, topic)
        };
        let partition = Arc::new(Partition { topic: topic.into(), index: 0 });
        let (sender, blocks) = mpsc::channel(READ_AHEAD_BLOCKS);
        let waiting = Arc::new(AtomicBool::new(false));
        let mut reading = FileReading {
            partition: Arc::clone(&partition),
            record_time,
            chunk_bytes,
            next_line: 0,
            position: 0,
            waiting: Arc::clone(&waiting),
            sender,
        };
        std::thread::Builder::new()
            .name("file-reader".to_owned())
            .spawn(move || reading.run(input))
            .map_err(|error| SourceError::Failed {
                attempted: format!("start a thread to read `{expression}`"),
                source: error.into(),
            })?;
        Ok(FileSource {
            partitions: [partition],
            blocks,
            waiting,
            done: 0,
            total,
            said_caught_up: false,
            ended: false,
        })
    }

    /// What to say when no block has come for the length of a poll: that everything there is has
    /// been delivered when the reader waits for a pipe, and every other time just quiet.
    fn quiet(&mut self) -> SourceEvent {
        self.said_caught_up =
            self.waiting.load(Ordering::SeqCst) && self.blocks.is_empty() && !self.said_caught_up;
        if self.said_caught_up {
            SourceEvent::CaughtUp(Arc::clone(&self.partitions[0]), Instant::now())
        } else {
            SourceEvent::Quiet
        }
    }
}

#[async_trait]
impl Source for FileSource {
    fn partitions(&self) -> &[Arc<Partition>] {
        &self.partitions
    }

    async fn next(&mut self) -> Result<SourceEvent, SourceError> {
        if self.ended {
            return Ok(SourceEvent::End);
        }
        match timeout(QUIET_AFTER, self.blocks.recv()).await {
            Err(_elapsed) => Ok(self.quiet()),
            Ok(None) => {
                self.ended = true;
                Ok(SourceEvent::End)
            }
            Ok(Some(delivery)) => {
                let delivery = delivery?;
                self.done = delivery.position;
                self.said_caught_up = false;
                Ok(SourceEvent::Batch(delivery.batch))
            }
        }
    }

    fn progress(&self) -> Option<SourceProgress> {
        let done = self.done.min(self.total.unwrap_or(u64::MAX));
        Some(SourceProgress { done, total: self.total, unit: ProgressUnit::Bytes })
    }
}

/// The reading thread's state.
struct FileReading {
    partition: Arc<Partition>,
    record_time: Timestamp,
    chunk_bytes: usize,
    next_line: i64,
    /// Bytes of the files read to their end.
    position: u64,
    /// True while a read of standard input is under way.
    waiting: Arc<AtomicBool>,
    sender: mpsc::Sender<Result<BlockDelivery, SourceError>>,
}

/// The consumer has gone; reading on is of no use.
struct ConsumerGone;

impl FileReading {
    fn run(&mut self, input: FileInput) {
        let outcome = match input {
            FileInput::Stdin => {
                let watched = WatchedReader { inner: stdin(), waiting: Arc::clone(&self.waiting) };
                self.read_all(watched, "standard input", PIPE_BLOCK_BYTES)
            }
            FileInput::Files(paths) => paths.iter().try_for_each(|path| self.read_file(path)),
        };
        if let Err(ConsumerGone) = outcome {
            tracing::debug!(source = %self.partition, "stopped reading before the end");
        }
    }

    fn read_file(&mut self, path: &PathBuf) -> Result<(), ConsumerGone> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => {
                let length = file.metadata().map_or(u64::MAX, |metadata| metadata.len());
                // A small file needs no large buffer; one byte more shows its end.
                let needed = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(1);
                let block = if length == 0 { PIPE_BLOCK_BYTES } else { needed };
                self.read_all(file, &name, block.min(self.chunk_bytes))
            }
            Err(error) => self.fail(&name, error),
        }
    }

    fn read_all(
        &mut self,
        reader: impl Read,
        name: &str,
        block_bytes: usize,
    ) -> Result<(), ConsumerGone> {
        let mut blocks = Blocks::new(reader, block_bytes, MAX_RECORD_BYTES);
        loop {
            let block = match blocks.next_block() {
                Ok(Some(block)) => block,
                Ok(None) => break,
                Err(error) => return self.fail(name, error),
            };
            let framing =
                Framing::Lines { first_offset: self.next_line, record_time: self.record_time };
            self.next_line += block.lines;
            let batch =
                RawBatch { partition: Arc::clone(&self.partition), bytes: block.bytes, framing };
            let position = self.position + blocks.consumed();
            self.send(Ok(BlockDelivery { batch, position }))?;
        }
        self.position += blocks.consumed();
        Ok(())
    }

    /// Delivers the error and reads no further.
    fn fail(&mut self, name: &str, error: std::io::Error) -> Result<(), ConsumerGone> {
        let line = self.next_line;
        self.send(Err(SourceError::Failed {
            attempted: format!("read `{name}` beyond line {line} of the input"),
            source: error.into(),
        }))?;
        Err(ConsumerGone)
    }

    fn send(&self, delivery: Result<BlockDelivery, SourceError>) -> Result<(), ConsumerGone> {
        self.sender.blocking_send(delivery).map_err(|_| ConsumerGone)
    }
}

/// A reader that shows when it waits.
struct WatchedReader<R> {
    inner: R,
    waiting: Arc<AtomicBool>,
}

impl<R: Read> Read for WatchedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.waiting.store(true, Ordering::SeqCst);
        let outcome = self.inner.read(buffer);
        self.waiting.store(false, Ordering::SeqCst);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AS_OF: Timestamp = Timestamp(7);

    /// Every line with its offset.
    async fn read_all(source: &mut FileSource) -> Vec<(i64, String)> {
        let mut lines = Vec::new();
        loop {
            match source.next().await.expect("reads") {
                SourceEvent::Batch(batch) => {
                    let Framing::Lines { first_offset, record_time } = batch.framing else {
                        panic!("files are lines")
                    };
                    assert_eq!(record_time, AS_OF);
                    let text = String::from_utf8(batch.bytes.to_vec()).expect("text");
                    lines.extend((first_offset..).zip(text.lines().map(str::to_owned)));
                }
                SourceEvent::End => return lines,
                SourceEvent::Quiet => {}
                SourceEvent::CaughtUp(..) | SourceEvent::Ended(_) => panic!("a file ends"),
            }
        }
    }

    #[tokio::test]
    async fn files_of_a_glob_are_one_partition_whose_numbering_runs_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("writes");
        };
        write("b.ndjson", "3\n4");
        write("a.ndjson", "\u{feff}0\n1\n\n");
        write("empty.ndjson", "");
        write("c.ndjson", "5\n");
        write("other.txt", "x\n");
        let expression = format!("{}/*.ndjson", folder.path().display());
        for chunk in [1, 2, 3, 4096] {
            let mut source = FileSource::open(&expression, AS_OF, chunk).expect("opens");
            assert_eq!(source.progress().map(|p| (p.done, p.total)), Some((0, Some(13))));
            let lines = read_all(&mut source).await;
            let texts = ["0", "1", "", "3", "4", "5"].map(str::to_owned);
            assert_eq!(lines, (0..).zip(texts).collect::<Vec<_>>(), "chunk {chunk}");
            assert_eq!(source.progress().map(|p| p.done), Some(13));
            assert!(matches!(source.next().await, Ok(SourceEvent::End)));
        }
    }

    #[tokio::test]
    async fn an_empty_file_ends_at_once() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().display().to_string();
        let mut source = FileSource::open(&path, AS_OF, CHUNK_BYTES).expect("opens");
        assert_eq!(source.partitions().len(), 1);
        assert!(matches!(source.next().await, Ok(SourceEvent::End)));
    }

    #[tokio::test]
    async fn a_reader_that_nobody_waits_for_stops() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("long.ndjson");
        std::fs::write(&path, "x\n".repeat(100_000)).expect("writes");
        let source = FileSource::open(&path.display().to_string(), AS_OF, 16).expect("opens");
        let waiting = Arc::downgrade(&source.waiting);
        drop(source);
        for _ in 0..100 {
            if waiting.upgrade().is_none() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("the reading thread goes on");
    }
}

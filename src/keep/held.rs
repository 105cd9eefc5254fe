//! Rows that wait, for recompute or for their day to settle: in memory up to a bound, beyond it in
//! temporary files.
//!
//! A file has no name, so that nothing is left behind however the process ends, and is given up when
//! the last rows in it are forgotten. Rows on disk are read batch by batch as a plan asks for them.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use datafusion::common::{Result, exec_datafusion_err};

/// Bytes of rows that one pipeline's windows of a family keep in memory.
pub const IN_MEMORY: usize = 256 << 20;

/// Bytes after which another file is begun, so that the space of rows that have gone is given back.
const FILE_BYTES: u64 = 64 << 20;

/// Keeps rows.
#[derive(Debug)]
pub struct Keeper {
    limit: usize,
    in_memory: Arc<AtomicUsize>,
    file: Option<Arc<Mutex<File>>>,
    written: u64,
}

/// Rows that are kept until the last copy of this is dropped.
#[derive(Clone, Debug)]
pub struct Held(Arc<HeldPlace>);

#[derive(Debug)]
enum HeldPlace {
    Memory { rows: RecordBatch, bytes: usize, of: Arc<AtomicUsize> },
    Disk { file: Arc<Mutex<File>>, from: u64, length: usize },
}

impl Drop for HeldPlace {
    fn drop(&mut self) {
        if let HeldPlace::Memory { bytes, of, .. } = self {
            of.fetch_sub(*bytes, Ordering::Relaxed);
        }
    }
}

impl Keeper {
    /// Keeps so many bytes in memory.
    pub fn new(limit: usize) -> Keeper {
        Keeper { limit, in_memory: Arc::default(), file: None, written: 0 }
    }

    /// Bytes of memory.
    pub fn in_memory(&self) -> usize {
        self.in_memory.load(Ordering::Relaxed)
    }

    /// Keeps nothing in memory from now on.
    pub fn keep_on_disk(&mut self) {
        self.limit = 0;
    }

    /// Keeps rows.
    ///
    /// # Errors
    /// Where they go to disk and it cannot be written.
    pub fn keep(&mut self, rows: RecordBatch) -> Result<Held> {
        let bytes = rows.get_array_memory_size();
        if self.in_memory.load(Ordering::Relaxed) + bytes > self.limit {
            return self.spill(&rows).map_err(|error| failed("write", &error.to_string()));
        }
        self.in_memory.fetch_add(bytes, Ordering::Relaxed);
        let of = Arc::clone(&self.in_memory);
        Ok(Held(Arc::new(HeldPlace::Memory { rows, bytes, of })))
    }

    fn spill(&mut self, rows: &RecordBatch) -> std::result::Result<Held, SpillError> {
        let mut bytes = Vec::new();
        let mut writer = StreamWriter::try_new(&mut bytes, &rows.schema())?;
        writer.write(rows)?;
        writer.finish()?;
        drop(writer);
        let file = match &self.file {
            Some(file) if self.written < FILE_BYTES => Arc::clone(file),
            Some(_) | None => {
                self.written = 0;
                let file = Arc::new(Mutex::new(tempfile::tempfile()?));
                Arc::clone(self.file.insert(file))
            }
        };
        let (from, length) = (self.written, bytes.len());
        {
            let mut open = file.lock().unwrap_or_else(PoisonError::into_inner);
            open.seek(SeekFrom::Start(from))?;
            open.write_all(&bytes)?;
        }
        self.written += length as u64;
        Ok(Held(Arc::new(HeldPlace::Disk { file, from, length })))
    }
}

impl Held {
    /// Bytes of memory.
    pub fn size(&self) -> usize {
        match self.0.as_ref() {
            HeldPlace::Memory { bytes, .. } => *bytes,
            HeldPlace::Disk { .. } => 0,
        }
    }

    /// Whether these are the same rows, kept once.
    pub(crate) fn is(&self, other: &Held) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The rows, where they are in memory.
    pub fn in_memory(&self) -> Option<&RecordBatch> {
        match self.0.as_ref() {
            HeldPlace::Memory { rows, .. } => Some(rows),
            HeldPlace::Disk { .. } => None,
        }
    }

    /// The rows, read from disk if need be.
    pub(crate) fn load(&self) -> Result<RecordBatch> {
        match self.0.as_ref() {
            HeldPlace::Memory { rows, .. } => Ok(rows.clone()),
            HeldPlace::Disk { file, from, length } => {
                read(file, *from, *length).map_err(|error| failed("read", &error.to_string()))
            }
        }
    }
}

fn read(
    file: &Mutex<File>,
    from: u64,
    length: usize,
) -> std::result::Result<RecordBatch, SpillError> {
    let mut bytes = vec![0; length];
    {
        let mut open = file.lock().unwrap_or_else(PoisonError::into_inner);
        open.seek(SeekFrom::Start(from))?;
        open.read_exact(&mut bytes)?;
    }
    let mut reader = StreamReader::try_new(Cursor::new(bytes), None)?;
    reader.next().ok_or(SpillError::Nothing)?.map_err(SpillError::from)
}

#[derive(Debug, thiserror::Error)]
enum SpillError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
    #[error("the file ends before the rows")]
    Nothing,
}

fn failed(attempt: &str, error: &str) -> datafusion::error::DataFusionError {
    let folder = std::env::temp_dir();
    exec_datafusion_err!(
        "could not {attempt} rows that wait in a temporary file in {}: {error}; make room there, or \
         name another folder in TMPDIR",
        folder.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};

    fn rows(first: i64) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + 100));
        let texts: ArrayRef = Arc::new(StringArray::from_iter(
            (first..first + 100).map(|n| (n % 3 > 0).then(|| format!("row {n}"))),
        ));
        RecordBatch::try_from_iter_with_nullable([("n", numbers, true), ("t", texts, true)])
            .unwrap()
    }

    #[test]
    fn what_is_beyond_the_bound_comes_back_from_disk() {
        let mut keeper = Keeper::new(2 * rows(0).get_array_memory_size());
        let held: Vec<Held> = (0..40).map(|turn| keeper.keep(rows(turn * 100)).unwrap()).collect();
        let spilled = held.iter().filter(|held| held.in_memory().is_none()).count();
        assert!((37..=39).contains(&spilled), "{spilled}");
        for (turn, held) in held.iter().enumerate() {
            assert_eq!(held.load().unwrap(), rows(turn as i64 * 100));
        }
        let sizes: usize = held.iter().map(Held::size).sum();
        assert_eq!(keeper.in_memory.load(Ordering::Relaxed), sizes);
        drop(held);
        assert_eq!(keeper.in_memory.load(Ordering::Relaxed), 0);
        assert!(keeper.keep(rows(7)).unwrap().in_memory().is_some(), "there is room again");
    }

    #[test]
    fn another_file_is_begun_so_that_space_comes_back() {
        let mut keeper = Keeper::new(0);
        let first = keeper.keep(rows(0)).unwrap();
        let file = Arc::downgrade(keeper.file.as_ref().unwrap());
        keeper.written = FILE_BYTES;
        let second = keeper.keep(rows(100)).unwrap();
        assert_eq!((first.load().unwrap(), second.load().unwrap()), (rows(0), rows(100)));
        drop(first);
        assert!(file.upgrade().is_none(), "the first file is given up");
    }
}

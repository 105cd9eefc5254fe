//! Events in any order into events in the order of their times, in bounded memory.
//!
//! Events gather in a buffer of [`BUFFER_BYTES`]; a full one is sorted and spilled to a file, and
//! the spills are merged at the end. Events of one time keep the order in which they came. Two
//! buffers' worth is the most it holds, whatever the file's size.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::convert::ConvertedEvent;
use crate::flow::Timestamp;

/// Spilled when the gathered events reach this: a quarter of a gibibyte, about a million events.
pub const BUFFER_BYTES: usize = 256 << 20;

/// Sorts events by their time.
#[derive(Debug)]
pub struct EventSorter {
    spill_dir: PathBuf,
    spill_dir_made: bool,
    limit: usize,
    buffer: Vec<u8>,
    slots: Vec<EventSlot>,
    spills: Vec<PathBuf>,
    /// Events so far; also the next one's place among those of its time.
    count: u64,
}

/// One event within the buffer.
#[derive(Clone, Copy, Debug)]
struct EventSlot {
    at: Timestamp,
    order: u64,
    start: usize,
    key_len: u32,
    json_len: u32,
}

impl EventSorter {
    /// A sorter that spills into `spill_dir`, a folder that it makes when it needs it and removes
    /// at its end.
    pub fn new(spill_dir: &Path, limit: usize) -> EventSorter {
        EventSorter {
            spill_dir: spill_dir.to_owned(),
            spill_dir_made: false,
            limit,
            buffer: Vec::new(),
            slots: Vec::new(),
            spills: Vec::new(),
            count: 0,
        }
    }

    /// Takes an event.
    pub fn push(&mut self, event: &ConvertedEvent) -> io::Result<()> {
        let size = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
        let slot = EventSlot {
            at: event.at,
            order: self.count,
            start: self.buffer.len(),
            key_len: size(event.key.as_bytes())?,
            json_len: size(&event.json)?,
        };
        self.count += 1;
        self.buffer.extend_from_slice(event.key.as_bytes());
        self.buffer.extend_from_slice(&event.json);
        self.slots.push(slot);
        if self.buffer.len() + self.slots.len() * size_of::<EventSlot>() >= self.limit {
            self.spill()?;
        }
        Ok(())
    }

    /// Hands out every event in the order of the times: its time, key and JSON.
    pub fn drain<E: From<io::Error>>(
        mut self,
        mut give: impl FnMut(Timestamp, &[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.slots.sort_unstable_by_key(|slot| (slot.at, slot.order));
        if self.spills.is_empty() {
            for slot in &self.slots {
                let (key, json) = parts(&self.buffer[slot.start..], slot);
                give(slot.at, key, json)?;
            }
            return Ok(());
        }
        self.spill()?;
        self.merge(&mut give)
    }

    fn spill(&mut self) -> io::Result<()> {
        if !self.spill_dir_made {
            std::fs::create_dir_all(&self.spill_dir)?;
            self.spill_dir_made = true;
        }
        self.slots.sort_unstable_by_key(|slot| (slot.at, slot.order));
        let path = self.spill_dir.join(format!("{:05}", self.spills.len()));
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        self.spills.push(path);
        for slot in &self.slots {
            file.write_all(&slot.at.0.to_le_bytes())?;
            file.write_all(&slot.order.to_le_bytes())?;
            file.write_all(&slot.key_len.to_le_bytes())?;
            file.write_all(&slot.json_len.to_le_bytes())?;
            let (key, json) = parts(&self.buffer[slot.start..], slot);
            file.write_all(key)?;
            file.write_all(json)?;
        }
        file.flush()?;
        self.buffer.clear();
        self.slots.clear();
        Ok(())
    }

    fn merge<E: From<io::Error>>(
        &mut self,
        give: &mut impl FnMut(Timestamp, &[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.buffer = Vec::new();
        let mut runs = Vec::with_capacity(self.spills.len());
        let mut heads = BinaryHeap::new();
        for path in &self.spills {
            let file = BufReader::with_capacity(1 << 18, File::open(path)?);
            let mut run = SortedRun { file, bytes: Vec::new() };
            if let Some(slot) = run.read()? {
                heads.push(Reverse((slot.at, slot.order, runs.len())));
                runs.push((run, slot));
            }
        }
        while let Some(Reverse((_, _, index))) = heads.pop() {
            let (run, slot) = &mut runs[index];
            let (key, json) = parts(&run.bytes, slot);
            give(slot.at, key, json)?;
            if let Some(next) = run.read()? {
                *slot = next;
                heads.push(Reverse((slot.at, slot.order, index)));
            }
        }
        Ok(())
    }
}

impl Drop for EventSorter {
    fn drop(&mut self) {
        if self.spill_dir_made
            && let Err(error) = std::fs::remove_dir_all(&self.spill_dir)
        {
            tracing::warn!(folder = %self.spill_dir.display(), %error, "could not remove spilled events");
        }
    }
}

fn parts<'a>(bytes: &'a [u8], slot: &EventSlot) -> (&'a [u8], &'a [u8]) {
    let (key_len, json_len) = (slot.key_len as usize, slot.json_len as usize);
    let (key, rest) = bytes.split_at(key_len);
    (key, &rest[..json_len])
}

/// One spill being read back.
#[derive(Debug)]
struct SortedRun {
    file: BufReader<File>,
    bytes: Vec<u8>,
}

impl SortedRun {
    fn read(&mut self) -> io::Result<Option<EventSlot>> {
        let mut head = [0_u8; 24];
        let (first, rest) = head.split_at_mut(1);
        if self.file.read(first)? == 0 {
            return Ok(None);
        }
        self.file.read_exact(rest)?;
        let word = |from: usize| {
            let mut bytes = [0_u8; 8];
            bytes.copy_from_slice(&head[from..from + 8]);
            u64::from_le_bytes(bytes)
        };
        let length = |from: usize| {
            let mut bytes = [0_u8; 4];
            bytes.copy_from_slice(&head[from..from + 4]);
            u32::from_le_bytes(bytes)
        };
        let slot = EventSlot {
            at: Timestamp(word(0).cast_signed()),
            order: word(8),
            start: 0,
            key_len: length(16),
            json_len: length(20),
        };
        self.bytes.resize(slot.key_len as usize + slot.json_len as usize, 0);
        self.file.read_exact(&mut self.bytes)?;
        Ok(Some(slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(times: &[i64], limit: usize) -> Vec<(i64, String)> {
        let dir = tempfile::tempdir().unwrap();
        let spills = dir.path().join("spills");
        let mut sorter = EventSorter::new(&spills, limit);
        for (index, at) in times.iter().enumerate() {
            let json = format!("{{\"n\":{index}}}").into_bytes();
            sorter
                .push(&ConvertedEvent {
                    at: Timestamp(*at),
                    key: format!("k{index}"),
                    status: "ERROR",
                    json,
                })
                .unwrap();
        }
        let mut lines = Vec::new();
        sorter
            .drain(|at, key, json| {
                let line =
                    format!("{} {}", String::from_utf8_lossy(key), String::from_utf8_lossy(json));
                lines.push((at.0, line));
                Ok::<(), io::Error>(())
            })
            .unwrap();
        assert!(!spills.exists(), "spills are removed");
        lines
    }

    #[test]
    fn spilled_or_not_the_order_is_by_time_and_then_as_they_came() {
        let times = [5, 3, 5, -1, 3, 9, 0, 5, 3];
        let in_memory = sorted(&times, usize::MAX);
        let order: Vec<&str> = in_memory.iter().map(|(_, line)| &line[..2]).collect();
        assert_eq!(order, ["k3", "k6", "k1", "k4", "k8", "k0", "k2", "k7", "k5"]);
        assert_eq!(in_memory[0], (-1, "k3 {\"n\":3}".to_owned()));
        for limit in [1, 60, 120, 200] {
            assert_eq!(sorted(&times, limit), in_memory, "limit {limit}");
        }
        assert_eq!(sorted(&[], 1), []);
    }
}

//! A CSV file → sorted events in a feed, and its bad rows in a file of their own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::file::unreadable;
use super::rejected::Rejected;
use super::{Converter, CsvFile, CsvRead, CsvRow, EventSorter, ImportError, sort};
use crate::feed::WriteOutcome;
use crate::feed::bar::Bar;
use crate::feed::writer::FeedWriter;
use crate::flow::Timestamp;

/// What happened.
#[derive(Debug, Default)]
pub struct ImportCounts {
    /// Rows, also those that were rejected.
    pub rows: u64,
    /// Those that were.
    pub rejected: u64,
    /// Events.
    pub events: u64,
    /// Rows by their status.
    pub by_status: BTreeMap<String, u64>,
    /// The earliest event time.
    pub first: Option<Timestamp>,
    /// The latest.
    pub last: Option<Timestamp>,
}

impl ImportCounts {
    fn count(&mut self, at: Timestamp) {
        self.events += 1;
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
    }
}

/// Converts every row, sorts the events and writes them. `spill` is a folder that only this process
/// uses; it stops soon after `stop` is set.
///
/// # Errors
/// Where something cannot be read or written, or it was stopped.
pub fn import(
    file: CsvFile,
    converter: &Converter,
    (mut writer, mut rejected): (FeedWriter, Rejected),
    spill: &Path,
    stop: &AtomicBool,
) -> Result<ImportCounts, ImportError> {
    let mut sorter = EventSorter::new(spill, sort::BUFFER_BYTES);
    let counts = convert_all(file, converter, &mut sorter, &mut rejected, stop)?;
    rejected.finish()?;
    let written = sorter.drain(|_, key, json| -> Result<(), NotWritten> {
        if stop.load(Ordering::Relaxed) {
            return Err(NotWritten::Because(ImportError::Interrupted));
        }
        match writer.write(key, json, None).map_err(|error| NotWritten::Because(error.into()))? {
            WriteOutcome::Taken => Ok(()),
            WriteOutcome::ReaderGone => Err(NotWritten::ReaderGone),
        }
    });
    match written {
        Ok(()) | Err(NotWritten::ReaderGone) => {}
        Err(NotWritten::Because(error)) => return Err(error),
    }
    writer.finish()?;
    Ok(counts)
}

/// Why not all events were written.
enum NotWritten {
    /// Nobody reads any more, which is no fault.
    ReaderGone,
    /// Something else.
    Because(ImportError),
}

impl From<std::io::Error> for NotWritten {
    fn from(error: std::io::Error) -> NotWritten {
        NotWritten::Because(ImportError::failed("read back events that were spilled", error))
    }
}

/// Moves every row into the sorter or to the rejected ones.
fn convert_all(
    mut file: CsvFile,
    converter: &Converter,
    sorter: &mut EventSorter,
    rejected: &mut Rejected,
    stop: &AtomicBool,
) -> Result<ImportCounts, ImportError> {
    let (bar, mut counts, mut row) =
        (Bar::endless("rows"), ImportCounts::default(), CsvRow::default());
    loop {
        let converted = match file.rows.read(&mut row).map_err(unreadable)? {
            CsvRead::End => break,
            CsvRead::Bad(why) => Err(why),
            CsvRead::Row => converter.convert(&row, counts.rows + 1),
        };
        counts.rows += 1;
        bar.show(counts.rows, || counts.rows);
        match converted {
            Ok(events) => {
                for event in &events {
                    counts.count(event.at);
                    let spilled = sorter.push(event);
                    spilled.map_err(|error| {
                        ImportError::failed("spill events to disk while sorting", error)
                    })?;
                }
                if let Some(last) = events.last() {
                    *counts.by_status.entry(last.status.to_owned()).or_default() += 1;
                }
            }
            Err(why) => {
                counts.rejected += 1;
                rejected.write(&row, &why)?;
            }
        }
        if stop.load(Ordering::Relaxed) {
            return Err(ImportError::Interrupted);
        }
    }
    bar.finish();
    Ok(counts)
}

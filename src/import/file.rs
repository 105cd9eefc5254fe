//! A CSV file, opened: its delimiter, its header, its rows.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::infer::{SAMPLED_ROWS, Sample};
use super::{CsvRead, CsvRow, ImportError, RowReader};

/// An open CSV file of which the header has been read.
pub struct CsvFile {
    /// What parts its fields.
    pub delimiter: u8,
    /// The names of its columns.
    pub header: Vec<String>,
    /// The rows that follow.
    pub rows: RowReader<Box<dyn BufRead>>,
}

impl CsvFile {
    /// Opens a file; `-` is standard input. Without a delimiter it is the one that the first line holds
    /// most of.
    ///
    /// # Errors
    /// Where it cannot be read, or its first line is no header.
    pub fn open(file: &Path, delimiter: Option<u8>) -> Result<CsvFile, ImportError> {
        let mut input = open(file)?;
        let delimiter = match delimiter {
            Some(delimiter) => delimiter,
            None => sniff(&mut input)?,
        };
        let mut rows = RowReader::new(input, delimiter);
        let header = read_header(&mut rows, file)?;
        Ok(CsvFile { delimiter, header, rows })
    }

    /// A draft of a map from the header and the first rows, as YAML.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn draft(mut self) -> Result<String, ImportError> {
        let mut sample = Sample::new(self.header, self.delimiter);
        let mut row = CsvRow::default();
        let mut seen = 0;
        while seen < SAMPLED_ROWS {
            match self.rows.read(&mut row).map_err(unreadable)? {
                CsvRead::Row => sample.add(&row),
                CsvRead::Bad(_) => {}
                CsvRead::End => break,
            }
            seen += 1;
        }
        Ok(sample.draft())
    }
}

fn open(file: &Path) -> Result<Box<dyn BufRead>, ImportError> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let opened = File::open(file).map_err(|error| {
        ImportError::Wrong(format!("could not open `{}`: {error}; check the path", file.display()))
    })?;
    Ok(Box::new(BufReader::with_capacity(1 << 20, opened)))
}

/// The delimiter that the first line holds most of.
fn sniff(input: &mut dyn BufRead) -> Result<u8, ImportError> {
    let start = input.fill_buf().map_err(unreadable)?;
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| line.iter().filter(|byte| **byte == wanted).count();
    let most = [b'|', b'\t', b';', b','].into_iter().max_by_key(|byte| count(*byte));
    Ok(most.unwrap_or(b','))
}

fn read_header<R: BufRead>(
    rows: &mut RowReader<R>,
    file: &Path,
) -> Result<Vec<String>, ImportError> {
    let mut row = CsvRow::default();
    let wrong = |what: &str| ImportError::Wrong(format!("`{}` {what}", file.display()));
    match rows.read(&mut row).map_err(unreadable)? {
        CsvRead::Row => Ok(row.fields().map(str::to_owned).collect()),
        CsvRead::End => Err(wrong("is empty; its first line has to name the columns")),
        CsvRead::Bad(_) if row.raw.starts_with(b"\xff\xfe") || row.raw.starts_with(b"\xfe\xff") => {
            Err(wrong("is written in UTF-16; save it as UTF-8"))
        }
        CsvRead::Bad(why) => Err(wrong(&format!(
            "has no header that can be read: {why}; its first line has to name the columns, in UTF-8"
        ))),
    }
}

/// The file cannot be read on.
pub(super) fn unreadable(error: io::Error) -> ImportError {
    ImportError::failed("read the CSV file", error)
}

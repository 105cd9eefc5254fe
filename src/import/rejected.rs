//! The rows that became no event, with line and reason.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use super::{CsvRow, ImportError};

/// The file of rejected rows; it is made with the first one.
pub struct Rejected {
    path: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Rejected {
    /// No row has been rejected yet.
    pub fn new(path: PathBuf) -> Rejected {
        Rejected { path, file: None }
    }

    /// Writes a row with the reason.
    pub(super) fn write(&mut self, row: &CsvRow, why: &str) -> Result<(), ImportError> {
        self.try_write(row, why).map_err(|error| self.failed(error))
    }

    fn try_write(&mut self, row: &CsvRow, why: &str) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            slot @ None => {
                let mut file = BufWriter::new(File::create(&self.path)?);
                file.write_all(b"line,reason,row\n")?;
                slot.insert(file)
            }
        };
        let mut line = format!("{},", row.line).into_bytes();
        quote(why.as_bytes(), &mut line);
        line.push(b',');
        quote(&row.raw, &mut line);
        line.push(b'\n');
        file.write_all(&line)
    }

    /// Writes what is buffered.
    pub(super) fn finish(&mut self) -> Result<(), ImportError> {
        let flushed = self.file.as_mut().map_or(Ok(()), Write::flush);
        flushed.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: std::io::Error) -> ImportError {
        ImportError::failed(format!("write rejected rows to `{}`", self.path.display()), error)
    }
}

fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

//! Lines of a file or of standard output. A file appears under its name only when it is complete.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::{FeedError, WriteOutcome};

const BUFFER_BYTES: usize = 1 << 20;

/// An open output.
pub struct Lines {
    out: LinesOut,
    name: String,
}

enum LinesOut {
    /// `unfinished` is what the file is called until it is complete; none for a device or a pipe,
    /// which is written as it stands and never replaced.
    File {
        file: BufWriter<File>,
        path: PathBuf,
        unfinished: Option<Unfinished>,
    },
    StandardOutput(BufWriter<io::Stdout>),
}

impl Lines {
    /// Lines on standard output.
    pub(super) fn standard_output() -> Lines {
        let out = LinesOut::StandardOutput(BufWriter::with_capacity(BUFFER_BYTES, io::stdout()));
        Lines { out, name: "standard output".to_owned() }
    }

    /// Lines of a file; its folders are made.
    pub(super) fn create(path: &Path) -> Result<Lines, FeedError> {
        let wrong = |path: &Path, error: io::Error| {
            FeedError::Wrong(format!("could not create `{}`: {error}", path.display()))
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| wrong(folder, error))?;
        }
        let special = std::fs::metadata(path).is_ok_and(|found| !found.is_file());
        let written = if special { path.to_owned() } else { beside(path, "partial") };
        let mut options = File::options();
        options.write(true).create(!special).truncate(!special);
        let file = options.open(&written).map_err(|error| wrong(&written, error))?;
        let out = LinesOut::File {
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            path: path.to_owned(),
            unfinished: (!special).then(|| Unfinished(written)),
        };
        Ok(Lines { out, name: path.display().to_string() })
    }

    /// Lines behind those that a file has.
    pub(super) fn append(path: &Path) -> Result<Lines, FeedError> {
        let opened = File::options().append(true).create(true).open(path);
        let file = opened.map_err(|error| {
            FeedError::Wrong(format!("could not open `{}`: {error}", path.display()))
        })?;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        let out = LinesOut::File { file, path: path.to_owned(), unfinished: None };
        Ok(Lines { out, name: path.display().to_string() })
    }

    pub(super) fn write(&mut self, line: &[u8]) -> Result<WriteOutcome, FeedError> {
        let out: &mut dyn Write = match &mut self.out {
            LinesOut::File { file, .. } => file,
            LinesOut::StandardOutput(out) => out,
        };
        judge(out.write_all(line).and_then(|()| out.write_all(b"\n")), &self.name)
    }

    pub(super) fn finish(self) -> Result<(), FeedError> {
        let failed = |error| FeedError::failed(format!("write to `{}`", self.name), error);
        match self.out {
            LinesOut::StandardOutput(mut out) => judge(out.flush(), &self.name).map(|_| ()),
            LinesOut::File { mut file, path, unfinished } => {
                file.flush().map_err(failed)?;
                let Some(unfinished) = unfinished else { return Ok(()) };
                file.get_ref().sync_all().map_err(failed)?;
                std::fs::rename(&unfinished.0, &path).map_err(failed)
            }
        }
    }
}

/// A closed pipe is no fault of ours.
fn judge(outcome: io::Result<()>, name: &str) -> Result<WriteOutcome, FeedError> {
    match outcome {
        Ok(()) => Ok(WriteOutcome::Taken),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(WriteOutcome::ReaderGone),
        Err(error) => Err(FeedError::failed(format!("write to `{name}`"), error)),
    }
}

/// A file that goes away unless it was given its final name.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(file = %self.0.display(), %error, "could not remove it");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// The name of something that stands beside a file.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{suffix}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_bears_its_name_when_it_is_complete_and_leaves_nothing_where_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/feed.ndjson");
        let mut lines = Lines::create(&path).unwrap();
        assert_eq!(lines.write(b"{\"n\":1}").unwrap(), WriteOutcome::Taken);
        assert!(!path.exists());
        lines.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"{\"n\":1}\n");
        drop(Lines::create(&path).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"{\"n\":1}\n", "what was there stays");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_device_is_written_as_it_stands() {
        let mut lines = Lines::create(Path::new("/dev/null")).unwrap();
        lines.write(b"x").unwrap();
        lines.finish().unwrap();
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    }
}

//! What a file expression names: a path or a glob into files in lexical order.
//!
//! Every file is looked at before the first line is read, so that a wrong one is told at the
//! start. Nothing is kept open.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::source::{MAX_RECORD_BYTES, SourceError};

/// Endings of packed files, each with the program that unpacks it to standard output.
const PACKED: &[(&str, &str)] = &[
    ("gz", "gzip -dc"),
    ("zst", "zstd -dc"),
    ("bz2", "bzip2 -dc"),
    ("xz", "xz -dc"),
    ("zip", "unzip -p"),
];

/// First bytes of packed files that go by another name.
const MAGIC: &[(&[u8], &str)] = &[(b"\x1f\x8b", "gzip -dc"), (b"\x28\xb5\x2f\xfd", "zstd -dc")];

/// Characters that make an expression a pattern.
const PATTERN: [char; 3] = ['*', '?', '['];

/// The longest name made of an expression; a file name may have 255 bytes, and the lake's object
/// names append to it.
const TOPIC_BYTES: usize = 120;

/// The files of an expression.
#[derive(Debug)]
pub(super) struct MatchedFiles {
    /// In lexical order.
    pub(super) paths: Vec<PathBuf>,
    /// `None` when one of them is a pipe.
    pub(super) total_bytes: Option<u64>,
    /// Whether the expression is a pattern.
    pub(super) is_pattern: bool,
}

/// The files that an expression names.
pub(super) fn resolve(expression: &str) -> Result<MatchedFiles, SourceError> {
    let path = Path::new(expression);
    let is_pattern = expression.contains(PATTERN) && !path.exists();
    let paths = if is_pattern { matches_of(expression)? } else { vec![path.to_owned()] };
    let mut total_bytes = Some(0);
    for path in &paths {
        let length = readable_length(path)?;
        total_bytes = total_bytes.zip(length).map(|(total, length): (u64, u64)| total + length);
    }
    Ok(MatchedFiles { paths, total_bytes, is_pattern })
}

/// The name of standard input as a partition's topic: it cannot be looked at ahead.
pub(super) const STDIN_TOPIC: &str = "stdin";

/// The name of files as a partition's topic: what was asked for, without the folder that it lies
/// in, and a hash of the first record. So the same files read from another folder have the same
/// name, also when they have grown, and other files that are called alike have another.
pub(super) fn topic(expression: &str, files: &MatchedFiles) -> String {
    let name = plain_name(expression, files.is_pattern);
    match files.paths.iter().find_map(|path| first_record(path)) {
        Some(record) => format!("{name}-{:08x}", xxh3_64(&record) >> 32),
        None => name,
    }
}

/// An expression without its fixed folder, with every character that an object's name had better
/// not hold as `_`, shortened from the front.
fn plain_name(expression: &str, is_pattern: bool) -> String {
    let fixed = match expression.find(PATTERN).filter(|_| is_pattern) {
        Some(first) => &expression[..first],
        None => expression,
    };
    let asked = fixed.rfind(std::path::is_separator).map_or(expression, |at| &expression[at + 1..]);
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = asked.chars().map(plain).collect();
    // Only ASCII by now: every byte is a character.
    let start = name.len().saturating_sub(TOPIC_BYTES);
    let name = name[start..].trim_start_matches(['_', '.', '-']);
    if name.is_empty() { "files".to_owned() } else { name.to_owned() }
}

/// The first line of a file that is not blank, without the mark of its encoding. None for a pipe,
/// which is read once, and where it cannot be read: the reading itself tells that.
fn first_record(path: &Path) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut lines = BufReader::new(file);
    loop {
        let mut line = Vec::new();
        let longest = u64::try_from(MAX_RECORD_BYTES).unwrap_or(u64::MAX);
        if lines.by_ref().take(longest).read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        let record = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line).trim_ascii();
        if !record.is_empty() {
            return Some(record.to_vec());
        }
    }
}

/// The files of a glob, folders left out, in lexical order.
fn matches_of(expression: &str) -> Result<Vec<PathBuf>, SourceError> {
    let found = glob::glob(expression).map_err(|error| {
        SourceError::Wrong(format!(
            "`{expression}` is not a file pattern: {error}; write one as `events/*.ndjson`"
        ))
    })?;
    let mut paths = Vec::new();
    for entry in found {
        let path = entry.map_err(|error| {
            SourceError::Wrong(format!(
                "cannot look into `{}` for `{expression}`: {}; make it readable or narrow the \
                 pattern",
                error.path().display(),
                error.error()
            ))
        })?;
        if !path.is_dir() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(SourceError::Wrong(format!(
            "no file matches `{expression}`; look at the pattern, and quote it so that the shell \
             does not expand it"
        )));
    }
    paths.sort();
    Ok(paths)
}

/// The length of a file that can be read as text lines; `None` for a pipe or device.
fn readable_length(path: &Path) -> Result<Option<u64>, SourceError> {
    let name = path.display();
    let wrong = |what: String| Err(SourceError::Wrong(what));
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error) => {
            return wrong(format!(
                "cannot read `{name}`: {error}; look at the path and its rights"
            ));
        }
    };
    if metadata.is_dir() {
        return wrong(format!("`{name}` is a folder; name the files in it, as `{name}/*.ndjson`"));
    }
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if let Some((_, unpack)) = PACKED.iter().find(|(packed, _)| ending == *packed) {
        return wrong(packed(path, unpack));
    }
    if !metadata.is_file() {
        return Ok(None);
    }
    match first_bytes(path) {
        Ok(start) => match MAGIC.iter().find(|(magic, _)| start.starts_with(magic)) {
            Some((_, unpack)) => wrong(packed(path, unpack)),
            None => Ok(Some(metadata.len())),
        },
        Err(error) => wrong(format!("cannot read `{name}`: {error}; look at its rights")),
    }
}

fn packed(path: &Path, unpack: &str) -> String {
    let name = path.display();
    format!(
        "`{name}` is packed; unpack it first, or pipe it: `{unpack} {name} | … --source file:-`"
    )
}

fn first_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut start)?;
    Ok(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(expression: &str) -> String {
        resolve(expression).expect_err("must be refused").to_string()
    }

    #[test]
    fn what_cannot_be_read_is_named_with_a_remedy() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        assert!(wrong(&at("absent.ndjson")).contains("absent.ndjson`: No such file"));
        assert!(wrong(&at("*.ndjson")).contains("no file matches"));
        let folder_name = folder.path().display().to_string();
        assert!(wrong(&folder_name).contains("is a folder; name the files in it, as `"));
        std::fs::write(at("events.ndjson.gz"), b"").expect("writes");
        assert!(wrong(&at("events.ndjson.gz")).contains("gzip -dc"));
        std::fs::write(at("hidden.ndjson"), b"\x28\xb5\x2f\xfd....").expect("writes");
        assert!(wrong(&at("hidden.ndjson")).contains("zstd -dc"));
        assert!(wrong(&at("a[.ndjson")).contains("is not a file pattern"));
    }

    #[test]
    fn a_path_that_looks_like_a_pattern_is_taken_literally_when_it_exists() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("odd[1].ndjson");
        std::fs::write(&path, b"x\n").expect("writes");
        let files = resolve(&path.display().to_string()).expect("found");
        assert_eq!((files.paths, files.total_bytes), (vec![path], Some(2)));
    }

    #[test]
    fn names_are_fit_for_object_names_and_know_no_fixed_folder() {
        assert_eq!(plain_name("events.ndjson", false), "events.ndjson");
        assert_eq!(plain_name("/data/a b/events[1].ndjson", false), "events_1_.ndjson");
        assert_eq!(plain_name("/data/2026 03/lab-*.ndjson", true), "lab-_.ndjson");
        assert_eq!(plain_name("/data/*/2026 03/lab.ndjson", true), "2026_03_lab.ndjson");
        assert_eq!(plain_name("*", true), "files");
        assert_eq!(plain_name(&"x".repeat(300), false).len(), TOPIC_BYTES);
    }

    #[test]
    fn files_are_known_by_what_was_asked_for_and_their_first_record() {
        let folder = tempfile::tempdir().expect("a folder");
        let name = |place: &str, text: &str| {
            let folder = folder.path().join(place);
            std::fs::create_dir_all(&folder).expect("a folder");
            std::fs::write(folder.join("lab.ndjson"), text).expect("writes");
            ["lab.ndjson", "*.ndjson"].map(|asked| {
                let expression = folder.join(asked).display().to_string();
                topic(&expression, &resolve(&expression).expect("is there"))
            })
        };
        // By xxhsum -H3 over `{"a":1}` and `{"a":2}`: the first eight digits.
        let here = name("here", "{\"a\":1}\n");
        assert_eq!(here, ["lab.ndjson-c5e3762f", "ndjson-c5e3762f"]);
        assert_eq!(name("elsewhere/deep", "\u{feff}\r\n{\"a\":1}\r\n{\"b\":3}\n"), here);
        let other = name("other", "{\"a\":2}\n");
        assert_eq!(other, ["lab.ndjson-12c7c1dc", "ndjson-12c7c1dc"]);
        assert_eq!(name("empty", "\n \n"), ["lab.ndjson", "ndjson"]);
    }
}

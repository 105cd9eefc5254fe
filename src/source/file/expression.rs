//! What a file expression names: a path or a glob into files in lexical order.
//!
//! Every file is looked at before the first line is read, so that a wrong one is told at the
//! start. Nothing is kept open.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::source::SourceError;

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

/// The longest name made of an expression; a file name may have 255 bytes, and the lake's object
/// names append to it.
const TOPIC_BYTES: usize = 120;

/// The files of an expression.
#[derive(Debug)]
pub(super) struct Files {
    /// In lexical order.
    pub(super) paths: Vec<PathBuf>,
    /// `None` when one of them is a pipe.
    pub(super) total_bytes: Option<u64>,
}

/// The files that an expression names.
pub(super) fn resolve(expression: &str) -> Result<Files, SourceError> {
    let path = Path::new(expression);
    let is_glob = expression.contains(['*', '?', '[']) && !path.exists();
    let paths = if is_glob { matches_of(expression)? } else { vec![path.to_owned()] };
    let mut total_bytes = Some(0);
    for path in &paths {
        let length = readable_length(path)?;
        total_bytes = total_bytes.zip(length).map(|(total, length): (u64, u64)| total + length);
    }
    Ok(Files { paths, total_bytes })
}

/// The name of the expression as a partition's topic: the expression with every character that
/// an object's name had better not hold as `_`, shortened from the front.
pub(super) fn topic(expression: &str) -> String {
    if expression == "-" {
        return "stdin".to_owned();
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = expression.chars().map(plain).collect();
    // Only ASCII by now: every byte is a character.
    let start = name.len().saturating_sub(TOPIC_BYTES);
    let name = name[start..].trim_start_matches(['_', '.', '-']);
    if name.is_empty() { "files".to_owned() } else { name.to_owned() }
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
    fn topics_are_fit_for_object_names() {
        assert_eq!(topic("-"), "stdin");
        assert_eq!(topic("events.ndjson"), "events.ndjson");
        assert_eq!(topic("/data/2026 03/*.ndjson"), "data_2026_03__.ndjson");
        assert_eq!(topic("*"), "files");
        assert_eq!(topic(&"ä/".repeat(200)), "files");
        assert_eq!(topic(&"x".repeat(300)).len(), TOPIC_BYTES);
    }
}

//! A project's files as bytes by their path: of a folder, or of the shipped project that the
//! binary carries.
//!
//! Bounded in size, number and depth. Hidden files are left out (Kubernetes mounts its copies of a
//! ConfigMap under names that begin with two dots); symbolic links are followed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::fault::{Fault, Faults, Position};

/// The longest SQL, YAML or reference file read. Reference tables live in memory.
pub(crate) const MAX_FILE_BYTES: usize = 64 << 20;
/// The most files a project may have.
const MAX_FILES: usize = 4_096;
/// The deepest folder below `sql/`, `pipelines/` and `data/reference/`.
const MAX_FOLDERS: usize = 8;

/// `sql/`, `pipelines/` and `data/reference/` of the repository, sorted (written by build.rs).
const SHIPPED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));
/// How messages name the folder of the shipped project.
const SHIPPED_ROOT: &str = "built-in";

/// The files of a project by their path from its folder, with slashes.
#[derive(Debug)]
pub(crate) struct ProjectFiles {
    root: PathBuf,
    files: BTreeMap<String, Cow<'static, [u8]>>,
}

impl ProjectFiles {
    /// The project that the binary carries.
    pub(crate) fn shipped() -> ProjectFiles {
        let files = SHIPPED.iter().map(|(name, bytes)| ((*name).to_owned(), Cow::Borrowed(*bytes)));
        ProjectFiles { root: PathBuf::from(SHIPPED_ROOT), files: files.collect() }
    }

    /// A file of the shipped project.
    pub(crate) fn shipped_file(name: &str) -> Option<(PathBuf, &'static [u8])> {
        let (_, bytes) = SHIPPED.iter().find(|(shipped, _)| *shipped == name)?;
        Some((Path::new(SHIPPED_ROOT).join(name), bytes))
    }

    /// The files of a folder; what cannot be read goes to `faults`.
    pub(crate) fn folder(root: &Path, faults: &mut Vec<Fault>) -> ProjectFiles {
        let mut files = ProjectFiles { root: root.to_owned(), files: BTreeMap::new() };
        for part in ["sql", "pipelines", "data/reference"] {
            files.collect(part, 0, faults);
        }
        for name in ["turnaround.yaml", "turnaround.yml"] {
            if root.join(name).is_file() {
                files.add(name.to_owned(), faults);
            }
        }
        files
    }

    fn collect(&mut self, folder: &str, depth: usize, faults: &mut Vec<Fault>) {
        let path = self.path(folder);
        if !path.is_dir() {
            return;
        }
        let listed = fs::read_dir(&path).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<Vec<_>, _>>()
        });
        let mut names = match listed {
            Ok(names) => names,
            Err(error) => {
                faults.push(unreadable(&path, &error));
                return;
            }
        };
        names.sort();
        for name in names {
            let Some(name) = name.to_str() else {
                faults.push(Fault::of(
                    &path.join(&name).to_string_lossy(),
                    "the name is not UTF-8",
                    "rename the file",
                ));
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            let below = format!("{folder}/{name}");
            if !self.path(&below).is_dir() {
                self.add(below, faults);
            } else if depth < MAX_FOLDERS {
                self.collect(&below, depth + 1, faults);
            } else {
                let what = format!("nested deeper than {MAX_FOLDERS} folders");
                let place = self.path(&below);
                faults.push(Fault::of(&place.to_string_lossy(), what, "move it up"));
            }
        }
    }

    fn add(&mut self, name: String, faults: &mut Vec<Fault>) {
        let known = ["sql", "yaml", "yml", "csv"];
        if !name.rsplit_once('.').is_some_and(|(_, extension)| known.contains(&extension)) {
            return;
        }
        let path = self.path(&name);
        if self.files.len() >= MAX_FILES {
            let what = format!("the project has more than {MAX_FILES} files");
            faults.push(Fault::of(&path.to_string_lossy(), what, "split the project"));
            return;
        }
        let mut of_file = Faults::of(&path);
        if let Some(bytes) = read_bounded(&path, MAX_FILE_BYTES, &mut of_file) {
            self.files.insert(name, Cow::Owned(bytes));
        }
        faults.extend(of_file.into_vec());
    }

    /// A file's path for messages, from where the command runs.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        if self.root == Path::new(".") { PathBuf::from(name) } else { self.root.join(name) }
    }

    /// A file's bytes.
    pub(crate) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(AsRef::as_ref)
    }

    /// The files below a folder with an extension: path, stem and bytes, sorted by path.
    pub(crate) fn below<'f>(
        &'f self,
        folder: &'f str,
        extension: &'f str,
    ) -> impl Iterator<Item = (&'f str, &'f str, &'f [u8])> {
        self.files.iter().filter_map(move |(name, bytes)| {
            let inner = name.strip_prefix(folder)?.strip_prefix('/')?;
            let (stem, found) = inner.rsplit_once('.')?;
            (found == extension).then(|| (name.as_str(), stem, bytes.as_ref()))
        })
    }
}

/// The bytes of a file of at most `most` bytes.
pub(crate) fn read_bounded(path: &Path, most: usize, faults: &mut Faults) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let read = fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    if let Err(error) = read {
        faults.extend([unreadable(path, &error)]);
        return None;
    }
    if bytes.len() > most {
        let what = format!("the file is longer than {most} bytes");
        faults.extend([Fault::at(path, Position::START, what, "shorten or split it")]);
        return None;
    }
    Some(bytes)
}

/// Bytes as text without a byte order mark.
pub(crate) fn text<'b>(bytes: &'b [u8], faults: &mut Faults) -> Option<&'b str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let line = good.matches('\n').count() + 1;
            let column = good.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
            let whole = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let place = Position { line: whole(line), column: whole(column) };
            let what = format!("the byte 0x{:02x} is not UTF-8", bytes[error.valid_up_to()]);
            faults.push(place, what, "save the file as UTF-8");
            None
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    let what = format!("could not read it: {error}");
    Fault::of(&path.to_string_lossy(), what, "mend its path or its permissions")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_that_is_not_utf8_is_placed() {
        let mut faults = Faults::of(Path::new("a.csv"));
        assert_eq!(text(b"one\ntw\xff\n", &mut faults), None);
        let found = faults.into_vec()[0].to_string();
        assert_eq!(found, "a.csv:2:3: the byte 0xff is not UTF-8. save the file as UTF-8");
    }

    #[test]
    fn hidden_files_and_other_kinds_are_left_out() {
        let folder = tempfile::tempdir().expect("folder");
        let pipelines = folder.path().join("pipelines");
        fs::create_dir_all(pipelines.join("..data")).expect("folder");
        for name in ["a.yaml", "README.md", ".b.yaml", "..data/c.yaml"] {
            fs::write(pipelines.join(name), "x").expect("file");
        }
        let mut faults = Vec::new();
        let files = ProjectFiles::folder(folder.path(), &mut faults);
        assert!(faults.is_empty(), "{faults:?}");
        let found: Vec<_> = files.below("pipelines", "yaml").map(|(name, ..)| name).collect();
        assert_eq!(found, ["pipelines/a.yaml"]);
    }
}

//! Runs the binary as a user would: in a folder of its own, with an environment that says nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A temporary folder, and the binary run in it. The folder holds no project, so the shipped one
/// is used unless `--project` names another.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

/// What a command said.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new() -> Place {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Place { folder, environment: Vec::new() }
    }

    /// Sets a variable for every command from here on.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("the file is there, and is text")
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        let parent = path.parent().expect("a file stands in a folder");
        std::fs::create_dir_all(parent).expect("a temporary folder can be written");
        std::fs::write(path, text).expect("a temporary folder can be written");
    }

    /// A program to be run here.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path());
        for name in ["KAFKA_BROKERS", "LAKE_URL", "SLA_HOURS", "RUST_LOG", "TEAMS_WEBHOOK_URL"] {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The binary, to be run here.
    pub(crate) fn turnaround<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_turnaround"));
        command.args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.turnaround(arguments).output().expect("the binary runs"))
    }

    /// The last JSON object that a command prints which must succeed.
    pub(crate) fn counters(&self, arguments: &[&str]) -> Value {
        self.run(arguments).succeeded().counters()
    }

    /// The rows of a question to a lake, which must be answered.
    pub(crate) fn query(&self, lake: &str, sql: &str) -> Vec<Value> {
        let ran = self.run(&["query", sql, "--lake", lake, "--format", "json"]).succeeded();
        serde_json::from_str(&ran.out).expect("an array of objects")
    }

    /// The only value of the only row.
    pub(crate) fn value(&self, lake: &str, sql: &str) -> Value {
        let rows = self.query(lake, sql);
        let [Value::Object(row)] = rows.as_slice() else { panic!("{sql}: {rows:?}") };
        assert_eq!(row.len(), 1, "{sql}");
        row.values().next().expect("one value").clone()
    }

    /// Runs a script of the tests over arguments; it must succeed.
    pub(crate) fn python(&self, python: &str, script: &str, arguments: &[&str]) -> String {
        let mut command = self.command(python);
        command.arg(repository().join(script)).args(arguments);
        Ran::of(command.output().expect("python runs")).succeeded().out
    }

    /// Every file below a folder: its path from there, its size and when it was written.
    pub(crate) fn listing(&self, folder: &str) -> Vec<(String, u64, std::time::SystemTime)> {
        let root = self.path(folder);
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("the folder is there") {
                let path = entry.expect("it can be listed").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let about = std::fs::metadata(&path).expect("it is there");
                let name = path.strip_prefix(&root).expect("it is below").display().to_string();
                found.push((name, about.len(), about.modified().expect("files have times")));
            }
        }
        found.sort();
        found
    }
}

impl Ran {
    pub(crate) fn of(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn succeeded(self) -> Ran {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self
    }

    /// The exit code, and texts that standard error holds.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, texts: &[&str]) -> Ran {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        for text in texts {
            assert!(self.err.contains(text), "no `{text}` in:\n{}", self.err);
        }
        self
    }

    /// The JSON object on the last line of standard output.
    #[track_caller]
    pub(crate) fn counters(&self) -> Value {
        let last = self.out.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|_| panic!("no JSON: {}\n{}", self.out, self.err))
    }
}

/// The repository's root.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A whole number of an object.
#[track_caller]
pub(crate) fn count(object: &Value, name: &str) -> u64 {
    object[name].as_u64().unwrap_or_else(|| panic!("`{name}` is no count in {object}"))
}

/// The tables of a run's counters.
#[track_caller]
pub(crate) fn tables(counters: &Value) -> Vec<&str> {
    let tables = counters["tables"].as_object().expect("the counters of a run");
    tables.keys().map(String::as_str).collect()
}

/// A name that no other test and no earlier run has used on a server that stays.
pub(crate) fn unique(name: &str) -> String {
    let since = std::fs::metadata("/proc/self").and_then(|about| about.modified());
    let since = since.ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    format!("{name}-{}-{}", std::process::id(), since.map_or(0, |since| since.as_secs()))
}

/// Waits until something is there.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "a test's thread may sleep")]
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < limit, "no {what} after {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

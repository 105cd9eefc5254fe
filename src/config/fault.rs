//! A mistake in a file of the project: where it stands, what it is, how to mend it.
//!
//! A fault never quotes a secret. Faults are values: readers collect them and go on, so that one
//! run of `check` names every mistake.

use std::fmt;
use std::path::{Path, PathBuf};

/// A place in a text file, both counted from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The character within the line.
    pub column: u32,
}

impl Position {
    /// The first character of a file.
    pub const START: Position = Position { line: 1, column: 1 };
}

/// One mistake, printed as `file:line:column: what. how to mend`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The file, or what else holds the mistake (an environment variable, a flag).
    pub file: PathBuf,
    /// The line, from 1; 0 where the mistake has no place in a text.
    pub line: u32,
    /// The column in characters, from 1; 0 where the mistake has no place in a text.
    pub column: u32,
    /// What is wrong: lower case, no full stop.
    pub what: String,
    /// How to mend it: lower case, no full stop.
    pub remedy: String,
}

impl Fault {
    /// A fault at a place in a file.
    pub fn at(
        file: &Path,
        position: Position,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Fault {
        Fault {
            file: file.to_owned(),
            line: position.line,
            column: position.column,
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// A fault of something that is not a text file, as ``environment variable `SLA_HOURS` ``.
    pub fn of(place: &str, what: impl Into<String>, remedy: impl Into<String>) -> Fault {
        Fault {
            file: PathBuf::from(place),
            line: 0,
            column: 0,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        if self.line == 0 {
            return write!(f, "{file}: {}. {}", self.what, self.remedy);
        }
        write!(f, "{file}:{}:{}: {}. {}", self.line, self.column, self.what, self.remedy)
    }
}

/// The faults of one file while it is read.
#[derive(Debug)]
pub struct Faults {
    file: PathBuf,
    list: Vec<Fault>,
}

impl Faults {
    /// No faults of `file` yet.
    pub fn of(file: &Path) -> Faults {
        Faults { file: file.to_owned(), list: Vec::new() }
    }

    /// Adds a fault at a place in the file.
    pub fn push(&mut self, position: Position, what: impl Into<String>, remedy: impl Into<String>) {
        self.list.push(Fault::at(&self.file, position, what, remedy));
    }

    /// Adds faults found elsewhere.
    pub fn extend(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.list.extend(faults);
    }

    /// The file whose faults these are.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// How many faults there are.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// All of them, in the order in which they were found.
    pub fn into_vec(self) -> Vec<Fault> {
        self.list
    }
}

/// Quoted in backticks and cut to a length that fits a line.
pub(crate) fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= MOST {
        return format!("`{line}`");
    }
    let start: String = line.chars().take(MOST).collect();
    format!("`{start}…`")
}

/// The known word nearest to a misspelt one: at most two edits away, and fewer than half of its
/// letters.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let bound = 2.min(word.chars().count().saturating_sub(1) / 2);
    known
        .into_iter()
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, remove, replace or swap with their neighbour (optimal string alignment).
fn edits(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    rows[0] = (0..=to.len()).collect();
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for i in 1..=from.len() {
        for j in 1..=to.len() {
            let replace = usize::from(from[i - 1] != to[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            best = best.min(rows[i - 1][j - 1] + replace);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_prints_place_mistake_and_remedy() {
        let place = Position { line: 3, column: 7 };
        let fault = Fault::at(Path::new("pipelines/x.yaml"), place, "unknown key `a`", "remove it");
        assert_eq!(fault.to_string(), "pipelines/x.yaml:3:7: unknown key `a`. remove it");
        let fault = Fault::of("flag --lake", "it is empty", "name a folder");
        assert_eq!(fault.to_string(), "flag --lake: it is empty. name a folder");
    }

    #[test]
    fn the_nearest_word_is_at_most_two_edits_away() {
        let known = ["grain", "windows", "alerts", "for", "sql"];
        assert_eq!(nearest("grian", known), Some("grain"));
        assert_eq!(nearest("window", known), Some("windows"));
        assert_eq!(nearest("fro", known), Some("for"));
        assert_eq!(nearest("wndwos", known), Some("windows"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("it", known), None);
    }
}

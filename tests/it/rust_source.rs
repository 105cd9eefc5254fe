//! Reads Rust source as far as the house rules need it: no comments, no literals, no tests.

use std::fs;
use std::path::{Path as FilePath, PathBuf};

/// A file below `src/`.
#[derive(Clone)]
pub(crate) struct SourceFile {
    /// The path from the repository's root, with `/`.
    pub(crate) name: String,
    /// The modules from the crate's root: `lake`, `write` for `src/lake/write/mod.rs`.
    pub(crate) module: Vec<String>,
    /// The text as it is.
    pub(crate) text: String,
}

/// Every `.rs` file below `src/` but those that only tests use, in the order of their names.
pub(crate) fn source_files() -> Vec<SourceFile> {
    let root = FilePath::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join("src"), &mut paths);
    paths.sort();
    assert!(paths.len() > 20, "found only {} source files", paths.len());
    let mut files: Vec<SourceFile> = paths.iter().map(|path| read(root, path)).collect();
    let of_tests: Vec<Vec<String>> = files.iter().flat_map(test_files).collect();
    files.retain(|file| !of_tests.iter().any(|module| file.module.starts_with(module)));
    files
}

/// The modules that a file declares for its tests and that stand in files of their own.
fn test_files(file: &SourceFile) -> Vec<Vec<String>> {
    let items = test_items(&file.text).into_iter();
    let declared = items
        .filter_map(|(_, item)| item.strip_suffix(';')?.split("mod ").nth(1).map(str::to_owned));
    declared.map(|name| file.module.iter().cloned().chain([name]).collect()).collect()
}

fn collect(folder: &FilePath, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src/ is readable") {
        let path = entry.expect("src/ is readable").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn read(root: &FilePath, path: &FilePath) -> SourceFile {
    let relative = path.strip_prefix(root).expect("it was found below the root");
    let name = relative.to_string_lossy().replace('\\', "/");
    let text = fs::read_to_string(path).expect("source files are UTF-8");
    SourceFile { module: module_of(&name), name, text }
}

/// `src/lake/write/mod.rs` is `lake::write`; `src/lib.rs` and `src/main.rs` are the root.
pub(crate) fn module_of(name: &str) -> Vec<String> {
    let inner = name.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

/// The text with comments and the insides of literals as blanks, and without the items under
/// `#[cfg(test)]`. Lines keep their numbers.
pub(crate) fn production_code(text: &str) -> String {
    without_test_items(&blank_comments_and_literals(text))
}

/// How many lines stand before the test module of a file.
pub(crate) fn lines_before_tests(text: &str) -> usize {
    let module = test_items(text).into_iter().find(|(_, item)| item.ends_with("mod tests {"));
    module.map_or_else(|| text.lines().count(), |(line, _)| line)
}

/// The first line of each item under `#[cfg(test)]`, with the number, from 0, of the attribute's.
fn test_items(text: &str) -> Vec<(usize, String)> {
    let code = blank_comments_and_literals(text);
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    let mut items = Vec::new();
    for (at, _) in lines.iter().enumerate().filter(|(_, line)| **line == "#[cfg(test)]") {
        let item = lines[at..].iter().find(|line| !line.is_empty() && !line.starts_with("#["));
        items.extend(item.map(|item| (at, (*item).to_owned())));
    }
    items
}

fn blank_comments_and_literals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at).max(at + 1);
        if end == at + 1 {
            out.push(chars[at]);
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        }
        at = end;
    }
    out
}

/// Where the comment or literal that starts at `at` ends; `at` when none starts there.
fn literal_end(chars: &[char], at: usize) -> usize {
    let next = |step: usize| chars.get(at + step).copied().unwrap_or('\0');
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match chars[at] {
        '/' if next(1) == '/' => find(chars, at, |rest| rest[0] == '\n'),
        '/' if next(1) == '*' => block_comment_end(chars, at),
        '"' => quoted_end(chars, at, '"'),
        'r' if !in_word && matches!(next(1), '"' | '#') => raw_end(chars, at),
        'b' if !in_word && next(1) == 'r' && matches!(next(2), '"' | '#') => raw_end(chars, at + 1),
        // 'a' and '\n' are characters, 'a and 'static are lifetimes.
        '\'' if next(1) == '\\' || next(2) == '\'' => quoted_end(chars, at, '\''),
        _ => at,
    }
}

fn find(chars: &[char], from: usize, is_end: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|at| is_end(&chars[*at..])).unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], from: usize) -> usize {
    let mut depth = 0;
    let mut at = from;
    while at < chars.len() {
        match chars[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

fn quoted_end(chars: &[char], from: usize, quote: char) -> usize {
    let mut at = from + 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// `from` is at the `r`. A raw identifier (`r#type`) is no literal.
fn raw_end(chars: &[char], from: usize) -> usize {
    let hashes = chars[from + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(from + 1 + hashes) != Some(&'"') {
        return from;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = from + hashes + 2;
    (find(chars, body, |rest| rest.starts_with(&close)) + close.len()).min(chars.len())
}

fn without_test_items(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        out.push_str(&rest[..at]);
        let item = &rest[at + MARK.len()..];
        let end = item_end(item);
        out.extend(item[..end].chars().filter(|c| *c == '\n'));
        rest = &item[end..];
    }
    out.push_str(rest);
    out
}

/// Where an item ends: after its `;`, or after the brace that closes its body.
fn item_end(item: &str) -> usize {
    let is_use = item.trim_start().trim_start_matches("pub ").starts_with("use ");
    let mut depth = 0_usize;
    for (at, c) in item.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let closes = c == ';' || (c == '}' && !is_use);
        if closes && depth == 0 {
            return at + 1;
        }
    }
    item.len()
}

/// Every path of the code, from the crate's root, with its line.
pub(crate) fn named_paths(code: &str, module: &[String]) -> Vec<(usize, Path)> {
    let mut found = Vec::new();
    for (at, line) in starts(code) {
        let paths = Cursor { rest: &code[at..] }.paths(module);
        found.extend(paths.into_iter().map(|path| (line, path)));
    }
    found
}

/// Where `crate::`, `self::` or a first `super::` stands as a word of its own, with its line.
fn starts(code: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let offset = line.as_ptr() as usize - code.as_ptr() as usize;
        for word in ["crate::", "self::", "super::"] {
            found.extend(
                line.match_indices(word)
                    .filter(|(at, _)| starts_path(&line[..*at]))
                    .map(|(at, _)| (offset + at, index + 1)),
            );
        }
    }
    found
}

fn starts_path(before: &str) -> bool {
    let last = before.chars().next_back().unwrap_or(' ');
    !(last.is_alphanumeric() || last == '_' || before.ends_with("::"))
}

enum Climb {
    Root,
    Up,
    Stay,
}

/// The words of a path.
pub(crate) type Path = Vec<String>;

/// A place in code from which paths are read.
pub(crate) struct Cursor<'a> {
    pub(crate) rest: &'a str,
}

impl Cursor<'_> {
    /// The paths that begin here, from the crate's root, as they are meant in a module.
    pub(crate) fn paths(&mut self, module: &[String]) -> Vec<Path> {
        let mut stem = module.to_vec();
        while let Some(climb) = self.climb() {
            match climb {
                Climb::Root => stem.clear(),
                Climb::Up => drop(stem.pop()),
                Climb::Stay => {}
            }
        }
        let mut paths = Vec::new();
        self.tree(&mut stem, &mut paths);
        paths
    }

    fn climb(&mut self) -> Option<Climb> {
        if self.eat("crate::") {
            Some(Climb::Root)
        } else if self.eat("self::") {
            Some(Climb::Stay)
        } else if self.eat("super::") {
            Some(Climb::Up)
        } else {
            None
        }
    }

    fn eat(&mut self, word: &str) -> bool {
        let rest = self.rest.trim_start();
        let stripped = rest.strip_prefix(word);
        self.rest = stripped.unwrap_or(rest);
        stripped.is_some()
    }

    /// Reads `a::b::{c, d::*}` and adds one path per leaf.
    fn tree(&mut self, stem: &mut Path, leaves: &mut Vec<Path>) {
        let depth = stem.len();
        loop {
            if self.eat("{") {
                while !self.eat("}") && !self.rest.is_empty() {
                    self.tree(stem, leaves);
                    self.eat(",");
                }
                break;
            }
            let word = self.word();
            let empty = word.is_empty();
            stem.push(word);
            // An identifier that nothing follows, `*`, or something that is no path at all.
            if empty || !self.eat("::") || self.rest.trim_start().starts_with('<') {
                leaves.push(stem.clone());
                if empty {
                    self.rest = self.rest.get(1..).unwrap_or("");
                }
                self.skip_alias();
                break;
            }
        }
        stem.truncate(depth);
    }

    fn word(&mut self) -> String {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let end = if rest.starts_with('*') { 1 } else { end };
        self.rest = &rest[end..];
        rest[..end].to_owned()
    }

    fn skip_alias(&mut self) {
        if self.eat("as ") {
            self.word();
        }
    }
}

#[test]
fn comments_literals_and_tests_are_left_out() {
    let text = r####"
use crate::flow::Span; // crate::comment
/* crate::block /* crate::inner */ crate::still */
const A: &str = "crate::text \" crate::more";
const B: &str = r#"crate::raw " crate::raw"#;
const C: (char, char, &'static str) = ('"', '\'', "crate::c");
#[cfg(test)]
use crate::{one::Two, three};
fn after() { crate::alert::go(); }
#[cfg(test)]
#[expect(lint, reason = "because")]
mod tests {
    use crate::cli; fn f() { {} }
}
#[cfg(test)]
pub(crate) mod samples;
fn last<'a>(r#type: &'a str) { crate::window::end(r#type) }
"####;
    let code = production_code(text);
    let found: Vec<&str> = code
        .match_indices("crate::")
        .map(|(at, _)| code[at..].split(['(', ';', ' ']).next().unwrap_or(""))
        .collect();
    assert_eq!(found, ["crate::flow::Span", "crate::alert::go", "crate::window::end"]);
    assert_eq!(code.lines().count(), text.lines().count());
    assert_eq!(lines_before_tests(text), 9);
    let file = SourceFile { name: String::new(), module: vec!["a".to_owned()], text: text.into() };
    assert_eq!(test_files(&file), [["a", "samples"]]);
}

//! Imports point one way: each module of the crate names only those that [`ARROWS`] allows it.
//!
//! Looked at are all paths in production code that start at the crate's root, in `use` lines and
//! elsewhere (`crate::…`, and `super::…` that climbs to the root). Test code is free.

use crate::rust_source::{SourceFile, module_of, production_code, source_files};

/// Each top-level module and what it may name beside itself, as path prefixes. The modules stand
/// in the order of the data. `ANY` allows everything.
const ARROWS: &[(&str, &[&str])] = &[
    ("flow", &[]),
    ("clock", &["flow"]),
    ("cores", &[]),
    ("metrics", &["flow"]),
    ("source", &["flow", "clock", "metrics"]),
    ("decode", &["flow"]),
    ("judge", &["flow", "decode", "window", "metrics", "source::CAUGHT_UP_HOLDS"]),
    ("quality", &["flow"]),
    ("relate", &["flow"]),
    ("lifecycle", &["flow"]),
    ("window", &["flow"]),
    ("keep", &["flow"]),
    ("sql", &["flow", "window", "relate", "keep"]),
    ("lake", &["flow", "clock", "cores", "metrics", "sql"]),
    ("alert", &["flow", "clock", "metrics", "lake"]),
    ("checkpoint", &["flow", "lifecycle", "window"]),
    ("config", &["flow", "source", "window", "alert::rule", "alert::format"]),
    (
        "plan",
        &["flow", "decode", "relate", "window", "sql", "config", "alert::rule", "lake::encode"],
    ),
    ("pipeline", &PIPELINE),
    ("serve", &["flow", "clock", "metrics", "lake", "pipeline::progress"]),
    ("cli", &[ANY]),
    ("", &[ANY]),
];

const ANY: &str = "*";

/// The loop moves values between all stages, and knows neither the server nor the commands.
const PIPELINE: [&str; 19] = [
    "flow",
    "clock",
    "cores",
    "metrics",
    "source",
    "decode",
    "judge",
    "quality",
    "relate",
    "lifecycle",
    "window",
    "keep",
    "sql",
    "lake",
    "alert",
    "checkpoint",
    "config",
    "plan",
    "pipeline",
];

#[test]
fn imports_point_one_way() {
    let faults: Vec<String> = source_files().iter().flat_map(wrong_arrows).collect();
    assert!(
        faults.is_empty(),
        "these point against the order of the stages (see ARROWS in tests/it/imports.rs):\n{}",
        faults.join("\n")
    );
}

/// Each path of a file that points where its module may not point, as `file:line: what`.
fn wrong_arrows(file: &SourceFile) -> Vec<String> {
    let top = file.module.first().map_or("", String::as_str);
    let Some((_, allowed)) = ARROWS.iter().find(|(module, _)| *module == top) else {
        return vec![format!("{}: `{top}` has no line in ARROWS", file.name)];
    };
    paths_from_root(&production_code(&file.text), &file.module)
        .into_iter()
        .filter(|(_, path)| !may_name(top, allowed, path))
        .map(|(line, path)| {
            format!("{}:{line}: `{top}` names `crate::{}`", file.name, path.join("::"))
        })
        .collect()
}

fn may_name(top: &str, allowed: &[&str], path: &[String]) -> bool {
    let begins = |prefix: &str| {
        let prefix: Vec<&str> = prefix.split("::").collect();
        prefix.len() <= path.len() && prefix.iter().zip(path).all(|(want, have)| want == have)
    };
    begins(top) || allowed.iter().any(|prefix| *prefix == ANY || begins(prefix))
}

/// Every path of the code that starts at the crate's root, with its line.
fn paths_from_root(code: &str, module: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (at, line) in starts(code) {
        let mut cursor = Cursor { rest: &code[at..] };
        let mut depth = module.len();
        while let Some(climb) = cursor.climb() {
            depth = match climb {
                Climb::Root => 0,
                Climb::Up => depth.saturating_sub(1),
            };
        }
        if depth == 0 {
            let mut paths = Vec::new();
            cursor.tree(&mut Vec::new(), &mut paths);
            found.extend(paths.into_iter().map(|path| (line, path)));
        }
    }
    found
}

/// Where `crate::` or a first `super::` stands as a word of its own, with its line.
fn starts(code: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let offset = line.as_ptr() as usize - code.as_ptr() as usize;
        for word in ["crate::", "super::"] {
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
    !(last.is_alphanumeric() || last == '_' || before.ends_with("super::"))
}

enum Climb {
    Root,
    Up,
}

struct Cursor<'a> {
    rest: &'a str,
}

impl Cursor<'_> {
    fn climb(&mut self) -> Option<Climb> {
        if self.eat("crate::") {
            Some(Climb::Root)
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
    fn tree(&mut self, stem: &mut Vec<String>, leaves: &mut Vec<Vec<String>>) {
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

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.to_owned(), module: module_of(name), text: text.to_owned() }
}

#[test]
fn a_wrong_arrow_is_caught_wherever_it_hides() {
    let cases = [
        ("src/decode/row.rs", "use crate::alert::Card;", "crate::alert::Card"),
        ("src/decode/row.rs", "use crate::{flow::Span, window};", "crate::window"),
        ("src/decode/mod.rs", "fn f() -> crate::sql::Plan { todo() }", "crate::sql::Plan"),
        ("src/decode/mod.rs", "use super::window::Pane as P;", "crate::window::Pane"),
        ("src/decode/deep/row.rs", "use super::super::super::clock::Clock;", "crate::clock::Clock"),
        (
            "src/flow/time.rs",
            "use crate::{\n    clock::{Clock, manual},\n};",
            "crate::clock::Clock",
        ),
        ("src/serve/api.rs", "use crate::pipeline::build;", "crate::pipeline::build"),
        ("src/config/mod.rs", "use crate::lake::Lake;", "crate::lake::Lake"),
        ("src/window/mod.rs", "use crate::*;", "crate::*"),
    ];
    for (name, text, expected) in cases {
        let faults = wrong_arrows(&file(name, text));
        assert!(
            faults.iter().any(|fault| fault.ends_with(&format!("names `{expected}`"))),
            "{name}: {text}: {faults:?}"
        );
    }
    let unknown = wrong_arrows(&file("src/utils.rs", ""));
    assert_eq!(unknown, ["src/utils.rs: `utils` has no line in ARROWS"]);
}

#[test]
fn a_right_arrow_is_let_through() {
    let cases = [
        ("src/decode/row.rs", "use crate::flow::{Span, event::{self, EVENT_FIELDS as F}};"),
        ("src/decode/row.rs", "use crate::decode::scan; use super::fields::*;"),
        ("src/decode/row.rs", "// use crate::lake::Card;\nconst A: &str = \"crate::lake\";"),
        ("src/decode/row.rs", "#[cfg(test)]\nmod tests { use crate::alert::Card; }"),
        ("src/serve/api.rs", "use crate::pipeline::progress::Progress;"),
        ("src/config/pipeline.rs", "use crate::alert::rule::AlertRule;"),
        ("src/pipeline/mod.rs", "use crate::{lake, source::Source, window, config::settings};"),
        ("src/cli/run.rs", "use crate::{serve, pipeline};"),
    ];
    for (name, text) in cases {
        assert_eq!(wrong_arrows(&file(name, text)), Vec::<String>::new(), "{name}: {text}");
    }
}

//! Imports point one way: each module of the crate names only those that [`ARROWS`] allows it, and
//! no modules of one room, at whatever depth, name one another in a circle.
//!
//! Looked at are all paths in production code that start with `crate::`, `super::` or `self::`, in
//! `use` lines and elsewhere; what a room gives on (`pub use`) is looked for where it stands. Test
//! code is free, and so is what a module and its own children name of each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::rust_source::{
    Cursor, Path, SourceFile, module_of, named_paths, production_code, source_files,
};

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
    ("reference", &["flow"]),
    ("lifecycle", &["flow", "reference"]),
    ("relate", &["flow", "lifecycle", "reference"]),
    ("window", &["flow"]),
    ("keep", &["flow"]),
    ("sql", &["flow", "window", "relate", "keep"]),
    ("lake", &["flow", "clock", "cores", "metrics", "window", "keep"]),
    ("alert", &["flow", "clock", "metrics", "lake", "sql::plan::predicate"]),
    ("checkpoint", &["flow", "lifecycle", "window"]),
    (
        "config",
        &[
            "flow",
            "source",
            "import",
            "reference",
            "window",
            "lifecycle",
            "alert::rule",
            "alert::format",
        ],
    ),
    (
        "plan",
        &[
            "flow",
            "decode",
            "reference",
            "lifecycle",
            "relate",
            "window",
            "sql",
            "config",
            "alert::rule",
            "alert::judging",
            "lake::encode",
        ],
    ),
    ("pipeline", &PIPELINE),
    ("serve", &["flow", "clock", "metrics", "lake", "pipeline::progress"]),
    ("access", &["flow", "lake"]),
    (
        "api",
        &[
            "flow",
            "clock",
            "lake::Store",
            "lake::LakeError",
            "lake::encode",
            "lake::read",
            "access",
        ],
    ),
    ("report", &["flow", "lake::read"]),
    ("feed", &["flow"]),
    ("import", &["flow", "feed"]),
    ("cli", &[ANY]),
    ("", &[ANY]),
];

const ANY: &str = "*";

/// The loop moves values between all stages, and knows neither the server nor the commands.
const PIPELINE: [&str; 20] = [
    "flow",
    "clock",
    "cores",
    "metrics",
    "source",
    "decode",
    "judge",
    "quality",
    "reference",
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

#[test]
fn no_modules_of_a_room_name_one_another_in_a_circle() {
    let circles = circles(&source_files());
    assert!(
        circles.is_empty(),
        "move what several of them name into a file that names none of them:\n{}",
        circles.join("\n")
    );
}

#[test]
fn the_arrows_between_rooms_make_no_circle() {
    let mut arrows = Names::new();
    for (room, allowed) in ARROWS {
        let rooms = allowed.iter().filter_map(|prefix| prefix.split("::").next());
        let others = rooms.filter(|named| named != room && *named != ANY).map(str::to_owned);
        arrows.insert((*room).to_owned(), others.collect());
    }
    assert_eq!(circles_of(&arrows), Vec::<Vec<String>>::new());
}

/// By module of a room, the others that it names.
type Names = BTreeMap<String, BTreeSet<String>>;

/// Each circle as `room: modules`.
fn circles(files: &[SourceFile]) -> Vec<String> {
    let modules: BTreeSet<&[String]> = files.iter().map(|file| file.module.as_slice()).collect();
    let given_on = given_on(files);
    let mut rooms: BTreeMap<&[String], Names> = BTreeMap::new();
    for file in files {
        for (_, path) in named_paths(&production_code(&file.text), &file.module) {
            let path = home_of(path, &given_on, &modules);
            let named = (0..=path.len()).rev().map(|end| &path[..end]);
            let named = named.into_iter().find(|named| modules.contains(named)).unwrap_or(&[]);
            let shared = file.module.iter().zip(named).take_while(|(one, other)| one == other);
            let shared = shared.count();
            if let (Some(mine), Some(other)) = (file.module.get(shared), named.get(shared)) {
                let room = rooms.entry(&file.module[..shared]).or_default();
                room.entry(mine.clone()).or_default().insert(other.clone());
            }
        }
    }
    let told = |(room, names): (&&[String], &Names)| -> Vec<String> {
        let circles = circles_of(names).into_iter();
        circles.map(|circle| format!("{}: {}", room.join("::"), circle.join(", "))).collect()
    };
    rooms.iter().flat_map(told).collect()
}

/// By the path at which it is given on with `pub use`, the path at which a thing stands.
fn given_on(files: &[SourceFile]) -> BTreeMap<Path, Path> {
    let mut given_on = BTreeMap::new();
    for file in files {
        let code = production_code(&file.text);
        for (at, word) in code.match_indices("use ") {
            let line = code[..at].rsplit('\n').next().unwrap_or("");
            if !line.trim_start().starts_with("pub") {
                continue;
            }
            for path in (Cursor { rest: &code[at + word.len()..] }).paths(&file.module) {
                let name = path.last().cloned().into_iter();
                given_on.insert(file.module.iter().cloned().chain(name).collect(), path);
            }
        }
    }
    given_on
}

/// A path without the detours of `pub use`.
fn home_of(mut path: Path, given_on: &BTreeMap<Path, Path>, modules: &BTreeSet<&[String]>) -> Path {
    // A thing is given on through a few rooms at most.
    for _ in 0..4 {
        let given = (1..=path.len())
            .find(|end| !modules.contains(&path[..*end]) && given_on.contains_key(&path[..*end]));
        let Some(end) = given else { break };
        path = given_on[&path[..end]].iter().chain(&path[end..]).cloned().collect();
    }
    path
}

/// The modules that lead back to themselves, those of one circle together.
fn circles_of(names: &Names) -> Vec<Vec<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        names.keys().map(|module| (module, reached_from(module, names))).collect();
    let mut circles = BTreeSet::new();
    for (module, others) in reached.iter().filter(|(module, others)| others.contains(*module)) {
        let leads_back =
            |other: &&&String| reached.get(**other).is_some_and(|r| r.contains(module));
        circles.insert(others.iter().filter(leads_back).map(|name| (*name).clone()).collect());
    }
    circles.into_iter().collect()
}

fn reached_from<'a>(module: &'a String, names: &'a Names) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![module];
    while let Some(next) = waiting.pop() {
        let fresh = names.get(next).into_iter().flatten().filter(|named| reached.insert(*named));
        waiting.extend(fresh.collect::<Vec<_>>());
    }
    reached
}

/// Each path of a file that points where its module may not point, as `file:line: what`.
fn wrong_arrows(file: &SourceFile) -> Vec<String> {
    let top = file.module.first().map_or("", String::as_str);
    let Some((_, allowed)) = ARROWS.iter().find(|(module, _)| *module == top) else {
        return vec![format!("{}: `{top}` has no line in ARROWS", file.name)];
    };
    named_paths(&production_code(&file.text), &file.module)
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

#[test]
fn a_circle_is_caught_at_every_depth() {
    let room = [
        file("src/a/mod.rs", "pub use one::One; use two::Two; mod one; mod two; struct A;"),
        file("src/a/one.rs", "use super::A;"),
        file("src/a/two/mod.rs", "mod deep; mod deeper;"),
        file("src/a/two/deep.rs", "use super::super::one::One; use super::deeper::Deeper;"),
        file("src/a/two/deeper.rs", "#[cfg(test)]\nmod tests { use super::super::deep::Deep; }"),
        file("src/b/mod.rs", "use crate::a::One;"),
    ];
    let with = |name: &str, text: &str| -> Vec<String> {
        let mut files: Vec<SourceFile> =
            room.iter().map(|held| file(&held.name, &held.text)).collect();
        let changed = files.iter_mut().find(|held| held.name == name).expect("it is there");
        changed.text.push_str(text);
        circles(&files)
    };
    let none: [&str; 0] = [];
    assert_eq!(with("src/a/one.rs", ""), none);
    assert_eq!(with("src/a/one.rs", "use super::two::Two;"), ["a: one, two"]);
    assert_eq!(with("src/a/one.rs", "fn f() { crate::a::two::deep::go() }"), ["a: one, two"]);
    assert_eq!(with("src/a/one.rs", "use self::super::{two, A};"), ["a: one, two"]);
    assert_eq!(with("src/a/two/deeper.rs", "use super::{deep::*, X};"), ["a::two: deep, deeper"]);
    assert_eq!(with("src/a/two/deeper.rs", "use crate::a::One;"), none);
    assert_eq!(with("src/a/one.rs", "use crate::b::B;"), [": a, b"]);
    // What the room gives on stands in one of its modules.
    let given_on = "use super::two::deep::Deep; type D = super::super::a::One;";
    assert_eq!(with("src/a/one.rs", given_on), ["a: one, two"]);
    assert_eq!(with("src/b/mod.rs", "pub use crate::a::two::deep::Deep;"), none);
    let arrows: Names = [("x", "y"), ("y", "z"), ("z", "x"), ("w", "x")]
        .map(|(from, to)| (from.to_owned(), BTreeSet::from([to.to_owned()])))
        .into();
    assert_eq!(circles_of(&arrows), [["x", "y", "z"]]);
}

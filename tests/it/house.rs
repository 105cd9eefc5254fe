//! The rules of the house that no compiler checks: one copy of the heavy dependencies, licences,
//! the length of files, the names of types, what `--help` must mention.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::rust_source::{SourceFile, lines_before_tests, production_code, source_files};

const LONGEST_FILE: usize = 400;
const LONG_BECAUSE: &str = "// long because ";

/// The commands of the interface.
const COMMANDS: &[&str] = &[
    "demo",
    "run",
    "check",
    "try",
    "explain",
    "generate",
    "import",
    "query",
    "serve",
    "report",
    "relations",
    "token",
    "tenant",
    "center",
    "test-alert",
];

const DENY_TOML: &str = include_str!("../../deny.toml");

/// A crate that the product is built from.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Dependency {
    name: String,
    version: String,
    licence: String,
}

/// What is linked in, and what builds it, on this platform.
fn dependencies() -> BTreeSet<Dependency> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none"])
        .args(["--format", "{p}\t{l}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
    let dependencies: BTreeSet<Dependency> = tree.lines().map(dependency).collect();
    assert!(dependencies.len() > 200, "cargo tree printed only {}", dependencies.len());
    dependencies
}

/// Reads `name v1.2.3 (proc-macro)<TAB>MIT OR Apache-2.0`; ` (*)` follows where a crate is repeated.
fn dependency(line: &str) -> Dependency {
    let line = line.trim_end_matches(" (*)");
    let (package, licence) = line.split_once('\t').expect("a tab before the licence");
    let mut words = package.split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    Dependency { name: word(), version: word(), licence: licence.trim().to_owned() }
}

#[test]
fn the_heavy_dependencies_stand_once() {
    let single = denied_twice(DENY_TOML);
    for name in ["arrow", "parquet", "object_store", "datafusion"] {
        assert!(single.contains(&name), "deny.toml no longer asks for one copy of {name}");
    }
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for dependency in dependencies() {
        versions.entry(dependency.name).or_default().push(dependency.version);
    }
    let families = ["arrow-", "parquet-", "datafusion-"];
    for (name, versions) in &versions {
        let heavy = single.contains(&name.as_str())
            || families.iter().any(|family| name.starts_with(family));
        assert!(!heavy || versions.len() == 1, "{name} stands more than once: {versions:?}");
    }
    for name in single {
        assert!(versions.contains_key(name), "deny.toml speaks of {name}, which nobody uses");
    }
}

/// The crates that deny.toml gives `deny-multiple-versions`.
fn denied_twice(deny: &str) -> Vec<&str> {
    deny.lines()
        .filter(|line| line.contains("deny-multiple-versions = true"))
        .filter_map(|line| line.split('"').nth(1))
        .collect()
}

#[test]
fn every_licence_is_allowed() {
    let allowed = allowed_licences(DENY_TOML);
    let faults: Vec<String> = dependencies()
        .into_iter()
        .filter(|dependency| !is_allowed(&dependency.licence, &allowed))
        .map(|dependency| {
            format!("{} {}: `{}`", dependency.name, dependency.version, dependency.licence)
        })
        .collect();
    assert!(faults.is_empty(), "not in deny.toml's `allow`:\n{}", faults.join("\n"));
}

/// The strings of `[licenses] allow = […]`.
fn allowed_licences(deny: &str) -> Vec<&str> {
    let section = deny.split("[licenses]").nth(1).expect("deny.toml has [licenses]");
    let list = section.split("allow = [").nth(1).and_then(|rest| rest.split(']').next());
    list.expect("[licenses] has allow").split('"').skip(1).step_by(2).collect()
}

/// Whether an SPDX expression can be met by allowed licences. `/` is the old way to write OR;
/// AND binds more tightly than OR.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = any_of(&words, &mut at, allowed);
    met && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let mut met = all_of(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all_of(words, at, allowed);
    }
    met
}

fn all_of(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let mut met = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, allowed);
    }
    met
}

fn one(words: &[&str], at: &mut usize, allowed: &[&str]) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let met = any_of(words, at, allowed);
        *at += 1;
        return met;
    }
    let mut licence = (*word).to_owned();
    if words.get(*at) == Some(&"WITH") {
        licence = format!("{word} WITH {}", words.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    allowed.contains(&licence.as_str())
}

#[test]
fn spdx_expressions_are_understood() {
    let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"];
    for met in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
        "(MIT OR GPL-3.0) AND Unicode-3.0",
        "GPL-3.0 AND BSL-1.0 OR MIT",
    ] {
        assert!(is_allowed(met, &allowed), "{met}");
    }
    for unmet in
        ["", "GPL-3.0", "MIT AND GPL-3.0", "MIT WITH Other", "(MIT OR X) AND Y", "MIT Apache-2.0"]
    {
        assert!(!is_allowed(unmet, &allowed), "{unmet}");
    }
}

#[test]
fn files_are_short_or_say_why_not() {
    let faults: Vec<String> = source_files().iter().filter_map(too_long).collect();
    assert!(
        faults.is_empty(),
        "split these, or say why not in a line `{LONG_BECAUSE}…` at the top:\n{}",
        faults.join("\n")
    );
}

fn too_long(file: &SourceFile) -> Option<String> {
    let lines = lines_before_tests(&file.text);
    let mut top = file.text.lines().take_while(|line| line.is_empty() || line.starts_with("//"));
    let excused = top.any(|line| line.starts_with(LONG_BECAUSE));
    (lines > LONGEST_FILE && !excused).then(|| format!("{}: {lines} lines", file.name))
}

#[test]
fn a_long_file_is_caught_unless_it_says_why() {
    let file = |text: String| SourceFile {
        name: "src/flow/long.rs".to_owned(),
        module: vec!["flow".to_owned(), "long".to_owned()],
        text,
    };
    let body = "fn f() {}\n".repeat(LONGEST_FILE + 1);
    assert!(too_long(&file(body.clone())).is_some());
    assert!(
        too_long(&file(format!("//! A table.\n{LONG_BECAUSE}it is one table\n{body}"))).is_none()
    );
    assert!(
        too_long(&file(format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{body}}}"))).is_none()
    );
}

#[test]
fn every_file_says_first_what_it_is() {
    let faults: Vec<String> = source_files()
        .into_iter()
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| file.name)
        .collect();
    assert!(faults.is_empty(), "these do not begin with `//! `:\n{}", faults.join("\n"));
}

#[test]
fn one_name_is_one_type() {
    let twice = named_twice(&source_files());
    assert!(
        twice.is_empty(),
        "call these by what they are, each by a name of its own:\n{}",
        twice.join("\n")
    );
}

/// The types that several files declare by the same name, as `Name: files`. Each command's
/// arguments are its `Args`.
fn named_twice(files: &[SourceFile]) -> Vec<String> {
    let mut declared: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for file in files {
        for name in types_of(&production_code(&file.text)) {
            declared.entry(name).or_default().push(&file.name);
        }
    }
    let twice = declared.into_iter().filter(|(name, files)| name != "Args" && files.len() > 1);
    twice.map(|(name, files)| format!("{name}: {}", files.join(", "))).collect()
}

/// The names that stand after `struct`, `enum`, `union` or `trait`, and after a `type` that is no
/// part of a trait or its implementation.
fn types_of(code: &str) -> Vec<String> {
    let name = |line: &str| -> Option<String> {
        let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
        let kind = words.next()?;
        let is_type = matches!(kind, "struct" | "enum" | "union" | "trait")
            || (kind == "type" && !line.starts_with(' '));
        let name = words.next().filter(|_| is_type)?;
        let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(name.len());
        Some(name[..end].to_owned())
    };
    code.lines().filter_map(name).collect()
}

#[test]
fn a_name_that_stands_twice_is_caught() {
    let file = |name: &str, text: &str| SourceFile {
        name: name.to_owned(),
        module: Vec::new(),
        text: text.to_owned(),
    };
    let files = [
        file("src/a.rs", "pub struct Pane<T> {}\npub(crate) enum Fate { Late }\nstruct Args;"),
        file("src/b.rs", "    struct Fate(u8);\ntype Key = u8;\n// struct Pane;\nstruct Args;"),
        file("src/c.rs", "impl Iterator for Fates {\n    type Key = u8;\n}\nstruct Panes;"),
        file("src/d.rs", "#[cfg(test)]\nmod tests {\n    struct Pane;\n}"),
    ];
    assert_eq!(named_twice(&files), ["Fate: src/a.rs, src/b.rs"]);
    let more = [&files[..], &[file("src/e.rs", "trait Key: Send {}\nstruct Fate;")]].concat();
    assert_eq!(
        named_twice(&more),
        ["Fate: src/a.rs, src/b.rs, src/e.rs", "Key: src/b.rs, src/e.rs"]
    );
}

#[test]
fn help_mentions_every_command() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_turnaround")).arg("--help").output().expect("it runs");
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).expect("help is UTF-8");
    for command in COMMANDS {
        let line = help.lines().find(|line| line.split_whitespace().next() == Some(command));
        let line = line.unwrap_or_else(|| panic!("--help does not mention `{command}`:\n{help}"));
        assert!(line.split_whitespace().count() > 2, "--help does not say what `{command}` does");
    }
}

//! The documents are right: every link leads somewhere, `check` finds no fault in the settings that
//! they tell people to write, every shell block that is marked ` ```sh run ` runs, and every document
//! that a comment, a message or a script speaks of is there.
//!
//! A document is played in a folder of its own, from top to bottom. A block that follows a line which
//! names a file, as `` `sql/marts/x.sql`: ``, is written to that file, so that the shell blocks after it
//! find what the reader would have. `events.ndjson` is the sample of that name, `export.csv` the
//! starter kit's.

use std::fs;
use std::path::{Path, PathBuf};

use crate::binary::{Place, Ran};

/// A fenced block: what the fence says behind its marks, the text, and the file it was said to be.
struct Block {
    kind: String,
    text: String,
    file: Option<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown file that people read, from the repository's root.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    folders.extend(["data", "docs", "tests"].iter().flat_map(|name| below(&root().join(name))));
    for folder in folders {
        let entries = fs::read_dir(&folder).expect("a folder of documents");
        let files = entries.map(|entry| entry.expect("an entry").path());
        found.extend(files.filter(|file| file.extension().is_some_and(|end| end == "md")));
    }
    found.sort();
    assert!(found.len() > 20, "only {} documents", found.len());
    found
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let inner = entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir());
    std::iter::once(folder.to_owned()).chain(inner.flat_map(|inner| below(&inner))).collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).expect("a document is text")
}

/// The file that the line before a block names: `` `pipelines/x.yaml`: ``.
fn named(line: &str) -> Option<String> {
    let inner = line.trim_end().strip_suffix("`:")?;
    let (_, name) = inner.rsplit_once('`')?;
    name.contains('.').then(|| name.to_owned())
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    let mut last = String::new();
    for line in text.lines() {
        match line.strip_prefix("```") {
            Some(_) if open => (open, last) = (false, String::new()),
            Some(kind) => {
                open = true;
                let (kind, file) = (kind.trim().to_owned(), named(&last));
                blocks.push(Block { kind, text: String::new(), file });
            }
            None if open => {
                let block = blocks.last_mut().expect("an open block");
                block.text.push_str(line);
                block.text.push('\n');
            }
            None if !line.trim().is_empty() => line.clone_into(&mut last),
            None => {}
        }
    }
    blocks
}

/// The places that a text links to: what stands in `](…)`, outside of fenced blocks.
fn links(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        if fenced {
            continue;
        }
        for rest in line.split("](").skip(1) {
            found.extend(rest.split_once(')').map(|(link, _)| link.to_owned()));
        }
    }
    found
}

/// A heading as the anchor that it gets: lower case, without marks, blanks as hyphens.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn has_anchor(file: &Path, wanted: &str) -> bool {
    let text = read(file);
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    headings.map(|rest| anchor(rest.trim_start_matches('#'))).any(|made| made == wanted)
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    let mut followed = 0;
    for document in documents() {
        for link in links(&read(&document)) {
            if link.contains("://") {
                continue;
            }
            followed += 1;
            let (path, place) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => document.clone(),
                path => document.parent().expect("a folder").join(path),
            };
            if !target.exists() || !place.is_empty() && !has_anchor(&target, place) {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(followed > 30, "only {followed} links were found");
    assert!(broken.is_empty(), "these links lead nowhere:\n{}", broken.join("\n"));
}

/// Plays a document; gives how many shell blocks ran.
fn play(document: &Path) -> usize {
    let place = Place::new();
    place.write("events.ndjson", read(&root().join("data/samples/events.ndjson")));
    place.write("export.csv", read(&root().join("data/samples/starter_kit.csv")));
    for name in ["labs", "calendars", "holidays", "targets", "reject_reasons"] {
        let name = format!("data/reference/{name}.csv");
        place.write(&name, read(&root().join(&name)));
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_turnaround"));
    let beside = binary.parent().expect("a folder").to_owned();
    let mut ran = 0;
    for block in blocks(&read(document)) {
        if let Some(file) = &block.file {
            place.write(file, &block.text);
        }
        if block.kind != "sh run" {
            continue;
        }
        let mut shell = place.command("bash");
        let script = format!("PATH=$BESIDE:$PATH\n{}", block.text);
        shell.args(["-euo", "pipefail", "-c", &script]).env("BESIDE", &beside);
        let told = Ran::of(shell.output().expect("bash runs"));
        let what = format!("{}:\n{}\n{}", document.display(), block.text, told.err);
        assert_eq!(told.code, Some(0), "{what}");
        ran += 1;
    }
    ran
}

#[test]
fn every_block_that_says_so_runs() {
    let mut all = 0;
    for document in documents() {
        let ran = play(&document);
        let marked = read(&document).matches("\n```sh run\n").count();
        assert_eq!(ran, marked, "{}", document.display());
        all += ran;
    }
    assert!(all >= 5, "only {all} blocks are marked as runnable");
}

/// Texts that speak of documents: sources, scripts, queries, settings.
fn texts() -> Vec<PathBuf> {
    const ENDINGS: &[&str] = &["rs", "py", "sh", "sql", "yaml", "toml", "j2"];
    let folders = [
        "src",
        "tests",
        "benches",
        "planner",
        "kafka-queue",
        "allocator",
        "pipelines",
        "sql",
        "docker",
    ];
    let folders = folders.iter().flat_map(|name| below(&root().join(name)));
    let files = folders.chain([root().to_owned()]).flat_map(|folder| {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>()
    });
    let has_text = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        path.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending))
    };
    files.filter(has_text).collect()
}

/// The documents that a text speaks of, with the heading behind a `#`.
fn cited(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-./#".contains(c);
    let words = text.split(|c: char| !is_part(c)).map(|word| word.trim_end_matches('.'));
    let is_document = |word: &&str| {
        let file = word.split('#').next().unwrap_or_default();
        file.len() > 3 && file.ends_with(".md")
    };
    words.filter(is_document).map(str::to_owned).collect()
}

/// Named from the repository's root, or from the file that names them.
#[test]
fn every_document_that_is_spoken_of_is_there() {
    // Their tests make up names; librdkafka's own document is named as such.
    let made_up = ["tests/it/documents.rs", "src/config/files.rs", "src/source/kafka/sight.rs"];
    let (mut missing, mut found) = (Vec::new(), 0);
    for file in texts() {
        let name = file.strip_prefix(root()).expect("below the root").display().to_string();
        if made_up.contains(&name.as_str()) {
            continue;
        }
        for word in cited(&fs::read_to_string(&file).expect("it is text")) {
            found += 1;
            let (path, place) = word.split_once('#').unwrap_or((&word, ""));
            let beside = file.parent().expect("a folder").join(path);
            let of_root = root().join(path);
            let target = if of_root.exists() { of_root } else { beside };
            if !target.exists() || !place.is_empty() && !has_anchor(&target, place) {
                missing.push(format!("{name}: {word}"));
            }
        }
    }
    assert!(found > 15, "only {found} were found");
    assert!(missing.is_empty(), "these are not there:\n{}", missing.join("\n"));
}

#[test]
fn a_block_and_its_file_are_found() {
    let found = blocks("Write `a/b.sql`:\n\n```sql\nSELECT 1\n```\n\n```sh run\ntrue\n```\n");
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].file.as_deref(), found[0].text.as_str()), (Some("a/b.sql"), "SELECT 1\n"));
    assert_eq!(found[1].kind, "sh run");
    assert_eq!(links("[a](b.md#c) and `x`\n```\n[no](way)\n```\n"), ["b.md#c"]);
    let told = "as `docs/a.md#b-c` says (X.md), not x.mdx; a.md.\n";
    assert_eq!(cited(told), ["docs/a.md#b-c", "X.md", "a.md"]);
    assert_eq!(anchor(" Why is there no …?"), "why-is-there-no-");
}

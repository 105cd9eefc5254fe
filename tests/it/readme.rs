//! What the README, `docs/operations.md` and `docker/` tell people to write is right: `check` finds no
//! fault in it.

use std::fs;
use std::path::Path;
use std::process::Command;

const README: &str = include_str!("../../README.md");
const OPERATIONS: &str = include_str!("../../docs/operations.md");
const DOCKER_SETTINGS: &str = include_str!("../../docker/turnaround.yaml");

/// The laboratories that the README's example names, and their opening hours.
const REFERENCE: [(&str, &str); 3] = [
    ("data/reference/labs.csv", include_str!("../../data/reference/labs.csv")),
    ("data/reference/calendars.csv", include_str!("../../data/reference/calendars.csv")),
    ("data/reference/holidays.csv", include_str!("../../data/reference/holidays.csv")),
];

/// A document's fenced blocks in a language, in order.
fn blocks(document: &'static str, language: &str) -> Vec<&'static str> {
    let fence = format!("\n```{language}\n");
    document.split(&fence).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

/// The block that holds a text that no other one does.
fn block(document: &'static str, language: &str, mark: &str) -> &'static str {
    let all = blocks(document, language);
    let found: Vec<_> = all.into_iter().filter(|block| block.contains(mark)).collect();
    assert_eq!(found.len(), 1, "{language} blocks with `{mark}`");
    found[0]
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    let parent = path.parent().expect("a file stands in a folder");
    fs::create_dir_all(parent).expect("a temporary folder can be written");
    fs::write(path, text).expect("a temporary folder can be written");
}

/// What `check` says of a project with the README's pipeline and these settings.
fn check(settings: &str) -> std::process::Output {
    let project = tempfile::tempdir().expect("a temporary folder");
    write(project.path(), "turnaround.yaml", settings);
    for (name, text) in REFERENCE {
        write(project.path(), name, text);
    }
    write(project.path(), "pipelines/night_work.yaml", block(README, "yaml", "tumbling"));
    write(
        project.path(),
        "sql/marts/night_work.sql",
        block(README, "sql", "One row per laboratory"),
    );
    Command::new(env!("CARGO_BIN_EXE_turnaround"))
        .args(["check", "--project"])
        .arg(project.path())
        .env("KAFKA_PASSWORD", "for the README's example")
        .output()
        .expect("it runs")
}

#[test]
fn the_projects_of_the_readme_and_of_docker_have_no_fault() {
    for settings in [block(OPERATIONS, "yaml", "default_lab:"), DOCKER_SETTINGS] {
        let output = check(settings);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{settings}\n{said}");
    }
}

#[test]
fn a_fault_would_be_seen() {
    let output = check("lakes: s3://bucket/lake\n");
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}

//! docker/compose.yaml runs the commands that are tested without Docker: each `command:` of a
//! turnaround service is understood by the binary.

use std::process::Command;

const COMPOSE: &str = include_str!("../../docker/compose.yaml");

/// The marker, in compose.yaml, of a service that runs our image.
const OURS: &str = "<<: *turnaround";

/// The arguments of every service that runs our image. Such a service names its anchor first and
/// has its `command: […]` on one line, as JSON; a variable stands as `${NAME:-default}`.
fn commands(compose: &str) -> Vec<Vec<String>> {
    let mut ours = false;
    let mut found = Vec::new();
    for line in compose.lines() {
        let depth = line.len() - line.trim_start().len();
        if depth <= 2 && !line.trim().is_empty() {
            ours = false;
        }
        ours |= line.trim() == OURS;
        if let Some(list) = line.trim().strip_prefix("command: ").filter(|_| ours) {
            found.push(serde_json::from_str(&with_defaults(list)).expect("a JSON list"));
        }
    }
    found
}

/// Replaces `${NAME:-default}` by its default.
fn with_defaults(text: &str) -> String {
    let mut parts = text.split("${");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (variable, rest) = part.split_once('}').expect("a closing brace");
        out.push_str(variable.split_once(":-").map_or("", |(_, default)| default));
        out.push_str(rest);
    }
    out
}

/// The binary's complaint about these arguments. `--help` at their end keeps it from acting on
/// them: what stands before is parsed first.
fn complaint(arguments: &[String]) -> Option<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_turnaround"))
        .args(arguments)
        .arg("--help")
        .output()
        .expect("it runs");
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_binary_understands_the_commands_of_compose() {
    let commands = commands(COMPOSE);
    let names: Vec<&str> = commands.iter().map(|command| command[0].as_str()).collect();
    assert_eq!(names, ["generate", "run"], "the services that run our image");
    for command in &commands {
        assert_eq!(complaint(command), None, "{command:?}");
    }
}

#[test]
fn a_wrong_command_is_caught() {
    assert!(complaint(&["run".to_owned(), "--no-such-flag".to_owned()]).is_some());
    assert!(complaint(&["no-such-command".to_owned()]).is_some());
    let compose = "services:\n  a:\n    <<: *turnaround\n    command: [\"run\", \"${X:-y}\"]\n  \
                   b:\n    command: [\"other\"]\n";
    assert_eq!(commands(compose), [["run", "y"]]);
}

/// What the image is built from must let every crate through that the build needs.
#[test]
fn the_image_is_built_from_every_crate_of_the_repository() {
    let let_in = include_str!("../../.dockerignore");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = std::fs::read_dir(root).expect("the repository can be listed");
    let crates = folders
        .map(|entry| entry.expect("an entry").path())
        .filter(|folder| folder.join("Cargo.toml").is_file());
    let names: Vec<String> =
        crates.map(|folder| folder.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert!(names.contains(&"planner".to_owned()), "{names:?}");
    for name in names {
        assert!(let_in.lines().any(|line| line == format!("!{name}")), "{name} is left out");
    }
}

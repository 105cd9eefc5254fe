//! For tests that need a server: what is not there is a failure with `CI=true`, and else a skip that is
//! told and noted for the last lines of `make test`.

use std::io::Write;

/// What the environment says of a server, or none after a loud word.
#[expect(clippy::disallowed_methods, reason = "the tests are told by the environment")]
pub(crate) fn server(variable: &str, test: &str) -> Option<String> {
    let found = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if found.is_none() {
        let need = format!("{test} needs {variable}; run it by `make test`");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{need}");
        eprintln!("SKIPPED: {need}");
        if let Some(notes) = std::env::var_os("TURNAROUND_SKIPPED") {
            let mut notes = std::fs::OpenOptions::new().append(true).create(true).open(notes);
            let noted = notes.as_mut().map(|notes| writeln!(notes, "{need}"));
            noted.expect("the notes are open").expect("they can be written");
        }
    }
    found
}

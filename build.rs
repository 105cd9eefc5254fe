//! Writes the list of the shipped project's files (`sql/`, `pipelines/`, `data/reference/`), so
//! that the binary carries them. Reads the package's folder, writes into `OUT_DIR` alone.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The folders of a project and the files that belong to it.
const PARTS: &[(&str, &str)] = &[("sql", "sql"), ("pipelines", "yaml"), ("data/reference", "csv")];

fn main() -> io::Result<()> {
    let package = variable("CARGO_MANIFEST_DIR")?;
    let mut files = Vec::new();
    println!("cargo::rerun-if-changed=build.rs");
    for (folder, extension) in PARTS {
        println!("cargo::rerun-if-changed={folder}");
        if package.join(folder).is_dir() {
            collect(&package, Path::new(folder), extension, &mut files)?;
        }
    }
    files.sort();
    let mut list = String::from("&[\n");
    for name in files {
        // The package's folder is filled in where the list is compiled: a target directory that
        // clones share must not carry one clone's paths into another.
        let path = format!("/{name}");
        let written = writeln!(
            list,
            "    ({name:?}, include_bytes!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?})) as &[u8]),"
        );
        written.map_err(io::Error::other)?;
    }
    list.push_str("]\n");
    fs::write(variable("OUT_DIR")?.join("shipped.rs"), list)
}

/// The files with an extension in a folder and below it, as paths from the package with slashes.
fn collect(
    package: &Path,
    folder: &Path,
    extension: &str,
    files: &mut Vec<String>,
) -> io::Result<()> {
    for entry in fs::read_dir(package.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(package, &path, extension, files)?;
        } else if path.extension().is_some_and(|found| found == extension) {
            let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
            files.push(parts.join("/"));
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "Cargo hands a build script its folders this way")]
fn variable(name: &str) -> io::Result<PathBuf> {
    std::env::var_os(name)
        .map(PathBuf::from)
        .ok_or_else(|| io::Error::other(format!("{name} is not set; run this through cargo")))
}

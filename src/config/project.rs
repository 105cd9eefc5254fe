//! A project: a folder of pipelines, SQL, reference tables and settings, or the shipped one.
//!
//! ```text
//! turnaround.yaml            settings, optional
//! pipelines/<name>.yaml      one pipeline each, at least one
//! pipelines/lifecycles/<name>.yaml  state machines, optional
//! sql/marts/<name>.sql       its query
//! sql/staging/<name>.sql     views that the queries read, optional
//! data/reference/<name>.csv  the tables ref.<name>, optional
//! ```
//!
//! One YAML and one SQL file are a project. Without a folder, and where the current one has no
//! `pipelines/`, the shipped project is used, which the binary carries.
//!
//! Nothing of the shipped project leaks into a folder's, with one exception: `reject_reasons`, the
//! code table of HL7 table 0490, is there unless the folder has its own. Shipped `labs` and
//! `targets` are about made-up laboratories and would silently set zones and targets of real ones:
//! without `labs` every lab is in UTC, without `targets` the target is `sla_hours`.
//!
//! Reads files; touches no network. What the SQL says is not looked at here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use super::decode::{is_name, name_like};
use super::fault::{Fault, Faults, Position, nearest, quoted};
use super::files::{self, ProjectFiles};
use super::lifecycle_yaml;
use super::pipeline::PipelineSpec;
use super::reference::ReferenceTable;
use super::yaml::Document;
use super::{own_tables, pipeline_yaml};
use crate::lifecycle::machine::StateMachine;
use crate::reference::DeadlineRows;

/// The shipped reference tables that every project has unless it brings its own.
const EVERYWHERE: &[&str] = &["reject_reasons"];
/// Names in `query` that are no tables of pipelines.
const RESERVED_TABLES: &[&str] = &["events", "late", "dead_letters", "alerts", "quality", "ref"];

/// What a folder, or the binary, says is to be computed.
#[derive(Clone, Debug, Default)]
pub struct Project {
    /// The folder; `None` for the shipped project.
    pub folder: Option<PathBuf>,
    /// The pipelines in the order of their names.
    pub pipelines: Vec<PipelineSpec>,
    /// The views in the order of their names.
    pub staging: Vec<StagingView>,
    /// The reference tables in the order of their names.
    pub reference: Vec<ReferenceTable>,
    /// What those of them say that Turnaround itself reads.
    pub reference_rows: DeadlineRows,
    /// The state machines in the order of their names.
    pub machines: Vec<StateMachine>,
    /// `turnaround.yaml`, or the file that was named in its place; for `Settings::resolve`.
    pub settings: Option<Document>,
    /// What looks like a mistake and may be none.
    pub notes: Vec<Fault>,
}

/// A view that queries can read by its name.
#[derive(Clone, Debug)]
pub struct StagingView {
    /// The file's stem.
    pub name: String,
    /// The query.
    pub sql: String,
    /// The file, for messages.
    pub path: PathBuf,
}

/// As much of a project as could be read, and what is wrong with it.
#[derive(Debug, Default)]
pub struct ReadProject {
    /// What could be read. Whole when there are no faults.
    pub project: Project,
    /// What is wrong, in the order of files and lines.
    pub faults: Vec<Fault>,
    /// Whether a reference table or view is missing for its faults: queries that read it would
    /// seem wrong.
    pub lacks_relations: bool,
}

impl Project {
    /// The project of a folder, of the current one, or the shipped one; every fault when it has
    /// any.
    pub fn load(folder: Option<&Path>) -> Result<Project, Vec<Fault>> {
        Project::load_with(folder, None)
    }

    /// As [`Project::load`], with a settings file that stands in for `turnaround.yaml`.
    pub fn load_with(folder: Option<&Path>, config: Option<&Path>) -> Result<Project, Vec<Fault>> {
        let reading = Project::read(folder, config);
        if reading.faults.is_empty() { Ok(reading.project) } else { Err(reading.faults) }
    }

    /// As much of a project as can be read, with every fault.
    pub fn read(folder: Option<&Path>, config: Option<&Path>) -> ReadProject {
        let mut faults = Vec::new();
        let folder = match folder {
            Some(folder) => Some(folder),
            None if Path::new("pipelines").is_dir() => Some(Path::new(".")),
            None => None,
        };
        let files = match folder {
            Some(folder) => {
                if !folder.join("pipelines").is_dir() {
                    return ReadProject {
                        faults: vec![no_pipelines(folder)],
                        ..ReadProject::default()
                    };
                }
                ProjectFiles::folder(folder, &mut faults)
            }
            None => ProjectFiles::shipped(),
        };
        let mut reading = read_files(&files, faults);
        reading.project.folder = folder.map(Path::to_owned);
        match config {
            Some(config) => {
                let mut of_file = Faults::of(config);
                reading.project.settings = Document::read(config, &mut of_file);
                reading.faults.extend(of_file.into_vec());
            }
            None => read_settings(&files, &mut reading),
        }
        reading.faults.sort();
        reading.project.notes.sort();
        reading
    }

    /// The tables that the pipelines write.
    pub fn tables(&self) -> impl Iterator<Item = String> {
        self.pipelines.iter().flat_map(PipelineSpec::tables)
    }
}

fn no_pipelines(folder: &Path) -> Fault {
    let place = folder.to_string_lossy();
    if folder.is_dir() {
        let remedy = "add pipelines/<name>.yaml and sql/marts/<name>.sql, or name the folder that \
                      holds them";
        return Fault::of(&place, "the folder has no `pipelines` folder", remedy);
    }
    Fault::of(&place, "there is no such folder", "name a project's folder")
}

fn read_files(files: &ProjectFiles, faults: Vec<Fault>) -> ReadProject {
    let mut reading = ReadProject { faults, ..ReadProject::default() };
    read_reference(files, &mut reading);
    read_staging(files, &mut reading);
    read_pipelines(files, &mut reading);
    read_machines(files, &mut reading);
    check_tables(&reading.project, &mut reading.faults);
    check_alerts(&reading.project, &mut reading.faults);
    if !reading.lacks_relations {
        check_expectations(&reading.project, &mut reading.faults);
    }
    note_unread(files, &mut reading.project);
    reading
}

fn read_settings(files: &ProjectFiles, reading: &mut ReadProject) {
    if let Some(bytes) = files.bytes("turnaround.yaml") {
        let mut of_file = Faults::of(&files.path("turnaround.yaml"));
        reading.project.settings =
            files::text(bytes, &mut of_file).and_then(|text| Document::parse(text, &mut of_file));
        reading.faults.extend(of_file.into_vec());
    }
    if files.bytes("turnaround.yml").is_some() {
        reading.faults.push(other_ending(&files.path("turnaround.yml")));
    }
}

fn other_ending(path: &Path) -> Fault {
    let remedy = format!("rename it to {}", path.with_extension("yaml").display());
    Fault::at(path, Position::START, "files that end in .yml are not read", remedy)
}

fn read_reference(files: &ProjectFiles, reading: &mut ReadProject) {
    let mut tables = BTreeMap::new();
    let mut read = |name: &str, path: &Path, bytes: &[u8]| {
        let mut of_file = Faults::of(path);
        if let Some(table) = ReferenceTable::parse(name, path, bytes, &mut of_file) {
            tables.insert(name.to_owned(), table);
        }
        let found = of_file.into_vec();
        reading.lacks_relations |= !found.is_empty();
        reading.faults.extend(found);
    };
    for (path, name, bytes) in files.below("data/reference", "csv") {
        read(name, &files.path(path), bytes);
    }
    for name in EVERYWHERE {
        let path = format!("data/reference/{name}.csv");
        if files.bytes(&path).is_some() {
            continue;
        }
        if let Some((path, bytes)) = ProjectFiles::shipped_file(&path) {
            read(name, &path, bytes);
        }
    }
    reading.project.reference = tables.into_values().collect();
    let own = own_tables::read(&reading.project.reference);
    reading.project.reference_rows = own.rows;
    reading.faults.extend(own.faults);
    reading.project.notes.extend(own.notes);
}

fn read_staging(files: &ProjectFiles, reading: &mut ReadProject) {
    for (path, name, bytes) in files.below("sql/staging", "sql") {
        let path = files.path(path);
        let mut of_file = Faults::of(&path);
        if !is_name(name) {
            let what = format!("the view's name {} is not one that SQL reads", quoted(name));
            of_file.push(Position::START, what, format!("rename it to {}.sql", name_like(name)));
        }
        if let Some(sql) = files::text(bytes, &mut of_file) {
            let (name, sql) = (name.to_owned(), sql.to_owned());
            reading.project.staging.push(StagingView { name, sql, path });
        }
        let found = of_file.into_vec();
        reading.lacks_relations |= !found.is_empty();
        reading.faults.extend(found);
    }
}

fn read_pipelines(files: &ProjectFiles, reading: &mut ReadProject) {
    let mut any = false;
    for (path, name, bytes) in files.below("pipelines", "yaml") {
        if name.contains('/') {
            continue;
        }
        any = true;
        let mut of_file = Faults::of(&files.path(path));
        if !is_name(name) {
            let what = format!("the pipeline's name {} cannot name a table", quoted(name));
            of_file.push(Position::START, what, format!("rename it to {}.yaml", name_like(name)));
        }
        let document =
            files::text(bytes, &mut of_file).and_then(|text| Document::parse(text, &mut of_file));
        let spec = document.and_then(|doc| pipeline_yaml::read(name, &doc, files, &mut of_file));
        reading.project.pipelines.extend(spec);
        reading.faults.extend(of_file.into_vec());
    }
    for (path, name, _) in files.below("pipelines", "yml") {
        any |= !name.contains('/');
        reading.faults.push(other_ending(&files.path(path)));
    }
    if !any {
        reading.faults.push(Fault::of(
            &files.path("pipelines").to_string_lossy(),
            "there is no pipeline",
            "add pipelines/<name>.yaml and sql/marts/<name>.sql",
        ));
    }
}

/// Where state machines stand, below `pipelines/`.
const LIFECYCLES: &str = "lifecycles/";

/// The project's own machines, and the shipped ones that it does not have.
fn read_machines(files: &ProjectFiles, reading: &mut ReadProject) {
    let own =
        files.below("pipelines", "yaml").map(|(path, name, bytes)| (files.path(path), name, bytes));
    let mut machines = BTreeMap::new();
    let shipped = ProjectFiles::shipped();
    let theirs = shipped.below("pipelines", "yaml");
    let theirs = theirs.map(|(path, name, bytes)| (shipped.path(path), name, bytes));
    for (path, name, bytes) in own.chain(theirs) {
        let Some(name) = name.strip_prefix(LIFECYCLES) else { continue };
        if machines.contains_key(name) {
            continue;
        }
        let mut of_file = Faults::of(&path);
        if !is_name(name) {
            let what = format!("the machine's name {} cannot name a relation", quoted(name));
            of_file.push(Position::START, what, format!("rename it to {}.yaml", name_like(name)));
        }
        let document =
            files::text(bytes, &mut of_file).and_then(|text| Document::parse(text, &mut of_file));
        let machine = document.and_then(|doc| lifecycle_yaml::read(name, &doc, &mut of_file));
        let hashed = |mut machine: StateMachine| {
            machine.spec.content_hash = format!("{:032x}", xxh3_128(bytes));
            machine
        };
        let machine = machine.map(hashed);
        machines.insert(name.to_owned(), machine);
        reading.faults.extend(of_file.into_vec());
    }
    reading.project.machines = machines.into_values().flatten().collect();
}

/// Each table has one writer.
fn check_tables(project: &Project, faults: &mut Vec<Fault>) {
    let mut writers: BTreeMap<String, &PipelineSpec> = BTreeMap::new();
    for spec in &project.pipelines {
        for window in &spec.windows {
            let table = spec.table_name(window);
            let place = format!("windows.{}", window.name);
            if RESERVED_TABLES.contains(&table.as_str()) {
                let what = format!("the table's name `{table}` is taken by the lake itself");
                faults.push(spec.yaml_fault(&place, what, "rename the pipeline's files"));
            } else if let Some(first) = writers.insert(table.clone(), spec) {
                let what = format!(
                    "the table `{table}` is already written by {}",
                    first.yaml_path.display()
                );
                faults.push(spec.yaml_fault(&place, what, "rename this window or the pipeline"));
            }
        }
    }
}

/// Each alert has a name of its own: it is part of the breach's key.
fn check_alerts(project: &Project, faults: &mut Vec<Fault>) {
    let mut seen: BTreeMap<&str, &PipelineSpec> = BTreeMap::new();
    for spec in &project.pipelines {
        for alert in &spec.alerts {
            let Some(first) = seen.insert(&alert.name, spec) else { continue };
            let what = format!(
                "the alert `{}` stands already in {}",
                alert.name,
                first.yaml_path.display()
            );
            let place = format!("alerts.{}.name", alert.name);
            faults.push(spec.yaml_fault(&place, what, "give each alert a name of its own"));
        }
    }
}

/// `expect` names a reference table that shares a column with the grain.
fn check_expectations(project: &Project, faults: &mut Vec<Fault>) {
    for spec in &project.pipelines {
        let Some(name) = &spec.expect else { continue };
        let names = || project.reference.iter().map(|table| table.name.as_str());
        let Some(table) = project.reference.iter().find(|table| table.name == *name) else {
            let remedy = match nearest(name, names()) {
                Some(near) => format!("did you mean ref.{near}?"),
                None => format!("add data/reference/{name}.csv, or remove the line"),
            };
            let what = format!("the reference table `ref.{name}` does not exist");
            faults.push(spec.yaml_fault("expect", what, remedy));
            continue;
        };
        let schema = table.rows.schema();
        if !spec.grain.iter().any(|column| schema.column_with_name(column).is_some()) {
            let columns: Vec<&str> =
                schema.fields().iter().map(|field| field.name().as_str()).collect();
            faults.push(spec.yaml_fault(
                "expect",
                format!("`ref.{name}` has none of the columns in `grain`"),
                format!("its columns are {}; use one of them in the grain", columns.join(", ")),
            ));
        }
    }
}

/// Files that stand there and that nothing reads.
fn note_unread(files: &ProjectFiles, project: &mut Project) {
    let mut note = |path: &str, what: &str, remedy: String| {
        project.notes.push(Fault::at(&files.path(path), Position::START, what, remedy));
    };
    for (path, name, _) in files.below("sql/marts", "sql") {
        let shown = files.path(path);
        let used = project.pipelines.iter().any(|spec| spec.sql_path == shown);
        let named = format!("pipelines/{name}.yaml");
        if !used && files.bytes(&named).is_none() {
            note(path, "no pipeline uses this file", format!("add {named}, or remove it"));
        }
    }
    for (path, name, _) in files.below("pipelines", "yaml") {
        if name.contains('/') && !name.starts_with(LIFECYCLES) {
            let remedy =
                "pipelines stand directly in pipelines/, machines in pipelines/lifecycles/"
                    .to_owned();
            note(path, "this file is not read", remedy);
        }
    }
}

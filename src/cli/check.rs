//! `check`: every mistake of a project, with file, line, column and how to mend it.
//!
//! Touches no network. Faults and notes go to standard error, the verdict to standard output; with
//! `--json` everything goes to standard output as one object.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::config::{Env, Fault, Flags, Project, Reading, Settings};

/// The command's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The project's folder. Without it: the current folder if it has `pipelines/`, else the
    /// shipped project.
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// A settings file in place of the project's `turnaround.yaml`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Debug)]
struct Findings {
    pipelines: usize,
    tables: usize,
    alerts: usize,
    views: usize,
    reference: usize,
    faults: Vec<Fault>,
    notes: Vec<Fault>,
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let reading = Project::read(args.project.as_deref(), args.config.as_deref());
    let findings = findings(reading, &Env::from_process());
    if args.json {
        println!("{:#}", findings.to_json());
    } else {
        findings.print();
    }
    Ok(ExitCode::from(if findings.faults.is_empty() { 0 } else { 2 }))
}

/// Everything that is wrong, in the order of files and lines.
fn findings(reading: Reading, env: &Env) -> Findings {
    let Reading { project, mut faults, lacks_relations } = reading;
    let mut notes = project.notes.clone();
    match Settings::resolve(project.settings.as_ref(), env, &Flags::default()) {
        Ok(settings) => notes.extend(settings.notes),
        Err(found) => faults.extend(found),
    }
    if lacks_relations {
        let what = "queries were not checked against their relations";
        let remedy = "mend the faulty reference tables and views first";
        notes.push(Fault::of("sql", what, remedy));
    }
    // The SQL layer's check joins here: `else { faults.extend(check_sql(&project)) }`.
    faults.sort();
    faults.dedup();
    notes.sort();
    Findings {
        pipelines: project.pipelines.len(),
        tables: project.tables().count(),
        alerts: project.pipelines.iter().map(|spec| spec.alerts.len()).sum(),
        views: project.staging.len(),
        reference: project.reference.len(),
        faults,
        notes,
    }
}

impl Findings {
    fn print(&self) {
        for note in &self.notes {
            eprintln!("note: {note}");
        }
        for fault in &self.faults {
            eprintln!("{fault}");
        }
        if self.faults.is_empty() {
            println!("ok: {}", self.summary());
        } else {
            eprintln!("{}", counted(self.faults.len(), "fault"));
        }
    }

    fn summary(&self) -> String {
        let parts = [
            counted(self.pipelines, "pipeline"),
            counted(self.tables, "table"),
            counted(self.alerts, "alert"),
            counted(self.views, "view"),
            counted(self.reference, "reference table"),
        ];
        parts.join(", ")
    }

    fn to_json(&self) -> Value {
        json!({
            "ok": self.faults.is_empty(),
            "pipelines": self.pipelines,
            "tables": self.tables,
            "alerts": self.alerts,
            "views": self.views,
            "reference_tables": self.reference,
            "faults": self.faults.iter().map(fault_json).collect::<Vec<_>>(),
            "notes": self.notes.iter().map(fault_json).collect::<Vec<_>>(),
        })
    }
}

fn fault_json(fault: &Fault) -> Value {
    let place = |n: u32| if n == 0 { Value::Null } else { json!(n) };
    json!({
        "file": fault.file.to_string_lossy(),
        "line": place(fault.line),
        "column": place(fault.column),
        "what": fault.what,
        "remedy": fault.remedy,
    })
}

/// `1 table`, `2 tables`.
fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

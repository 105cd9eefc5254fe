//! `check`: every mistake of a project, with file, line, column and how to mend it.
//!
//! Touches no network. Faults, warnings (what goes wrong with some data) and notes go to standard
//! error, the verdict to standard output; with `--json` everything goes to standard output as one
//! object. Only faults make it fail.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::WrongInput;
use crate::config::{Env, Fault, Flags, Project, ReadProject, Settings};
use crate::flow::Span;
use crate::plan::build;
use crate::plan::planned::Unplanned;
use crate::window::WindowKind;

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
    warnings: Vec<Fault>,
    notes: Vec<Fault>,
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let reading = Project::read(args.project.as_deref(), args.config.as_deref());
    let sql = check_sql(&reading).await;
    let mut findings = findings(reading, &Env::from_process());
    findings.faults.extend(sql.faults);
    findings.warnings.extend(sql.warnings);
    findings.faults.sort();
    findings.faults.dedup();
    if args.json {
        writeln!(std::io::stdout(), "{:#}", findings.to_json())?;
    } else {
        findings.print()?;
    }
    Ok(ExitCode::from(if findings.faults.is_empty() { 0 } else { 2 }))
}

/// What planning the project's queries and rules finds wrong. Queries that would read a faulty
/// table or view are not planned.
async fn check_sql(reading: &ReadProject) -> Unplanned {
    if reading.lacks_relations {
        return Unplanned::default();
    }
    let settings = Settings::default();
    match build::plan(&reading.project, &settings, None, true).await {
        Ok(plan) => Unplanned { warnings: plan.warnings, ..Unplanned::default() },
        Err(unplanned) => unplanned,
    }
}

/// Everything that is wrong, in the order of files and lines.
fn findings(reading: ReadProject, env: &Env) -> Findings {
    let ReadProject { project, mut faults, lacks_relations } = reading;
    let mut notes = project.notes.clone();
    match Settings::resolve(project.settings.as_ref(), env, &Flags::default()) {
        Ok(settings) => {
            notes.extend(sessions(&project, settings.time.max_disorder));
            notes.extend(settings.notes);
        }
        Err(found) => faults.extend(found),
    }
    if lacks_relations {
        let what = "queries were not checked against their relations";
        let remedy = "mend the faulty reference tables and views first";
        notes.push(Fault::of("sql", what, remedy));
    }
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
        warnings: Vec::new(),
        notes,
    }
}

/// What session windows leave out, once for each pipeline that has them.
fn sessions(project: &Project, max_disorder: Span) -> impl Iterator<Item = Fault> {
    project.pipelines.iter().filter_map(move |spec| {
        let is_session =
            |kind: &WindowKind| matches!(kind, WindowKind::Session { wait: Span(0), .. });
        let window = spec.windows.iter().find(|window| is_session(&window.kind))?;
        let what = format!(
            "late rows do not revise sessions: a row that comes after one more than {max_disorder} \
             later goes to late/"
        );
        let remedy = "add `wait: 5m` to the session where clocks differ by more than that";
        Some(spec.yaml_fault(&format!("windows.{}", window.name), what, remedy))
    })
}

impl Findings {
    fn print(&self) -> std::io::Result<()> {
        let mut errors = std::io::stderr().lock();
        for note in &self.notes {
            writeln!(errors, "note: {note}")?;
        }
        for warning in &self.warnings {
            writeln!(errors, "warning: {warning}")?;
        }
        for fault in &self.faults {
            writeln!(errors, "{fault}")?;
        }
        if self.faults.is_empty() {
            writeln!(std::io::stdout(), "ok: {}", self.summary())
        } else {
            writeln!(errors, "{}", counted(self.faults.len(), "fault"))
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
            "warnings": self.warnings.iter().map(fault_json).collect::<Vec<_>>(),
            "notes": self.notes.iter().map(fault_json).collect::<Vec<_>>(),
        })
    }
}

/// What every command says of a project with faults: one line for each, exit code 2.
pub(crate) fn wrong_project(faults: &[Fault]) -> WrongInput {
    let lines: Vec<String> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
    WrongInput(format!("the project has {}{}", counted(faults.len(), "fault"), lines.concat()))
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
pub(crate) fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_and_notes_come_sorted_with_a_verdict() {
        let fault = |file: &str, line| {
            let place = crate::config::Position { line, column: 1 };
            Fault::at(std::path::Path::new(file), place, "wrong", "mend it")
        };
        let reading = ReadProject {
            faults: vec![fault("b.yaml", 10), fault("b.yaml", 9), fault("a.yaml", 20)],
            ..ReadProject::default()
        };
        let env = Env::from_pairs([("SLA_HOURS".to_owned(), "never".to_owned())]);
        let found = findings(reading, &env);
        let places: Vec<_> = found
            .faults
            .iter()
            .map(|fault| (fault.file.display().to_string(), fault.line))
            .collect();
        let expected =
            [("a.yaml", 20), ("b.yaml", 9), ("b.yaml", 10), ("environment variable SLA_HOURS", 0)];
        assert_eq!(places, expected.map(|(file, line)| (file.to_owned(), line)));
        let json = found.to_json();
        assert_eq!((&json["ok"], &json["faults"][1]["line"]), (&json!(false), &json!(9)));
        assert_eq!(json["faults"][3]["line"], Value::Null);
        let clean = findings(ReadProject::default(), &Env::from_pairs([]));
        assert_eq!(clean.summary(), "0 pipelines, 0 tables, 0 alerts, 0 views, 0 reference tables");
    }
}

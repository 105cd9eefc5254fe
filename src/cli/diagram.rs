//! `diagram`: the state machines of a project, drawn.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::WrongInput;
use crate::config::Project;
use crate::lifecycle::diagram::{mermaid, svg};
use crate::lifecycle::machine::StateMachine;

/// The command's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The machine; all of them where none is named.
    machine: Option<String>,
    /// Mermaid for documents, SVG for everything else.
    #[arg(long, value_enum, default_value = "mermaid")]
    format: Drawing,
    /// The project's folder.
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
}

/// How a machine is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Drawing {
    Mermaid,
    Svg,
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let project = Project::load(args.project.as_deref()).map_err(|faults| {
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        WrongInput(told.join("\n"))
    })?;
    let machines = chosen(&project.machines, args.machine.as_deref())?;
    if args.format == Drawing::Svg && machines.len() > 1 {
        let names: Vec<&str> = machines.iter().map(|one| one.spec.name.as_str()).collect();
        let text = format!("an SVG holds one machine; name one of: {}", names.join(", "));
        return Err(WrongInput(text).into());
    }
    let mut out = std::io::stdout().lock();
    for machine in &machines {
        match args.format {
            Drawing::Svg => write!(out, "{}", svg(&machine.spec))?,
            Drawing::Mermaid if machines.len() == 1 => write!(out, "{}", mermaid(&machine.spec))?,
            Drawing::Mermaid => {
                writeln!(out, "%% {}: {}", machine.spec.name, machine.spec.description)?;
                writeln!(out, "{}", mermaid(&machine.spec))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen<'a>(
    machines: &'a [StateMachine],
    named: Option<&str>,
) -> Result<Vec<&'a StateMachine>, WrongInput> {
    let Some(name) = named else {
        return if machines.is_empty() {
            let text = "the project has no machines; add pipelines/lifecycles/<name>.yaml";
            Err(WrongInput(text.to_owned()))
        } else {
            Ok(machines.iter().collect())
        };
    };
    let found = machines.iter().find(|machine| machine.spec.name == name);
    found.map(|machine| vec![machine]).ok_or_else(|| {
        let names: Vec<&str> = machines.iter().map(|one| one.spec.name.as_str()).collect();
        WrongInput(format!("there is no machine `{name}`; there are: {}", names.join(", ")))
    })
}

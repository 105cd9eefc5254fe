//! `ack`: says that someone sees to what a card tells, so that nobody is reminded of it any more.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::json;

use super::WrongInput;
use super::access::{DeskArgs, opened, wrong_access};
use super::reading::{self, wrong_lake};
use crate::access::acknowledge::AckDesk;
use crate::access::desk::Doer;
use crate::api::acknowledge::named_by;
use crate::config::Project;
use crate::flow::lake_key::Section;
use crate::lake::{Lake, Purpose};

/// The command's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The card's id as the card shows it, or an alert's id.
    card: String,
    /// Who sees to it [default: as --by]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// What is to be said of it.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    at: DeskArgs,
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (store, doer) = opened(&args.at, Purpose::Write)?;
    let doer = Doer { who: args.user.clone().unwrap_or(doer.who), ..doer };
    let project = Project::read(args.at.project(), None).project;
    let view = reading::open(&store, &project).await?;
    let unknown = || {
        WrongInput(format!(
            "nothing is known of a card `{}` in the lake `{}`; write the digits that the card shows, or \
             look at the table `alerts`",
            args.card, store.name
        ))
    };
    let keeps = view.tables().iter().any(|table| table == Section::Alerts.as_str());
    let ask = named_by(&args.card).filter(|_| keeps).ok_or_else(unknown)?;
    let breaches = view.rows_with(&ask.sql, ask.values).await?;
    if breaches.is_empty() {
        return Err(unknown().into());
    }
    Lake::new(store.clone()).claim().await.map_err(wrong_lake)?;
    let desk = AckDesk::new(store.clone());
    let mut out = std::io::stdout();
    for breach in breaches {
        let id = breach.string("id");
        let told = desk.acknowledge(&id, args.note.clone(), &doer).await.map_err(wrong_access)?;
        let (rule, lab) = (breach.string("rule"), breach.text("lab_id"));
        let group = breach.string("group");
        if args.at.json {
            let line = json!({
                "id": id, "rule": rule, "lab_id": lab, "group": group,
                "by": told.by, "at": told.at, "note": told.note,
            });
            writeln!(out, "{line}")?;
        } else {
            let place = [lab.unwrap_or_default(), group.as_str()];
            let place: Vec<&str> = place.into_iter().filter(|text| !text.is_empty()).collect();
            writeln!(
                out,
                "{rule} · {}: {} sees to it since {}",
                place.join(" · "),
                told.by,
                told.at
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

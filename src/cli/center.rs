//! `center`: how a laboratory's own settings stand, and the commands that change them.
//!
//! A command is an event like any other: it goes to the topic (or to a file) that the stream reads, and the
//! machine of `pipelines/lifecycles/center.yaml` takes or refuses it there. What a lake tells of the centre
//! is looked at before, so that what would be refused is not sent; between the two somebody else may
//! come first, and then the version that was seen decides.

mod standing;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use super::WrongInput;
use super::check::wrong_project;
use super::launch::{Loaded, feed_error, load};
use super::reading;
use crate::clock::{Clock, SystemClock};
use crate::config::{Flags, SourceSpec, center_settings};
use crate::feed::target::{FeedTarget, KafkaTarget, parse_option};
use crate::feed::writer::FeedWriter;
use crate::flow::Timestamp;
use crate::lake::store::{self, Purpose};
use crate::lifecycle::machine::{EventWord, StateMachine};
use crate::reference::{Target, published};
use standing::{CenterStanding, look_up};

/// The machine that centres are followed by.
const CENTER_MACHINE: &str = "center";

/// The command's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The laboratory.
    lab: String,
    /// What is asked for: starts_editing, abandon_changes, saving_changes, or the outcome of a check or a
    /// recovery, as reco_trans_done. Without it, how the centre stands is told.
    event: Option<String>,
    /// Who asks.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The targets that are saved: a CSV file (assay, priority, patient_class, minutes), or YAML.
    #[arg(long = "set", value_name = "FILE")]
    set: Option<PathBuf>,
    /// Where the stream reads: kafka:TOPIC, or file:PATH to add a line to [default: the project's source]
    #[arg(long, value_name = "WHERE")]
    source: Option<FeedTarget>,
    /// The lake that tells how the centre stands: a path, file:///…, s3://…, az://… or gs://…
    #[arg(long, env = "LAKE_URL", hide_env_values = true)]
    lake: Option<String>,
    /// The project's folder.
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// When it happened, as 2026-03-01T12:00:00Z [default: now]
    #[arg(long, value_name = "T")]
    at: Option<String>,
    /// Kafka's bootstrap servers.
    #[arg(long, env = "KAFKA_BROKERS", value_name = "HOST:PORT")]
    brokers: Option<String>,
    /// Any librdkafka setting, as security.protocol=SASL_SSL; may be repeated.
    #[arg(long = "kafka-option", value_name = "KEY=VALUE", value_parser = parse_option)]
    kafka_options: Vec<(String, String)>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let flags = Flags { lake: args.lake.clone(), ..Flags::default() };
    let loaded = load(args.project.as_deref(), None, &flags)?;
    let machines = loaded.project.machines.iter();
    let machine = machines.clone().find(|machine| machine.spec.name == CENTER_MACHINE);
    let machine = machine.ok_or_else(|| wrong("the project has no machine `center`"))?;
    let now = asked_at(&args)?;
    let Some(event) = &args.event else { return shown(&args, (&loaded, machine), now).await };
    let word = machine.word(event).filter(|word| machine.word_text(*word) == event);
    let word = word.ok_or_else(|| {
        let text = format!("there is no event `{event}`; there are {}", machine.words().join(", "));
        wrong(&text)
    })?;
    let user = args.user.as_deref().filter(|user| !user.is_empty());
    let user = user.ok_or_else(|| wrong("say who asks: --user NAME"))?;
    let standing = match given_lake(&args, &loaded) {
        true => Some(standing_of(&args.lab, (&loaded, machine), now).await?),
        false => None,
    };
    if let Some(standing) = &standing {
        standing.may((machine, &args.lab), word, user).map_err(|refused| wrong(&refused))?;
    }
    let settings = settings(&args, (&loaded, machine), word)?;
    let command = CenterCommand { event, user, at: now, settings, standing };
    let to = send(&args, &loaded, &command).await?;
    command.report(&args, &to)?;
    Ok(ExitCode::SUCCESS)
}

fn wrong(text: &str) -> anyhow::Error {
    WrongInput(text.to_owned()).into()
}

fn asked_at(args: &Args) -> anyhow::Result<Timestamp> {
    let Some(text) = &args.at else { return Ok(SystemClock.now()) };
    let at = Timestamp::parse_rfc3339(text);
    at.ok_or_else(|| wrong("--at: write an instant as 2026-03-01T12:00:00Z"))
}

/// Whether somebody has said which lake there is: the folder that is taken otherwise may not be there.
fn given_lake(args: &Args, loaded: &Loaded) -> bool {
    args.lake.is_some() || loaded.settings.lake != crate::config::Settings::default().lake
}

/// Tells how the centre stands.
async fn shown(
    args: &Args,
    (loaded, machine): (&Loaded, &StateMachine),
    now: Timestamp,
) -> anyhow::Result<ExitCode> {
    if args.set.is_some() {
        return Err(wrong("--set needs an event that saves: saving_changes"));
    }
    let standing = standing_of(&args.lab, (loaded, machine), now).await?;
    let told = match args.json {
        true => format!("{}\n", standing.object(machine, &args.lab)),
        false => standing.told(machine, &args.lab),
    };
    print(&told)?;
    Ok(ExitCode::SUCCESS)
}

fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    std::io::stdout().write_all(text.as_bytes()).context("could not print")
}

async fn standing_of(
    lab: &str,
    (loaded, machine): (&Loaded, &StateMachine),
    now: Timestamp,
) -> anyhow::Result<CenterStanding> {
    let opened = store::open(&loaded.settings.lake, loaded.store_options(), Purpose::Read);
    let store = opened.map_err(reading::wrong_lake)?;
    let view = reading::open_any(&store, &loaded.project).await?;
    Ok(look_up(&view, (machine, lab), now).await?)
}

/// The settings that a command carries, as text; none where it carries none.
fn settings(
    args: &Args,
    (loaded, machine): (&Loaded, &StateMachine),
    word: EventWord,
) -> anyhow::Result<Option<Vec<Target>>> {
    let states = (0..=machine.states().len() as u8).map(crate::lifecycle::machine::MachineState);
    let mut asked = states.filter_map(|state| machine.asked(state, word));
    let carries = asked.any(|asked| asked.carries_settings);
    match (&args.set, carries) {
        (Some(_), false) => {
            let text = format!("`{}` brings no settings; take --set away", machine.word_text(word));
            Err(wrong(&text))
        }
        (None, true) => Err(wrong("say what is saved: --set FILE, a CSV or YAML file of targets")),
        (None, false) => Ok(None),
        (Some(path), true) => {
            let bytes = std::fs::read(path)
                .map_err(|error| wrong(&format!("could not read `{}`: {error}", path.display())))?;
            let assays = loaded.project.reference_rows.assays.iter();
            let assays: Vec<&str> = assays.map(|assay| assay.assay.as_str()).collect();
            let read = center_settings::read(path, &bytes, &assays);
            Ok(Some(read.map_err(|faults| wrong_project(&faults))?))
        }
    }
}

/// What is sent.
struct CenterCommand<'a> {
    event: &'a str,
    user: &'a str,
    at: Timestamp,
    settings: Option<Vec<Target>>,
    standing: Option<CenterStanding>,
}

impl CenterCommand<'_> {
    /// The event's line. Its id follows from what it says, so that a command that is sent again is known
    /// as a repeat.
    fn line(&self, lab: &str) -> String {
        let said = format!("{lab}\u{0}{}\u{0}{}\u{0}{}", self.event, self.user, self.at.0);
        let mut event = Map::new();
        let id = format!("center-{:032x}", xxhash_rust::xxh3::xxh3_128(said.as_bytes()));
        event.insert("event_id".to_owned(), json!(id));
        event.insert("event_type".to_owned(), json!("center.event"));
        event.insert("lab_id".to_owned(), json!(lab));
        event.insert("event_time".to_owned(), json!(self.at.to_rfc3339()));
        event.insert("center_event".to_owned(), json!(self.event));
        event.insert("user".to_owned(), json!(self.user));
        if let Some(standing) = &self.standing {
            event.insert("version".to_owned(), json!(standing.version));
        }
        if let Some(targets) = &self.settings {
            event.insert("settings".to_owned(), json!(published::text(targets)));
        }
        Value::Object(event).to_string()
    }

    fn report(&self, args: &Args, to: &FeedTarget) -> anyhow::Result<()> {
        if *to == FeedTarget::StandardOutput {
            return Ok(());
        }
        let version = self.standing.as_ref().map(|standing| standing.version);
        if args.json {
            let object = json!({
                "lab_id": args.lab, "event": self.event, "user": self.user,
                "event_time": self.at.to_rfc3339(), "version": version,
                "targets": self.settings.as_ref().map(Vec::len), "to": to.to_string(),
            });
            return print(&format!("{object}\n"));
        }
        let seen = match version {
            Some(version) => format!("having seen version {version}"),
            None => "without a look at a lake (--lake), so the stream alone judges it".to_owned(),
        };
        let with = self
            .settings
            .as_ref()
            .map_or_else(String::new, |targets| format!(" with {} targets", targets.len()));
        let (event, lab, user) = (self.event, &args.lab, self.user);
        print(&format!("sent `{event}` of {lab} by {user}{with} to {to}, {seen}\n"))
    }
}

/// Sends the event to where the stream reads, and says where that is.
async fn send(
    args: &Args,
    loaded: &Loaded,
    command: &CenterCommand<'_>,
) -> anyhow::Result<FeedTarget> {
    let target = match (&args.source, &loaded.settings.source) {
        (Some(target), _) => target.clone(),
        (None, Some(SourceSpec::Kafka { topics })) if topics.len() == 1 => {
            FeedTarget::Kafka(topics[0].clone())
        }
        (None, _) => return Err(wrong("say where the stream reads: --source kafka:TOPIC")),
    };
    let of_project = loaded.settings.kafka.options.iter();
    let of_project =
        of_project.map(|(name, value)| (name.clone(), value.expose_secret().to_owned()));
    let brokers = args.brokers.clone().or(loaded.settings.kafka.brokers.clone());
    let settings = KafkaTarget {
        brokers,
        partitions: None,
        options: of_project.chain(args.kafka_options.clone()).collect(),
        remedy: "name the topic that the stream reads",
    };
    let mut writer = FeedWriter::open_to_append(&target, &settings).await.map_err(feed_error)?;
    let (lab, line) = (args.lab.clone(), command.line(&args.lab));
    let written = tokio::task::spawn_blocking(move || {
        writer.write(lab.as_bytes(), line.as_bytes(), None)?;
        writer.finish()
    });
    written.await.context("the writer stopped unexpectedly")?.map_err(feed_error)?;
    Ok(target)
}

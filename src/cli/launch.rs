//! From arguments to a running pipeline: what `run`, `demo` and `try` share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::{ExposeSecret, SecretString};

use super::WrongInput;
use super::check::wrong_project;
use crate::alert::pace::Tempo;
use crate::alert::rule::AlertSettings;
use crate::alert::webhook::WebhookReach;
use crate::alert::zones::LabZones;
use crate::alert::{AlertSetup, AlertSink};
use crate::clock::{Clock, SystemClock};
use crate::config::{Env, Flags, Project, Settings, SourceSpec};
use crate::feed::FeedError;
use crate::flow::Timestamp;
use crate::judge::EventPace;
use crate::lake::write::parts::Filing;
use crate::lake::{Lake, LakeError};
use crate::pipeline::progress::Progress;
use crate::pipeline::{Job, RunError};
use crate::plan::build;
use crate::plan::planned::Plan;
use crate::source::file::{CHUNK_BYTES, FileSource};
use crate::source::generator::{GeneratorOptions, GeneratorSource, Profile};
use crate::source::kafka::{KafkaSource, TopicSettings};
use crate::source::{Source, SourceError};

/// What a run is asked to do, beside the project's own settings.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Flags that go before environment and YAML.
    pub flags: Flags,
    /// Only these pipelines.
    pub pipelines: Option<BTreeSet<String>>,
    /// End with the input.
    pub once: bool,
    /// Archive events.
    pub archive: bool,
    /// Stands for now where files are judged.
    pub as_of: Option<Timestamp>,
    /// Never post a card.
    pub dry_run: bool,
}

/// A project with its settings.
pub struct Loaded {
    /// The project.
    pub project: Project,
    /// What YAML, environment and flags give together.
    pub settings: Settings,
    /// The environment.
    pub env: Env,
}

impl Loaded {
    /// What the environment says to object stores.
    pub fn store_options(&self) -> Vec<(String, String)> {
        let options = self.env.store_options();
        options.map(|(name, value)| (name.to_owned(), value.expose_secret().to_owned())).collect()
    }
}

/// Reads a project and resolves its settings; every fault at once.
pub fn load(folder: Option<&Path>, config: Option<&Path>, flags: &Flags) -> anyhow::Result<Loaded> {
    let project = Project::load_with(folder, config).map_err(|faults| wrong_project(&faults))?;
    let env = Env::from_process();
    let settings = Settings::resolve(project.settings.as_ref(), &env, flags)
        .map_err(|faults| wrong_project(&faults))?;
    Ok(Loaded { project, settings, env })
}

/// Plans a loaded project; every fault at once.
pub async fn plan(loaded: &Loaded, request: &Request) -> anyhow::Result<Plan> {
    let chosen = request.pipelines.as_ref();
    let planned = build::plan(&loaded.project, &loaded.settings, chosen, request.archive).await;
    Ok(planned.map_err(|unplanned| wrong_project(&unplanned.faults))?)
}

/// Makes the job: lake, alerts, clock.
pub fn job(
    loaded: &Loaded,
    request: &Request,
    plan: Plan,
    lake: Lake,
    progress: Arc<Progress>,
) -> anyhow::Result<Job> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let alerts = alert_sink(loaded, request, &plan, &clock, &lake)?;
    let dead_letters = match &loaded.settings.dead_letters {
        Some(location) => Some(open_lake(loaded, location)?),
        None => None,
    };
    let of_file = matches!(loaded.settings.source, Some(SourceSpec::File { .. }));
    Ok(Job {
        plan,
        lake,
        dead_letters,
        lake_patience: Duration::from_micros(
            u64::try_from(loaded.settings.lake_patience.0).unwrap_or_default(),
        ),
        alerts,
        clock,
        pace: pace(&loaded.settings.time),
        tick: crate::pipeline::TICK,
        empty_until: request.as_of,
        memory: loaded.settings.memory,
        filing: Filing { archive: request.archive, record_times: !of_file, once: request.once },
        progress,
    })
}

fn pace(time: &crate::config::settings::TimeSettings) -> EventPace {
    EventPace {
        max_disorder: time.max_disorder,
        max_leap: time.max_leap,
        idle_after: time.idle_after,
    }
}

fn alert_sink(
    loaded: &Loaded,
    request: &Request,
    plan: &Plan,
    clock: &Arc<dyn Clock>,
    lake: &Lake,
) -> anyhow::Result<AlertSink> {
    let mut settings: AlertSettings = loaded.settings.alerts.clone();
    settings.dry_run |= request.dry_run;
    let mut webhooks: BTreeMap<String, SecretString> = BTreeMap::new();
    let named = settings.routes.iter().map(|route| route.webhook_env.as_str());
    for name in named.chain([crate::config::env::WEBHOOK]) {
        let found = loaded.env.webhook(name).map_err(|fault| wrong_project(&[fault]))?;
        if let Some(url) = found {
            webhooks.insert(name.to_owned(), url);
        }
    }
    let reach =
        if loaded.env.webhook_allow_private { WebhookReach::Private } else { WebhookReach::Public };
    let setup = AlertSetup {
        settings,
        webhooks,
        zones: LabZones::new(plan.labs.clone()),
        reach,
        tempo: Tempo::default(),
    };
    AlertSink::start(setup, Arc::clone(clock), lake.clone())
        .map_err(|error| WrongInput(error.to_string()).into())
}

/// Opens a lake with the environment's store settings.
pub fn open_lake(loaded: &Loaded, location: &str) -> anyhow::Result<Lake> {
    let options = loaded.env.store_options();
    let options = options.map(|(name, value)| (name.to_owned(), value.expose_secret().to_owned()));
    Lake::open(location, options).map_err(wrong_or_failed)
}

/// A lake's error as the command's: wrong where the location is, failed otherwise.
fn wrong_or_failed(error: LakeError) -> anyhow::Error {
    if error.is_of_location() { WrongInput(error.to_string()).into() } else { error.into() }
}

/// Opens the source that the settings name.
pub async fn open_source(loaded: &Loaded, request: &Request) -> anyhow::Result<Box<dyn Source>> {
    let now = SystemClock.now();
    let as_of = request.as_of.unwrap_or(now);
    let opened: Result<Box<dyn Source>, SourceError> = match &loaded.settings.source {
        None => {
            let text = "no source is named; add --source kafka:TOPIC, file:PATH or \
                        generator:demo, or `source:` in turnaround.yaml";
            return Err(WrongInput(text.to_owned()).into());
        }
        Some(SourceSpec::File { pattern }) => FileSource::open(pattern, as_of, CHUNK_BYTES)
            .map(|source| Box::new(source) as Box<dyn Source>),
        Some(SourceSpec::Generator { profile }) => {
            let profile: Profile =
                profile.parse().map_err(|error| WrongInput(format!("{error}")))?;
            GeneratorSource::new(GeneratorOptions::new(profile))
                .map(|source| Box::new(source) as Box<dyn Source>)
        }
        Some(SourceSpec::Kafka { topics }) => {
            let settings = kafka_settings(loaded, request, topics.clone(), as_of)?;
            KafkaSource::connect(settings).await.map(|source| Box::new(source) as Box<dyn Source>)
        }
    };
    opened.map_err(source_error)
}

fn kafka_settings(
    loaded: &Loaded,
    request: &Request,
    topics: Vec<String>,
    as_of: Timestamp,
) -> anyhow::Result<TopicSettings> {
    let kafka = &loaded.settings.kafka;
    let Some(brokers) = &kafka.brokers else {
        let text = "no Kafka brokers are named; set KAFKA_BROKERS=host:9092, or \
                    `kafka: {brokers: host:9092}` in turnaround.yaml";
        return Err(WrongInput(text.to_owned()).into());
    };
    let mut settings = TopicSettings::new(brokers.as_str(), topics, as_of);
    settings.group.clone_from(&kafka.group);
    settings.once = request.once;
    let options = kafka.options.iter();
    settings.options =
        options.map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect();
    Ok(settings)
}

/// A source's error as the command's.
pub fn source_error(error: SourceError) -> anyhow::Error {
    match error {
        SourceError::Wrong(text) => WrongInput(text).into(),
        failed @ SourceError::Failed { .. } => failed.into(),
    }
}

/// A feed's error as the command's.
pub fn feed_error(error: FeedError) -> anyhow::Error {
    match error {
        FeedError::Wrong(text) => WrongInput(text).into(),
        failed @ FeedError::Failed { .. } => failed.into(),
    }
}

/// A run's error as the command's.
pub fn run_error(error: RunError) -> anyhow::Error {
    match error {
        RunError::Source(error) => source_error(error),
        RunError::Lake(error) => wrong_or_failed(error),
        RunError::OtherInput(error) => WrongInput(error.to_string()).into(),
        other @ (RunError::Compute { .. }
        | RunError::Panicked(_)
        | RunError::StageGone
        | RunError::SourceGone) => other.into(),
    }
}

/// Ready when the process is asked to stop: SIGTERM or Ctrl-C.
pub async fn stop_signal() -> anyhow::Result<()> {
    watch_for_stop()?.await;
    Ok(())
}

/// Watches for SIGTERM and Ctrl-C from here on; ready when one has come.
pub fn watch_for_stop() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("could not watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not watch for Ctrl-C")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

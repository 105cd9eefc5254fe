//! A project's lake as the API serves it: what `serve` and `run --listen` share.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use axum::Router;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::WrongInput;
use super::launch::Loaded;
use super::reading::wrong_lake;
use crate::access::budget::Budgets;
use crate::access::desk::AccessDesk;
use crate::api::cors::{self, CorsOrigin};
use crate::api::door::{Asks, Door, watch};
use crate::api::follow::{FollowedLake, follow};
use crate::api::known::{KnownTable, KnownTables};
use crate::api::reading::AnswerBounds;
use crate::api::routes::ApiState;
use crate::api::server::ListenError;
use crate::api::stream::hub::{HubTask, StreamHub};
use crate::api::{login, routes, server, tls};
use crate::clock::SystemClock;
use crate::config::{ColumnDoc, PipelineSpec, Project};
use crate::flow::{ReferenceRows, Span};
use crate::lake::encode::{ColumnNote, to_stored};
use crate::lake::read::reader::ReadBounds;
use crate::lake::read::{Beside, LakeReader};
use crate::lake::store::Purpose;
use crate::lake::{Lake, store};
use crate::plan::planned::Plan;
use crate::plan::relations::shapes;
use crate::relate::RelationShape;
use crate::sql::aggregate::registry;
use crate::window::WindowKind;

/// How long one answer may take.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// How many bytes of rows one answer may hold.
const ANSWER_BYTES: usize = 128 << 20;
/// A lake is not listed more often.
const LEAST_REFRESH: Span = Span::SECOND;
/// Nor is it looked more often for what fired.
const LEAST_STREAM_PERIOD: Span = Span(100_000);
/// How long it may take in the end to write down which tokens were used.
const LAST_USES: Duration = Duration::from_secs(5);

/// How the API is served.
#[derive(Debug, clap::Args)]
pub struct ApiArgs {
    /// How often the API looks for new objects.
    #[arg(long, value_name = "SPAN", default_value = "10s")]
    refresh: Span,
    /// How often the API's streams look for what fired.
    #[arg(long, value_name = "SPAN", default_value = "500ms")]
    stream_period: Span,
    /// Let anyone who reaches the address see everything, where the lake keeps no token.
    #[arg(long)]
    insecure_listen: bool,
    /// Answer questions in SQL too: one SELECT each, at /api/v1/query.
    #[arg(long)]
    enable_query: bool,
    /// Let pages of this origin ask from a browser, as https://dashboard.example; may stand more than once.
    #[arg(long = "cors-origin", value_name = "ORIGIN")]
    cors_origins: Vec<CorsOrigin>,
    /// Speak TLS with the certificate in this PEM file.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, a PEM file.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// How often each token may ask.
    #[arg(long, value_name = "REQUESTS", default_value = "12000",
          value_parser = clap::value_parser!(u32).range(1..))]
    requests_a_minute: u32,
}

/// What answering may take.
#[derive(Clone, Copy, Debug)]
pub struct ApiBounds {
    /// Of memory, for sorting and grouping of all questions.
    pub query_bytes: usize,
    /// Of memory, for footers: objects never change, so each is read once.
    pub footer_bytes: usize,
    /// Of memory, for where the rows of each laboratory stand.
    pub places_bytes: usize,
    /// How many questions are worked on at once, for each core.
    pub turns_a_core: usize,
}

impl ApiBounds {
    /// For a server of its own.
    pub const ALONE: ApiBounds = ApiBounds {
        query_bytes: 1 << 30,
        footer_bytes: 256 << 20,
        places_bytes: 128 << 20,
        turns_a_core: 2,
    };
    /// Beside a run, which comes first.
    pub const BESIDE_A_RUN: ApiBounds = ApiBounds {
        query_bytes: 256 << 20,
        footer_bytes: 64 << 20,
        places_bytes: 32 << 20,
        turns_a_core: 1,
    };
}

/// An API that is ready to be served.
pub struct Api {
    /// The lake that is read, which was not listed yet.
    pub lake: Arc<FollowedLake>,
    /// Who is let in.
    pub door: Arc<Door>,
    /// What TLS is spoken with.
    pub tls: Option<TlsAcceptor>,
    refresh: Duration,
    hub: Arc<StreamHub>,
    hub_task: HubTask,
    origins: Arc<[CorsOrigin]>,
    ending: CancellationToken,
}

impl ApiArgs {
    /// Refuses what cannot be, and reads the files of TLS.
    ///
    /// # Errors
    /// Where the period is too short, or a file is not what it should be.
    pub fn checked(&self) -> Result<Option<TlsAcceptor>, WrongInput> {
        if self.refresh < LEAST_REFRESH {
            let text = format!("--refresh is {}; write {LEAST_REFRESH} or more", self.refresh);
            return Err(WrongInput(text));
        }
        if self.stream_period < LEAST_STREAM_PERIOD {
            let period = self.stream_period;
            let text = format!("--stream-period is {period}; write {LEAST_STREAM_PERIOD} or more");
            return Err(WrongInput(text));
        }
        let files = self.tls_cert.as_deref().zip(self.tls_key.as_deref());
        let acceptor = files.map(|(cert, key)| tls::acceptor(cert, key)).transpose();
        acceptor.map_err(|error| WrongInput(format!("{:#}", anyhow::Error::from(error))))
    }

    /// Whether whoever asks on an address needs a token.
    pub fn asks(&self, address: SocketAddr) -> Asks {
        if address.ip().is_loopback() || self.insecure_listen {
            Asks::FromTheFirstToken
        } else {
            Asks::Always
        }
    }
}

impl Api {
    /// Opens the lake that the settings name, with what the project's plan knows of its tables. Makes no
    /// request.
    ///
    /// # Errors
    /// Where the lake's location is none, or the flags are wrong.
    pub fn open(
        (loaded, plan): (&Loaded, &Plan),
        args: &ApiArgs,
        address: SocketAddr,
        bounds: ApiBounds,
    ) -> anyhow::Result<Api> {
        let tls = args.checked()?;
        let options = loaded.store_options();
        let store =
            store::open(&loaded.settings.lake, options, Purpose::Read).map_err(wrong_lake)?;
        let references = loaded.project.reference.iter();
        let references = references
            .map(|table| ReferenceRows { name: table.name.clone(), rows: table.rows.clone() });
        let beside = Beside { references: references.collect(), functions: registry::register };
        let ApiBounds { query_bytes, footer_bytes, places_bytes, turns_a_core } = bounds;
        let read = ReadBounds { query_bytes, footer_bytes, places_bytes };
        let reader = LakeReader::new(Arc::clone(&store.objects), &store.prefix, beside, read)?;
        let answer = AnswerBounds {
            time: ANSWER_TIME,
            bytes: ANSWER_BYTES,
            turns: Arc::new(Semaphore::new(turns_a_core * crate::cores::count())),
            takes_sql: args.enable_query,
        };
        let desk = AccessDesk::new(Lake::new(store.clone()));
        let budgets = Budgets::new(args.requests_a_minute);
        let door = Door::new(desk, budgets, args.asks(address), Arc::new(SystemClock));
        let known = known(loaded, plan)?;
        let lake = FollowedLake::new((store, reader), known, answer, Arc::new(SystemClock));
        let (lake, door, refresh) = (Arc::new(lake), Arc::new(door), args.refresh.to_std());
        let (hub, hub_task) = StreamHub::new(Arc::clone(&lake), args.stream_period.to_std());
        let (hub, ending) = (Arc::new(hub), CancellationToken::new());
        let origins = args.cors_origins.as_slice().into();
        Ok(Api { lake, door, tls, refresh, hub, hub_task, origins, ending })
    }

    /// Every route.
    pub fn router(&self) -> Router {
        let state = ApiState {
            lake: Arc::clone(&self.lake),
            door: Arc::clone(&self.door),
            hub: Arc::clone(&self.hub),
            ending: self.ending.clone(),
        };
        let sign_in = login::router(Arc::clone(&self.door), self.tls.is_some());
        let opened = axum::middleware::from_fn_with_state(Arc::clone(&self.origins), cors::open_to);
        routes::router(state).layer(opened).merge(sign_in)
    }

    /// Says what others may see or hear.
    pub fn warn(&self, bound: SocketAddr) {
        if bound.ip().is_loopback() {
            return;
        }
        if !self.door.asks() {
            tracing::warn!("anyone who reaches {bound} sees everything: the lake keeps no token");
        } else if self.tls.is_none() {
            tracing::warn!("tokens reach {bound} unencrypted; add --tls-cert and --tls-key");
        }
    }

    /// As `https://127.0.0.1:8090`.
    pub fn url(&self, bound: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{bound}")
    }

    /// Serves routes until it is to end, and follows the lake meanwhile.
    pub async fn serve(
        self,
        listener: tokio::net::TcpListener,
        router: Router,
        stop: impl Future<Output = ()>,
    ) {
        let following = tokio::spawn(follow(Arc::clone(&self.lake), self.refresh));
        let watching = tokio::spawn(watch(Arc::clone(&self.door), self.refresh));
        let streaming = tokio::spawn(self.hub_task.run());
        let ending = self.ending;
        let stop = async {
            stop.await;
            // Streams do not end by themselves.
            ending.cancel();
        };
        server::serve(listener, router, self.tls, stop).await;
        for task in [following, watching, streaming] {
            task.abort();
        }
        if tokio::time::timeout(LAST_USES, self.door.write_uses()).await.is_err() {
            tracing::debug!("could not write down in time which tokens were used");
        }
    }
}

/// An address that cannot be listened on failed; one that others reach is wrong input.
pub fn wrong_address(error: ListenError) -> anyhow::Error {
    match error {
        ListenError::Open(_) => WrongInput(error.to_string()).into(),
        ListenError::Taken { .. } => error.into(),
    }
}

/// What a project knows of its tables.
fn known(loaded: &Loaded, plan: &Plan) -> anyhow::Result<KnownTables> {
    let schemas = schemas(plan)?;
    let relations = shapes(&loaded.project);
    let mut tables = BTreeMap::new();
    for spec in &loaded.project.pipelines {
        for window in &spec.windows {
            let name = spec.table_name(window);
            let time = match window.kind {
                WindowKind::RowLevel => row_time(spec, &relations),
                WindowKind::Tumbling { .. }
                | WindowKind::Hopping { .. }
                | WindowKind::Session { .. }
                | WindowKind::Calendar { .. } => None,
            };
            let table = KnownTable {
                description: spec.description.clone(),
                owner: spec.alerts.iter().find_map(|rule| rule.owner.clone()),
                grain: spec.grain.clone(),
                time,
                columns: spec.columns.iter().map(|(name, doc)| (name.clone(), note(doc))).collect(),
                schema: schemas.get(&name).map(Arc::clone),
            };
            tables.insert(name, table);
        }
    }
    Ok(KnownTables { tables, labs: labs(&loaded.project) })
}

/// The columns of every table of a plan, as they are stored.
pub(super) fn schemas(plan: &Plan) -> anyhow::Result<BTreeMap<String, SchemaRef>> {
    let mut schemas = BTreeMap::new();
    for pipeline in &plan.pipelines {
        for name in pipeline.spec.tables() {
            let Some(schema) = pipeline.table_schema(&name) else { continue };
            let stored = to_stored(&[RecordBatch::new_empty(schema)])?;
            schemas.extend(stored.first().map(|rows| (name, rows.schema())));
        }
    }
    Ok(schemas)
}

/// The column that is the time of a row-level table's rows: that of the relation it reads.
fn row_time(spec: &PipelineSpec, relations: &[RelationShape]) -> Option<String> {
    let lines = || spec.sql.lines().filter(|line| !line.trim_start().starts_with("--"));
    let reads = |relation: &&RelationShape| {
        let words =
            lines().flat_map(|line| line.split(|c: char| !(c.is_alphanumeric() || c == '_')));
        let mut words = words.filter(|word| !word.is_empty());
        words.any(|word| word == relation.name)
    };
    let relation = relations.iter().find(reads)?;
    Some(relation.event_time.to_owned())
}

fn note(doc: &ColumnDoc) -> ColumnNote {
    let ColumnDoc { description, unit, additive } = doc.clone();
    ColumnNote { description, unit, additive }
}

/// The laboratories that a project lists.
fn labs(project: &Project) -> BTreeSet<String> {
    let labs = project.reference.iter().find(|table| table.name == "labs");
    let column = labs.and_then(|table| table.rows.column_by_name("lab_id"));
    let texts = column.and_then(|column| column.as_string_opt::<i32>());
    texts.into_iter().flatten().flatten().map(str::to_owned).collect()
}

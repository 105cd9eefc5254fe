//! The routes as axum serves them: a request → a question → an answer's status, headers and body.
//!
//! Every question goes through [`handle`], and so through the door and a scope: who asks, and what they
//! may see, is decided in one place.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;

use super::acknowledge::{self, acknowledge};
use super::alerts::AlertsQuestion;
use super::body;
use super::door::Door;
use super::etag;
use super::follow::FollowedLake;
use super::metrics::errors::ErrorsQuestion;
use super::metrics::sla::SlaQuestion;
use super::metrics::tat::TatQuestion;
use super::metrics::throughput::ThroughputQuestion;
use super::open_tests::OpenQuestion;
use super::openapi::{self, BASE};
use super::parameters::Parameters;
use super::problem::{NoAnswer, ProblemDetails, ProblemKind};
use super::query::SqlQuestion;
use super::question::{Asked, Payload, RouteQuestion, RouteTold};
use super::rows::{DeadLetterRows, TableRows};
use super::specimens::SpecimenQuestion;
use super::status::{HealthQuestion, StatusQuestion};
use super::stream;
use super::stream::hub::StreamHub;
use super::tables::{TableQuestion, TablesQuestion};
use crate::access::desk::Doer;
use crate::access::role::Role;
use crate::lake::read::Scope;

/// How many seconds a caller whose lake is away should wait.
const RETRY_AFTER_S: u64 = 10;

/// What the root says.
const ROOT: &str = concat!(
    "{\"message\":\"Turnaround: the API over a lake\",\"version\":\"",
    env!("CARGO_PKG_VERSION"),
    "\",\"docs\":\"/docs\",\"openapi\":\"/api/v1/openapi.json\"}"
);
/// A page that shows the description, and asks nothing of anyone else.
const DOCS: &str = include_str!("docs.html");

/// What the routes share.
#[derive(Clone)]
pub struct ApiState {
    /// The lake that is read.
    pub lake: Arc<FollowedLake>,
    /// Who is let in.
    pub door: Arc<Door>,
    /// What sends what fires.
    pub hub: Arc<StreamHub>,
    /// Cancelled when the server is to end.
    pub ending: CancellationToken,
}

/// Routes while they are put together.
struct Routes {
    router: Router<ApiState>,
    told: Vec<RouteTold>,
}

impl Routes {
    fn with<Q: RouteQuestion>(mut self) -> Routes {
        let told = Q::told();
        self.router = self.router.route(&format!("{BASE}{}", told.path), get(handle::<Q>));
        self.told.push(told);
        self
    }
}

/// Every route of the API over a lake.
pub fn router(state: ApiState) -> Router {
    let routes = Routes { router: Router::new(), told: Vec::new() };
    let Routes { router, told } = routes
        .with::<HealthQuestion>()
        .with::<StatusQuestion>()
        .with::<TablesQuestion>()
        .with::<TableQuestion>()
        .with::<TableRows>()
        .with::<TatQuestion>()
        .with::<ThroughputQuestion>()
        .with::<ErrorsQuestion>()
        .with::<SlaQuestion>()
        .with::<SpecimenQuestion>()
        .with::<OpenQuestion>()
        .with::<AlertsQuestion>()
        .with::<DeadLetterRows>()
        .with::<SqlQuestion>();
    let told: Vec<RouteTold> = told.into_iter().chain([stream::route::told()]).collect();
    let commands = [acknowledge::told()];
    let document = openapi::document(&told, &commands).to_string();
    router
        .route(&format!("{BASE}/stream"), get(listen))
        .route(&format!("{BASE}{}", commands[0].path), post(see_to))
        .route("/", get(|| async { json(ROOT) }))
        .route("/docs", get(|| async { Html(DOCS) }))
        .route("/health", get(handle::<HealthQuestion>))
        .route(&format!("{BASE}/openapi.json"), get(move || async move { json(document) }))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(state)
}

/// Begins a stream.
async fn listen(State(state): State<ApiState>, uri: Uri, headers: HeaderMap) -> Response {
    let begun = async {
        let caller = state.door.admit(&headers).await?;
        let parameters = Parameters::parse(uri.query().unwrap_or_default())?;
        let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
        let line = stream::route::begin(&state.hub, caller.scope(), parameters, last)?;
        Ok::<_, NoAnswer>((caller, line))
    };
    let (caller, line) = match begun.await {
        Ok(begun) => begun,
        Err(problem) => return refused(&problem),
    };
    let door = Arc::clone(&state.door);
    let still_may = Box::new(move || door.still_admits(&caller));
    let body = stream::listener::body(line, state.ending.clone(), still_may);
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // nginx would wait for more otherwise.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, body).into_response()
}

/// Writes down who sees to a breach.
async fn see_to(
    State(state): State<ApiState>,
    path: RawPathParams,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let done = async {
        let caller = state.door.admit(&headers).await?;
        if caller.role < Role::Operator {
            let role = Role::Operator;
            let text = format!("to acknowledge needs the role {role}; ask whoever makes tokens");
            return Err(ProblemDetails::new(ProblemKind::Role, text));
        }
        let note = acknowledge::note(Parameters::parse(uri.query().unwrap_or_default())?)?;
        let id = path.iter().map(|(_, value)| value.to_owned()).next().unwrap_or_default();
        let reading = state.lake.reading(caller.scope())?;
        let tenant = caller.token.is_some().then(|| caller.tenant.clone());
        let doer = Doer { who: caller.user.clone(), tenant, at: state.lake.now() };
        let told = acknowledge(&reading, state.lake.desk(), (&id, note), &doer).await?;
        match Payload::object(&told)? {
            Payload::Object(bytes) => Ok(json(bytes)),
            page @ Payload::Page { .. } => given(page, &uri).await,
        }
    };
    match done.await {
        Ok(response) => response,
        Err(problem) => refused(&problem),
    }
}

/// Answers one question.
async fn handle<Q: RouteQuestion>(
    State(state): State<ApiState>,
    path: RawPathParams,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let mut names = path.iter().map(|(_, value)| value.to_owned());
    let named = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
    match answer::<Q>(&state, named, &uri, &headers).await {
        Ok(response) => response,
        Err(problem) => refused(&problem),
    }
}

async fn answer<Q: RouteQuestion>(
    state: &ApiState,
    (name, id): (String, String),
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, NoAnswer> {
    // What is open to everybody tells nothing of any row.
    let scope = if Q::IS_OPEN { Scope::all() } else { state.door.admit(headers).await?.scope() };
    let said = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let accept = said(header::ACCEPT).map(str::to_owned);
    let query = uri.query().unwrap_or_default();
    let reading = state.lake.reading(scope)?;
    let parameters = Parameters::parse(query)?;
    let question =
        Q::read(&reading, Asked { name, id, parameters, accept: accept.clone() }).await?;
    let tag = question.decided_by().map(|tables| {
        let asked = [uri.path(), query, accept.as_deref().unwrap_or_default()];
        etag::tag(&reading, &asked, &tables)
    });
    let known = tag.as_deref().zip(said(header::IF_NONE_MATCH));
    let mut response = if known.is_some_and(|(tag, named)| etag::matches(named, tag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        given(question.answer(&reading).await?, uri).await?
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept, authorization, cookie"));
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
        headers.insert(header::ETAG, tag);
    }
    Ok(response)
}

/// An answer with its body.
async fn given(payload: Payload, uri: &Uri) -> Result<Response, NoAnswer> {
    let (form, table, rows, next) = match payload {
        Payload::Object(bytes) => {
            return Ok(json(bytes));
        }
        Payload::Page { form, table, rows, next } => (form, table, rows, next),
    };
    let link = next.as_deref().map(|next| link(uri, next));
    let written = move || body::bytes(form, &table, &rows, next.as_deref());
    let failed = |text: String| {
        tracing::error!("could not write the rows of an answer: {text}");
        ProblemDetails::new(ProblemKind::Failed, "the rows could not be written; the log says why")
    };
    // A SELECT may give what CSV has no way to write.
    let unfit = |error: body::BodyError| {
        let text = format!("{:#}; ask for another form in `Accept`", anyhow::Error::from(error));
        ProblemDetails::new(ProblemKind::Form, text).of("Accept")
    };
    let bytes = tokio::task::spawn_blocking(written).await;
    let bytes = bytes.map_err(|error| failed(error.to_string()))?;
    let bytes = bytes.map_err(unfit)?;
    let mut response = Body::from(bytes).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.media_type()));
    if let Some(link) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
        headers.insert(header::LINK, link);
    }
    Ok(response)
}

/// Where the next page is (RFC 8288): the same URL with another cursor.
fn link(uri: &Uri, next: &str) -> String {
    let pairs = uri.query().unwrap_or_default().split('&');
    let others = pairs.filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
    let cursor = format!("cursor={next}");
    let query: Vec<&str> = others.chain([cursor.as_str()]).collect();
    format!("<{}?{}>; rel=\"next\"", uri.path(), query.join("&"))
}

fn json(bytes: impl Into<Body>) -> Response {
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (kind, bytes.into()).into_response()
}

/// A problem as a response.
fn refused(problem: &ProblemDetails) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))];
    let text = serde_json::to_string(problem).unwrap_or_default();
    let mut response = (status, kind, text).into_response();
    let away = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_S);
    let headers = response.headers_mut();
    if let Some(seconds) = problem.retry_after_seconds.or(away) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        let asked = if problem.is(ProblemKind::NoToken) {
            "Bearer realm=\"turnaround\""
        } else {
            "Bearer realm=\"turnaround\", error=\"invalid_token\""
        };
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(asked));
    }
    response
}

async fn no_route(uri: Uri) -> Response {
    let path: String = uri.path().chars().take(80).collect();
    let text = format!("there is no route `{path}`; {BASE}/openapi.json describes those that are");
    refused(&ProblemDetails::new(ProblemKind::Route, text))
}

async fn no_method() -> Response {
    let mut response = refused(&ProblemDetails::new(
        ProblemKind::Method,
        "use GET; POST only acknowledges alerts",
    ));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

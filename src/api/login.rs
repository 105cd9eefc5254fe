//! A page where people sign in with a token: it goes into a cookie that no script reads and no other site
//! sends.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use url::form_urlencoded;

use super::door::{COOKIE, Door};
use crate::access::secret::TokenText;

/// How long someone stays signed in, unless their token ends before.
const SIGNED_IN_S: u32 = 12 * 60 * 60;
/// What the form may take: a token is 82 bytes.
const FORM_BYTES: usize = 4096;
/// How long the form may take.
const FORM_PATIENCE: Duration = Duration::from_secs(10);
/// Where people go once they are signed in.
const NEXT: &str = "/docs";
const PAGE: &str = include_str!("login.html");
/// Where the page says what went wrong.
const TOLD: &str = "<!-- told -->";

/// What the page needs.
#[derive(Clone)]
struct SignIn {
    door: Arc<Door>,
    /// Whether the connection is TLS, so that the cookie goes over nothing else.
    is_tls: bool,
}

/// `/login` and `/logout`.
pub fn router(door: Arc<Door>, is_tls: bool) -> Router {
    Router::new()
        .route("/login", get(|| async { page(StatusCode::OK, "") }).post(sign_in))
        .route("/logout", post(sign_out))
        .with_state(SignIn { door, is_tls })
}

async fn sign_in(State(signs): State<SignIn>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if is_of_another_site(&head.headers) {
        return page(StatusCode::FORBIDDEN, "The form was sent from another site.");
    }
    let read = tokio::time::timeout(FORM_PATIENCE, to_bytes(body, FORM_BYTES)).await;
    let Ok(Ok(form)) = read else {
        return page(StatusCode::BAD_REQUEST, "The form is too long, or took too long.");
    };
    let mut pairs = form_urlencoded::parse(&form);
    let given = pairs.find(|(name, _)| name == "token").map(|(_, value)| value.trim().to_owned());
    let Some(token) = given.as_deref().and_then(TokenText::parse) else {
        return page(StatusCode::UNAUTHORIZED, "That is no token; one begins with tat_.");
    };
    match signs.door.known(token.clone()).await {
        Ok(_) => moved(NEXT, &signs.cookie(token.expose(), SIGNED_IN_S)),
        Err(problem) => {
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::UNAUTHORIZED);
            page(status, &problem.detail)
        }
    }
}

async fn sign_out(State(signs): State<SignIn>, headers: HeaderMap) -> Response {
    if is_of_another_site(&headers) {
        return page(StatusCode::FORBIDDEN, "The form was sent from another site.");
    }
    moved("/login", &signs.cookie("", 0))
}

impl SignIn {
    fn cookie(&self, value: &str, seconds: u32) -> String {
        let secure = if self.is_tls { "; Secure" } else { "" };
        format!("{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
    }
}

/// As browsers say themselves; a client that says nothing has no cookies of anybody.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    site.is_some_and(|site| site != "same-origin" && site != "none")
}

fn moved(to: &'static str, cookie: &str) -> Response {
    let mut response = (StatusCode::SEE_OTHER, Body::empty()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::from_static(to));
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        headers.insert(header::SET_COOKIE, cookie);
    }
    response
}

fn page(status: StatusCode, told: &str) -> Response {
    let told = told.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut response = (status, Html(PAGE.replace(TOLD, &told))).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
        ),
    );
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

//! Which pages of other origins may ask the API from a browser: none, unless they are named.
//!
//! Only answers are opened to them, never the cookie: a page of another origin sends a token of its own.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// What a page may send beside what every page may.
const TAKES: &str = "authorization, accept, if-none-match, last-event-id";
/// Which methods a page may use.
const METHODS: &str = "GET, HEAD, POST";
/// Which headers of an answer a page may read.
const TELLS: &str = "etag, link, retry-after";
/// For how many seconds a browser need not ask again.
const HOLDS_S: &str = "600";

/// An origin that a page may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigin {
    /// Any.
    Any,
    /// This one, as a browser writes it.
    One(HeaderValue),
}

/// No origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no origin; write as https://dashboard.example or http://localhost:3000, or `*` for any"
)]
pub struct NoOrigin(String);

impl FromStr for CorsOrigin {
    type Err = NoOrigin;

    fn from_str(text: &str) -> Result<CorsOrigin, NoOrigin> {
        if text == "*" {
            return Ok(CorsOrigin::Any);
        }
        let wrong = || NoOrigin(text.to_owned());
        let url = url::Url::parse(text).map_err(|_| wrong())?;
        let told = url.origin().ascii_serialization();
        let is_web = matches!(url.scheme(), "http" | "https");
        // A path, a name or a trailing slash would never match what a browser sends.
        if !is_web || !told.eq_ignore_ascii_case(text) {
            return Err(wrong());
        }
        HeaderValue::from_str(&told).map(CorsOrigin::One).map_err(|_| wrong())
    }
}

/// Opens answers to the pages of some origins.
pub async fn open_to(
    State(origins): State<Arc<[CorsOrigin]>>,
    request: Request,
    next: Next,
) -> Response {
    if origins.is_empty() {
        return next.run(request).await;
    }
    let headers = request.headers();
    let opened = opened(&origins, headers.get(header::ORIGIN));
    let asks_first = request.method() == Method::OPTIONS
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match (asks_first, &opened) {
        (true, Some(_)) => StatusCode::NO_CONTENT.into_response(),
        (true, None) | (false, _) => next.run(request).await,
    };
    let told = response.headers_mut();
    told.append(header::VARY, HeaderValue::from_static("origin"));
    let Some(opened) = opened else { return response };
    tell(told, header::ACCESS_CONTROL_EXPOSE_HEADERS, TELLS);
    if asks_first {
        tell(told, header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        tell(told, header::ACCESS_CONTROL_ALLOW_HEADERS, TAKES);
        tell(told, header::ACCESS_CONTROL_MAX_AGE, HOLDS_S);
    }
    told.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, opened);
    response
}

/// To whom an answer is opened, if the page that asks is of an origin that may.
fn opened(origins: &[CorsOrigin], of: Option<&HeaderValue>) -> Option<HeaderValue> {
    let of = of?;
    origins.iter().find_map(|origin| match origin {
        CorsOrigin::Any => Some(HeaderValue::from_static("*")),
        CorsOrigin::One(one) => (one == of).then(|| of.clone()),
    })
}

fn tell(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_as_browsers_write_them() {
        assert_eq!("*".parse(), Ok(CorsOrigin::Any));
        for origin in ["https://a.example", "http://localhost:3000"] {
            let one = CorsOrigin::One(HeaderValue::from_str(origin).unwrap());
            assert_eq!(origin.parse(), Ok(one));
        }
        for wrong in
            ["a.example", "https://a.example/", "https://a.example/x", "ftp://a.example", "null"]
        {
            let error = wrong.parse::<CorsOrigin>().unwrap_err();
            assert!(error.to_string().contains("https://dashboard.example"), "{wrong}");
        }
    }

    #[test]
    fn only_named_origins_are_opened_to() {
        let named: CorsOrigin = "https://a.example".parse().unwrap();
        let of = |text: &'static str| HeaderValue::from_static(text);
        let one = std::slice::from_ref(&named);
        assert_eq!(opened(one, Some(&of("https://a.example"))), Some(of("https://a.example")));
        assert_eq!(opened(one, Some(&of("https://b.example"))), None);
        assert_eq!(opened(one, None), None);
        assert_eq!(opened(&[CorsOrigin::Any], Some(&of("null"))), Some(of("*")));
    }
}

//! A webhook on this machine that answers by a script and writes down what it was sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use secrecy::SecretString;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The part of the address that must never be shown.
pub(crate) const SECRET: &str = "sig-0f1e2d3c4b5a";

/// One scripted answer.
#[derive(Clone, Debug)]
pub(crate) enum Scripted {
    /// A status, `Retry-After` and a body.
    Says(u16, Option<String>, String),
    /// No answer for so long.
    Hangs(Duration),
}

pub(crate) fn says(status: u16) -> Scripted {
    Scripted::Says(status, None, String::new())
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Caught {
    pub(crate) at: Instant,
    pub(crate) len: usize,
    pub(crate) json: Value,
}

impl Caught {
    /// The card's headline.
    pub(crate) fn title(&self) -> String {
        let body = &self.json["attachments"][0]["content"]["body"];
        let title = body[0]["text"].as_str().or_else(|| self.json["title"].as_str());
        title.unwrap_or_default().to_owned()
    }
}

#[derive(Clone, Default)]
struct Book {
    script: Arc<Mutex<VecDeque<Scripted>>>,
    caught: Arc<Mutex<Vec<Caught>>>,
}

/// The catcher; it ends when it is dropped.
pub(crate) struct Catcher {
    book: Book,
    address: String,
    task: JoinHandle<()>,
}

impl Catcher {
    /// Listens on a free port of the loopback address. After the script it answers 202.
    pub(crate) async fn start(script: impl IntoIterator<Item = Scripted>) -> Catcher {
        let book = Book::default();
        book.script.lock().unwrap().extend(script);
        let app = Router::new().fallback(post(answer)).with_state(book.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Catcher { book, address, task }
    }

    pub(crate) fn url(&self) -> SecretString {
        format!("http://{}/workflows/{SECRET}/run?sig={SECRET}", self.address).into()
    }

    pub(crate) fn caught(&self) -> Vec<Caught> {
        self.book.caught.lock().unwrap().clone()
    }

    pub(crate) fn titles(&self) -> Vec<String> {
        self.caught().iter().map(Caught::title).collect()
    }
}

impl Drop for Catcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(book): State<Book>, headers: HeaderMap, body: Bytes) -> Response {
    assert_eq!(headers["content-type"], "application/json");
    let json = serde_json::from_slice(&body).unwrap();
    let caught = Caught { at: Instant::now(), len: body.len(), json };
    book.caught.lock().unwrap().push(caught);
    let next = book.script.lock().unwrap().pop_front();
    match next {
        None => StatusCode::ACCEPTED.into_response(),
        Some(Scripted::Says(status, retry_after, body)) => {
            let status = StatusCode::from_u16(status).unwrap();
            let headers: Vec<_> =
                retry_after.into_iter().map(|value| ("retry-after", value)).collect();
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(name, value.parse().unwrap());
            }
            (status, map, body).into_response()
        }
        Some(Scripted::Hangs(length)) => {
            tokio::time::sleep(length).await;
            StatusCode::ACCEPTED.into_response()
        }
    }
}

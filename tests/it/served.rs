//! A lake that the binary serves, and what it answers.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::binary::Place;

/// A served lake.
pub(crate) struct Served {
    pub(crate) child: Child,
    /// As `http://127.0.0.1:40123/api/v1`.
    pub(crate) url: String,
}

/// An answer.
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Served {
    pub(crate) fn start(place: &Place, arguments: &[&str]) -> Served {
        let listens = arguments.contains(&"--listen");
        let listen = if listens { &[][..] } else { &["--listen", "127.0.0.1:0"] };
        let all = [&["serve", "--refresh", "1s"], listen, arguments].concat();
        let mut command: Command = place.turnaround(&all);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.expect("the binary runs");
        let out = child.stdout.take().expect("it is piped");
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).expect("it says where it listens");
        let place = line.split_once("://").map(|(_, place)| place);
        assert!(place.is_some_and(|place| place.contains("/api/v1")), "{line}");
        Served { child, url: line.trim().to_owned() }
    }

    pub(crate) async fn ask(&self, route: &str, headers: &[(&str, &str)]) -> Got {
        let mut request = reqwest::Client::new().get(format!("{}/{route}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("the server answers");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Got { status, headers, body: answer.bytes().await.expect("a body").to_vec() }
    }

    pub(crate) async fn post(&self, route: &str, headers: &[(&str, &str)]) -> Got {
        let mut request = reqwest::Client::new().post(format!("{}/{route}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("the server answers");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Got { status, headers, body: answer.bytes().await.expect("a body").to_vec() }
    }

    pub(crate) async fn json(&self, route: &str) -> Value {
        let got = self.ask(route, &[]).await;
        assert_eq!(got.status, 200, "{route}: {}", got.text());
        got.json()
    }
}

impl Got {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Nothing can be done about a server that ended by itself.
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

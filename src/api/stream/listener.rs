//! One listener's connection: what the hub gives, a comment every so often, and a last word.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream::unfold;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::frames::frame;
use super::hub::StreamLine;

/// How often a comment goes out: proxies and load balancers cut off what is silent for a minute.
pub const BEAT: Duration = Duration::from_secs(15);
const COMMENT: &[u8] = b": still here\n\n";

/// Whether a caller may still listen.
pub type StillMay = Box<dyn Fn() -> bool + Send + Sync>;

struct Listening {
    line: StreamLine,
    ending: CancellationToken,
    still_may: StillMay,
    next_beat: Instant,
    has_ended: bool,
}

/// The body of an answer that does not end by itself.
pub fn body(line: StreamLine, ending: CancellationToken, still_may: StillMay) -> Body {
    let next_beat = Instant::now() + BEAT;
    let listening = Listening { line, ending, still_may, next_beat, has_ended: false };
    Body::from_stream(unfold(listening, |mut listening| async move {
        let bytes = listening.next().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(bytes), listening))
    }))
}

impl Listening {
    async fn next(&mut self) -> Option<Bytes> {
        if self.has_ended {
            return None;
        }
        tokio::select! {
            biased;
            () = self.ending.cancelled() => self.end("end", "the server ends; connect again with `Last-Event-ID`"),
            () = tokio::time::sleep_until(self.next_beat) => {
                self.next_beat = Instant::now() + BEAT;
                if (self.still_may)() {
                    return Some(Bytes::from_static(COMMENT));
                }
                self.end("cut", "the token is not taken any more, or sees something else now; connect again")
            }
            chunk = self.line.chunks.recv() => match chunk {
                Some(chunk) => Some(chunk),
                None => {
                    self.has_ended = true;
                    self.line.last.get().cloned()
                }
            },
        }
    }

    fn end(&mut self, kind: &str, detail: &str) -> Option<Bytes> {
        self.has_ended = true;
        Some(frame(kind, None, &json!({ "detail": detail })))
    }
}

//! When tokens were used last, and which of it is to be written down: each token at most once a minute.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::flow::{Span, Timestamp};

/// How long a token's use is not written again.
const PAUSE: Span = Span::MINUTE;

/// When tokens were used last.
#[derive(Debug, Default)]
pub struct TokenUses(Mutex<BTreeMap<String, TokenUse>>);

#[derive(Clone, Copy, Debug)]
struct TokenUse {
    last: Timestamp,
    written: Option<Timestamp>,
}

impl TokenUses {
    /// Notes a use.
    pub fn note(&self, id: &str, at: Timestamp) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match uses.get_mut(id) {
            Some(used) => used.last = used.last.max(at),
            None => {
                uses.insert(id.to_owned(), TokenUse { last: at, written: None });
            }
        }
    }

    /// What is to be written now: the token, its last use, and what was written before.
    pub fn due(&self, now: Timestamp) -> Vec<(String, Timestamp, Option<Timestamp>)> {
        let uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = uses.iter().filter(|(_, used)| {
            let written = |written: Timestamp| used.last > written && written.plus(PAUSE) <= now;
            used.written.is_none_or(written)
        });
        due.map(|(id, used)| (id.clone(), used.last, used.written)).collect()
    }

    /// Notes what was written.
    pub fn written(&self, id: &str, at: Timestamp) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = uses.get_mut(id) {
            used.written = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_written_at_most_once_a_minute() {
        let at = |seconds: i64| Timestamp(seconds * Span::SECOND.0);
        let uses = TokenUses::default();
        uses.note("a", at(100));
        assert_eq!(uses.due(at(100)), [("a".to_owned(), at(100), None)]);
        uses.written("a", at(100));
        uses.note("a", at(130));
        assert_eq!(uses.due(at(159)), []);
        assert_eq!(uses.due(at(160)), [("a".to_owned(), at(130), Some(at(100)))]);
        uses.written("a", at(130));
        assert_eq!(uses.due(at(1_000)), []);
    }
}

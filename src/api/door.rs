//! A request → who asks, or why they are not let in.
//!
//! A token comes as `Authorization: Bearer …` from software, in a cookie from people. Where the lake keeps
//! no token nobody is asked for one, unless others reach the port; once it kept one, everybody is, for as
//! long as the process lives.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use axum::http::{HeaderMap, header};

use super::problem::{NoAnswer, ProblemDetails, ProblemKind};
use crate::access::book::{AccessBook, Caller, NotAdmitted};
use crate::access::budget::Budgets;
use crate::access::desk::{AccessDesk, AccessError};
use crate::access::secret::TokenText;
use crate::access::uses::TokenUses;
use crate::clock::Clock;
use crate::flow::{Span, Timestamp};

/// The cookie that holds a person's token.
pub const COOKIE: &str = "turnaround";
/// For a token that is not known the lake is asked again, but not more often.
const ASK_AGAIN: Span = Span(2 * Span::SECOND.0);
/// How long a caller waits for that.
const ASK_PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked which uses are to be written.
const LOOK_FOR_USES: Duration = Duration::from_secs(5);

/// Whether a caller needs a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Where the lake keeps one.
    FromTheFirstToken,
    /// In any case.
    Always,
}

/// Lets callers in.
pub struct Door {
    desk: AccessDesk,
    asks: Asks,
    /// Nothing until it was read.
    book: RwLock<Option<Arc<AccessBook>>>,
    read_at: Mutex<Timestamp>,
    uses: TokenUses,
    budgets: Budgets,
    clock: Arc<dyn Clock>,
}

impl Door {
    /// The door of a lake, of which was not read yet who has tokens: nobody is let in before.
    pub fn new(desk: AccessDesk, budgets: Budgets, asks: Asks, clock: Arc<dyn Clock>) -> Door {
        let (book, uses) = (RwLock::default(), TokenUses::default());
        Door { desk, asks, book, read_at: Mutex::new(Timestamp(0)), uses, budgets, clock }
    }

    /// Whether callers are asked for a token.
    pub fn asks(&self) -> bool {
        self.asks == Asks::Always || self.book().is_none_or(|book| book.asks())
    }

    /// Whether the lake keeps a token, as far as it was read.
    pub fn has_tokens(&self) -> bool {
        self.book().is_some_and(|book| book.asks())
    }

    /// Reads again who has tokens.
    ///
    /// # Errors
    /// Where the lake does not answer; what was read before holds.
    pub async fn refresh(&self) -> Result<(), AccessError> {
        *self.read_at.lock().unwrap_or_else(PoisonError::into_inner) = self.clock.now();
        let earlier = self.book().unwrap_or_default();
        let book = self.desk.read(&earlier).await?;
        // A folder whose disk is gone lists as an empty one.
        if earlier.asks() && !book.asks() {
            return Ok(());
        }
        *self.book.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(book));
        Ok(())
    }

    /// Lets a caller in.
    ///
    /// # Errors
    /// Where there is no token, it is not taken, or has asked too often.
    pub async fn admit(&self, headers: &HeaderMap) -> Result<Caller, NoAnswer> {
        if self.book().is_none() {
            self.ask_again().await;
        }
        if !self.asks() {
            return Ok(Caller::of_this_machine());
        }
        let caller = self.known(token_of(headers)?).await?;
        let Some(id) = &caller.token else { return Ok(caller) };
        let now = self.clock.now();
        if let Err(seconds) = self.budgets.take(id, now) {
            let most = self.budgets.a_minute();
            let text =
                format!("token `{id}` asked more than {most} times a minute; wait {seconds} s");
            return Err(ProblemDetails::new(ProblemKind::TooOften, text).retry_after(seconds));
        }
        self.uses.note(id, now);
        Ok(caller)
    }

    /// Who has a token.
    ///
    /// # Errors
    /// Where it is not taken.
    pub async fn known(&self, token: TokenText) -> Result<Caller, NoAnswer> {
        let now = self.clock.now();
        let admit = || match self.book() {
            Some(book) => Ok(book.admit(&token, now)),
            None => {
                let text = "it could not be read yet who has tokens; try again";
                Err(ProblemDetails::new(ProblemKind::Away, text))
            }
        };
        let admitted = admit()?;
        if admitted != Err(NotAdmitted::Unknown) {
            return admitted.map_err(|error| refused(&error));
        }
        // It may have been made just now.
        self.ask_again().await;
        admit()?.map_err(|error| refused(&error))
    }

    /// Asks the lake again, unless it was asked just now.
    async fn ask_again(&self) {
        if !self.may_ask_again(self.clock.now()) {
            return;
        }
        match tokio::time::timeout(ASK_PATIENCE, self.refresh()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "could not read again who has tokens"),
            Err(_) => tracing::debug!("could not read again in time who has tokens"),
        }
    }

    /// Whether someone who was let in still is, and sees the same.
    pub fn still_admits(&self, caller: &Caller) -> bool {
        match self.book() {
            Some(book) if self.asks() => book.still_admits(caller, self.clock.now()),
            Some(_) | None => true,
        }
    }

    /// Writes down which tokens were used, as far as it is time.
    pub async fn write_uses(&self) {
        for (id, last, written) in self.uses.due(self.clock.now()) {
            let last = Timestamp(last.0 - last.0.rem_euclid(Span::SECOND.0));
            let before = written.or_else(|| self.book()?.used.get(&id).copied());
            match self.desk.note_use(&id, last, before).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::debug!(%error, token = id, "could not write down that it was used");
                }
            }
            // Not tried again before a minute has passed: a store that may only be read stays so.
            self.uses.written(&id, last);
        }
    }

    fn may_ask_again(&self, now: Timestamp) -> bool {
        let mut read_at = self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        let may = read_at.plus(ASK_AGAIN) <= now;
        if may {
            *read_at = now;
        }
        may
    }

    fn book(&self) -> Option<Arc<AccessBook>> {
        self.book.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The token of a request.
fn token_of(headers: &HeaderMap) -> Result<TokenText, NoAnswer> {
    let said = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let bearer = said.map(|said| {
        let (scheme, token) = said.split_once(' ').unwrap_or((said, ""));
        if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" }
    });
    let token = bearer.or_else(|| cookie_of(headers));
    let token = token.ok_or_else(|| {
        let text = "send a token as `Authorization: Bearer tat_…`, or sign in at /login; `turnaround \
                    token create` makes one";
        ProblemDetails::new(ProblemKind::NoToken, text)
    })?;
    TokenText::parse(token).ok_or_else(|| refused(&NotAdmitted::Unknown))
}

fn cookie_of(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';').map(str::trim));
    pairs.find_map(|pair| pair.strip_prefix(COOKIE)?.strip_prefix('='))
}

/// What is told to whoever is not let in.
fn refused(error: &NotAdmitted) -> NoAnswer {
    let kind = match error {
        NotAdmitted::Unknown => ProblemKind::UnknownToken,
        NotAdmitted::Expired { .. } => ProblemKind::ExpiredToken,
        NotAdmitted::Revoked { .. } => ProblemKind::RevokedToken,
        NotAdmitted::NoRole { .. } => ProblemKind::Role,
    };
    ProblemDetails::new(kind, error.to_string())
}

/// Keeps who has tokens up to date, and writes down which were used, for as long as the process lives.
pub async fn watch(door: Arc<Door>, every: Duration) {
    let (mut reads, mut writes) =
        (tokio::time::interval(every), tokio::time::interval(LOOK_FOR_USES));
    for beats in [&mut reads, &mut writes] {
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            _ = reads.tick() => {
                if let Err(error) = door.refresh().await {
                    tracing::warn!(%error, "could not read who has tokens; what was read before holds");
                }
            }
            _ = writes.tick() => door.write_uses().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::access::desk::{Doer, WantedToken};
    use crate::access::role::Role;
    use crate::clock::ManualClock;
    use crate::lake::Lake;

    const NOW: Timestamp = Timestamp(1_772_366_400_000_000);

    fn with(name: &str, value: &str) -> HeaderMap {
        let name = name.parse::<axum::http::HeaderName>().unwrap();
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    async fn kind(door: &Door, headers: &HeaderMap) -> String {
        let problem = door.admit(headers).await.unwrap_err();
        format!("{} {}", problem.status, problem.r#type.trim_start_matches("urn:turnaround:"))
    }

    #[tokio::test]
    async fn a_token_is_asked_for_from_the_first_one_on() {
        let desk = AccessDesk::new(Lake::in_memory());
        let clock = Arc::new(ManualClock::at(NOW));
        let asks = Asks::FromTheFirstToken;
        let door = Door::new(desk.clone(), Budgets::new(3), asks, Arc::clone(&clock) as _);
        assert!(door.asks(), "nobody is let in before it was read who has tokens");
        assert_eq!(door.admit(&HeaderMap::new()).await.unwrap(), Caller::of_this_machine());
        let wanted = WantedToken {
            tenant: "group".to_owned(),
            user: "anna".to_owned(),
            role: Some(Role::Operator),
            labs: Some(vec!["a".to_owned()]),
            expires_at: Some(NOW.plus(Span::HOUR)),
        };
        let doer = Doer { who: "root".to_owned(), tenant: None, at: NOW };
        let (first, _) = desk.create(wanted.clone(), &doer).await.unwrap();
        door.refresh().await.unwrap();
        assert_eq!(kind(&door, &HeaderMap::new()).await, "401 no-token");
        assert_eq!(kind(&door, &with("authorization", "Basic YTpi")).await, "401 unknown-token");
        let bearer =
            |token: &TokenText| with("authorization", &format!("bearer {}", token.expose()));
        // Where others reach the port, a token is wanted even before there is one.
        let other = AccessDesk::new(Lake::in_memory());
        let open = Door::new(other, Budgets::new(3), Asks::Always, Arc::clone(&clock) as _);
        assert_eq!(kind(&open, &HeaderMap::new()).await, "401 no-token");
        assert_eq!(kind(&open, &bearer(&first)).await, "401 unknown-token");
        assert!(open.asks() && !open.has_tokens());
        let caller = door.admit(&bearer(&first)).await.unwrap();
        assert_eq!((caller.user.as_str(), caller.role), ("anna", Role::Operator));
        let cookie = with("cookie", &format!("other=1; turnaround={}", first.expose()));
        assert_eq!(door.admit(&cookie).await.unwrap(), caller);

        // One that was made since is looked for, though not at once again.
        let (second, _) = desk.create(wanted, &doer).await.unwrap();
        assert_eq!(kind(&door, &bearer(&second)).await, "401 unknown-token");
        clock.advance(ASK_AGAIN);
        assert!(door.admit(&bearer(&second)).await.is_ok());

        assert!(door.admit(&bearer(&first)).await.is_ok());
        assert_eq!(kind(&door, &bearer(&first)).await, "429 too-many-requests");
        door.write_uses().await;
        let book = desk.read(&AccessBook::default()).await.unwrap();
        assert_eq!(book.used.len(), 2);
        clock.advance(Span::HOUR);
        assert_eq!(kind(&door, &bearer(&first)).await, "401 expired-token");
    }
}

//! How a centre stands, as a lake's `center_status` tells it: its state, since when, who holds it, which version;
//! and what may be asked of it then.
//!
//! A lease is over with its hour, whether the stream has said so yet or not.

use datafusion::common::ScalarValue;
use serde_json::{Value, json};

use crate::flow::Timestamp;
use crate::lake::read::{LakeView, LakeViewError};
use crate::lifecycle::machine::{AllowedWord, EventWord, MachineState, StateMachine};

/// What is known of a centre.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CenterStanding {
    pub(super) state: MachineState,
    /// Since when; none where nothing is known of it.
    pub(super) since: Option<Timestamp>,
    /// Who edits.
    pub(super) holder: Option<String>,
    /// Until when.
    pub(super) until: Option<Timestamp>,
    pub(super) version: i64,
    /// What led to the state.
    pub(super) event: Option<String>,
}

/// A row of `center_status`.
#[derive(Clone, Debug, Default)]
struct StatusRow {
    status: String,
    previous: Option<String>,
    since: Option<Timestamp>,
    holder: Option<String>,
    version: i64,
    event: Option<String>,
}

/// The last change of a centre that a lake holds, as it stands by `now`.
pub(super) async fn look_up(
    view: &LakeView,
    (machine, lab): (&StateMachine, &str),
    now: Timestamp,
) -> Result<CenterStanding, LakeViewError> {
    const LAST: &str = "SELECT status, previous_status, CAST(status_start AS BIGINT) AS since_us, \
                        \"current_user\" AS holder, version, event FROM center_status \
                        WHERE lab_id = $1 AND status_start = (SELECT max(status_start) \
                        FROM center_status WHERE lab_id = $1)";
    let rows = match view.rows_with(LAST, vec![ScalarValue::from(lab)]).await {
        Err(LakeViewError::UnknownTable { .. }) => Vec::new(),
        asked => asked?,
    };
    let rows = rows.iter().map(|row| StatusRow {
        status: row.string("status"),
        previous: row.text("previous_status").map(str::to_owned),
        since: row.time("since_us"),
        holder: row.text("holder").map(str::to_owned),
        version: row.number("version").unwrap_or_default() as i64,
        event: row.text("event").map(str::to_owned),
    });
    Ok(standing(machine, last(rows.collect()), now))
}

/// Of changes at one instant the one that no other follows.
fn last(rows: Vec<StatusRow>) -> Option<StatusRow> {
    let follows = |row: &StatusRow| {
        rows.iter().any(|other| other.previous.as_deref() == Some(row.status.as_str()))
    };
    let last = rows.iter().find(|row| !follows(row)).or(rows.last());
    last.cloned()
}

fn standing(machine: &StateMachine, row: Option<StatusRow>, now: Timestamp) -> CenterStanding {
    let unseen = CenterStanding {
        state: MachineState::NONE,
        since: None,
        holder: None,
        until: None,
        version: machine.first_version(),
        event: None,
    };
    let Some(row) = row else { return unseen };
    let Some(state) = machine.state_named(&row.status) else { return unseen };
    let of_time = machine.after(state).zip(row.since).map(|((span, to), at)| (at.plus(span), to));
    match of_time {
        Some((until, to)) if until <= now => {
            CenterStanding { state: to, since: Some(until), version: row.version, ..unseen }
        }
        _ => CenterStanding {
            state,
            since: row.since,
            holder: row.holder,
            until: of_time.map(|(until, _)| until),
            version: row.version,
            event: row.event,
        },
    }
}

impl CenterStanding {
    /// The state's name; of a centre of which nothing is known, the one that it comes back to.
    pub(super) fn status<'m>(&self, machine: &'m StateMachine) -> &'m str {
        machine.name(self.state).unwrap_or("free")
    }

    /// How it stands, in words.
    pub(super) fn told(&self, machine: &StateMachine, lab: &str) -> String {
        let mut told = format!("{lab}: {}", self.status(machine));
        match self.since {
            Some(since) => told.push_str(&format!(" since {since}")),
            None => told.push_str(", of which nothing has been seen yet"),
        }
        told.push_str(&self.by_whom());
        let allowed = machine.allowed(self.state).join(", ");
        format!("{told}\nversion {}\nallowed now: {allowed}\n", self.version)
    }

    fn by_whom(&self) -> String {
        let holder = self.holder.iter().map(|holder| format!(", edited by {holder}"));
        let until = self.until.iter().map(|until| format!(" until {until}"));
        holder.chain(until).collect()
    }

    /// The same as an object.
    pub(super) fn object(&self, machine: &StateMachine, lab: &str) -> Value {
        json!({
            "lab_id": lab,
            "status": self.status(machine),
            "status_start": self.since.map(Timestamp::to_rfc3339),
            "current_user": self.holder,
            "until": self.until.map(Timestamp::to_rfc3339),
            "version": self.version,
            "event": self.event,
            "allowed": machine.allowed(self.state),
        })
    }

    /// Whether a user may ask this now.
    ///
    /// # Errors
    /// Why not, and what is allowed.
    pub(super) fn may(
        &self,
        (machine, lab): (&StateMachine, &str),
        word: EventWord,
        user: &str,
    ) -> Result<AllowedWord, String> {
        let text = machine.word_text(word);
        let allowed = machine.allowed(self.state).join(", ");
        let holds = |other: &&String| other.as_str() != user;
        let others = self.holder.as_ref().filter(holds);
        match (machine.asked(self.state, word), others) {
            (Some(asked), Some(holder)) if asked.by_holder => Err(format!(
                "{holder} edits the settings of `{lab}`{}; `{text}` is theirs to say until then",
                self.until.map_or_else(String::new, |until| format!(" until {until}"))
            )),
            (Some(asked), _) => Ok(asked),
            (None, _) => {
                let since = self.since.map_or_else(String::new, |since| format!(" since {since}"));
                Err(format!(
                    "`{text}` is not allowed: `{lab}` is in `{}`{since}{}, where there is {allowed}",
                    self.status(machine),
                    self.by_whom()
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Project;

    fn machine() -> StateMachine {
        let project = Project::load(None).unwrap();
        project.machines.iter().find(|machine| machine.spec.name == "center").unwrap().clone()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn row(status: &str, previous: &str, since: &str, holder: Option<&str>) -> StatusRow {
        StatusRow {
            status: status.to_owned(),
            previous: Some(previous.to_owned()),
            since: Some(at(since)),
            holder: holder.map(str::to_owned),
            version: 4,
            event: None,
        }
    }

    #[test]
    fn a_lease_is_over_with_its_hour() {
        let machine = machine();
        let edited = || Some(row("edit", "free", "2026-03-02T10:00:00Z", Some("ana")));
        let during = standing(&machine, edited(), at("2026-03-02T10:59:59Z"));
        assert_eq!(during.status(&machine), "edit");
        assert_eq!((during.holder.as_deref(), during.version), (Some("ana"), 4));
        assert_eq!(during.until, Some(at("2026-03-02T11:00:00Z")));
        let after = standing(&machine, edited(), at("2026-03-02T11:00:00Z"));
        assert_eq!((after.status(&machine), after.holder.as_deref()), ("free", None));
        assert_eq!((after.since, after.version), (Some(at("2026-03-02T11:00:00Z")), 4));
    }

    #[test]
    fn of_changes_at_one_instant_the_last_counts() {
        let same = "2026-03-02T11:00:00Z";
        let rows = [row("edit", "free", same, Some("bob")), row("free", "edit", same, None)];
        // Whichever stands first, as each is followed by the other.
        assert!(last(rows.to_vec()).is_some());
        let rows = [
            row("reco_trans", "wait00_trans", same, None),
            row("wait03_prod", "reco_trans", same, None),
        ];
        assert_eq!(last(rows.to_vec()).unwrap().status, "wait03_prod");
        assert!(last(Vec::new()).is_none());
    }

    #[test]
    fn what_may_be_asked_is_told() {
        let machine = machine();
        let now = at("2026-03-02T10:20:00Z");
        let word = |text: &str| machine.word(text).unwrap();
        let edited = row("edit", "free", "2026-03-02T10:00:00Z", Some("ana"));
        let edited = standing(&machine, Some(edited), now);
        let may = |of: &CenterStanding, text: &str, user: &str| {
            of.may((&machine, "north"), word(text), user)
        };
        assert!(may(&edited, "saving_changes", "ana").unwrap().carries_settings);
        let told = may(&edited, "saving_changes", "bob").unwrap_err();
        assert_eq!(
            told,
            "ana edits the settings of `north` until 2026-03-02T11:00:00Z; `saving_changes` is theirs to say until then"
        );
        let told = may(&edited, "starts_editing", "bob").unwrap_err();
        assert_eq!(
            told,
            "`starts_editing` is not allowed: `north` is in `edit` since 2026-03-02T10:00:00Z, edited by ana until \
             2026-03-02T11:00:00Z, where there is abandon_changes, saving_changes"
        );
        let unseen = standing(&machine, None, now);
        assert_eq!((unseen.version, unseen.status(&machine)), (1, "free"));
        assert!(may(&unseen, "starts_editing", "bob").unwrap().takes_lease);
        assert!(may(&unseen, "saving_changes", "bob").is_err());
    }
}

//! `POST alerts/{id}/acknowledge`: someone sees to a breach, so that nobody is reminded of it any more.

use super::ask::{Ask, Conditions};
use super::kept::is_kept;
use super::metrics::filter::answers;
use super::openapi::CommandTold;
use super::parameters::Parameters;
use super::problem::{NoAnswer, ProblemDetails, ProblemKind, quoted};
use super::question::NOTE_PARAMETER;
use super::reading::Reading;
use super::told::{Described, answer};
use crate::access::acknowledge::AckDesk;
use crate::access::desk::Doer;
use crate::flow::lake_key::Section;
use crate::lake::read::row::AnswerRow;

/// The least of a card's id that a person may write: what a card shows.
const SHORT: usize = 12;
const DIGITS: usize = 32;
/// Breaches that one card may tell of.
const MOST: usize = 1000;
/// Characters of a note.
const NOTE: usize = 200;

answer! {
    /// Breaches that someone sees to.
    pub struct AcknowledgedAnswer {
        /// The breaches.
        pub acknowledged: Vec<AcknowledgedAlert>,
    }
}

answer! {
    /// A breach that someone sees to.
    pub struct AcknowledgedAlert {
        /// Its id.
        pub id: String,
        /// The rule.
        pub rule: String,
        /// The laboratory; null where the rule is about none.
        pub lab_id: Option<String>,
        /// What else it is about.
        pub group: String,
        /// Who: the first who said so.
        pub by: String,
        /// When (RFC 3339).
        pub at: String,
        /// What they say to it.
        pub note: Option<String>,
    }
}

/// What the API's description says of it.
pub fn told() -> CommandTold {
    CommandTold {
        path: "/alerts/{id}/acknowledge",
        summary: "Says that you see to a breach, or to all that a card tells of: nobody is reminded of \
                  it any more. Needs the role operator.",
        parameters: vec![NOTE_PARAMETER],
        answer: AcknowledgedAnswer::schema,
    }
}

/// Takes a command's parameters.
///
/// # Errors
/// Where one is unknown, or the note is too long.
pub fn note(mut parameters: Parameters) -> Result<Option<String>, NoAnswer> {
    let note = parameters.one("note")?;
    parameters.end()?;
    match &note {
        Some(note) if note.chars().count() > NOTE => {
            let text = format!("`note` has more than {NOTE} characters");
            Err(ProblemDetails::new(ProblemKind::Value, text).of("note"))
        }
        Some(_) | None => Ok(note),
    }
}

/// Writes down who sees to the breaches of an id: that of a breach or a card, or the beginning of a card's
/// that people are shown. Breaches of laboratories that the caller does not see are none.
///
/// # Errors
/// Where there is no such breach, or the lake does not take it.
pub async fn acknowledge(
    reading: &Reading,
    desk: &AckDesk,
    (id, note): (&str, Option<String>),
    doer: &Doer,
) -> Result<AcknowledgedAnswer, NoAnswer> {
    let mut acknowledged = Vec::new();
    for row in breaches(reading, id).await? {
        let breach = row.string("id");
        let told = desk.acknowledge(&breach, note.clone(), doer).await.map_err(|error| {
            let told = anyhow::Error::from(error);
            tracing::warn!("could not write down who sees to breach {breach}: {told:#}");
            let text = "the lake did not take it; try again in a while";
            ProblemDetails::new(ProblemKind::Away, text).since(reading.now.to_rfc3339())
        })?;
        acknowledged.push(AcknowledgedAlert {
            id: breach,
            rule: row.string("rule"),
            lab_id: row.text("lab_id").map(str::to_owned),
            group: row.string("group"),
            by: told.by,
            at: told.at,
            note: told.note,
        });
    }
    Ok(AcknowledgedAnswer { acknowledged })
}

/// The breaches that an id names.
async fn breaches(reading: &Reading, id: &str) -> Result<Vec<AnswerRow>, NoAnswer> {
    let ask = named_by(id).filter(|_| is_kept(reading, Section::Alerts.as_str()));
    let found = match ask {
        Some(ask) => answers(reading, ask).await?,
        None => Vec::new(),
    };
    if found.is_empty() {
        let id = quoted(id);
        let text = format!("nothing is known of an alert {id}; `alerts` names those that are");
        return Err(ProblemDetails::new(ProblemKind::Alert, text).of("id"));
    }
    Ok(found)
}

/// The question which breaches an id names: `id`, `rule`, `lab_id` and `group` of each. Nothing where it is
/// no id.
pub fn named_by(id: &str) -> Option<Ask> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if !(SHORT..=DIGITS).contains(&id.len()) || !id.bytes().all(is_digit) {
        return None;
    }
    let (table, mut conditions) = (Section::Alerts.as_str(), Conditions::default());
    let likes = conditions.value(format!("{id}%").as_str().into());
    let sql = format!(
        "SELECT DISTINCT begun.notice_id AS id, begun.rule AS rule, begun.lab_id AS lab_id, \
         begun.\"group\" AS \"group\" FROM {table} AS begun JOIN {table} AS told \
         ON begun.rule = told.rule AND begun.\"table\" = told.\"table\" \
         AND (begun.lab_id IS NOT DISTINCT FROM told.lab_id) AND begun.\"group\" = told.\"group\" \
         AND begun.begun_at = told.begun_at \
         WHERE begun.kind = 'begin' AND (told.card_id LIKE {likes} OR told.notice_id LIKE {likes}) \
         ORDER BY id LIMIT {MOST}"
    );
    Some(conditions.ask(sql))
}

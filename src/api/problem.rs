//! What a caller did wrong, or what is not to be had, as problem details (RFC 9457).
//!
//! Each names the parameter and what is allowed. None quotes rows, keys or the text of a store's own
//! error beyond one line.

use super::told::answer;

answer! {
    /// Why there is no answer.
    pub struct ProblemDetails {
        /// What kind of problem it is, as `urn:turnaround:unknown-table`.
        pub r#type: String,
        /// The kind in words; the same for all problems of a kind.
        pub title: String,
        /// The HTTP status.
        pub status: u16,
        /// What happened, on what, and what to do.
        pub detail: String,
        /// The parameter that is wrong.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub parameter: Option<String>,
        /// What may stand in its place; at most a hundred are named.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub allowed: Vec<String>,
        /// Since when the lake is away (RFC 3339).
        #[serde(skip_serializing_if = "Option::is_none")]
        pub since: Option<String>,
        /// After how many seconds to ask again.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub retry_after_seconds: Option<u64>,
    }
}

/// Problem details in the place of an answer.
pub type NoAnswer = Box<ProblemDetails>;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// No such route.
    Route,
    /// A route that answers another method.
    Method,
    /// No such table.
    Table,
    /// No such specimen.
    Specimen,
    /// No such alert.
    Alert,
    /// No such column.
    Column,
    /// No such laboratory.
    Lab,
    /// No such parameter.
    Parameter,
    /// A value that a parameter does not take.
    Value,
    /// A period that ends before it begins.
    Period,
    /// A cursor that is none, or of another question.
    Cursor,
    /// No form of answer that the caller takes.
    Form,
    /// No token.
    NoToken,
    /// A token that is not known.
    UnknownToken,
    /// A token that has ended.
    ExpiredToken,
    /// A token that was revoked.
    RevokedToken,
    /// Something that the caller's role may not see.
    Role,
    /// Something that the server was not told to do.
    Off,
    /// More requests than a token may make.
    TooOften,
    /// More listeners than there may be.
    TooMany,
    /// More than one answer may hold.
    TooMuch,
    /// More than one answer may take.
    TooLong,
    /// The lake is away.
    Away,
    /// Our own fault, or an object that cannot be read.
    Failed,
}

/// How many values a problem names.
const NAMED: usize = 100;

impl ProblemKind {
    /// The status, the kind's name and the kind in words.
    fn told(self) -> (u16, &'static str, &'static str) {
        match self {
            ProblemKind::Route => (404, "unknown-route", "there is no such route"),
            ProblemKind::Method => (405, "method-not-allowed", "the route takes another method"),
            ProblemKind::Table => (404, "unknown-table", "there is no such table"),
            ProblemKind::Specimen => (404, "unknown-specimen", "nothing is known of the specimen"),
            ProblemKind::Alert => (404, "unknown-alert", "nothing is known of the alert"),
            ProblemKind::Column => (400, "unknown-column", "there is no such column"),
            ProblemKind::Lab => (400, "unknown-lab", "there is no such laboratory"),
            ProblemKind::Parameter => (400, "unknown-parameter", "there is no such parameter"),
            ProblemKind::Value => (400, "wrong-value", "a parameter has a wrong value"),
            ProblemKind::Period => (400, "wrong-period", "the period ends before it begins"),
            ProblemKind::Cursor => {
                (400, "wrong-cursor", "the cursor does not belong to this question")
            }
            ProblemKind::Form => (406, "not-acceptable", "no such form of answer"),
            ProblemKind::NoToken => (401, "no-token", "nobody is let in without a token"),
            ProblemKind::UnknownToken => (401, "unknown-token", "the token is not known"),
            ProblemKind::ExpiredToken => (401, "expired-token", "the token has ended"),
            ProblemKind::RevokedToken => (401, "revoked-token", "the token was revoked"),
            ProblemKind::Role => (403, "role-needed", "the token's role does not allow it"),
            ProblemKind::Off => (403, "off", "the server was not told to do it"),
            ProblemKind::TooOften => (429, "too-many-requests", "the token asks too often"),
            ProblemKind::TooMany => (503, "too-many-listeners", "too many listen at once"),
            ProblemKind::TooMuch => (422, "too-much", "the answer is larger than one may be"),
            ProblemKind::TooLong => (504, "too-long", "the answer takes longer than one may take"),
            ProblemKind::Away => (503, "lake-away", "the lake cannot be reached"),
            ProblemKind::Failed => (500, "failed", "the question could not be answered"),
        }
    }
}

impl ProblemDetails {
    /// A problem of a kind.
    pub fn new(wrong: ProblemKind, detail: impl Into<String>) -> NoAnswer {
        let (status, kind, title) = wrong.told();
        Box::new(ProblemDetails {
            r#type: format!("urn:turnaround:{kind}"),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            parameter: None,
            allowed: Vec::new(),
            since: None,
            retry_after_seconds: None,
        })
    }

    /// Whether it is one of a kind.
    pub fn is(&self, kind: ProblemKind) -> bool {
        let (status, name, _) = kind.told();
        self.status == status && self.r#type.ends_with(&format!(":{name}"))
    }

    /// The same, of a parameter.
    pub fn of(mut self: Box<Self>, parameter: impl Into<String>) -> NoAnswer {
        self.parameter = Some(parameter.into());
        self
    }

    /// The same, with what is allowed.
    pub fn allowing<T: Into<String>>(
        mut self: Box<Self>,
        allowed: impl IntoIterator<Item = T>,
    ) -> NoAnswer {
        self.allowed = allowed.into_iter().take(NAMED).map(Into::into).collect();
        self
    }

    /// The same, with when to ask again.
    pub fn retry_after(mut self: Box<Self>, seconds: u64) -> NoAnswer {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// The same, with since when.
    pub fn since(mut self: Box<Self>, since: impl Into<String>) -> NoAnswer {
        self.since = Some(since.into());
        self
    }
}

/// A text of the caller's as it is quoted: one line, not longer than what anyone reads.
pub fn quoted(text: &str) -> String {
    let short: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    if short == text { format!("`{short}`") } else { format!("`{short}…`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_is_allowed_and_nothing_that_is_not_there() {
        let problem =
            ProblemDetails::new(ProblemKind::Value, "`grain` is `week`; write hour or day")
                .of("grain")
                .allowing(["hour", "day"]);
        assert_eq!(
            serde_json::to_value(&problem).unwrap(),
            serde_json::json!({
                "type": "urn:turnaround:wrong-value",
                "title": "a parameter has a wrong value",
                "status": 400,
                "detail": "`grain` is `week`; write hour or day",
                "parameter": "grain",
                "allowed": ["hour", "day"],
            })
        );
    }

    #[test]
    fn what_is_quoted_is_one_short_line() {
        assert_eq!(quoted("lab-1"), "`lab-1`");
        assert_eq!(quoted("a\nb"), "`ab…`");
        assert_eq!(quoted(&"x".repeat(100)), format!("`{}…`", "x".repeat(80)));
    }
}

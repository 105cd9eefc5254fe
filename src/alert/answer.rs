//! What a webhook's answer means, but for what is a channel's own. Pure.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime};

use crate::flow::Timestamp;

/// A webhook's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The header `Retry-After`.
    pub retry_after: Option<String>,
    /// The body, cut at a limit.
    pub body: String,
}

/// What is to be done after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptVerdict {
    /// The webhook has taken the card.
    Taken,
    /// To be tried again, not before what `Retry-After` says.
    Again {
        /// The header as it came.
        after: Option<String>,
    },
    /// The card is too large.
    TooLarge,
    /// Trying again would not help.
    Refused,
}

/// What a status means that stands in an answer, or is the answer's own.
pub(super) fn by_status(status: u16, answer: &Answer) -> AttemptVerdict {
    match status {
        200..=299 => AttemptVerdict::Taken,
        408 | 429 | 500..=599 => AttemptVerdict::Again { after: answer.retry_after.clone() },
        413 => AttemptVerdict::TooLarge,
        _ => AttemptVerdict::Refused,
    }
}

/// How long `Retry-After` asks to wait: seconds, or an HTTP date (RFC 9110 section 5.6.7, all
/// three forms) seen from `now`. `None` when it is neither.
pub fn wait_asked(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(text)
        .map(|date| date.timestamp_micros())
        .or_else(|_| obsolete_date(text))
        .ok()?;
    let micros = at.saturating_sub(now.0);
    Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
}

fn obsolete_date(text: &str) -> Result<i64, chrono::ParseError> {
    let rfc850 = NaiveDateTime::parse_from_str(text, "%A, %d-%b-%y %H:%M:%S GMT");
    let asctime = || NaiveDateTime::parse_from_str(text, "%a %b %e %H:%M:%S %Y");
    rfc850.or_else(|_| asctime()).map(|date| date.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::format::Channel;

    fn verdict(status: u16, body: &str, channel: Channel) -> AttemptVerdict {
        channel.judge(&Answer { status, retry_after: None, body: body.to_owned() })
    }

    const AGAIN: AttemptVerdict = AttemptVerdict::Again { after: None };

    #[test]
    fn the_status_decides_what_is_tried_again() {
        for status in [408, 429, 500, 502, 503, 504] {
            assert_eq!(verdict(status, "", Channel::Teams), AGAIN, "{status}");
        }
        for status in [301, 302, 307, 400, 401, 403, 404, 410, 422] {
            assert_eq!(verdict(status, "", Channel::Teams), AttemptVerdict::Refused, "{status}");
        }
        for status in [200, 201, 202] {
            assert_eq!(verdict(status, "", Channel::Teams), AttemptVerdict::Taken, "{status}");
        }
        assert_eq!(verdict(413, "", Channel::Teams), AttemptVerdict::TooLarge);
    }

    #[test]
    fn the_body_of_a_200_is_read() {
        let hidden = "Webhook message delivery failed with error: Microsoft Teams endpoint \
                      returned HTTP error 429 with ContextId tcid=0";
        let large = "Microsoft Teams endpoint returned HTTP error 413";
        for form in [Channel::Teams, Channel::MessageCard] {
            assert_eq!(verdict(200, hidden, form), AGAIN);
            assert_eq!(verdict(200, large, form), AttemptVerdict::TooLarge);
        }
        assert_eq!(verdict(200, "1", Channel::MessageCard), AttemptVerdict::Taken);
        assert_eq!(verdict(200, "1\r\n", Channel::MessageCard), AttemptVerdict::Taken);
        assert_eq!(verdict(200, "Invalid payload", Channel::MessageCard), AttemptVerdict::Refused);
        assert_eq!(verdict(202, "", Channel::MessageCard), AttemptVerdict::Taken);
        // Slack and others say what they mean by the status.
        for channel in [Channel::Slack, Channel::Json] {
            assert_eq!(verdict(200, "ok", channel), AttemptVerdict::Taken);
            assert_eq!(verdict(204, "", channel), AttemptVerdict::Taken);
            assert_eq!(verdict(200, hidden, channel), AttemptVerdict::Taken);
            assert_eq!(verdict(429, "", channel), AGAIN);
            assert_eq!(verdict(404, "no_service", channel), AttemptVerdict::Refused);
        }
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_in_all_forms_of_date() {
        // 1994-11-06T08:49:37Z, the example of RFC 9110.
        let now = Timestamp::parse_rfc3339("1994-11-06T08:49:30Z").unwrap();
        for text in [
            "7",
            " 7 ",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(wait_asked(text, now), Some(Duration::from_secs(7)), "{text}");
        }
        let past = wait_asked("Sun, 06 Nov 1994 08:00:00 GMT", now);
        assert_eq!(past, Some(Duration::ZERO));
        for text in ["", "soon", "-1", "1.5"] {
            assert_eq!(wait_asked(text, now), None, "{text}");
        }
    }
}

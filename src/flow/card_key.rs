//! The names of what a lake keeps of alert cards, until there are checkpoints.
//!
//! ```text
//! _turnaround/cards/waiting/<card's id>.json              a card that its webhook has not taken
//! _turnaround/cards/taken/<date>/<card's id>.json         one that it has
//! _turnaround/cards/acknowledged/<breach's id>.json       a breach that somebody sees to
//! ```
//!
//! The date is the UTC date of the card's event time. Formatting and parsing are inverse to each
//! other. Nothing in here touches a store.

use std::fmt;

use chrono::NaiveDate;

/// Folder of what is kept of cards.
pub const CARDS: &str = "_turnaround/cards";
/// Folder of what is kept of breaches that somebody sees to.
pub const ACKNOWLEDGED: &str = "_turnaround/cards/acknowledged";
const SUFFIX: &str = ".json";
const ID_DIGITS: usize = 32;

/// The name of one entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CardKey {
    /// A card that its webhook has not taken.
    Waiting {
        /// The card's id, 32 hexadecimal digits.
        id: String,
    },
    /// A card that its webhook has taken.
    Taken {
        /// The UTC date of its event time.
        date: NaiveDate,
        /// The card's id, 32 hexadecimal digits.
        id: String,
    },
    /// A breach that somebody sees to.
    Acknowledged {
        /// The id of the notice with which it began, 32 hexadecimal digits.
        id: String,
    },
}

impl CardKey {
    /// Reads an object's name, relative to the lake. `None` when it is none of these.
    pub fn parse(name: &str) -> Option<CardKey> {
        let rest = name.strip_prefix(CARDS)?.strip_prefix('/')?.strip_suffix(SUFFIX)?;
        let (folder, id) = rest.rsplit_once('/')?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if id.len() != ID_DIGITS || !id.bytes().all(is_digit) {
            return None;
        }
        let id = id.to_owned();
        match folder.split_once('/') {
            None if folder == "waiting" => Some(CardKey::Waiting { id }),
            None if folder == "acknowledged" => Some(CardKey::Acknowledged { id }),
            Some(("taken", text)) => {
                let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
                (date.to_string() == text).then_some(CardKey::Taken { date, id })
            }
            _ => None,
        }
    }
}

impl fmt::Display for CardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CardKey::Waiting { id } => write!(f, "{CARDS}/waiting/{id}{SUFFIX}"),
            CardKey::Taken { date, id } => write!(f, "{CARDS}/taken/{date}/{id}{SUFFIX}"),
            CardKey::Acknowledged { id } => write!(f, "{ACKNOWLEDGED}/{id}{SUFFIX}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_those_of_the_documentation() {
        let id = "0f1e2d3c4b5a69788796a5b4c3d2e1f0".to_owned();
        let waiting = CardKey::Waiting { id: id.clone() };
        assert_eq!(waiting.to_string(), format!("_turnaround/cards/waiting/{id}.json"));
        let date = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap();
        let taken = CardKey::Taken { date, id: id.clone() };
        assert_eq!(taken.to_string(), format!("_turnaround/cards/taken/2026-03-01/{id}.json"));
        let acknowledged = CardKey::Acknowledged { id: id.clone() };
        assert_eq!(acknowledged.to_string(), format!("_turnaround/cards/acknowledged/{id}.json"));
        assert_eq!(CardKey::parse(&acknowledged.to_string()), Some(acknowledged));
        for name in [
            format!("_turnaround/cards/{id}.json"),
            format!("_turnaround/cards/waiting/{}.json", &id[1..]),
            format!("_turnaround/cards/waiting/{}.json", id.to_uppercase()),
            format!("_turnaround/cards/taken/2026-3-1/{id}.json"),
            format!("_turnaround/cards/lost/{id}.json"),
            format!("alerts/waiting/{id}.json"),
        ] {
            assert_eq!(CardKey::parse(&name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn parsing_is_the_inverse(id in "[0-9a-f]{32}", day in prop::option::of(0..2_900_000_i32)) {
            let key = match day {
                None => CardKey::Waiting { id },
                Some(day) => {
                    let date = NaiveDate::default() + chrono::Duration::days(i64::from(day));
                    CardKey::Taken { date, id }
                }
            };
            prop_assert_eq!(CardKey::parse(&key.to_string()), Some(key));
        }
    }
}

//! How often the feed goes wrong: a rate for each fault, and what a user writes to set them.

use std::str::FromStr;

use crate::flow::Span;

/// Why what was written is no rates of faults.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FaultError {
    /// No such fault.
    #[error(
        "`{name}` is not a fault; write none, default or all, or NAME=RATE of {}",
        FaultRates::NAMES.join(", ")
    )]
    UnknownFault {
        /// What was written.
        name: String,
    },
    /// A rate that cannot be read.
    #[error("`{text}` is not how often `{name}` happens; write {name}={remedy}")]
    Unreadable {
        /// Which fault.
        name: &'static str,
        /// What was written.
        text: String,
        /// What may be written.
        remedy: &'static str,
    },
}

/// How often the feed goes wrong. Rates are shares of records from 0 to 1.
///
/// Each fault draws from a stream of its own: changing one rate moves no other fault and no
/// event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FaultRates {
    /// Records that arrive 5 to 60 minutes after they should.
    pub late: f64,
    /// Records that arrive a second time, with the same `event_id`, within two minutes.
    pub repeated: f64,
    /// Records that are not a JSON object: cut off, not UTF-8, plain text, an array.
    pub malformed: f64,
    /// Each instrument's clock is wrong by a constant of at most so much, either way.
    pub clock_skew: Span,
    /// Finished tests that are followed by a transition that no state machine allows.
    pub refused: f64,
    /// Records stamped with the year 20244, or 1 to 400 days ahead.
    pub future: f64,
    /// Records with a field that nobody declared.
    pub unknown_field: f64,
    /// Records whose state, status or event type is outside of its enumeration.
    pub unknown_status: f64,
}

impl FaultRates {
    /// The faults' names, as they are written in `--faults`.
    pub const NAMES: [&str; 8] = [
        "late",
        "repeated",
        "malformed",
        "skew",
        "refused",
        "future",
        "unknown_field",
        "unknown_status",
    ];

    /// A perfect feed: in order within `max_disorder`, each record once.
    pub const NONE: FaultRates = FaultRates {
        late: 0.0,
        repeated: 0.0,
        malformed: 0.0,
        clock_skew: Span(0),
        refused: 0.0,
        future: 0.0,
        unknown_field: 0.0,
        unknown_status: 0.0,
    };

    /// What is usual: 1 % late, 0.1 % repeated, 0.05 % malformed, clocks up to 2 minutes off,
    /// 0.05 % of finished tests followed by a refused transition.
    pub const USUAL: FaultRates = FaultRates {
        late: 0.01,
        repeated: 0.001,
        malformed: 0.0005,
        clock_skew: Span(2 * Span::MINUTE.0),
        refused: 0.0005,
        ..FaultRates::NONE
    };

    /// Every fault at once.
    pub const ALL: FaultRates = FaultRates {
        future: 0.0005,
        unknown_field: 0.001,
        unknown_status: 0.0005,
        ..FaultRates::USUAL
    };

    /// Each rate with its name, for checking.
    pub(super) fn shares(&self) -> [(&'static str, f64); 7] {
        [
            ("late", self.late),
            ("repeated", self.repeated),
            ("malformed", self.malformed),
            ("refused", self.refused),
            ("future", self.future),
            ("unknown_field", self.unknown_field),
            ("unknown_status", self.unknown_status),
        ]
    }

    /// Sets one fault by its name.
    fn set(&mut self, name: &str, text: &str) -> Result<(), FaultError> {
        let Some(name) = FaultRates::NAMES.into_iter().find(|known| *known == name) else {
            return Err(FaultError::UnknownFault { name: name.to_owned() });
        };
        let wrong = |remedy| FaultError::Unreadable { name, text: text.to_owned(), remedy };
        if name == "skew" {
            self.clock_skew = text.parse().map_err(|_| wrong("a span, as 2m"))?;
            return Ok(());
        }
        let rate = parse_share(text).ok_or_else(|| wrong("0 to 1, or 0% to 100%"))?;
        match name {
            "late" => self.late = rate,
            "repeated" => self.repeated = rate,
            "malformed" => self.malformed = rate,
            "refused" => self.refused = rate,
            "future" => self.future = rate,
            "unknown_field" => self.unknown_field = rate,
            _ => self.unknown_status = rate,
        }
        Ok(())
    }
}

impl Default for FaultRates {
    fn default() -> FaultRates {
        FaultRates::USUAL
    }
}

/// `none`, `default` or `all`; faults by name, as `late=0.01,refused=0.2%`, and no others; or a set
/// and then what is to differ from it, as `default,late=5%`.
impl FromStr for FaultRates {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<FaultRates, FaultError> {
        let mut rates = FaultRates::NONE;
        for (place, word) in text.split(',').map(str::trim).enumerate() {
            match (word, word.split_once('=')) {
                (_, Some((name, rate))) => rates.set(name.trim(), rate.trim())?,
                ("none", None) if place == 0 => rates = FaultRates::NONE,
                ("default", None) if place == 0 => rates = FaultRates::USUAL,
                ("all", None) if place == 0 => rates = FaultRates::ALL,
                (name, None) => return Err(FaultError::UnknownFault { name: name.to_owned() }),
            }
        }
        Ok(rates)
    }
}

/// Reads a share, as 0.01 or 1%.
pub fn parse_share(text: &str) -> Option<f64> {
    let (digits, unit) = match text.strip_suffix('%') {
        Some(digits) => (digits, 0.01),
        None => (text, 1.0),
    };
    let rate = digits.trim().parse::<f64>().ok()? * unit;
    (0.0..=1.0).contains(&rate).then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<FaultRates, String> {
        text.parse().map_err(|fault: FaultError| fault.to_string())
    }

    #[test]
    fn a_set_by_its_name() {
        assert_eq!(read("none"), Ok(FaultRates::NONE));
        assert_eq!(read("default"), Ok(FaultRates::USUAL));
        assert_eq!(read("all"), Ok(FaultRates::ALL));
    }

    #[test]
    fn named_faults_are_the_only_ones_unless_a_set_stands_before_them() {
        let two = FaultRates { late: 0.01, refused: 0.002, ..FaultRates::NONE };
        assert_eq!(read("late=0.01,refused=0.002"), Ok(two));
        assert_eq!(read(" late = 1% , refused = 0.2% "), Ok(two));
        let late = FaultRates { late: 0.5, ..FaultRates::USUAL };
        assert_eq!(read("default,late=0.5"), Ok(late));
        let skew = FaultRates { clock_skew: Span(30 * Span::SECOND.0), ..FaultRates::ALL };
        assert_eq!(read("all,skew=30s"), Ok(skew));
    }

    #[test]
    fn each_name_sets_its_own_rate() {
        for name in FaultRates::NAMES {
            let text = if name == "skew" { "skew=1s".to_owned() } else { format!("{name}=0.25") };
            let rates = read(&text).expect(name);
            assert_ne!(rates, FaultRates::NONE, "{name}");
            let set = rates.shares().into_iter().filter(|(_, rate)| *rate == 0.25);
            let expected = if name == "skew" { vec![] } else { vec![name] };
            assert_eq!(set.map(|(name, _)| name).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn what_is_wrong_is_answered_with_the_names_or_the_form() {
        let every_name =
            "late, repeated, malformed, skew, refused, future, unknown_field, unknown_status";
        for text in ["lat=0.1", "some", "", "late", "late=0.1,none", "late=0.1,,skew=1s"] {
            let fault = read(text).expect_err(text);
            assert!(fault.contains(every_name), "{text}: {fault}");
        }
        for (text, remedy) in [
            ("late=2", "write late=0 to 1, or 0% to 100%"),
            ("refused=often", "write refused=0 to 1, or 0% to 100%"),
            ("late=NaN", "write late=0 to 1, or 0% to 100%"),
            ("skew=0.1", "write skew=a span, as 2m"),
        ] {
            let fault = read(text).expect_err(text);
            assert!(fault.contains(remedy), "{text}: {fault}");
        }
    }
}

//! What is to be generated: a profile, its extent and its seed.
//!
//! Every value can be judged without generating anything ([`GeneratorOptions::validate`]).

use std::fmt;
use std::str::FromStr;

use crate::flow::{Span, Timestamp};

use super::rates::FaultRates;

/// 2026-03-01T00:00Z, a Sunday: where a feed begins when nothing else is asked for.
pub const DEFAULT_FROM: Timestamp = Timestamp(1_772_323_200_000_000);

/// More laboratories than this need more than a few hundred megabytes of open specimens.
const MAX_LABS: u32 = 20_000;
/// Ten years.
const MAX_DAYS: f64 = 3653.0;
/// 9000-01-01T00:00Z: leaves room before the last year that a timestamp may have.
const LAST_FROM: Timestamp = Timestamp(221_845_392_000_000_000);

/// Which world is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Three laboratories in three time zones, three days with a story, transition form.
    Demo,
    /// The starter kit's rows: CBC, Chem7 and PCR on M1 to M5, 1200 specimens a day, row form.
    StarterKit,
    /// A thousand laboratories, transition form.
    Network,
}

impl Profile {
    /// The profile's name in `--profile` and `generator:PROFILE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Profile::Demo => "demo",
            Profile::StarterKit => "starter-kit",
            Profile::Network => "network",
        }
    }

    /// How many laboratories it has unless told otherwise.
    pub fn default_labs(self) -> u32 {
        match self {
            Profile::Demo => 3,
            Profile::StarterKit => 1,
            Profile::Network => 1000,
        }
    }

    /// How much is told unless told otherwise. The demo's story is told plainly.
    pub fn default_course(self) -> TestCourse {
        match self {
            Profile::Demo | Profile::StarterKit => TestCourse::Plain,
            Profile::Network => TestCourse::Full,
        }
    }

    /// How many days it lasts when neither days nor events are given.
    pub fn default_days(self) -> f64 {
        match self {
            Profile::Demo | Profile::StarterKit => 3.0,
            Profile::Network => 1.0,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Profile {
    type Err = OptionsError;

    fn from_str(text: &str) -> Result<Profile, OptionsError> {
        [Profile::Demo, Profile::StarterKit, Profile::Network]
            .into_iter()
            .find(|profile| profile.as_str() == text)
            .ok_or_else(|| OptionsError::UnknownProfile { name: text.to_owned() })
    }
}

/// How much of what happens to a test is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TestCourse {
    /// What happens every day.
    Plain,
    /// Beside it what happens seldom, or after the result: tests added later, upgrades, referrals,
    /// lost tubes, calls that reach nobody or come before the flag, invalidated results, tubes that
    /// are stored and disposed of, an instrument's repair step by step, the centre's settings.
    Full,
}

impl TestCourse {
    /// The name in `--course`.
    pub fn as_str(self) -> &'static str {
        match self {
            TestCourse::Plain => "plain",
            TestCourse::Full => "full",
        }
    }
}

impl fmt::Display for TestCourse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TestCourse {
    type Err = OptionsError;

    fn from_str(text: &str) -> Result<TestCourse, OptionsError> {
        [TestCourse::Plain, TestCourse::Full]
            .into_iter()
            .find(|course| course.as_str() == text)
            .ok_or_else(|| OptionsError::UnknownCourse { name: text.to_owned() })
    }
}

/// What is to be generated. The same options give the same bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct GeneratorOptions {
    /// Which world.
    pub profile: Profile,
    /// At most so many records, faults included. Alone, the feed goes on for as many days as that
    /// takes.
    pub events: Option<u64>,
    /// Specimens are collected for so many days; the profile's own when neither this nor
    /// `events` is given. The row form goes on until each row has its outcome; the transition
    /// form is cut at the end, and what is open then stays open.
    pub days: Option<f64>,
    /// How many laboratories; the profile's own number when absent.
    pub labs: Option<u32>,
    /// Another seed, another feed.
    pub seed: u64,
    /// The first instant.
    pub from: Timestamp,
    /// Without faults, no record's event time is further behind an earlier record's than this
    /// (half of it is used).
    pub max_disorder: Span,
    /// How often the feed goes wrong.
    pub faults: FaultRates,
    /// How much is told. The row form has no words for more than the plain course.
    pub course: TestCourse,
}

impl GeneratorOptions {
    /// The profile as it is shipped: its own extent, seed 1, the usual faults.
    pub fn new(profile: Profile) -> GeneratorOptions {
        GeneratorOptions {
            profile,
            events: None,
            days: None,
            labs: None,
            seed: 1,
            from: DEFAULT_FROM,
            max_disorder: Span::MINUTE,
            faults: FaultRates::USUAL,
            course: profile.default_course(),
        }
    }

    /// The first fault of the options, if there is one.
    pub fn validate(&self) -> Result<(), OptionsError> {
        let labs = self.labs.unwrap_or(1);
        if !(1..=MAX_LABS).contains(&labs) {
            return Err(OptionsError::Labs { labs });
        }
        if let Some(days) = self.days
            && !(days > 0.0 && days <= MAX_DAYS)
        {
            return Err(OptionsError::Days { days });
        }
        if self.from < Timestamp(0) || self.from > LAST_FROM {
            return Err(OptionsError::From { from: self.from });
        }
        for (name, span) in
            [("max_disorder", self.max_disorder), ("clock_skew", self.faults.clock_skew)]
        {
            if span < Span(0) || span > Span::DAY {
                return Err(OptionsError::Span { name, span });
            }
        }
        match self.faults.shares().into_iter().find(|(_, rate)| !(0.0..=1.0).contains(rate)) {
            Some((name, rate)) => Err(OptionsError::Rate { name, rate }),
            None => Ok(()),
        }
    }

    /// The end of collection, when the options bound it.
    pub fn end(&self) -> Option<Timestamp> {
        let days = match (self.days, self.events) {
            (Some(days), _) => days,
            (None, Some(_)) => return None,
            (None, None) => self.profile.default_days(),
        };
        Some(self.from.plus(Span((days * Span::DAY.0 as f64).round() as i64)))
    }
}

/// Why options cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OptionsError {
    /// No such profile.
    #[error("`{name}` is not a profile; write demo, starter-kit or network")]
    UnknownProfile {
        /// What was written.
        name: String,
    },
    /// No such course.
    #[error("`{name}` is not a course; write plain or full")]
    UnknownCourse {
        /// What was written.
        name: String,
    },
    /// Too few or too many laboratories.
    #[error("{labs} laboratories cannot be generated; write 1 to {MAX_LABS}")]
    Labs {
        /// What was asked for.
        labs: u32,
    },
    /// A length that is no length.
    #[error("{days} days cannot be generated; write a number above 0, at most {MAX_DAYS}")]
    Days {
        /// What was asked for.
        days: f64,
    },
    /// A beginning out of range.
    #[error("a feed cannot begin at {from}; write an instant from 1970 to 9000")]
    From {
        /// What was asked for.
        from: Timestamp,
    },
    /// A span out of range.
    #[error("{name} of {span} is out of range; write 0s to 1d")]
    Span {
        /// Which option.
        name: &'static str,
        /// What was asked for.
        span: Span,
    },
    /// A rate that is no share.
    #[error("the rate {rate} of `{name}` is not a share; write 0 to 1, or 0% to 100%")]
    Rate {
        /// Which fault.
        name: &'static str,
        /// What was asked for.
        rate: f64,
    },
}

//! A resolved target: how long, counted how, from when, and where it comes from.

use std::sync::Arc;

use crate::flow::{Span, Timestamp};

use super::hours::Hours;

/// Which minutes count towards a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TargetClock {
    /// All of them.
    #[default]
    Wall,
    /// Those in which the lab is open.
    Working,
}

/// From when a target counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TargetStart {
    /// Receipt: the start of the test's clock.
    #[default]
    Received,
    /// Collection; where it is not known, receipt.
    Collected,
}

/// Where a target comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetSource {
    /// A row of the reference table.
    Reference,
    /// The order's profile.
    Profile,
    /// A version that the centre has published.
    Centre,
    /// No row fits.
    Default,
}

/// A test's target.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedTarget {
    /// The longest allowable time; `None` where there is no deadline.
    pub minutes: Option<f64>,
    /// Which minutes count.
    pub clock: TargetClock,
    /// From when they count.
    pub from: TargetStart,
    /// Where it comes from.
    pub source: TargetSource,
    /// The `valid_from` of the row that it comes from, RFC 3339; empty where there is none.
    pub version: Arc<str>,
}

impl TargetClock {
    /// Every clock.
    pub const ALL: [TargetClock; 2] = [TargetClock::Wall, TargetClock::Working];

    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            TargetClock::Wall => "wall",
            TargetClock::Working => "working",
        }
    }
}

impl TargetStart {
    /// Every start.
    pub const ALL: [TargetStart; 2] = [TargetStart::Received, TargetStart::Collected];

    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            TargetStart::Received => "received",
            TargetStart::Collected => "collected",
        }
    }
}

impl TargetSource {
    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            TargetSource::Reference => "reference",
            TargetSource::Profile => "profile",
            TargetSource::Centre => "centre",
            TargetSource::Default => "default",
        }
    }
}

impl ResolvedTarget {
    /// From when it counts. `clock_start` is that of the test: its receipt, or what came to stand in its
    /// place.
    pub fn starts_at(&self, clock_start: Timestamp, collected_at: Option<Timestamp>) -> Timestamp {
        match self.from {
            TargetStart::Received => clock_start,
            TargetStart::Collected => collected_at.unwrap_or(clock_start),
        }
    }

    /// The latest instant that keeps it, for what began at `start` in a lab with these hours; `None`
    /// where there is no deadline.
    pub fn due_at(&self, start: Timestamp, hours: &Hours) -> Option<Timestamp> {
        self.share_at(start, hours, 1.0)
    }

    /// As [`ResolvedTarget::due_at`], of a share of the target: 0.8 is when four fifths are used up.
    pub fn share_at(&self, start: Timestamp, hours: &Hours, share: f64) -> Option<Timestamp> {
        let span = of_minutes(self.minutes? * share);
        Some(match self.clock {
            TargetClock::Wall => start.plus(span),
            TargetClock::Working => hours.deadline(start, span),
        })
    }
}

/// Minutes as a span, to the nearest microsecond; at most the longest span there is.
pub fn of_minutes(minutes: f64) -> Span {
    Span((minutes * Span::MINUTE.0 as f64).round() as i64)
}

#[cfg(test)]
mod tests {
    use chrono::Weekday;

    use super::*;
    use crate::reference::timetable::{Opening, Timetable};

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn resolved(minutes: Option<f64>, clock: TargetClock, from: TargetStart) -> ResolvedTarget {
        let (source, version) = (TargetSource::Reference, Arc::from(""));
        ResolvedTarget { minutes, clock, from, source, version }
    }

    #[test]
    fn a_deadline_follows_the_target_s_clock() {
        // Mondays 08:00 to 16:00 UTC; 2026-03-02 is one.
        let monday = Opening { weekday: Weekday::Mon, opens: 480, closes: 960 };
        let timetable = Timetable::new(&[monday], []).unwrap();
        let hours = Hours::new(Arc::new(timetable), chrono_tz::Tz::UTC);
        let start = at("2026-03-02T15:00:00Z");
        let due = |minutes, clock| {
            let due = resolved(minutes, clock, TargetStart::Received).due_at(start, &hours);
            due.map(Timestamp::to_rfc3339)
        };
        assert_eq!(due(Some(90.0), TargetClock::Wall).as_deref(), Some("2026-03-02T16:30:00Z"));
        assert_eq!(due(Some(90.0), TargetClock::Working).as_deref(), Some("2026-03-09T08:30:00Z"));
        assert_eq!(due(Some(0.7), TargetClock::Wall).as_deref(), Some("2026-03-02T15:00:42Z"));
        assert_eq!(due(None, TargetClock::Working), None);
        let target = resolved(Some(100.0), TargetClock::Working, TargetStart::Received);
        assert_eq!(target.share_at(start, &hours, 0.8), Some(at("2026-03-09T08:20:00Z")));
        let never = resolved(Some(f64::MAX), TargetClock::Wall, TargetStart::Received);
        assert_eq!(never.due_at(start, &hours), Some(Timestamp::MAX));
    }

    #[test]
    fn collection_counts_where_it_is_asked_for_and_known() {
        let (received, collected) = (Timestamp(10), Timestamp(3));
        let of = |from| resolved(Some(1.0), TargetClock::Wall, from);
        assert_eq!(of(TargetStart::Collected).starts_at(received, Some(collected)), collected);
        assert_eq!(of(TargetStart::Collected).starts_at(received, None), received);
        assert_eq!(of(TargetStart::Received).starts_at(received, Some(collected)), received);
    }
}

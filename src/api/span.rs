//! `from` and `to` → the instants and days that a question is about, half-open.

use chrono::{Days, NaiveDate};

use super::parameters::Parameters;
use super::problem::{NoAnswer, ProblemDetails, ProblemKind, quoted};
use crate::flow::Timestamp;

/// What a question is about in time: `[from, to)`, open where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Between {
    /// The first instant within.
    pub from: Option<Timestamp>,
    /// The first instant behind.
    pub to: Option<Timestamp>,
}

/// Days of objects: both within, open where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FiledDays {
    /// The first day.
    pub first: Option<NaiveDate>,
    /// The last day.
    pub last: Option<NaiveDate>,
}

impl Between {
    /// Takes `from` and `to`.
    ///
    /// # Errors
    /// Where one is no time, or the second does not come after the first.
    pub fn take(parameters: &mut Parameters) -> Result<Between, NoAnswer> {
        let from = time(parameters, "from")?;
        let to = time(parameters, "to")?;
        if let (Some(from), Some(to)) = (from, to)
            && to <= from
        {
            let text = format!(
                "`to` is {to} and must come after `from`, {from}; `from` is within the period, `to` \
                 is not"
            );
            return Err(ProblemDetails::new(ProblemKind::Period, text).of("to"));
        }
        Ok(Between { from, to })
    }

    /// The days of the objects that may hold its rows. A row is filed under the day of its time in UTC
    /// or, in calendar tables, on its laboratory's clock, which is a day off at most.
    pub fn days(self) -> FiledDays {
        let day = |at: Timestamp| at.date();
        FiledDays {
            first: self.from.and_then(|from| day(from).checked_sub_days(Days::new(1))),
            last: self.to.and_then(|to| day(to).checked_add_days(Days::new(1))),
        }
    }
}

impl FiledDays {
    /// Whether a day is one of them.
    pub fn holds(self, day: NaiveDate) -> bool {
        self.first.is_none_or(|first| first <= day) && self.last.is_none_or(|last| day <= last)
    }
}

/// An instant (RFC 3339) or the first one of a day in UTC.
fn time(parameters: &mut Parameters, name: &str) -> Result<Option<Timestamp>, NoAnswer> {
    let Some(text) = parameters.one(name)? else { return Ok(None) };
    let day = || NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok().map(Timestamp::midnight);
    let found = Timestamp::parse_rfc3339(&text).or_else(day);
    found.map(Some).ok_or_else(|| {
        let text = format!("`{name}` is {}, which is no time", quoted(&text));
        ProblemDetails::new(ProblemKind::Value, text).of(name).allowing([
            "2026-03-01",
            "2026-03-01T12:00:00Z",
            "2026-03-01T13:00:00%2B01:00",
        ])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(query: &str) -> Result<Between, NoAnswer> {
        Between::take(&mut Parameters::parse(query).unwrap())
    }

    #[test]
    fn days_and_instants_are_read() {
        // 2026-03-01T00:00:00Z is 1,772,323,200 s after the epoch.
        let midnight = Timestamp(1_772_323_200_000_000);
        let noon = Timestamp(1_772_366_400_000_000);
        let read = taken("from=2026-03-01&to=2026-03-01T13:00:00%2B01:00").unwrap();
        assert_eq!(read, Between { from: Some(midnight), to: Some(noon) });
        assert_eq!(taken("").unwrap(), Between::default());
        let days = read.days();
        let day = |month, day| NaiveDate::from_ymd_opt(2026, month, day).unwrap();
        assert_eq!((days.first, days.last), (Some(day(2, 28)), Some(day(3, 2))));
        assert!(days.holds(day(3, 1)) && !days.holds(day(3, 3)) && !days.holds(day(2, 27)));
        assert!(Between::default().days().holds(day(3, 1)));
    }

    #[test]
    fn what_is_no_time_or_ends_too_early_is_refused() {
        for query in ["from=yesterday", "to=2026-02-30", "from=2026-03-01T12:00:00"] {
            let problem = taken(query).unwrap_err();
            assert_eq!((problem.status, problem.allowed.len()), (400, 3), "{query}");
        }
        let problem = taken("from=2026-03-02&to=2026-03-01").unwrap_err();
        assert_eq!(problem.r#type, "urn:turnaround:wrong-period");
        assert!(taken("from=2026-03-01&to=2026-03-01").is_err());
        assert!(taken("from=0001-01-01T00:00:00Z&to=9999-12-31T23:59:59Z").is_ok());
    }
}

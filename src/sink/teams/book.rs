//! The alert book: judged rows in, notices out. Pure: no clock, file or socket.
//!
//! One small state per rule, table and group: pending (the predicate holds, not yet for `for`),
//! firing, gone (`breach.rs`). All times are event time; the event time of a judgement is its window's end.
//! Invariant: per group the notices are Begin, any number of Reminders, End, Begin … — never an
//! End without its Begin, never two Begins without the End between.
//!
//! It does not revise: a later revision of a window that has been judged is left aside.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::error::ArrowError;

use crate::flow::{Span, Timestamp, Window};

use super::breach::{Firing, Sight, State, Timing, advance};
use super::notice::{Group, Notice, NoticeKind, Reading, Standing};
use super::reading::{Groups, Readings};
use super::rule::{AlertRule, AlertSettings};

/// Groups that are pending or firing at once, over all rules: about 300 bytes each. Beyond it the
/// ones that have been seen least recently are ended.
const OPEN_LIMIT: usize = 100_000;

/// One rule's predicates, evaluated over the rows of one firing of one window.
///
/// Observations of one rule and table come in the order of their windows' ends. A window that
/// fired without rows is observed too, with an empty batch: absence ends breaches.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The rule.
    pub rule: &'a Arc<AlertRule>,
    /// The table.
    pub table: &'a str,
    /// The table's rows of this window.
    pub rows: &'a RecordBatch,
    /// The columns that name a group. Rows of the same group are taken together: breached when
    /// one of them is.
    pub grain: &'a [String],
    /// The rule's `when` per row; null is false.
    pub when: &'a BooleanArray,
    /// The rule's `until` per row; null is false.
    pub until: Option<&'a BooleanArray>,
    /// The window. Row-level tables: the stretch of event time that the rows cover.
    pub window: Window,
    /// Whether windows of this table overlap (hopping). Of windows that do not, one that starts
    /// before a group's last window has ended is another zone's and says nothing about its
    /// absence.
    pub overlapping: bool,
    /// Whether each window belongs to some groups alone (sessions): it says nothing about the
    /// absence of others.
    pub keyed: bool,
    /// 0, or the revision of late rows, which is left aside.
    pub revision: u32,
    /// The columns that `when` names.
    pub figures: &'a [String],
    /// Units of the table's columns.
    pub units: &'a BTreeMap<String, String>,
}

/// Why an observation cannot be judged: the caller broke its shape.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// A grain column is not in the rows.
    #[error("could not judge rule `{rule}` over `{table}`: the rows have no column `{column}`")]
    NoColumn {
        /// The rule.
        rule: String,
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A predicate has not one value per row.
    #[error(
        "could not judge rule `{rule}` over `{table}`: {values} values of `{predicate}` for {rows} rows"
    )]
    Length {
        /// The rule.
        rule: String,
        /// The table.
        table: String,
        /// `when` or `until`.
        predicate: &'static str,
        /// Values.
        values: usize,
        /// Rows.
        rows: usize,
    },
    /// A value could not be read, or the rows of `alerts/` not be built.
    #[error("could not read or build alert rows")]
    Arrow(#[from] ArrowError),
}

/// Every breach that is pending or firing.
#[derive(Debug)]
pub struct AlertBook {
    repeat: Span,
    max_age: Span,
    open: BTreeMap<(String, String), BTreeMap<GroupKey, Open>>,
    open_limit: usize,
}

/// A group's values, in the order of the grain.
type GroupKey = Vec<Option<String>>;

#[derive(Clone, Debug)]
struct Open {
    rule: Arc<AlertRule>,
    group: Group,
    state: State,
    last_seen: Window,
}

/// One group's row in the observed window.
struct Seen {
    group: Group,
    row: usize,
    sight: Sight,
}

impl AlertBook {
    /// An empty book.
    pub fn new(settings: &AlertSettings) -> AlertBook {
        AlertBook {
            repeat: settings.repeat,
            max_age: settings.max_age,
            open: BTreeMap::new(),
            open_limit: OPEN_LIMIT,
        }
    }

    /// Groups that are pending or firing.
    pub fn open_groups(&self) -> usize {
        self.open.values().map(BTreeMap::len).sum()
    }

    /// Takes one rule's judgement of one window; gives the notices it causes, in the order of the
    /// groups. `now` is processing time and decides only what is too old to be posted.
    pub fn observe(
        &mut self,
        observation: &Observation<'_>,
        now: Timestamp,
    ) -> Result<Vec<Notice>, ObserveError> {
        if observation.revision > 0 {
            return Ok(Vec::new());
        }
        let seen = self.see(observation)?;
        let readings = Readings::find(
            observation.rows,
            observation.grain,
            observation.figures,
            observation.units,
        );
        let mut notices = Vec::new();
        for (values, sight) in self.judge(observation, &seen) {
            let reading = seen.get(&values).map(|one| readings.at(one.row)).transpose()?;
            let group = seen.get(&values).map(|one| &one.group);
            notices.extend(self.step(observation, now, (values, group, sight), reading));
        }
        self.forget_beyond_limit(observation, now, &mut notices);
        Ok(notices)
    }

    /// The groups of the window's rows that matter: breached, or known to the book.
    fn see(&self, observation: &Observation<'_>) -> Result<BTreeMap<GroupKey, Seen>, ObserveError> {
        check_lengths(observation)?;
        let groups = Groups::find(observation.rows, observation.grain).map_err(|column| {
            ObserveError::NoColumn {
                rule: observation.rule.name.clone(),
                table: observation.table.to_owned(),
                column,
            }
        })?;
        let known = self.open.get(&place(observation)).is_some_and(|open| !open.is_empty());
        let mut seen: BTreeMap<GroupKey, Seen> = BTreeMap::new();
        for row in 0..observation.rows.num_rows() {
            let sight = sight_of(observation, row);
            if sight != Sight::Breached && !known {
                continue;
            }
            let group = groups.at(row)?;
            match seen.get_mut(&group.values) {
                Some(one) if one.sight <= sight => {}
                Some(one) => (one.row, one.sight) = (row, sight),
                None => {
                    seen.insert(group.values.clone(), Seen { group, row, sight });
                }
            }
        }
        Ok(seen)
    }

    /// What the window says about every group it concerns, in the order of the groups.
    fn judge(
        &self,
        observation: &Observation<'_>,
        seen: &BTreeMap<GroupKey, Seen>,
    ) -> BTreeMap<GroupKey, Sight> {
        let mut sights: BTreeMap<_, _> =
            seen.iter().map(|(values, one)| (values.clone(), one.sight)).collect();
        let absent = if observation.until.is_some() { Sight::Absent } else { Sight::Over };
        for (values, open) in self.open.get(&place(observation)).into_iter().flatten() {
            let expected = !observation.keyed
                && (observation.overlapping || observation.window.start >= open.last_seen.end);
            if expected {
                sights.entry(values.clone()).or_insert(absent);
            }
        }
        sights
    }

    /// Moves one group's state.
    fn step(
        &mut self,
        observation: &Observation<'_>,
        now: Timestamp,
        (values, group, sight): (GroupKey, Option<&Group>, Sight),
        reading: Option<Reading>,
    ) -> Option<Notice> {
        let at = observation.window.end;
        let fresh = is_fresh(at, now, self.max_age);
        let open = self.open.entry(place(observation)).or_default();
        let before = open.get(&values).cloned();
        let group = before.as_ref().map(|one| &one.group).or(group)?.clone();
        let last_seen = match (sight, &before) {
            (Sight::Absent, Some(one)) => one.last_seen,
            (Sight::Absent, None) | (Sight::Breached | Sight::Over | Sight::Between, _) => {
                observation.window
            }
        };
        let timing = Timing { hold: observation.rule.hold, repeat: self.repeat, at, fresh };
        let (after, said) = advance(before.map(|one| one.state), sight, timing);
        match after {
            Some(state) => {
                let rule = Arc::clone(observation.rule);
                open.insert(values, Open { rule, group: group.clone(), state, last_seen });
            }
            None => {
                open.remove(&values);
            }
        }
        let (kind, firing) = said?;
        let said = Said { kind, firing, fresh };
        Some(said.of(observation.rule, observation.table, (group, reading), observation.window))
    }

    /// Ends the groups seen least recently, a tenth at a time, when there are too many.
    fn forget_beyond_limit(
        &mut self,
        observation: &Observation<'_>,
        now: Timestamp,
        notices: &mut Vec<Notice>,
    ) {
        if self.open_groups() <= self.open_limit {
            return;
        }
        let mut ages: Vec<_> = self
            .open
            .iter()
            .flat_map(|(place, groups)| groups.iter().map(move |one| (place, one)))
            .map(|(place, (values, open))| (open.last_seen.end, place.clone(), values.clone()))
            .collect();
        ages.sort();
        let keep = self.open_limit - self.open_limit / 10;
        let excess = ages.len().saturating_sub(keep);
        tracing::warn!(
            groups = excess,
            limit = self.open_limit,
            "too many breaches at once: the ones seen least recently are taken as ended"
        );
        let fresh = is_fresh(observation.window.end, now, self.max_age);
        for (_, place, values) in ages.into_iter().take(excess) {
            let Some(open) = self.open.get_mut(&place).and_then(|groups| groups.remove(&values))
            else {
                continue;
            };
            match open.state {
                State::Pending { .. } => {}
                State::Firing(firing) => {
                    let said = Said { kind: NoticeKind::End, firing, fresh };
                    let about = (open.group, None);
                    notices.push(said.of(&open.rule, &place.1, about, observation.window));
                }
            }
        }
    }
}

/// Something to be said about a breach.
#[derive(Clone, Copy)]
struct Said {
    kind: NoticeKind,
    firing: Firing,
    fresh: bool,
}

impl Said {
    /// The notice about `group`, whose row read `reading`.
    fn of(
        self,
        rule: &Arc<AlertRule>,
        table: &str,
        (group, reading): (Group, Option<Reading>),
        window: Window,
    ) -> Notice {
        let unannounced = self.kind == NoticeKind::End && !self.firing.announced;
        let standing = match (self.fresh, unannounced) {
            (false, _) => Standing::TooOld,
            (true, true) => Standing::Unannounced,
            (true, false) => Standing::Fresh,
        };
        let times = (self.firing.begun_at, window.end);
        Notice {
            id: Notice::id_of(rule, table, &group, self.kind, times),
            rule: Arc::clone(rule),
            table: table.into(),
            kind: self.kind,
            group,
            reading,
            window,
            since: self.firing.since,
            begun_at: self.firing.begun_at,
            standing,
        }
    }
}

fn is_fresh(at: Timestamp, now: Timestamp, max_age: Span) -> bool {
    at.plus(max_age) >= now
}

fn place(observation: &Observation<'_>) -> (String, String) {
    (observation.rule.name.clone(), observation.table.to_owned())
}

fn is_true(values: &BooleanArray, row: usize) -> bool {
    values.is_valid(row) && values.value(row)
}

fn sight_of(observation: &Observation<'_>, row: usize) -> Sight {
    let when = is_true(observation.when, row);
    match observation.until {
        None if when => Sight::Breached,
        None => Sight::Over,
        Some(until) if is_true(until, row) => Sight::Over,
        Some(_) if when => Sight::Breached,
        Some(_) => Sight::Between,
    }
}

fn check_lengths(observation: &Observation<'_>) -> Result<(), ObserveError> {
    let rows = observation.rows.num_rows();
    let predicates = [("when", Some(observation.when)), ("until", observation.until)];
    for (predicate, values) in predicates {
        let Some(values) = values.map(Array::len).filter(|values| *values != rows) else {
            continue;
        };
        return Err(ObserveError::Length {
            rule: observation.rule.name.clone(),
            table: observation.table.to_owned(),
            predicate,
            values,
            rows,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::samples::{at, minute, rule};
    use super::*;

    use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
    use proptest::prelude::*;

    /// What one group shows in one window.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Row {
        Gone,
        Quiet,
        When,
        Until,
        Both,
    }

    /// Windows of ten minutes, one after another; each step gives what every group shows.
    struct Timeline {
        book: AlertBook,
        rule: Arc<AlertRule>,
        now: Timestamp,
        window: Window,
    }

    impl Timeline {
        fn new(rule: AlertRule, repeat: Span) -> Timeline {
            let settings = AlertSettings { repeat, ..AlertSettings::default() };
            Timeline {
                book: AlertBook::new(&settings),
                rule: Arc::new(rule),
                now: at(0),
                window: Window { start: at(0), end: at(0) },
            }
        }

        fn show(&mut self, window: Window, rows: &[(&str, Row)]) -> Vec<Notice> {
            let there: Vec<_> = rows.iter().filter(|(_, row)| *row != Row::Gone).collect();
            let labs: ArrayRef =
                Arc::new(StringArray::from_iter_values(there.iter().map(|(lab, _)| *lab)));
            let p90: ArrayRef = Arc::new(Float64Array::from(vec![92.5; there.len()]));
            let n: ArrayRef = Arc::new(Int64Array::from(vec![25; there.len()]));
            let batch =
                RecordBatch::try_from_iter([("lab_id", labs), ("p90_minutes", p90), ("n", n)])
                    .unwrap();
            let when = BooleanArray::from_iter(
                there.iter().map(|(_, row)| Some(matches!(row, Row::When | Row::Both))),
            );
            let until = BooleanArray::from_iter(
                there.iter().map(|(_, row)| Some(matches!(row, Row::Until | Row::Both))),
            );
            let observation = Observation {
                rule: &self.rule,
                table: "tat_1h",
                rows: &batch,
                grain: &["lab_id".to_owned()],
                when: &when,
                until: self.rule.until.is_some().then_some(&until),
                window,
                overlapping: false,
                keyed: false,
                revision: 0,
                figures: &["p90_minutes".to_owned(), "n".to_owned()],
                units: &BTreeMap::new(),
            };
            self.window = window;
            self.book.observe(&observation, self.now).unwrap()
        }

        fn step(&mut self, rows: &[(&str, Row)]) -> Vec<Notice> {
            let start = self.window.end;
            self.show(Window { start, end: start.plus(minute(10)) }, rows)
        }

        /// The kinds of notices about `L1`, with the minute at which each was made.
        fn run(&mut self, steps: &[Row]) -> Vec<(i64, NoticeKind)> {
            let mut said = Vec::new();
            for step in steps {
                for notice in self.step(&[("L1", *step)]) {
                    let minutes = (notice.window.end.0 - at(0).0) / Span::MINUTE.0;
                    said.push((minutes, notice.kind));
                }
            }
            said
        }
    }

    use NoticeKind::{Begin, End, Reminder};
    use Row::{Both, Gone, Quiet, Until, When};

    #[test]
    fn without_for_and_until_a_breach_lasts_as_long_as_the_predicate() {
        let mut timeline = Timeline::new(rule("r"), Span(0));
        let said = timeline.run(&[Quiet, When, When, Quiet, Quiet, When, Gone, Gone]);
        assert_eq!(said, [(20, Begin), (40, End), (60, Begin), (70, End)]);
        assert_eq!(timeline.book.open_groups(), 0);
    }

    #[test]
    fn for_must_hold_in_every_window() {
        let rule = AlertRule { hold: minute(20), ..rule("r") };
        let mut timeline = Timeline::new(rule, Span(0));
        // true at 10, 20, gone at 30; true at 40, 50, 60 (20 minutes after 40), over at 70.
        let said = timeline.run(&[When, When, Gone, When, When, When, Quiet]);
        assert_eq!(said, [(60, Begin), (70, End)]);
    }

    #[test]
    fn since_is_when_it_was_first_true_and_begun_when_it_had_held() {
        let rule = AlertRule { hold: minute(10), ..rule("r") };
        let mut timeline = Timeline::new(rule, Span(0));
        timeline.run(&[When]);
        let notices = timeline.step(&[("L1", When)]);
        assert_eq!((notices[0].since, notices[0].begun_at), (at(10), at(20)));
        let ended = timeline.step(&[("L1", Quiet)]);
        assert_eq!((ended[0].since, ended[0].begun_at), (at(10), at(20)));
        assert_ne!(ended[0].id, notices[0].id);
    }

    #[test]
    fn with_until_a_breach_outlives_quiet_and_absence() {
        let rule = AlertRule { until: Some("u".to_owned()), ..rule("r") };
        let mut timeline = Timeline::new(rule, Span(0));
        let said = timeline.run(&[When, Quiet, Gone, When, Until, Quiet, Both, When, Until]);
        assert_eq!(said, [(10, Begin), (50, End), (80, Begin), (90, End)]);
    }

    #[test]
    fn reminders_come_by_event_time_and_each_has_its_own_id() {
        let mut timeline = Timeline::new(rule("r"), minute(30));
        let mut ids = Vec::new();
        let mut said = Vec::new();
        for _ in 0..8 {
            for notice in timeline.step(&[("L1", When)]) {
                said.push(((notice.window.end.0 - at(0).0) / Span::MINUTE.0, notice.kind));
                ids.push(notice.id);
            }
        }
        assert_eq!(said, [(10, Begin), (40, Reminder), (70, Reminder)]);
        ids.dedup();
        assert_eq!(ids.len(), 3);
    }

    #[test]
    fn what_is_older_than_max_age_is_made_but_marked() {
        let mut timeline = Timeline::new(rule("r"), minute(30));
        timeline.now = at(10 + 61);
        assert_eq!(timeline.step(&[("L1", When)])[0].standing, Standing::TooOld);
        timeline.now = at(20);
        assert_eq!(timeline.step(&[("L1", Quiet)])[0].standing, Standing::Unannounced);
        timeline.now = at(30 + 60);
        assert_eq!(timeline.step(&[("L1", When)])[0].standing, Standing::Fresh);
        timeline.now = at(41);
        assert_eq!(timeline.step(&[("L1", Quiet)])[0].standing, Standing::Fresh);
    }

    #[test]
    fn a_reminder_announces_a_breach_whose_begin_was_too_old() {
        let mut timeline = Timeline::new(rule("r"), minute(10));
        timeline.now = at(600);
        assert_eq!(timeline.step(&[("L1", When)])[0].standing, Standing::TooOld);
        timeline.now = at(20);
        let reminder = timeline.step(&[("L1", When)]);
        assert_eq!((reminder[0].kind, reminder[0].standing), (Reminder, Standing::Fresh));
        assert_eq!(timeline.step(&[("L1", Quiet)])[0].standing, Standing::Fresh);
    }

    #[test]
    fn the_same_timeline_gives_the_same_ids() {
        let ids = || {
            let mut timeline = Timeline::new(rule("r"), Span(0));
            let steps = [[("L1", When), ("L2", When)], [("L1", Quiet), ("L2", When)]];
            let notices: Vec<_> = steps.iter().flat_map(|step| timeline.step(step)).collect();
            notices.into_iter().map(|notice| notice.id).collect::<Vec<_>>()
        };
        assert_eq!(ids().len(), 3);
        assert_eq!(ids(), ids());
    }

    #[test]
    fn another_zones_day_says_nothing_about_absence() {
        let mut timeline = Timeline::new(rule("r"), Span(0));
        let day = |start: i64| Window { start: at(start), end: at(start + 1440) };
        // A Berlin day from 23:00 UTC on, a New York day from 05:00 UTC on.
        assert_eq!(timeline.show(day(-60), &[("berlin", When)]).len(), 1);
        assert_eq!(timeline.show(day(300), &[("york", When)]).len(), 1);
        assert!(timeline.show(day(1380), &[("berlin", When)]).is_empty());
        let ended = timeline.show(day(1740), &[]);
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].group.lab(), Some("york"));
    }

    #[test]
    fn rows_of_one_group_are_taken_together() {
        let mut timeline = Timeline::new(rule("r"), Span(0));
        let said = timeline.step(&[("L1", Quiet), ("L1", When), ("L1", Quiet)]);
        assert_eq!(said.len(), 1);
        assert!(timeline.step(&[("L1", When), ("L1", Quiet)]).is_empty());
    }

    #[test]
    fn too_many_open_breaches_end_the_oldest_with_a_notice() {
        let mut timeline =
            Timeline::new(AlertRule { until: Some("u".to_owned()), ..rule("r") }, Span(0));
        timeline.book.open_limit = 10;
        let names: Vec<String> = (0..11).map(|n| format!("L{n:02}")).collect();
        timeline.step(&[("L00", When), ("L01", When)]);
        let rest: Vec<_> = names[2..].iter().map(|name| (name.as_str(), When)).collect();
        let said = timeline.step(&rest);
        let ended: Vec<_> = said
            .iter()
            .filter(|notice| notice.kind == End)
            .filter_map(|notice| notice.group.lab())
            .collect();
        assert_eq!(ended, ["L00", "L01"]);
        assert_eq!(timeline.book.open_groups(), 9);
    }

    #[test]
    fn a_revision_is_left_aside_and_a_broken_shape_is_an_error() {
        let mut book = AlertBook::new(&AlertSettings::default());
        let labs: ArrayRef = Arc::new(StringArray::from(vec!["L1"]));
        let rows = RecordBatch::try_from_iter([("lab_id", labs)]).unwrap();
        let (one, two) = (BooleanArray::from(vec![true]), BooleanArray::from(vec![true, true]));
        let observation = Observation {
            rule: &Arc::new(rule("r")),
            table: "t",
            rows: &rows,
            grain: &["assay".to_owned()],
            when: &one,
            until: None,
            window: Window { start: at(0), end: at(10) },
            overlapping: false,
            keyed: false,
            revision: 1,
            figures: &[],
            units: &BTreeMap::new(),
        };
        assert!(book.observe(&observation, at(10)).unwrap().is_empty());
        let no_column = book.observe(&Observation { revision: 0, ..observation }, at(10));
        assert_eq!(
            no_column.unwrap_err().to_string(),
            "could not judge rule `r` over `t`: the rows have no column `assay`"
        );
        let long = Observation { revision: 0, when: &two, ..observation };
        assert_eq!(
            book.observe(&long, at(10)).unwrap_err().to_string(),
            "could not judge rule `r` over `t`: 2 values of `when` for 1 rows"
        );
    }

    fn any_row() -> impl Strategy<Value = Row> {
        prop_oneof![Just(Gone), Just(Quiet), Just(When), Just(When), Just(Until), Just(Both)]
    }

    proptest! {
        #[test]
        fn begins_and_ends_alternate_and_reminders_stand_between(
            steps in prop::collection::vec(prop::collection::vec(any_row(), 3), 1..60),
            hold in 0i64..40,
            repeat in 0i64..60,
            with_until: bool,
            overlapping: bool,
        ) {
            let until = with_until.then(|| "u".to_owned());
            let rule = AlertRule { hold: minute(hold), until, ..rule("r") };
            let mut timeline = Timeline::new(rule, minute(repeat));
            let mut begun = BTreeMap::new();
            let labs = ["L1", "L2", "L3"];
            for rows in steps {
                let rows: Vec<_> = labs.into_iter().zip(rows).collect();
                let notices = if overlapping {
                    let end = timeline.window.end.plus(minute(10));
                    timeline.show(Window { start: end.minus(minute(60)), end }, &rows)
                } else {
                    timeline.step(&rows)
                };
                for notice in notices {
                    let lab = notice.group.lab().unwrap().to_owned();
                    match notice.kind {
                        Begin => prop_assert!(begun.insert(lab, notice.begun_at).is_none()),
                        Reminder => prop_assert_eq!(begun.get(&lab), Some(&notice.begun_at)),
                        End => prop_assert_eq!(begun.remove(&lab), Some(notice.begun_at)),
                    }
                    prop_assert!(notice.since.plus(minute(hold)) <= notice.begun_at);
                }
            }
            prop_assert!(begun.len() <= timeline.book.open_groups());
        }
    }
}

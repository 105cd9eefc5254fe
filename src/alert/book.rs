//! The alert book: judged rows in, notices out. Pure: no clock, file or socket.
//!
//! One small state per rule, table and group: pending (the predicate holds, not yet for `for`),
//! firing, gone (`breach.rs`). All times are event time; the event time of a judgement is its window's end.
//! Invariant: per group the notices are Begin, any number of Reminders, End, Begin … — never an
//! End without its Begin, never two Begins without the End between. What has ended leaves the book.
//!
//! Most windows concern no breach: one that has no row in breach costs nothing while no breach of
//! its rule is open, and else a look-up for each of its rows.
//!
//! It does not revise: a later revision of a window that has been judged is left aside.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::error::ArrowError;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::flow::{Span, Timestamp};

use super::breach::{BreachSight, BreachState};
use super::notice::{Id, Notice, NoticeAge, NoticeKind};
use super::observation::{Observation, ObserveError};
use super::open_breach::{ObservedWindow, OpenBreach, Said};
use super::reading::Readings;
use super::rule::AlertSettings;

/// Groups that are pending or firing at once, over all rules: about 300 bytes each. Beyond it the
/// ones that have been seen least recently are ended.
const OPEN_LIMIT: usize = 100_000;
/// A group that has not been seen for so long, in event time, is taken as ended: an analyser that was
/// taken away, a session whose key never comes again.
const UNSEEN_LIMIT: Span = Span(7 * Span::DAY.0);
/// How often those are looked for where a window says nothing of absent groups.
const UNSEEN_SWEEP: Span = Span::HOUR;

/// Every breach that is pending or firing.
#[derive(Debug)]
pub struct AlertBook {
    repeat: Span,
    max_age: Span,
    /// By rule and table.
    places: BTreeMap<String, BTreeMap<String, OpenBreaches>>,
    /// The breaches of which somebody has been told, by this run or an earlier one.
    told: HashSet<Id>,
    open_limit: usize,
}

/// The open breaches of one rule over one table, by the bytes of their groups.
#[derive(Debug)]
struct OpenBreaches {
    open: HashMap<Box<[u8]>, OpenBreach>,
    swept_at: Timestamp,
}

/// The row of one group that counts in the observed window.
#[derive(Clone, Copy)]
struct SeenRow {
    row: usize,
    sight: BreachSight,
}

impl AlertBook {
    /// A book without open breaches.
    pub fn new(settings: &AlertSettings) -> AlertBook {
        AlertBook {
            repeat: settings.repeat,
            max_age: settings.max_age,
            places: BTreeMap::new(),
            told: HashSet::new(),
            open_limit: OPEN_LIMIT,
        }
    }

    /// Groups that are pending or firing.
    pub fn open_groups(&self) -> usize {
        self.places.values().flat_map(BTreeMap::values).map(|place| place.open.len()).sum()
    }

    /// Whether a group of a rule and table is pending or firing.
    pub fn has_open(&self, rule: &str, table: &str) -> bool {
        let place = self.places.get(rule).and_then(|tables| tables.get(table));
        place.is_some_and(|place| !place.open.is_empty())
    }

    /// In an earlier run somebody has been told of these breaches.
    pub fn recall(&mut self, told: HashSet<Id>) {
        self.told.extend(told);
    }

    /// Somebody has been told, or will be, of the breach that a notice is about.
    pub fn tell(&mut self, notice: &Notice) {
        match notice.kind {
            NoticeKind::Begin | NoticeKind::Reminder => {
                self.told.insert(notice.breach.clone());
            }
            NoticeKind::End => {}
        }
    }

    /// Forgets the breaches of a table that is not computed any more.
    pub fn forget(&mut self, table: &str) {
        for tables in self.places.values_mut() {
            tables.remove(table);
        }
    }

    /// Takes one rule's judgement of one window; gives the notices it causes, in the order of the
    /// groups. `now` is processing time and decides only what is too old to be posted, and which
    /// breaches are told out of turn since nobody knows of them yet.
    pub fn observe(
        &mut self,
        observation: &Observation<'_>,
        now: Timestamp,
    ) -> Result<Vec<Notice>, ObserveError> {
        if observation.revision > 0 {
            return Ok(Vec::new());
        }
        observation.check_lengths()?;
        let (rule, table) = (observation.rule, observation.table);
        let fresh = is_fresh(observation.window.end, now, self.max_age);
        let moment = ObservedWindow {
            hold: rule.hold,
            repeat: self.repeat,
            window: observation.window,
            fresh,
        };
        let tables = self.places.entry(rule.name.clone()).or_default();
        let place = tables.entry(table.to_owned()).or_default();
        let seen = place.see(observation)?;
        let mut said = Vec::new();
        place.judge_seen(observation, &seen, (moment, &self.told), &mut said)?;
        place.judge_absent(observation, &seen, (moment, &self.told), &mut said);
        said.extend(self.end_beyond_limit());
        said.sort_by(|one, other| one.group.values.cmp(&other.group.values));
        self.notices(observation, said, fresh)
    }

    /// Ends the groups seen least recently, a tenth at a time, when there are too many.
    fn end_beyond_limit(&mut self) -> Vec<Said> {
        let open = self.open_groups();
        if open <= self.open_limit {
            return Vec::new();
        }
        let excess = open - (self.open_limit - self.open_limit / 10);
        tracing::warn!(
            groups = excess,
            limit = self.open_limit,
            "too many breaches at once: the ones seen least recently are taken as ended"
        );
        let mut oldest = Vec::with_capacity(open);
        for (rule, tables) in &self.places {
            for (table, place) in tables {
                oldest.extend(place.open.iter().map(|(key, one)| {
                    (one.last_seen.end, rule.clone(), table.clone(), key.clone())
                }));
            }
        }
        oldest.sort();
        let mut said = Vec::new();
        for (_, rule, table, key) in oldest.into_iter().take(excess) {
            let place = self.places.get_mut(&rule).and_then(|tables| tables.get_mut(&table));
            let open = place.and_then(|place| place.open.remove(&key));
            said.extend(open.and_then(|open| open.ended(&table)));
        }
        said
    }

    /// What was said as notices, each with what its row read.
    fn notices(
        &mut self,
        observation: &Observation<'_>,
        said: Vec<Said>,
        fresh: bool,
    ) -> Result<Vec<Notice>, ObserveError> {
        if said.is_empty() {
            return Ok(Vec::new());
        }
        let rows = observation.rows;
        let readings =
            Readings::find(rows.rows(), rows.grain(), observation.figures, observation.units);
        let mut notices = Vec::with_capacity(said.len());
        for one in said {
            let reading = one.row.map(|row| readings.at(row)).transpose()?;
            let untold = one.kind == NoticeKind::End && !self.told.remove(&one.breach);
            let standing = match (untold, fresh) {
                (true, _) => NoticeAge::Unannounced,
                (false, true) => NoticeAge::Fresh,
                (false, false) => NoticeAge::TooOld,
            };
            let times = (one.firing.begun_at, observation.window.end);
            notices.push(Notice {
                id: Notice::id_of(&one.rule, &one.table, &one.group, one.kind, times),
                breach: one.breach,
                rule: one.rule,
                table: one.table,
                kind: one.kind,
                group: one.group,
                reading,
                window: observation.window,
                since: one.firing.since,
                begun_at: one.firing.begun_at,
                standing,
            });
        }
        Ok(notices)
    }
}

impl OpenBreaches {
    /// The groups of the window's rows that matter: in breach, or open.
    fn see<'a>(
        &self,
        observation: &Observation<'a>,
    ) -> Result<HashMap<&'a [u8], SeenRow>, ObserveError> {
        let breached = observation.breached();
        let mut seen: HashMap<&[u8], SeenRow> = HashMap::new();
        if self.open.is_empty() && breached.count_set_bits() == 0 {
            return Ok(seen);
        }
        let keys = observation.rows.keys()?;
        let mut see = |key, row, sight| match seen.entry(key) {
            Entry::Vacant(place) => {
                place.insert(SeenRow { row, sight });
            }
            Entry::Occupied(mut place) if sight < place.get().sight => {
                place.insert(SeenRow { row, sight });
            }
            Entry::Occupied(_) => {}
        };
        for row in breached.set_indices() {
            see(keys.at(row), row, BreachSight::Breached);
        }
        if !self.open.is_empty() {
            for row in 0..observation.rows.rows().num_rows() {
                let key = keys.at(row);
                if !breached.value(row) && self.open.contains_key(key) {
                    see(key, row, observation.sight(row));
                }
            }
        }
        Ok(seen)
    }

    /// Moves the groups that the window has rows of.
    fn judge_seen(
        &mut self,
        observation: &Observation<'_>,
        seen: &HashMap<&[u8], SeenRow>,
        (moment, told): (ObservedWindow, &HashSet<Id>),
        said: &mut Vec<Said>,
    ) -> Result<(), ArrowError> {
        for (key, SeenRow { row, sight }) in seen {
            if let Some(open) = self.open.get_mut(*key) {
                open.last_seen = moment.window;
                let one = open.step(*sight, moment, told, observation.table);
                said.extend(one.map(|one| Said { row: Some(*row), ..one }));
                if open.state == BreachState::Gone {
                    self.open.remove(*key);
                }
                continue;
            }
            let mut open = OpenBreach {
                rule: Arc::clone(observation.rule),
                group: observation.rows.group(*row)?,
                state: BreachState::Gone,
                breach: None,
                last_seen: moment.window,
            };
            let one = open.step(*sight, moment, told, observation.table);
            said.extend(one.map(|one| Said { row: Some(*row), ..one }));
            if open.state != BreachState::Gone {
                self.open.insert(Box::from(*key), open);
            }
        }
        Ok(())
    }

    /// Moves the open groups that the window has no rows of.
    fn judge_absent(
        &mut self,
        observation: &Observation<'_>,
        seen: &HashMap<&[u8], SeenRow>,
        (moment, told): (ObservedWindow, &HashSet<Id>),
        said: &mut Vec<Said>,
    ) {
        let at = moment.window.end;
        if observation.keyed {
            if at < self.swept_at.plus(UNSEEN_SWEEP) {
                return;
            }
            self.swept_at = at;
        }
        let absent =
            if observation.until.is_some() { BreachSight::Absent } else { BreachSight::Over };
        self.open.retain(|key, open| {
            if seen.contains_key(&**key) {
                return true;
            }
            let expected = !observation.keyed
                && (observation.overlapping || moment.window.start >= open.last_seen.end);
            let sight = if at >= open.last_seen.end.plus(UNSEEN_LIMIT) {
                BreachSight::Over
            } else if expected {
                absent
            } else {
                return true;
            };
            said.extend(open.step(sight, moment, told, observation.table));
            open.state != BreachState::Gone
        });
    }
}

impl Default for OpenBreaches {
    fn default() -> OpenBreaches {
        OpenBreaches { open: HashMap::new(), swept_at: Timestamp::MIN }
    }
}

fn is_fresh(at: Timestamp, now: Timestamp, max_age: Span) -> bool {
    at.plus(max_age) >= now
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::reading::WindowRows;
    use crate::alert::rule::AlertRule;
    use crate::alert::samples::{at, minute, rule};
    use crate::flow::Window;

    use arrow::array::{
        ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    };
    use proptest::prelude::*;

    /// What one group shows in one window.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Row {
        Gone,
        Quiet,
        When,
        Until,
        Both,
        Fails,
    }

    /// Windows of ten minutes, one after another; each step gives what every group shows.
    struct Timeline {
        book: AlertBook,
        rule: Arc<AlertRule>,
        now: Timestamp,
        window: Window,
        keyed: bool,
    }

    fn window_rows(rows: RecordBatch, grain: &[&str]) -> WindowRows {
        let grain: Vec<String> = grain.iter().map(|name| (*name).to_owned()).collect();
        WindowRows::new(rows, &grain.into()).unwrap()
    }

    impl Timeline {
        fn new(rule: AlertRule, repeat: Span) -> Timeline {
            let settings = AlertSettings { repeat, ..AlertSettings::default() };
            Timeline {
                book: AlertBook::new(&settings),
                rule: Arc::new(rule),
                now: at(0),
                window: Window { start: at(0), end: at(0) },
                keyed: false,
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
            let failed = there.iter().map(|(_, row)| *row == Row::Fails).collect();
            let when = BooleanArray::from_iter(
                there.iter().map(|(_, row)| Some(matches!(row, Row::When | Row::Both))),
            );
            let until = BooleanArray::from_iter(
                there.iter().map(|(_, row)| Some(matches!(row, Row::Until | Row::Both))),
            );
            let observation = Observation {
                rule: &self.rule,
                table: "tat_1h",
                rows: &window_rows(batch, &["lab_id"]),
                when: &when,
                until: self.rule.until.is_some().then_some(&until),
                failed: Some(&failed),
                window,
                overlapping: false,
                keyed: self.keyed,
                revision: 0,
                figures: &["p90_minutes".to_owned(), "n".to_owned()],
                units: &BTreeMap::new(),
            };
            self.window = window;
            let notices = self.book.observe(&observation, self.now).unwrap();
            for notice in notices.iter().filter(|notice| notice.standing == NoticeAge::Fresh) {
                self.book.tell(notice);
            }
            notices
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
    use Row::{Both, Fails, Gone, Quiet, Until, When};

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
        assert_eq!(timeline.step(&[("L1", When)])[0].standing, NoticeAge::TooOld);
        timeline.now = at(20);
        assert_eq!(timeline.step(&[("L1", Quiet)])[0].standing, NoticeAge::Unannounced);
        timeline.now = at(30 + 60);
        assert_eq!(timeline.step(&[("L1", When)])[0].standing, NoticeAge::Fresh);
        timeline.now = at(41);
        assert_eq!(timeline.step(&[("L1", Quiet)])[0].standing, NoticeAge::Fresh);
    }

    #[test]
    fn a_reminder_announces_a_breach_whose_begin_was_too_old() {
        let mut timeline = Timeline::new(rule("r"), minute(10));
        timeline.now = at(600);
        assert_eq!(timeline.step(&[("L1", When)])[0].standing, NoticeAge::TooOld);
        timeline.now = at(20);
        let reminder = timeline.step(&[("L1", When)]);
        assert_eq!((reminder[0].kind, reminder[0].standing), (Reminder, NoticeAge::Fresh));
        assert_eq!(timeline.step(&[("L1", Quiet)])[0].standing, NoticeAge::Fresh);
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
            rows: &window_rows(rows, &["lab_id"]),
            when: &one,
            until: None,
            failed: None,
            window: Window { start: at(0), end: at(10) },
            overlapping: false,
            keyed: false,
            revision: 1,
            figures: &[],
            units: &BTreeMap::new(),
        };
        assert!(book.observe(&observation, at(10)).unwrap().is_empty());
        let long = Observation { revision: 0, when: &two, ..observation };
        assert_eq!(
            book.observe(&long, at(10)).unwrap_err().to_string(),
            "could not judge rule `r` over `t`: 2 values of `when` for 1 rows"
        );
    }

    #[test]
    fn a_row_that_cannot_be_judged_begins_no_breach_and_ends_none() {
        let mut timeline = Timeline::new(rule("r"), Span(0));
        let said = timeline.run(&[Fails, Fails, When, Fails, Fails, Quiet, Fails]);
        assert_eq!(said, [(30, Begin), (60, End)]);
        // What is pending goes on from where it stood.
        let mut timeline = Timeline::new(AlertRule { hold: minute(20), ..rule("r") }, Span(0));
        assert_eq!(timeline.run(&[When, Fails, When, Quiet]), [(30, Begin), (40, End)]);
        // Of several rows of a group the one in breach counts.
        let mut timeline = Timeline::new(rule("r"), Span(0));
        assert_eq!(timeline.step(&[("L1", Fails), ("L1", When)]).len(), 1);
    }

    #[test]
    fn a_breach_that_goes_on_is_told_when_it_is_seen_first_however_old_its_beginning() {
        let rule = AlertRule { until: Some("u".to_owned()), ..rule("r") };
        // No reminders: it must not wait for one.
        let mut timeline = Timeline::new(rule, Span(0));
        timeline.now = at(10_000);
        assert_eq!(timeline.step(&[("L1", When)])[0].standing, NoticeAge::TooOld);
        assert!(timeline.step(&[("L1", When)]).is_empty());
        timeline.now = at(40);
        let caught_up = timeline.step(&[("L1", Quiet)]);
        assert_eq!(caught_up.len(), 1);
        assert_eq!((caught_up[0].kind, caught_up[0].standing), (Reminder, NoticeAge::Fresh));
        assert_eq!((caught_up[0].since, caught_up[0].begun_at), (at(10), at(10)));
        assert!(timeline.step(&[("L1", When)]).is_empty());
        assert_eq!(timeline.step(&[("L1", Until)])[0].standing, NoticeAge::Fresh);
    }

    #[test]
    fn a_breach_that_an_earlier_run_has_told_is_not_told_again_while_it_goes_on() {
        let mut timeline = Timeline::new(rule("r"), Span(0));
        timeline.now = at(10_000);
        let begin = timeline.step(&[("L1", When)]).remove(0);
        let mut again = Timeline::new(rule("r"), Span(0));
        again.book.recall(HashSet::from([begin.id.clone()]));
        again.now = at(10_000);
        assert_eq!(again.step(&[("L1", When)])[0].id, begin.id);
        again.now = at(20);
        assert!(again.step(&[("L1", When)]).is_empty());
        assert_eq!(again.step(&[("L1", Quiet)])[0].standing, NoticeAge::Fresh);
    }

    #[test]
    fn what_was_told_out_of_turn_does_not_move_the_reminders() {
        let mut on_time = Timeline::new(rule("r"), minute(30));
        let mut behind = Timeline::new(rule("r"), minute(30));
        let ids = |notices: Vec<Notice>| notices.into_iter().map(|one| one.id).collect::<Vec<_>>();
        behind.now = at(10_000);
        assert_eq!(ids(on_time.step(&[("L1", When)])), ids(behind.step(&[("L1", When)])));
        behind.now = at(20);
        assert_eq!(behind.step(&[("L1", When)]).len(), 1);
        on_time.step(&[("L1", When)]);
        for _ in 0..3 {
            assert_eq!(ids(on_time.step(&[("L1", When)])), ids(behind.step(&[("L1", When)])));
        }
    }

    #[test]
    fn what_has_ended_or_never_comes_again_leaves_the_book() {
        let rule = AlertRule { until: Some("u".to_owned()), ..rule("r") };
        let mut timeline = Timeline::new(rule, Span(0));
        timeline.step(&[("L1", When), ("L2", When), ("L3", When)]);
        timeline.step(&[("L1", Until)]);
        assert_eq!(timeline.book.open_groups(), 2);
        assert!(timeline.book.told.len() == 2);
        // A week and a window later L2 has gone; L3 was there all the time.
        for window in 0..(7 * 24 * 6) {
            let said = timeline.step(&[("L3", Quiet)]);
            let ended = window == 7 * 24 * 6 - 2;
            assert_eq!(said.len(), usize::from(ended), "{window}");
        }
        assert_eq!(timeline.book.open_groups(), 1);
        // Sessions say nothing of others' absence, but for that.
        timeline.keyed = true;
        for _ in 0..(7 * 24 * 6) {
            timeline.step(&[("L4", Quiet)]);
        }
        assert_eq!(timeline.book.open_groups(), 1);
        for _ in 0..6 {
            timeline.step(&[("L4", Quiet)]);
        }
        assert_eq!(timeline.book.open_groups(), 0);
        assert!(timeline.book.told.is_empty());
    }

    #[test]
    fn a_table_that_is_not_computed_any_more_is_forgotten() {
        let mut timeline = Timeline::new(rule("r"), Span(0));
        timeline.step(&[("L1", When)]);
        timeline.book.forget("tat_1h");
        assert_eq!(timeline.book.open_groups(), 0);
    }

    fn any_row() -> impl Strategy<Value = Row> {
        prop_oneof![
            Just(Gone),
            Just(Quiet),
            Just(When),
            Just(When),
            Just(Until),
            Just(Both),
            Just(Fails)
        ]
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

//! A laboratory's own settings: edited on one or two days a week, transferred at midnight, checked
//! to be in production at three.
//!
//! A week is planned at a time, from a stream of its own.

use std::collections::VecDeque;

use chrono_tz::Tz;

use super::dice::Dice;
use super::zone::{at_local, offset_s};

const DAY_S: i64 = 86_400;
const MINUTE_S: f64 = 60.0;
/// An edit that is neither saved nor abandoned ends by itself after an hour.
const CHANGE_TIMER_S: i64 = 3600;
/// Edits begin between these hours of the day: all of them are over before midnight.
const EDITED_H: (f64, f64) = (13.0, 22.5);
/// Edits that are abandoned, that run out, that are saved (assumed).
const EDIT_WEIGHTS: [f64; 3] = [0.12, 0.05, 0.83];
/// Checks that find it not done (assumed).
const NOT_DONE_SHARE: f64 = 0.05;

/// A `center.event` that is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CenterNote {
    pub(super) at: i64,
    pub(super) event: &'static str,
    /// Who did it; none for a check.
    pub(super) user: Option<u8>,
    /// A command's: the version that it saw. A check's: the version that it looked for.
    pub(super) version: u64,
    /// A target that is set: the assay's index, minutes.
    pub(super) target: Option<(u8, u16)>,
}

/// A laboratory's settings and who edits them.
#[derive(Clone, Debug)]
pub(super) struct LabCenter {
    /// What it will say next.
    pub(super) pending: CenterNote,
    tz: Tz,
    dice: Dice,
    from: i64,
    /// The week that is planned next, counted from the epoch's, from Monday.
    week: i64,
    version: u64,
    notes: VecDeque<CenterNote>,
}

impl LabCenter {
    /// A centre at rest at `from`.
    pub(super) fn new(tz: Tz, from: i64, dice: Dice) -> LabCenter {
        let pending = CenterNote { at: from, event: "", user: None, version: 0, target: None };
        // 1970-01-01 was a Thursday.
        let week = ((from + offset_s(tz, from)).div_euclid(DAY_S) + 3).div_euclid(7);
        let notes = VecDeque::new();
        let mut center = LabCenter { pending, tz, dice, from, week, version: 1, notes };
        center.pending = center.following();
        center
    }

    /// What it says now; what it will say next takes its place.
    pub(super) fn announce(&mut self) -> CenterNote {
        let following = self.following();
        std::mem::replace(&mut self.pending, following)
    }

    fn following(&mut self) -> CenterNote {
        loop {
            match self.notes.pop_front() {
                Some(note) => return note,
                None => self.plan_week(),
            }
        }
    }

    fn plan_week(&mut self) {
        let monday = self.week * 7 - 3;
        let first = i64::from(self.dice.below(7));
        let second = (first + 1 + i64::from(self.dice.below(6))) % 7;
        let twice = self.dice.chance(0.5);
        let mut days = vec![first];
        days.extend(twice.then_some(second));
        days.sort_unstable();
        for day in days {
            self.plan_edit((monday + day) * DAY_S);
        }
        self.week += 1;
    }

    /// An edit on the day that begins at `midnight`, by the clock there, and what the checks of the
    /// night say of it. A day that began before the feed is left out.
    fn plan_edit(&mut self, midnight: i64) {
        let (tz, dice) = (self.tz, &mut self.dice);
        let begun = at_local(tz, midnight + (dice.between(EDITED_H.0, EDITED_H.1) * 3600.0) as i64);
        let user = Some(1 + dice.below(5) as u8);
        let ends = begun + (dice.between(3.0, 55.0) * MINUTE_S) as i64;
        let assay = dice.below(11) as u8;
        let target = Some((assay, 5 * (6 + dice.below(43)) as u16));
        let outcome = dice.pick(&EDIT_WEIGHTS);
        let at = |days: i64, hours: i64, dice: &mut Dice| {
            at_local(tz, midnight + days * DAY_S + hours * 3600) + dice.between(0.0, 20.0) as i64
        };
        let (transferred, checked) = (at(1, 0, dice), at(1, 3, dice));
        let late = [dice.chance(NOT_DONE_SHARE), dice.chance(NOT_DONE_SHARE)];
        let recovered =
            [dice.between(5.0, 40.0), dice.between(5.0, 60.0)].map(|m| (m * MINUTE_S) as i64);
        if begun < self.from {
            return;
        }
        let version = self.version;
        let note = |at, event| CenterNote { at, event, user: None, version, target: None };
        let by_user = |at, event| CenterNote { user, ..note(at, event) };
        self.notes.push_back(by_user(begun, "starts_editing"));
        match outcome {
            0 => return self.notes.push_back(by_user(ends, "abandon_changes")),
            1 => return self.notes.push_back(note(begun + CHANGE_TIMER_S, "change_timer_done")),
            _ => self.notes.push_back(CenterNote { target, ..by_user(ends, "saving_changes") }),
        }
        self.version += 1;
        let version = self.version;
        let mut check = |at, late, [done, not_done, recovered]: [&'static str; 3], after: i64| {
            let note = |at, event| CenterNote { at, event, user: None, version, target: None };
            self.notes.push_back(note(at, if late { not_done } else { done }));
            if late {
                self.notes.push_back(note(at + after, recovered));
            }
        };
        let transfer = ["file_trans_done", "file_not_trans", "reco_trans_done"];
        check(transferred, late[0], transfer, recovered[0]);
        check(checked, late[1], ["db_prod_done", "db_not_prod", "reco_prod_done"], recovered[1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-01T00:00Z, a Sunday.
    const FROM: i64 = 1_772_323_200;

    /// The state after an event.
    fn after(state: &str, event: &str) -> Option<&'static str> {
        let to = match (state, event) {
            ("free", "starts_editing") => "edit",
            ("edit", "abandon_changes" | "change_timer_done") => "free",
            ("edit", "saving_changes") => "wait00_trans",
            ("wait00_trans", "file_trans_done") | ("reco_trans", "reco_trans_done") => {
                "wait03_prod"
            }
            ("wait00_trans", "file_not_trans") => "reco_trans",
            ("wait03_prod", "db_prod_done") | ("reco_prod", "reco_prod_done") => "free",
            ("wait03_prod", "db_not_prod") => "reco_prod",
            _ => return None,
        };
        Some(to)
    }

    #[test]
    fn every_event_is_one_that_the_machine_takes_at_its_time_of_the_day() {
        let tz = chrono_tz::America::New_York;
        let (mut state, mut last, mut version, mut edits) = ("free", FROM, 1, 0);
        let mut center = LabCenter::new(tz, FROM, Dice::new(1, 9));
        let weeks = 300;
        let mut seen = std::collections::BTreeSet::new();
        while center.pending.at < FROM + weeks * 7 * DAY_S {
            let note = center.announce();
            assert!(note.at > last, "{note:?} after {last}");
            state = after(state, note.event).unwrap_or_else(|| panic!("{state}: {note:?}"));
            last = note.at;
            seen.insert(note.event);
            assert_eq!(note.version, version, "{note:?}");
            version += u64::from(note.event == "saving_changes");
            edits += i64::from(note.event == "starts_editing");
            let second_of_day = (note.at + offset_s(tz, note.at)).rem_euclid(DAY_S);
            let hours = match note.event {
                "file_trans_done" | "file_not_trans" => 0..20,
                "db_prod_done" | "db_not_prod" => 3 * 3600..3 * 3600 + 20,
                _ => 0..DAY_S,
            };
            assert!(hours.contains(&second_of_day), "{note:?}");
        }
        assert_eq!(seen.len(), 10, "{seen:?}");
        // One or two a week, as often one as two: 1.5, and 4 standard errors of 0.5 / sqrt(300).
        assert!((edits as f64 / weeks as f64 - 1.5).abs() < 0.12, "{edits}");
    }
}

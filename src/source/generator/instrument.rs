//! Instruments: when they stand still, known ahead of the tests that are planned onto them.
//!
//! Failures, daily maintenance and pauses form one sequence per instrument, drawn from a stream
//! of its own as far ahead as a plan looks; so the sequence does not depend on who asks.

use std::collections::VecDeque;

use chrono_tz::Tz;

use super::dice::Dice;
use super::figures::{
    FAILURE_SCALE_H, FAILURE_SHAPE, LabBench, MAINTENANCE_AT_S, MAINTENANCE_S, PAUSE_EVERY_H,
    REPAIR_MEDIAN_MIN, REPAIR_SIGMA,
};
use super::zone::offset_s;

/// A repair of at least so long is told step by step.
const STEPS_FROM_S: i64 = 20 * 60;
/// An instrument takes so long to start.
const STARTING_S: i64 = 2 * 60;

/// Why an instrument stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Failure,
    Maintenance,
    Pause,
}

/// A stretch `[start, end)` in which an instrument stands still.
#[derive(Clone, Copy, Debug)]
struct Outage {
    start: i64,
    end: i64,
    stop: Stop,
}

impl Outage {
    fn begins(self) -> Announcement {
        let (state, planned, reason) = match self.stop {
            Stop::Failure => ("DOWN", false, "hardware fault"),
            Stop::Maintenance => ("MAINTENANCE", true, "daily maintenance"),
            Stop::Pause => ("PAUSED", false, "reagent load"),
        };
        Announcement { at: self.start, state, planned, reason }
    }
}

/// An `instrument.state` that is to be told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announcement {
    pub(super) at: i64,
    pub(super) state: &'static str,
    pub(super) planned: bool,
    pub(super) reason: &'static str,
}

/// An instrument of a laboratory.
#[derive(Clone, Debug)]
pub(super) struct Instrument {
    pub(super) name: String,
    pub(super) section: LabBench,
    /// What its clock is wrong by.
    pub(super) skew_s: i64,
    /// Its records arrive so much after they happened.
    pub(super) delay_us: i64,
    /// Share of its runs that fail.
    pub(super) error_share: f64,
    /// A long repair is told step by step.
    pub(super) tells_repairs: bool,
    /// What it will say next.
    pub(super) pending: Announcement,
    /// Which of the first outage's announcements come next; 0 when it has not been told.
    phase: usize,
    tz: Tz,
    /// Its place in its section: maintenance follows in turn.
    turn: i64,
    dice: Dice,
    outages: VecDeque<Outage>,
    next_failure: i64,
    next_maintenance: i64,
    next_pause: i64,
    /// A failure that the story wants: start and end.
    breakdown: Option<(i64, i64)>,
}

impl Instrument {
    /// An instrument that runs from `from` on. `turn` is its place in its section.
    pub(super) fn new(
        name: String,
        section: LabBench,
        (turn, tz): (i64, Tz),
        from: i64,
        mut dice: Dice,
    ) -> Instrument {
        let next_failure = from + running_s(&mut dice);
        let next_pause = from + pause_in_s(&mut dice);
        let next_maintenance = maintenance_after(tz, turn, from);
        let pending = Announcement { at: from, state: "RUNNING", planned: false, reason: "" };
        Instrument {
            name,
            section,
            skew_s: 0,
            delay_us: 0,
            error_share: 0.0,
            tells_repairs: false,
            pending,
            phase: 0,
            tz,
            turn,
            dice,
            outages: VecDeque::new(),
            next_failure,
            next_maintenance,
            next_pause,
            breakdown: None,
        }
    }

    /// Lets it fail at `start` and stand until `end`.
    pub(super) fn break_down(&mut self, start: i64, end: i64) {
        self.next_failure = start;
        self.breakdown = Some((start, end));
    }

    /// The first instant from `at` on at which it can start a test. Pauses are too short to
    /// matter.
    pub(super) fn ready_at(&mut self, at: i64) -> i64 {
        self.plan_until(at);
        let mut ready = at;
        for outage in &self.outages {
            if outage.stop != Stop::Pause && outage.start <= ready && ready < outage.end {
                ready = outage.end;
            }
        }
        ready
    }

    /// What it says now; what it will say next takes its place.
    pub(super) fn announce(&mut self) -> Announcement {
        let said = self.pending;
        let front = self.outages.front().copied().filter(|_| self.phase > 0);
        self.pending = match front.and_then(|outage| self.nth_of(outage, self.phase)) {
            Some(next) => {
                self.phase += 1;
                next
            }
            None => {
                if front.is_some() {
                    self.outages.pop_front();
                }
                self.next_stop()
            }
        };
        said
    }

    /// The beginning of the first outage that has not been told.
    fn next_stop(&mut self) -> Announcement {
        let outage = match self.outages.front().copied() {
            Some(outage) => outage,
            None => self.plan_one(),
        };
        self.phase = 1;
        outage.begins()
    }

    /// The n-th announcement of an outage.
    fn nth_of(&self, outage: Outage, n: usize) -> Option<Announcement> {
        let unplanned = |at, state, reason| Announcement { at, state, planned: false, reason };
        let length = outage.end - outage.start;
        let by_step = self.tells_repairs && length >= STEPS_FROM_S;
        let steps = match outage.stop {
            Stop::Failure if by_step => [
                Some(unplanned(outage.end - length / 5, "DIAGNOSE", "checks after repair")),
                Some(unplanned(outage.end - STARTING_S, "STARTING", "restart")),
            ],
            Stop::Failure | Stop::Maintenance | Stop::Pause => [None, None],
        };
        let ends = unplanned(outage.end, "RUNNING", "");
        let begins = outage.begins();
        let mut all = [Some(begins), steps[0], steps[1], Some(ends)].into_iter().flatten();
        all.nth(n)
    }

    /// Plans every outage that starts at or before `at`.
    fn plan_until(&mut self, at: i64) {
        while self.next_start() <= at {
            self.plan_one();
        }
    }

    fn next_start(&self) -> i64 {
        self.next_failure.min(self.next_maintenance).min(self.next_pause)
    }

    /// Plans the next outage.
    fn plan_one(&mut self) -> Outage {
        let start = self.next_start();
        let outage = if start == self.next_failure {
            let repair_s = self.dice.log_normal(REPAIR_MEDIAN_MIN, REPAIR_SIGMA) * 60.0;
            let end = match self.breakdown.take() {
                Some((at, end)) if at == start => end,
                Some(_) | None => start + (repair_s as i64).max(60),
            };
            self.next_failure = end + running_s(&mut self.dice);
            Outage { start, end, stop: Stop::Failure }
        } else if start == self.next_maintenance {
            self.next_maintenance = maintenance_after(self.tz, self.turn, start);
            Outage { start, end: start + MAINTENANCE_S, stop: Stop::Maintenance }
        } else {
            let end = start + self.dice.between(60.0, 480.0) as i64;
            self.next_pause = end + pause_in_s(&mut self.dice);
            Outage { start, end, stop: Stop::Pause }
        };
        // What would have begun meanwhile begins a little after; maintenance waits for tomorrow.
        self.next_failure = self.next_failure.max(outage.end + 60);
        self.next_pause = self.next_pause.max(outage.end + 120);
        if self.next_maintenance <= outage.end {
            self.next_maintenance = maintenance_after(self.tz, self.turn, outage.end);
        }
        self.outages.push_back(outage);
        outage
    }
}

fn running_s(dice: &mut Dice) -> i64 {
    (dice.weibull(FAILURE_SHAPE, FAILURE_SCALE_H * 3600.0) as i64).max(600)
}

fn pause_in_s(dice: &mut Dice) -> i64 {
    (dice.exponential() * PAUSE_EVERY_H * 3600.0) as i64 + 600
}

/// The first maintenance after `at`: 05:30 local time, then each instrument in its turn.
fn maintenance_after(tz: Tz, turn: i64, at: i64) -> i64 {
    let offset = offset_s(tz, at);
    let within_day = MAINTENANCE_AT_S + turn * MAINTENANCE_S;
    let midnight = (at + offset).div_euclid(86_400) * 86_400;
    let mut next = midnight + within_day - offset;
    while next <= at {
        next += 86_400;
    }
    // The clock may change between now and then.
    next + offset - offset_s(tz, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: i64 = 1_772_323_200;

    fn instrument(stream: u64) -> Instrument {
        let place = (0, chrono_tz::Europe::Oslo);
        Instrument::new("CH1".to_owned(), LabBench::Chemistry, place, FROM, Dice::new(3, stream))
    }

    #[test]
    fn maintenance_is_at_half_past_five_local_time_across_a_change_of_the_clock() {
        // 2026-03-28 05:30 in Oslo is 04:30Z; on the 29th, after the change, 03:30Z.
        let first = maintenance_after(chrono_tz::Europe::Oslo, 0, FROM + 27 * 86_400);
        assert_eq!(first, FROM + 27 * 86_400 + 4 * 3600 + 1800);
        let second = maintenance_after(chrono_tz::Europe::Oslo, 0, first);
        assert_eq!(second, FROM + 28 * 86_400 + 3 * 3600 + 1800);
    }

    #[test]
    fn states_alternate_in_time_and_outages_do_not_depend_on_who_asks() {
        let mut asked = instrument(1);
        let mut quiet = instrument(1);
        for hour in 0..24 * 30 {
            assert!(asked.ready_at(FROM + hour * 3600) >= FROM + hour * 3600);
        }
        let mut last = FROM - 1;
        for turn in 0..60 {
            let (one, other) = (asked.announce(), quiet.announce());
            assert_eq!((one.at, one.state), (other.at, other.state));
            assert!(one.at > last, "{} after {last}", one.at);
            assert_eq!(one.state == "RUNNING", turn % 2 == 0);
            last = one.at;
        }
    }

    #[test]
    fn a_long_repair_is_told_step_by_step() {
        let mut one = instrument(2);
        one.tells_repairs = true;
        one.break_down(FROM + 1000, FROM + 9000);
        let said: Vec<_> =
            (0..40).map(|_| one.announce()).map(|a| (a.at - FROM, a.state)).collect();
        let down = said.iter().position(|said| *said == (1000, "DOWN")).expect("it breaks down");
        // The last fifth of 8000 s is checked; it starts two minutes before it runs.
        let after = [(7400, "DIAGNOSE"), (8880, "STARTING"), (9000, "RUNNING")];
        assert_eq!(said[down + 1..down + 4], after);
        assert!(said.is_sorted_by_key(|(at, _)| *at));
    }

    #[test]
    fn a_test_waits_for_the_end_of_a_breakdown() {
        let mut one = instrument(2);
        one.break_down(FROM + 1000, FROM + 9000);
        assert_eq!(one.ready_at(FROM + 999), FROM + 999);
        assert_eq!(one.ready_at(FROM + 1000), FROM + 9000);
        assert_eq!(one.ready_at(FROM + 9000), FROM + 9000);
    }

    /// What forty instruments announce in sixty years: hours from an end to the next failure, and
    /// minutes of repair.
    fn failures() -> (Vec<f64>, Vec<f64>) {
        let (mut hours, mut minutes) = (Vec::new(), Vec::new());
        for stream in 0..40 {
            let mut one = instrument(stream);
            let (mut since, mut down) = (FROM, None);
            while one.pending.at < FROM + 547 * 86_400 {
                let said = one.announce();
                match (said.state, down) {
                    ("DOWN", _) => {
                        hours.push((said.at - since) as f64 / 3600.0);
                        down = Some(said.at);
                    }
                    ("RUNNING", Some(at)) => {
                        minutes.push((said.at - at) as f64 / 60.0);
                        (since, down) = (said.at, None);
                    }
                    (_, _) => {}
                }
            }
        }
        (hours, minutes)
    }

    #[test]
    fn failures_are_weibull_and_repairs_log_normal() {
        let (mut hours, mut minutes) = failures();
        let root = (hours.len() as f64).sqrt();
        assert!(root > 40.0, "{root}");
        // Weibull of shape 0.9 and scale 250 h: mean 250 x 1.0522 = 263 h, of standard deviation
        // 1.113 times as much (tables of the gamma function). What would fail during maintenance
        // fails after it, which adds less than an hour.
        let mean = hours.iter().sum::<f64>() / hours.len() as f64;
        assert!((mean - 263.0).abs() < 4.0 * 1.113 * 263.0 / root, "{mean}");
        // Its median is 250 x ln(2)^(1/0.9) = 166.4 h; an exponential of that mean has 182 h. Its
        // density there is 0.9 x ln(2) / (2 x 166.4), so that the median errs by 0.5 / density.
        hours.sort_by(f64::total_cmp);
        let median = hours[hours.len() / 2];
        assert!((median - 166.4).abs() < 4.0 * 0.5 * 533.5 / root, "{median}");
        minutes.sort_by(f64::total_cmp);
        let median = minutes[minutes.len() / 2];
        // Of sigma 0.9.
        assert!((median / 45.0).ln().abs() < 4.0 * 1.2533 * 0.9 / root, "{median}");
    }
}

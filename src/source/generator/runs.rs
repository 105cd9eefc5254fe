//! PCR is done in runs.

use super::dice::Dice;
use super::figures::{RUN_CAPACITY, RUN_HOURS};

/// PCR runs: one starts at fixed intervals and holds 94 tests.
#[derive(Clone, Debug)]
pub(super) struct PcrRuns {
    every_s: i64,
    /// Start, end, tests that joined; in the order of time.
    planned: std::collections::VecDeque<(i64, i64, u32)>,
    next_start: i64,
}

impl PcrRuns {
    pub(super) fn new(from: i64, every_s: i64) -> PcrRuns {
        PcrRuns { every_s, planned: std::collections::VecDeque::new(), next_start: from + 3600 }
    }

    /// Joins the first run with room that starts at or after `ready`: its start and end. Runs
    /// that started before `now` are forgotten.
    pub(super) fn join(&mut self, now: i64, ready: i64, dice: &mut Dice) -> (i64, i64) {
        while self.planned.front().is_some_and(|run| run.0 < now) {
            self.planned.pop_front();
        }
        loop {
            let room = |run: &&mut (i64, i64, u32)| run.0 >= ready && run.2 < RUN_CAPACITY;
            if let Some(run) = self.planned.iter_mut().find(room) {
                run.2 += 1;
                return (run.0, run.1);
            }
            let hours = dice.between(RUN_HOURS.0, RUN_HOURS.1);
            self.planned.push_back((self.next_start, self.next_start + (hours * 3600.0) as i64, 0));
            self.next_start += self.every_s;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_holds_94_tests_and_takes_three_to_four_hours() {
        let mut dice = Dice::new(1, 1);
        let mut runs = PcrRuns::new(0, 4 * 3600);
        for n in 0..94 {
            assert_eq!(runs.join(0, 100, &mut dice).0, 3600, "{n}");
        }
        let (start, end) = runs.join(0, 100, &mut dice);
        assert_eq!(start, 5 * 3600);
        assert!((3 * 3600..=4 * 3600).contains(&(end - start)));
        assert_eq!(runs.join(0, 5 * 3600 + 1, &mut dice).0, 9 * 3600);
    }
}

//! The machine of critical results with what the product knows of its states and words.

use std::sync::Arc;

use crate::flow::Span;
use crate::lifecycle::machine::{EventWord, MachineState, StateMachine};
use crate::lifecycle::spec::TimerWhen;
use crate::reference::Reference;

/// How critical results are followed.
#[derive(Clone, Debug)]
pub struct CriticalSettings {
    /// Their targets.
    pub reference: Arc<Reference>,
    /// A reminder is due after this share of the target.
    pub reminder_share: f64,
    /// How long a result is kept after its end.
    pub keep_finished: Span,
}

/// The machine, and its states and words by what they mean.
#[derive(Clone, Debug)]
pub struct CriticalRules {
    /// The machine.
    pub machine: StateMachine,
    pub(super) settings: CriticalSettings,
    /// Somebody was called, or has acknowledged, before the flag came.
    pub(super) called: MachineState,
    pub(super) flagged: MachineState,
    pub(super) breached: MachineState,
    pub(super) exempt: MachineState,
    pub(super) flag: EventWord,
    pub(super) notify: EventWord,
    pub(super) acknowledge: EventWord,
}

/// A time at which something happens to a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Half of its time has run.
    Reminder,
    /// The timer of this number in the machine.
    Timer(usize),
}

impl CriticalRules {
    /// Of a machine.
    ///
    /// # Errors
    /// The states and words that it must have and has not.
    pub fn new(
        machine: StateMachine,
        settings: CriticalSettings,
    ) -> Result<CriticalRules, Vec<&'static str>> {
        let mut missing = Vec::new();
        let mut state = |name: &'static str| {
            machine.state_named(name).unwrap_or_else(|| {
                missing.push(name);
                MachineState::NONE
            })
        };
        let [called, flagged, breached, exempt] =
            ["CALLED", "FLAGGED", "BREACHED", "EXEMPT"].map(&mut state);
        let mut word = |text: &'static str| {
            machine.word(text).unwrap_or_else(|| {
                missing.push(text);
                EventWord(0)
            })
        };
        let [flag, notify, acknowledge] = ["flag", "notify", "acknowledge"].map(&mut word);
        if !missing.is_empty() {
            return Err(missing);
        }
        let rules = CriticalRules {
            settings,
            called,
            flagged,
            breached,
            exempt,
            flag,
            notify,
            acknowledge,
            machine,
        };
        Ok(rules)
    }

    /// The timers of a state with their numbers.
    pub(super) fn timers(&self, state: MachineState) -> impl Iterator<Item = (usize, &TimerWhen)> {
        let timers = self.machine.timers.iter().enumerate();
        timers
            .filter(move |(_, timer)| timer.within.contains(&state))
            .map(|(n, timer)| (n, &timer.when))
    }

    /// Whether a result's time runs in a state.
    pub(super) fn runs(&self, state: MachineState) -> bool {
        self.timers(state).any(|(_, when)| matches!(when, TimerWhen::Share(_)))
    }
}

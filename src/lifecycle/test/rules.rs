//! The test's machine with what the product knows of its states beside the table.

use std::sync::Arc;

use super::record::{Mark, TestRecord};
use crate::flow::Span;
use crate::lifecycle::machine::{EventWord, MachineState, StateMachine};
use crate::reference::Reference;

/// How tests are followed.
#[derive(Clone, Debug)]
pub struct TestSettings {
    /// Targets, and the laboratories' opening hours.
    pub reference: Arc<Reference>,
    /// At risk from this share of the target on.
    pub at_risk_share: f64,
    /// How long a finished test is kept.
    pub keep_finished: Span,
}

/// The test's machine, and its states and words by what they mean.
#[derive(Clone, Debug)]
pub(in crate::lifecycle) struct Rules {
    pub(in crate::lifecycle) machine: StateMachine,
    pub(in crate::lifecycle) received: MachineState,
    pub(in crate::lifecycle) in_process: MachineState,
    pub(in crate::lifecycle) resulted: MachineState,
    pub(in crate::lifecycle) verified: MachineState,
    pub(in crate::lifecycle) rejected: MachineState,
    pub(in crate::lifecycle) cancelled: MachineState,
    pub(in crate::lifecycle) error: MachineState,
    pub(in crate::lifecycle) lost: MachineState,
    pub(in crate::lifecycle) invalidated: MachineState,
    pub(in crate::lifecycle) received_word: EventWord,
    pub(in crate::lifecycle) collected_word: EventWord,
    pub(in crate::lifecycle) ordered_word: EventWord,
    pub(in crate::lifecycle) keep_finished: i64,
    /// By word: the state that a test stands in which is first seen by it.
    first: Vec<MachineState>,
}

impl Rules {
    /// # Errors
    /// The states that the machine must have and has not.
    pub(in crate::lifecycle) fn new(
        machine: StateMachine,
        settings: &TestSettings,
    ) -> Result<Rules, Vec<&'static str>> {
        let mut missing = Vec::new();
        let mut state = |name: &'static str| {
            machine.state_named(name).unwrap_or_else(|| {
                missing.push(name);
                MachineState::NONE
            })
        };
        let [received, in_process, resulted, verified] =
            ["RECEIVED", "IN_PROCESS", "RESULTED", "VERIFIED"].map(&mut state);
        let [rejected, cancelled, error, lost, invalidated] =
            ["REJECTED", "CANCELLED", "ERROR", "LOST", "INVALIDATED"].map(&mut state);
        let mut word = |text: &'static str| {
            machine.word(text).unwrap_or_else(|| {
                missing.push(text);
                EventWord(0)
            })
        };
        let [received_word, ordered_word, collected_word] =
            ["RECEIVED", "ORDERED", "COLLECTED"].map(&mut word);
        if !missing.is_empty() {
            return Err(missing);
        }
        let words =
            (0..machine.words().len()).map(|word| first_state(&machine, EventWord(word as u8)));
        Ok(Rules {
            first: words.collect(),
            received,
            in_process,
            resulted,
            verified,
            rejected,
            cancelled,
            error,
            lost,
            invalidated,
            received_word,
            ordered_word,
            collected_word,
            keep_finished: settings.keep_finished.0,
            machine,
        })
    }

    /// The state in which a test stands that is first seen by this word.
    pub(in crate::lifecycle) fn first_state(&self, word: EventWord) -> MachineState {
        self.first[word.0 as usize]
    }

    /// Whether a state is VERIFIED or one that follows it on the line.
    #[inline]
    pub(in crate::lifecycle) fn completes(&self, state: MachineState) -> bool {
        self.machine
            .on_line(state)
            .is_some_and(|at| Some(at) >= self.machine.on_line(self.verified))
    }

    /// Whether a finished test can be taken up again and complete for the first time.
    pub(in crate::lifecycle) fn may_complete(&self, test: &TestRecord) -> bool {
        test.state == self.cancelled && !test.marks.has(Mark::Completed)
    }

    /// Whether a word says that its test had been verified before.
    pub(in crate::lifecycle) fn tells_of_verification(&self, word: EventWord) -> bool {
        let to = self.first_state(word);
        self.completes(to) || to == self.invalidated
    }

    /// Whether a state comes before the receipt on the line.
    pub(in crate::lifecycle) fn before_receipt(&self, state: MachineState) -> bool {
        let received = self.machine.on_line(self.received);
        state == MachineState::NONE
            || self.machine.on_line(state).is_some_and(|at| Some(at) < received)
    }
}

/// The state of the word's own name, else the first that a transition on it leads to.
fn first_state(machine: &StateMachine, word: EventWord) -> MachineState {
    let named = machine.state_of_word(word);
    named.or_else(|| machine.leads_to(word)).unwrap_or_default()
}

//! A machine that has been checked: states, words and what is allowed, as numbers.
//!
//! A look-up is one index into a table of (state, word). Where guards decide between several
//! transitions, the first declared one whose guard holds wins.

mod passage;

use super::fault::{MachineFault, MachinePlace};
use super::spec::{ANY, MachineSpec, TimerWhen, TransitionSpec, states_of, words_of};
use crate::flow::Span;
pub use passage::AllowedWord;
pub(super) use passage::{Passage, SettingsDeed};

/// A state's number. 0 is none: the entity is new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineState(pub u8);

/// A word's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventWord(pub u8);

impl MachineState {
    /// Not seen yet.
    pub const NONE: MachineState = MachineState(0);
}

/// A timer, by state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StateTimer {
    pub(super) name: String,
    pub(super) within: Vec<MachineState>,
    pub(super) when: TimerWhen,
    pub(super) to: MachineState,
}

/// A checked machine.
#[derive(Clone, Debug)]
pub struct StateMachine {
    /// As it was declared.
    pub spec: MachineSpec,
    states: Vec<String>,
    words: Vec<String>,
    /// By state, then by word: in the order of their declaration.
    ways: Vec<Vec<Vec<Passage>>>,
    finished: Vec<bool>,
    /// The place of each state on the line.
    line: Vec<Option<u8>>,
    begins: Vec<bool>,
    pub(super) timers: Vec<StateTimer>,
    /// The predicates of guards, by bit.
    pub guards: Vec<String>,
}

impl StateMachine {
    /// The machine of a declaration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn new(spec: &MachineSpec) -> Result<StateMachine, Vec<MachineFault>> {
        let mut faults = super::fault::faults_of(spec);
        if !faults.is_empty() {
            return Err(faults);
        }
        let states = states_of(spec);
        let words = words_of(spec);
        let mut machine = StateMachine {
            ways: vec![vec![Vec::new(); words.len()]; states.len() + 1],
            finished: vec![false; states.len() + 1],
            line: vec![None; states.len() + 1],
            begins: vec![false; states.len() + 1],
            timers: Vec::new(),
            guards: Vec::new(),
            states,
            words,
            spec: spec.clone(),
        };
        machine.fill(spec);
        faults.extend(machine.faults());
        if faults.is_empty() { Ok(machine) } else { Err(faults) }
    }

    fn fill(&mut self, spec: &MachineSpec) {
        for name in &spec.finished {
            let state = self.state(name);
            self.finished[state.0 as usize] = true;
        }
        for name in &spec.begins {
            let state = self.state(name);
            self.begins[state.0 as usize] = true;
            if let Some(word) = self.word(name) {
                let name = spec.line.iter().find(|step| step.state == *name);
                let name = name.map_or("begin", |step| &step.name).to_owned();
                self.allow(MachineState::NONE, word, Passage::plain(state, name));
            }
        }
        for transition in &spec.transitions {
            let guard = transition.when.as_ref().map(|when| self.guard(when));
            let to = self.state(&transition.to);
            for from in self.origins(transition, to) {
                for on in &transition.on {
                    let Some(word) = self.word(on) else { continue };
                    let way = Passage {
                        guard,
                        compare_and_set: transition.compare_and_set,
                        takes_lease: transition.takes_lease,
                        by_holder: transition.by_holder,
                        settings: SettingsDeed::of(spec.settings.as_ref(), &transition.name),
                        ..Passage::plain(to, transition.name.clone())
                    };
                    self.allow(from, word, way);
                }
            }
        }
        self.fill_line(spec);
        for timer in &spec.timers {
            let within = timer.within.iter().map(|name| self.state(name)).collect();
            let to = self.state(&timer.to);
            let (name, when) = (timer.name.clone(), timer.when.clone());
            self.timers.push(StateTimer { name, within, when, to });
        }
    }

    /// The states that a transition leads from.
    fn origins(&self, transition: &TransitionSpec, to: MachineState) -> Vec<MachineState> {
        let all = (0..=self.states.len() as u8).map(MachineState).filter(|state| *state != to);
        if transition.from.iter().any(|from| from == ANY) {
            return all.collect();
        }
        transition.from.iter().map(|from| self.state(from)).collect()
    }

    /// Forward along the line, behind what is declared of its own.
    fn fill_line(&mut self, spec: &MachineSpec) {
        for (at, step) in spec.line.iter().enumerate() {
            let from = self.state(&step.state);
            self.line[from.0 as usize] = Some(at as u8);
            for (ahead, later) in spec.line.iter().enumerate().skip(at + 1) {
                let to = self.state(&later.state);
                let Some(word) = self.word(&later.state) else { continue };
                let skips = (ahead - at - 1) as u8;
                self.allow(from, word, Passage { skips, ..Passage::plain(to, later.name.clone()) });
            }
        }
    }

    fn allow(&mut self, from: MachineState, word: EventWord, way: Passage) {
        let way = Passage { raises: self.raises(&way.name), ..way };
        let ways = &mut self.ways[from.0 as usize][word.0 as usize];
        // What always holds hides what comes behind it.
        if ways.iter().all(|earlier| earlier.guard.is_some()) {
            ways.push(way);
        }
    }

    fn guard(&mut self, when: &str) -> u8 {
        let known = self.guards.iter().position(|known| known == when);
        known.unwrap_or_else(|| {
            self.guards.push(when.to_owned());
            self.guards.len() - 1
        }) as u8
    }

    /// What is allowed from a state on a word, given which guards hold.
    #[inline]
    pub(super) fn way(&self, from: MachineState, word: EventWord, guards: u32) -> Option<&Passage> {
        let ways = &self.ways[from.0 as usize][word.0 as usize];
        ways.iter().find(|way| way.guard.is_none_or(|guard| guards >> guard & 1 == 1))
    }

    /// The words that are allowed in a state, sorted.
    pub fn allowed(&self, from: MachineState) -> Vec<&str> {
        let ways = self.ways[from.0 as usize].iter().zip(&self.words);
        let allowed = ways.filter(|(ways, _)| !ways.is_empty());
        let mut words: Vec<&str> = allowed.map(|(_, word)| word.as_str()).collect();
        words.sort_unstable();
        words
    }

    /// The number of a state; none where it has no such state.
    pub fn state_named(&self, name: &str) -> Option<MachineState> {
        let at = self.states.iter().position(|state| state == name)?;
        Some(MachineState(at as u8 + 1))
    }

    /// A state that the declaration was found to have.
    fn state(&self, name: &str) -> MachineState {
        self.state_named(name).unwrap_or_default()
    }

    /// The number of a word.
    pub fn word(&self, text: &str) -> Option<EventWord> {
        self.words.iter().position(|word| word == text).map(|at| EventWord(at as u8))
    }

    /// The texts of all words, by number.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The first state that some transition on a word leads to.
    pub(super) fn leads_to(&self, word: EventWord) -> Option<MachineState> {
        let mut ways = self.ways.iter().flat_map(|ways| &ways[word.0 as usize]);
        ways.next().map(|way| way.to)
    }

    /// Whether a word asks for a state: it is the state's name, or some transition on it leads there.
    pub(super) fn asks_for(&self, word: EventWord, state: MachineState) -> bool {
        let mut ways = self.ways.iter().flat_map(|ways| &ways[word.0 as usize]);
        self.state_of_word(word) == Some(state) || ways.any(|way| way.to == state)
    }

    /// Whether a word is a command that must have seen the entity's version.
    pub(super) fn compares(&self, word: EventWord) -> bool {
        let mut ways = self.ways.iter().flat_map(|ways| &ways[word.0 as usize]);
        ways.any(|way| way.compare_and_set)
    }

    /// Whether a word asks for the lease of an entity.
    pub(super) fn leases(&self, word: EventWord) -> bool {
        let mut ways = self.ways.iter().flat_map(|ways| &ways[word.0 as usize]);
        ways.any(|way| way.takes_lease)
    }

    /// The version of an entity of which nothing has been seen.
    pub fn first_version(&self) -> i64 {
        self.spec.version.as_ref().map_or(0, |version| version.first)
    }

    /// Whether the transition or timer of this name raises the version.
    pub(super) fn raises(&self, name: &str) -> bool {
        let version = self.spec.version.as_ref();
        version.is_none_or(|version| version.raised_by.iter().any(|one| one == name))
    }

    /// A word's text.
    pub fn word_text(&self, word: EventWord) -> &str {
        &self.words[word.0 as usize]
    }

    /// The state that a word of the same text means.
    pub fn state_of_word(&self, word: EventWord) -> Option<MachineState> {
        self.state_named(self.word_text(word))
    }

    /// A state's name; none for [`MachineState::NONE`].
    pub fn name(&self, state: MachineState) -> Option<&str> {
        self.states.get((state.0 as usize).checked_sub(1)?).map(String::as_str)
    }

    /// The names of the states, the first one being number 1.
    pub fn states(&self) -> &[String] {
        &self.states
    }

    /// Whether nothing more is waited for in a state.
    #[inline]
    pub fn is_finished(&self, state: MachineState) -> bool {
        self.finished[state.0 as usize]
    }

    /// Whether an entity may begin in a state.
    pub fn may_begin(&self, state: MachineState) -> bool {
        self.begins[state.0 as usize]
    }

    /// A state's place on the line.
    #[inline]
    pub fn on_line(&self, state: MachineState) -> Option<u8> {
        self.line[state.0 as usize]
    }

    /// What can only be seen of the whole: states that nothing leads to, or nothing leads from.
    fn faults(&self) -> Vec<MachineFault> {
        let mut reached = self.begins.clone();
        reached[MachineState::NONE.0 as usize] = true;
        loop {
            let mut grown = reached.clone();
            for (from, ways) in self.ways.iter().enumerate() {
                if reached[from] {
                    ways.iter().flatten().for_each(|way| grown[way.to.0 as usize] = true);
                }
            }
            for timer in &self.timers {
                if timer.within.iter().any(|state| reached[state.0 as usize]) {
                    grown[timer.to.0 as usize] = true;
                }
            }
            if grown == reached {
                break;
            }
            reached = grown;
        }
        let mut faults = Vec::new();
        for (at, name) in self.states.iter().enumerate() {
            let state = at + 1;
            if !reached[state] {
                faults.push(MachineFault::unreachable(MachinePlace::State(name.clone()), name));
            }
            let leads_on = self.ways[state].iter().flatten().next().is_some()
                || self
                    .timers
                    .iter()
                    .any(|timer| timer.within.contains(&MachineState(state as u8)));
            if !leads_on && !self.finished[state] {
                faults.push(MachineFault::dead_end(MachinePlace::State(name.clone()), name));
            }
        }
        faults
    }

    /// Another length for the timers that wait for an event.
    #[cfg(test)]
    pub(super) fn abandon_after(&mut self, span: Span) {
        for timer in &mut self.timers {
            timer.when = TimerWhen::After(span);
        }
    }

    /// How long a state may last without an event before a timer goes off, and where it leads.
    pub fn after(&self, state: MachineState) -> Option<(Span, MachineState)> {
        self.timers.iter().find_map(|timer| match timer.when {
            TimerWhen::After(span) if timer.within.contains(&state) => Some((span, timer.to)),
            _ => None,
        })
    }
}

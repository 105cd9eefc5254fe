//! What can be wrong with the declaration of a machine.

use super::spec::{ANY, MOST, MachineSpec, NEW, WordSource, states_of, words_of};
use crate::flow::event::EVENT_FIELDS;

/// Where in a declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MachinePlace {
    /// The whole.
    Machine,
    /// A state, by its name.
    State(String),
    /// An entity's column, by its place.
    Entity(usize),
    /// A kind of event, by its place.
    Event(usize),
    /// A beginning, by its place.
    Begins(usize),
    /// A finished state, by its place.
    Finished(usize),
    /// A transition, by its place.
    Transition(usize),
    /// A timer, by its place.
    Timer(usize),
}

/// One thing that is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineFault {
    /// Where.
    pub place: MachinePlace,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

impl MachineFault {
    fn new(place: MachinePlace, what: String, remedy: &str) -> MachineFault {
        MachineFault { place, what, remedy: remedy.to_owned() }
    }

    pub(super) fn unreachable(place: MachinePlace, state: &str) -> MachineFault {
        let what = format!("nothing leads to the state `{state}`");
        let remedy = "name it in `begins`, or in the `to` of a transition or timer whose `from` can be reached";
        MachineFault::new(place, what, remedy)
    }

    pub(super) fn dead_end(place: MachinePlace, state: &str) -> MachineFault {
        let what = format!("nothing leads from the state `{state}`, and it is not finished");
        MachineFault::new(place, what, "name it in `finished`, or in the `from` of a transition")
    }
}

/// What is wrong with the parts of a declaration.
pub(super) fn faults_of(spec: &MachineSpec) -> Vec<MachineFault> {
    let mut faults = Vec::new();
    sizes(spec, &mut faults);
    columns(spec, &mut faults);
    names(spec, &mut faults);
    ambiguous(spec, &mut faults);
    faults
}

fn sizes(spec: &MachineSpec, faults: &mut Vec<MachineFault>) {
    for (count, what) in [(states_of(spec).len(), "states"), (words_of(spec).len(), "words")] {
        if count > MOST {
            let text = format!("it has {count} {what}, more than {MOST}");
            faults.push(MachineFault::new(MachinePlace::Machine, text, "make two machines of it"));
        }
    }
    let begins =
        spec.transitions.iter().any(|one| one.from.iter().any(|from| from == NEW || from == ANY));
    if spec.begins.is_empty() && !begins {
        let text = "no state is one to begin in".to_owned();
        let remedy = "write `begins: [STATE]`, or a transition `from: new`";
        faults.push(MachineFault::new(MachinePlace::Machine, text, remedy));
    }
    if spec.events.is_empty() {
        let text = "it takes no events".to_owned();
        let remedy = "write `events: { specimen.transition: { word: to_state } }`";
        faults.push(MachineFault::new(MachinePlace::Machine, text, remedy));
    }
}

fn columns(spec: &MachineSpec, faults: &mut Vec<MachineFault>) {
    let known = |name: &str| EVENT_FIELDS.iter().any(|(field, _)| *field == name);
    let remedy = "name a column of the event (see docs/events.md)";
    for (at, name) in spec.entity.iter().enumerate() {
        if !known(name) {
            let text = format!("the event has no column `{name}`");
            faults.push(MachineFault::new(MachinePlace::Entity(at), text, remedy));
        }
    }
    if !spec.entity.iter().any(|name| name == "lab_id") {
        let text = "the entity does not name the laboratory".to_owned();
        faults.push(MachineFault::new(
            MachinePlace::Machine,
            text,
            "put `lab_id` first in `entity`",
        ));
    }
    for (at, event) in spec.events.iter().enumerate() {
        if let WordSource::Column(name) = &event.word
            && !known(name)
        {
            let text = format!("the event has no column `{name}`");
            faults.push(MachineFault::new(MachinePlace::Event(at), text, remedy));
        }
    }
}

fn names(spec: &MachineSpec, faults: &mut Vec<MachineFault>) {
    let states = states_of(spec);
    for (at, name) in spec.finished.iter().enumerate() {
        if !states.contains(name) {
            let text = format!("there is no state `{name}`");
            let remedy = "name a state of the line, of a transition or of a timer";
            faults.push(MachineFault::new(MachinePlace::Finished(at), text, remedy));
        }
    }
    // A word that no event can say: only where all words are told beforehand.
    let said: Option<Vec<&str>> = spec
        .events
        .iter()
        .map(|event| match &event.word {
            WordSource::Says(word) => Some(word.as_str()),
            WordSource::Column(_) => None,
        })
        .collect();
    let Some(said) = said else { return };
    for (at, transition) in spec.transitions.iter().enumerate() {
        for word in transition.on.iter().filter(|word| !said.contains(&word.as_str())) {
            let text = format!("no event says `{word}`");
            let remedy = "name a word that `events` says";
            faults.push(MachineFault::new(MachinePlace::Transition(at), text, remedy));
        }
    }
}

/// A transition that can never be taken, since one before it always is.
fn ambiguous(spec: &MachineSpec, faults: &mut Vec<MachineFault>) {
    for (at, later) in spec.transitions.iter().enumerate() {
        for earlier in spec.transitions[..at].iter().filter(|earlier| earlier.when.is_none()) {
            let is_shared = |from: &&String| {
                earlier.from.contains(from) || earlier.from.iter().any(|of| of == ANY)
            };
            let shared = later.from.iter().find(is_shared);
            let word = later.on.iter().find(|on| earlier.on.contains(on));
            if let (Some(from), Some(word)) = (shared, word) {
                let text = format!(
                    "`{}` and `{}` both lead from `{from}` on `{word}`",
                    earlier.name, later.name
                );
                let remedy = "give the first one a `when`, or take one of them out";
                faults.push(MachineFault::new(MachinePlace::Transition(at), text, remedy));
            }
        }
    }
}

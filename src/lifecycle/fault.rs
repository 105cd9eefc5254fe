//! What can be wrong with the declaration of a machine.

use super::spec::{
    ANY, MOST, MOST_GUARDS, MOST_KEYS, MachineSpec, NEW, TimerSpec, TimerWhen, WordSource,
    states_of, words_of,
};
use crate::flow::event::{EVENT_FIELDS, FieldKind};

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
    /// What the version counts.
    Version,
    /// How settings are published.
    Settings,
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
    timers(spec, &mut faults);
    versions(spec, &mut faults);
    leases(spec, &mut faults);
    faults
}

/// Transitions that are named and not there: a version that never rises, settings that never count.
fn versions(spec: &MachineSpec, faults: &mut Vec<MachineFault>) {
    let raised = spec.version.iter().flat_map(|version| &version.raised_by);
    let raised = raised.map(|name| (MachinePlace::Version, name));
    let published = spec.settings.iter().flat_map(|of| of.carried_by.iter().chain(&of.in_force_by));
    let published = published.map(|name| (MachinePlace::Settings, name));
    for (place, name) in raised.chain(published) {
        if !spec.transitions.iter().any(|one| one.name == *name) {
            let text = format!("there is no transition `{name}`");
            let remedy = "name a transition of `transitions`";
            faults.push(MachineFault::new(place, text, remedy));
        }
    }
    let Some(of) = &spec.settings else { return };
    if of.carried_by.is_empty() || of.in_force_by.is_empty() {
        let text =
            "settings need transitions that bring them along and some that put them in force";
        let remedy = "write `settings: { carried_by: [saving], in_force_by: [done] }`";
        faults.push(MachineFault::new(MachinePlace::Settings, text.to_owned(), remedy));
    }
}

/// What only the holder may do, where nobody can hold.
fn leases(spec: &MachineSpec, faults: &mut Vec<MachineFault>) {
    let is_leased =
        |state: &String| spec.transitions.iter().any(|one| one.takes_lease && one.to == *state);
    for (at, one) in spec.transitions.iter().enumerate().filter(|(_, one)| one.by_holder) {
        if !one.from.iter().any(is_leased) {
            let text = format!("nobody can hold the entity where `{}` leads from", one.name);
            let remedy = "write `takes_lease: true` at the transition that leads there";
            faults.push(MachineFault::new(MachinePlace::Transition(at), text, remedy));
        }
    }
}

fn sizes(spec: &MachineSpec, faults: &mut Vec<MachineFault>) {
    for (count, what) in [(states_of(spec).len(), "states"), (words_of(spec).len(), "words")] {
        if count > MOST {
            let text = format!("it has {count} {what}, more than {MOST}");
            faults.push(MachineFault::new(MachinePlace::Machine, text, "make two machines of it"));
        }
    }
    let mut conditions: Vec<&str> =
        spec.transitions.iter().filter_map(|one| one.when.as_deref()).collect();
    conditions.sort_unstable();
    conditions.dedup();
    if conditions.len() > MOST_GUARDS {
        let text = format!("it has {} conditions, more than {MOST_GUARDS}", conditions.len());
        faults.push(MachineFault::new(MachinePlace::Machine, text, "make two machines of it"));
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

/// Columns of the relation of what an entity did, which its key cannot have.
const TOLD: [&str; 3] = ["from_state", "to_state", "holder"];

fn columns(spec: &MachineSpec, faults: &mut Vec<MachineFault>) {
    let remedy = "name a column of the event (see docs/events.md)";
    for (at, name) in spec.entity.iter().enumerate() {
        let place = MachinePlace::Entity(at);
        let mut wrong = |text, remedy| {
            faults.push(MachineFault::new(place.clone(), text, remedy));
        };
        match kind_of(name) {
            None => wrong(format!("the event has no column `{name}`"), remedy),
            Some(FieldKind::Text(_) | FieldKind::Code(_)) => {}
            Some(FieldKind::Time | FieldKind::Int | FieldKind::Float | FieldKind::Bool) => {
                wrong(format!("the column `{name}` holds no text"), "name a column of texts");
            }
        }
        if spec.entity[..at].contains(name) {
            wrong(format!("the entity names `{name}` twice"), "name it once");
        }
        if TOLD.contains(&name.as_str()) {
            let text = format!("`{name}` is what the machine tells of the entity");
            wrong(text, "name a column that says which entity it is");
        }
        if at == MOST_KEYS {
            wrong(format!("the entity has more than {MOST_KEYS} columns"), "name fewer");
        }
    }
    if spec.entity.first().is_none_or(|name| name != "lab_id") {
        let text = "the entity does not name the laboratory first".to_owned();
        faults.push(MachineFault::new(
            MachinePlace::Machine,
            text,
            "put `lab_id` first in `entity`",
        ));
    }
    for (at, event) in spec.events.iter().enumerate() {
        let WordSource::Column(name) = &event.word else { continue };
        let (text, remedy) = match kind_of(name) {
            None => (format!("the event has no column `{name}`"), remedy),
            Some(FieldKind::Text(_) | FieldKind::Code(_)) => continue,
            Some(FieldKind::Time | FieldKind::Int | FieldKind::Float | FieldKind::Bool) => {
                (format!("the column `{name}` holds no text"), "name a column of texts")
            }
        };
        faults.push(MachineFault::new(MachinePlace::Event(at), text, remedy));
    }
}

fn kind_of(column: &str) -> Option<FieldKind> {
    EVENT_FIELDS.iter().find(|(field, _)| *field == column).map(|(_, kind)| *kind)
}

/// Timers that would go off again at once, for ever, and those that wait where nothing is waited for.
fn timers(spec: &MachineSpec, faults: &mut Vec<MachineFault>) {
    for (at, timer) in spec.timers.iter().enumerate() {
        let mut wrong = |text, remedy| {
            faults.push(MachineFault::new(MachinePlace::Timer(at), text, remedy));
        };
        let TimerSpec { name, within, to, .. } = timer;
        if within.contains(to) {
            let text = format!("the timer `{name}` leads from `{to}` to itself");
            wrong(text, "take the state out of `in`, or lead to another one");
        }
        if let Some(state) = within.iter().find(|state| spec.finished.contains(state)) {
            let text = format!("the timer `{name}` runs in `{state}`, which is finished");
            wrong(text, "take the state out of `in`, or out of `finished`");
        }
        let TimerWhen::Silence(beats) = timer.when else { continue };
        let is_over = |(number, other): &(usize, &TimerSpec)| match other.when {
            TimerWhen::Silence(more) => *number != at && more <= beats && other.within.contains(to),
            TimerWhen::After(_) | TimerWhen::At(..) | TimerWhen::Share(_) => false,
        };
        if let Some((_, other)) = spec.timers.iter().enumerate().find(is_over) {
            let text = format!("after `{name}` the silence of `{}` is over at once", other.name);
            wrong(text, "let it wait for more heartbeats");
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

//! A state machine as it is written down: words and names, nothing checked yet.

use crate::flow::Span;

/// How a declaration names what is not there yet, where a transition begins an entity.
pub const NEW: &str = "new";

/// How a declaration names every other state, and what is not there yet.
pub const ANY: &str = "any";

/// More states or words than this have no room in a byte, and no reader.
pub(super) const MOST: usize = 64;

/// The most columns that an entity's key may have.
pub(super) const MOST_KEYS: usize = 4;

/// The most conditions: each is a bit of what an event brings along.
pub(super) const MOST_GUARDS: usize = 32;

/// A machine as its YAML says it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MachineSpec {
    /// The machine's name: that of its file.
    pub name: String,
    /// What it follows, in a sentence.
    pub description: String,
    /// The event's columns that say which entity an event is about.
    pub entity: Vec<String>,
    /// Which events it takes, and the word that each says to it.
    pub events: Vec<EventSpec>,
    /// States that follow one another; an entity may skip forward along them.
    pub line: Vec<LineStep>,
    /// States in which an entity may begin.
    pub begins: Vec<String>,
    /// States in which nothing more is waited for.
    pub finished: Vec<String>,
    /// What is allowed beside the line.
    pub transitions: Vec<TransitionSpec>,
    /// What happens when nothing does.
    pub timers: Vec<TimerSpec>,
    /// What the entity's version counts; without it, its transitions.
    pub version: Option<VersionSpec>,
    /// The settings that an entity publishes, if it does.
    pub settings: Option<SettingsSpec>,
    /// A hash of its file: what was computed with it is told apart by it.
    pub content_hash: String,
}

/// One step of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineStep {
    /// What the step is called: `collect`.
    pub name: String,
    /// The state that it leads to, which is also the word that asks for it.
    pub state: String,
}

/// One kind of event and the word that it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSpec {
    /// The event's type: `specimen.transition`.
    pub event_type: String,
    /// Where its word comes from.
    pub word: WordSource,
    /// Words that mean others: `COMPLETED` means `VERIFIED`.
    pub means: Vec<(String, String)>,
}

/// Where the word of an event comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WordSource {
    /// A column of the event holds it.
    Column(String),
    /// Every event of this type says it.
    Says(String),
}

/// One transition beside the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransitionSpec {
    /// What it is called: `reject`.
    pub name: String,
    /// The states that it leads from.
    pub from: Vec<String>,
    /// The words that ask for it.
    pub on: Vec<String>,
    /// The state that it leads to.
    pub to: String,
    /// A predicate over the event; without one, always.
    pub when: Option<String>,
    /// The event must carry the version that the entity has.
    pub compare_and_set: bool,
    /// Its user holds the entity until it leaves the state.
    pub takes_lease: bool,
    /// Only for the user who holds the entity.
    pub by_holder: bool,
}

/// What a version counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionSpec {
    /// That of an entity of which nothing has been seen.
    pub first: i64,
    /// The transitions that raise it by one.
    pub raised_by: Vec<String>,
}

/// Which transitions publish the settings of a laboratory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsSpec {
    /// Those whose events bring new ones along.
    pub carried_by: Vec<String>,
    /// Those with which what was brought last counts.
    pub in_force_by: Vec<String>,
}

/// One timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerSpec {
    /// What it is called: `abandon`.
    pub name: String,
    /// The states in which it runs.
    pub within: Vec<String>,
    /// When it goes off.
    pub when: TimerWhen,
    /// The state that it leads to.
    pub to: String,
}

/// When a timer goes off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimerWhen {
    /// After a stay in the state, or since the last event that was applied.
    After(Span),
    /// At a local time of day of the laboratory, in minutes after midnight, and so long after it.
    At(u16, Span),
    /// After this many thousandths of the entity's target.
    Share(u16),
    /// After so many of the entity's own silences (a heartbeat's length from reference data).
    Silence(u16),
}

/// All states in the order in which they are first named.
pub(super) fn states_of(spec: &MachineSpec) -> Vec<String> {
    let mut states: Vec<String> = Vec::new();
    let line = spec.line.iter().map(|step| &step.state);
    let beside = spec.transitions.iter().flat_map(|one| one.from.iter().chain([&one.to]));
    let timers = spec.timers.iter().flat_map(|one| one.within.iter().chain([&one.to]));
    for name in line.chain(&spec.begins).chain(beside).chain(timers) {
        if name != NEW && name != ANY && !states.contains(name) {
            states.push(name.clone());
        }
    }
    states
}

/// All words that transitions wait for or that name a state of the line or a beginning.
pub(super) fn words_of(spec: &MachineSpec) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let line = spec.line.iter().map(|step| &step.state);
    let on = spec.transitions.iter().flat_map(|one| &one.on);
    let says = spec.events.iter().filter_map(|event| match &event.word {
        WordSource::Says(word) => Some(word),
        WordSource::Column(_) => None,
    });
    let means = spec.events.iter().flat_map(|event| event.means.iter().map(|(_, word)| word));
    for word in line.chain(&spec.begins).chain(on).chain(says).chain(means) {
        if !words.contains(word) {
            words.push(word.clone());
        }
    }
    words
}

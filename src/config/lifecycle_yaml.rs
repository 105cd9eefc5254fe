//! `pipelines/lifecycles/<name>.yaml` as a checked [`StateMachine`].
//!
//! What is written is read here; whether it makes a machine is said by `lifecycle`, and put to its place
//! in the file here.

use std::collections::BTreeMap;

use crate::flow::Span;
use crate::lifecycle::fault::MachinePlace;
use crate::lifecycle::machine::StateMachine;
use crate::lifecycle::spec::{
    EventSpec, LineStep, MachineSpec, SettingsSpec, TimerSpec, TimerWhen, TransitionSpec,
    VersionSpec, WordSource,
};

use super::decode::{Fields, NamedNode};
use super::fault::{Faults, Position, quoted};
use super::values::minute_of_day;
use super::yaml::Document;

const STATES: &str = "[STATE, STATE]";

/// Reads the machine `name`. `None` where it has a fault; `faults` says which.
pub(crate) fn read(name: &str, document: &Document, faults: &mut Faults) -> Option<StateMachine> {
    let mut places = MachinePlaces::default();
    let before = faults.count();
    let root = NamedNode::root(document);
    let mut fields = root.fields(faults, "description, entity, events and transitions")?;
    let description = fields
        .require("description", faults, "What the machine follows.")
        .and_then(|value| value.text(faults, "a sentence"));
    let entity = fields.require("entity", faults, "[lab_id, specimen_id]");
    let entity = entity
        .map(|value| places.texts(&value, "[lab_id, specimen_id]", faults, MachinePlace::Entity));
    let events = fields.require("events", faults, "{ specimen.transition: { word: to_state } }");
    let events = events.map(|value| event_specs(&value, &mut places, faults));
    let line = fields.take("line").map(|value| line(&value, &mut places, faults));
    let begins = fields.take("begins");
    let begins = begins.map(|value| places.states(&value, faults, MachinePlace::Begins));
    let finished = fields.take("finished");
    let finished = finished.map(|value| places.states(&value, faults, MachinePlace::Finished));
    let transitions = fields.take("transitions");
    let transitions = transitions.map(|value| transition_specs(&value, &mut places, faults));
    let timers = fields.take("timers").map(|value| timer_specs(&value, &mut places, faults));
    let version = fields.take("version");
    let version = version.and_then(|value| version_spec(&value, &mut places, faults));
    let settings = fields.take("settings");
    let settings = settings.and_then(|value| settings_spec(&value, &mut places, faults));
    fields.finish(faults);
    let spec = MachineSpec {
        name: name.to_owned(),
        description: description.unwrap_or_default().trim().to_owned(),
        entity: entity.unwrap_or_default(),
        events: events.unwrap_or_default(),
        line: line.unwrap_or_default(),
        begins: begins.unwrap_or_default(),
        finished: finished.unwrap_or_default(),
        transitions: transitions.unwrap_or_default(),
        timers: timers.unwrap_or_default(),
        version,
        settings,
        content_hash: String::new(),
    };
    if faults.count() > before {
        return None;
    }
    match StateMachine::new(&spec) {
        Ok(machine) => Some(machine),
        Err(found) => {
            for fault in found {
                faults.push(places.of(&fault.place), fault.what, fault.remedy);
            }
            None
        }
    }
}

/// Where each part of the declaration stands.
#[derive(Default)]
struct MachinePlaces {
    states: BTreeMap<String, Position>,
    others: Vec<(MachinePlace, Position)>,
}

impl MachinePlaces {
    fn of(&self, place: &MachinePlace) -> Position {
        if let MachinePlace::State(name) = place
            && let Some(at) = self.states.get(name)
        {
            return *at;
        }
        let found = self.others.iter().find(|(other, _)| other == place);
        found.map_or(Position::START, |(_, at)| *at)
    }

    /// Texts, one or a list of them; `place` makes each one's place.
    fn texts(
        &mut self,
        value: &NamedNode<'_>,
        example: &str,
        faults: &mut Faults,
        place: impl Fn(usize) -> MachinePlace,
    ) -> Vec<String> {
        let mut texts = Vec::new();
        for item in value.one_or_more(faults, example).unwrap_or_default() {
            let Some(text) = item.text(faults, example) else { continue };
            self.others.push((place(texts.len()), item.at()));
            texts.push(text.to_owned());
        }
        texts
    }

    /// States, each with the place where it is first named.
    fn states(
        &mut self,
        value: &NamedNode<'_>,
        faults: &mut Faults,
        place: impl Fn(usize) -> MachinePlace,
    ) -> Vec<String> {
        for item in value.one_or_more(faults, STATES).unwrap_or_default() {
            if let Some(text) = item.text(&mut Faults::of("".as_ref()), STATES) {
                self.states.entry(text.to_owned()).or_insert(item.at());
            }
        }
        self.texts(value, STATES, faults, place)
    }

    fn state(&mut self, value: &NamedNode<'_>, faults: &mut Faults) -> Option<String> {
        let text = value.text(faults, "a state")?;
        self.states.entry(text.to_owned()).or_insert(value.at());
        Some(text.to_owned())
    }
}

fn event_specs(
    value: &NamedNode<'_>,
    places: &mut MachinePlaces,
    faults: &mut Faults,
) -> Vec<EventSpec> {
    let example = "{ specimen.transition: { word: to_state } }";
    let mut events = Vec::new();
    for entry in value.map(faults, example).unwrap_or_default() {
        let inner = value.entry(entry);
        let Some(mut fields) = inner.fields(faults, "{ word: to_state } or { says: WORD }") else {
            continue;
        };
        let column = fields.take("word").and_then(|value| value.text(faults, "a column"));
        let says = fields.take("says").and_then(|value| value.text(faults, "a word"));
        let means = fields.take("means").map(|value| renamed(&value, faults)).unwrap_or_default();
        fields.finish(faults);
        let word = match (column, says) {
            (Some(column), None) => WordSource::Column(column.to_owned()),
            (None, Some(word)) => WordSource::Says(word.to_owned()),
            (Some(_), Some(_)) | (None, None) => {
                let what = "needs one of `word` (a column) and `says` (a word)";
                inner.wrong(faults, what, "write { word: to_state } or { says: WORD }");
                continue;
            }
        };
        places.others.push((MachinePlace::Event(events.len()), entry.key_at));
        events.push(EventSpec { event_type: entry.key.clone(), word, means });
    }
    events
}

fn renamed(value: &NamedNode<'_>, faults: &mut Faults) -> Vec<(String, String)> {
    let mut renamed = Vec::new();
    for entry in value.map(faults, "{ COMPLETED: VERIFIED }").unwrap_or_default() {
        if let Some(text) = value.entry(entry).text(faults, "a word") {
            renamed.push((entry.key.clone(), text.to_owned()));
        }
    }
    renamed
}

fn line(value: &NamedNode<'_>, places: &mut MachinePlaces, faults: &mut Faults) -> Vec<LineStep> {
    let mut steps = Vec::new();
    for entry in value.map(faults, "{ collect: COLLECTED, receive: RECEIVED }").unwrap_or_default()
    {
        if let Some(state) = places.state(&value.entry(entry), faults) {
            steps.push(LineStep { name: entry.key.clone(), state });
        }
    }
    steps
}

fn transition_specs(
    value: &NamedNode<'_>,
    places: &mut MachinePlaces,
    faults: &mut Faults,
) -> Vec<TransitionSpec> {
    let example = "[{ name: reject, from: [A], on: WORD, to: B }]";
    let mut transitions = Vec::new();
    for item in value.list(faults, example).unwrap_or_default() {
        let Some(mut fields) = item.fields(faults, example) else { continue };
        let at = transitions.len();
        let name = required_text(&mut fields, "name", "reject", faults);
        let from = fields.require("from", faults, STATES);
        let from =
            from.map(|value| places.states(&value, faults, |_| MachinePlace::Transition(at)));
        let on = fields.require("on", faults, "WORD");
        let on =
            on.map(|value| places.texts(&value, "WORD", faults, |_| MachinePlace::Transition(at)));
        let to = fields.require("to", faults, "STATE");
        let to = to.and_then(|value| places.state(&value, faults));
        let when = fields.take("when").and_then(|value| value.text(faults, "a condition in SQL"));
        let flags = ["compare_and_set", "takes_lease", "by_holder"].map(|key| fields.take(key));
        let [compare, takes_lease, by_holder] =
            flags.map(|value| value.and_then(|value| value.boolean(faults)).unwrap_or_default());
        fields.finish(faults);
        places.others.insert(0, (MachinePlace::Transition(at), item.at()));
        let (Some(name), Some(from), Some(on), Some(to)) = (name, from, on, to) else { continue };
        transitions.push(TransitionSpec {
            name,
            from,
            on,
            to,
            when: when.map(str::to_owned),
            compare_and_set: compare,
            takes_lease,
            by_holder,
        });
    }
    transitions
}

const VERSION: &str = "{ first: 1, raised_by: [saving] }";
const SETTINGS: &str = "{ carried_by: [saving], in_force_by: [done] }";

fn version_spec(
    value: &NamedNode<'_>,
    places: &mut MachinePlaces,
    faults: &mut Faults,
) -> Option<VersionSpec> {
    places.others.push((MachinePlace::Version, value.at()));
    let mut fields = value.fields(faults, VERSION)?;
    let first = fields.take("first").and_then(|value| value.number::<i64>(faults, "a version"));
    let raised = fields.require("raised_by", faults, "[TRANSITION]");
    let raised_by = raised
        .map(|value| places.texts(&value, "[TRANSITION]", faults, |_| MachinePlace::Version))?;
    fields.finish(faults);
    Some(VersionSpec { first: first.unwrap_or(1), raised_by })
}

fn settings_spec(
    value: &NamedNode<'_>,
    places: &mut MachinePlaces,
    faults: &mut Faults,
) -> Option<SettingsSpec> {
    places.others.push((MachinePlace::Settings, value.at()));
    let mut fields = value.fields(faults, SETTINGS)?;
    let [carried, in_force] = ["carried_by", "in_force_by"].map(|key| {
        let value = fields.require(key, faults, "[TRANSITION]")?;
        Some(places.texts(&value, "[TRANSITION]", faults, |_| MachinePlace::Settings))
    });
    fields.finish(faults);
    Some(SettingsSpec { carried_by: carried?, in_force_by: in_force? })
}

fn required_text(
    fields: &mut Fields<'_>,
    key: &'static str,
    example: &str,
    faults: &mut Faults,
) -> Option<String> {
    let value = fields.require(key, faults, example)?;
    value.text(faults, example).map(str::to_owned)
}

fn timer_specs(
    value: &NamedNode<'_>,
    places: &mut MachinePlaces,
    faults: &mut Faults,
) -> Vec<TimerSpec> {
    let example = "[{ name: abandon, in: [A], after: 7d, to: B }]";
    let mut timers = Vec::new();
    for item in value.list(faults, example).unwrap_or_default() {
        let Some(mut fields) = item.fields(faults, example) else { continue };
        let at = timers.len();
        let name = required_text(&mut fields, "name", "abandon", faults);
        let within = fields.require("in", faults, STATES);
        let within = within.map(|value| places.states(&value, faults, |_| MachinePlace::Timer(at)));
        let when = timer_when(&item, &mut fields, faults);
        let to = fields.require("to", faults, "STATE");
        let to = to.and_then(|value| places.state(&value, faults));
        fields.finish(faults);
        places.others.insert(0, (MachinePlace::Timer(at), item.at()));
        let (Some(name), Some(within), Some(when), Some(to)) = (name, within, when, to) else {
            continue;
        };
        timers.push(TimerSpec { name, within, when, to });
    }
    timers
}

fn timer_when(
    item: &NamedNode<'_>,
    fields: &mut Fields<'_>,
    faults: &mut Faults,
) -> Option<TimerWhen> {
    let at = fields.take("at");
    let has_at = at.is_some();
    let after = fields.take("after").map(|value| value.positive_span(faults).map(TimerWhen::After));
    let grace = fields.take("grace");
    if let Some(value) = grace.as_ref().filter(|_| !has_at) {
        value.wrong(faults, "belongs to `at`", "write at: \"00:00\", grace: 10m");
    }
    let grace = grace.and_then(|value| value.positive_span(faults)).unwrap_or(Span(0));
    let at = at.map(|value| {
        let text = value.text(faults, "a local time of day, as \"03:00\"")?;
        let minute = minute_of_day(text);
        if minute.is_none() {
            let what = format!("must be a time of day, not {}", quoted(text));
            value.wrong(faults, &what, "write it as \"03:00\"");
        }
        minute.map(|minute| TimerWhen::At(minute, grace))
    });
    let silence = fields
        .take("silence")
        .map(|value| value.number::<u16>(faults, "a number of heartbeats").map(TimerWhen::Silence));
    let share = fields.take("share").map(|value| {
        let share = value.number::<f64>(faults, "a share of the target, as 0.8")?;
        let is_one = share > 0.0 && share <= 10.0;
        if !is_one {
            value.wrong(faults, "must be a share of the target", "write a number above 0, as 0.8");
        }
        is_one.then_some(TimerWhen::Share((share * 1000.0).round() as u16))
    });
    let mut given = [after, at, silence, share].into_iter().flatten();
    let (first, second) = (given.next(), given.next());
    match (first, second) {
        (Some(when), None) => when,
        (Some(_), Some(_)) | (None, _) => {
            let what = "needs one of `after`, `at`, `silence` and `share`";
            item.wrong(faults, what, "write after: 7d, at: \"03:00\", silence: 3 or share: 0.8");
            None
        }
    }
}

/// The machine of a text.
#[cfg(test)]
pub(crate) fn read_text(name: &str, text: &str) -> Result<StateMachine, Vec<super::fault::Fault>> {
    let mut faults = Faults::of(std::path::Path::new(name));
    let document = Document::parse(text, &mut faults);
    let machine = document.and_then(|document| read(name, &document, &mut faults));
    machine.ok_or_else(|| faults.into_vec())
}

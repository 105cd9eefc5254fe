//! What a machine allows from a state on a word, and what comes with it.

use super::{EventWord, MachineState, StateMachine};
use crate::lifecycle::spec::SettingsSpec;

/// What is allowed from a state on a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::lifecycle) struct Passage {
    /// Holds it; bit of the event's guards, none where it always does.
    pub(in crate::lifecycle) guard: Option<u8>,
    pub(in crate::lifecycle) to: MachineState,
    pub(in crate::lifecycle) name: String,
    /// How many states of the line are passed over.
    pub(in crate::lifecycle) skips: u8,
    pub(in crate::lifecycle) compare_and_set: bool,
    /// The event's user holds the entity from then on.
    pub(in crate::lifecycle) takes_lease: bool,
    /// Only for who holds it.
    pub(in crate::lifecycle) by_holder: bool,
    /// Whether it raises the version.
    pub(in crate::lifecycle) raises: bool,
    pub(in crate::lifecycle) settings: SettingsDeed,
}

/// What a transition does with settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::lifecycle) enum SettingsDeed {
    /// Nothing.
    #[default]
    Nothing,
    /// Its event brings new ones along.
    Carries,
    /// Those that were brought last count from then on.
    PutsInForce,
}

/// What is asked for, as whoever asks beforehand sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedWord {
    /// The state that it leads to.
    pub to: MachineState,
    /// Only for who holds the entity.
    pub by_holder: bool,
    /// Its user holds the entity then.
    pub takes_lease: bool,
    /// It brings settings along.
    pub carries_settings: bool,
}

impl StateMachine {
    /// What a word asks for in a state; none where it is not allowed there. Conditions are left out.
    pub fn asked(&self, from: MachineState, word: EventWord) -> Option<AllowedWord> {
        let way = self.ways[from.0 as usize][word.0 as usize].first()?;
        Some(AllowedWord {
            to: way.to,
            by_holder: way.by_holder,
            takes_lease: way.takes_lease,
            carries_settings: way.settings == SettingsDeed::Carries,
        })
    }
}

impl Passage {
    pub(in crate::lifecycle) fn plain(to: MachineState, name: String) -> Passage {
        Passage {
            guard: None,
            to,
            name,
            skips: 0,
            compare_and_set: false,
            takes_lease: false,
            by_holder: false,
            raises: false,
            settings: SettingsDeed::Nothing,
        }
    }
}

impl SettingsDeed {
    pub(in crate::lifecycle) fn of(spec: Option<&SettingsSpec>, name: &str) -> SettingsDeed {
        let Some(spec) = spec else { return SettingsDeed::Nothing };
        let names = |all: &[String]| all.iter().any(|one| one == name);
        if names(&spec.carried_by) {
            SettingsDeed::Carries
        } else if names(&spec.in_force_by) {
            SettingsDeed::PutsInForce
        } else {
            SettingsDeed::Nothing
        }
    }
}

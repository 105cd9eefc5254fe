//! The parts of the lake that are not tables of pipelines.

/// The parts of the lake that are not tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Section {
    /// Every event that passed decode, with what became of it.
    Events,
    /// Rows that missed every window of a table.
    Late,
    /// Records that could not become events.
    DeadLetters,
    /// Breaches, with their cards.
    Alerts,
    /// Findings about the input's quality.
    Quality,
    /// What people had done: who, when, before and after.
    Audit,
}

impl Section {
    /// Every section.
    pub const ALL: [Section; 6] = [
        Section::Events,
        Section::Late,
        Section::DeadLetters,
        Section::Alerts,
        Section::Quality,
        Section::Audit,
    ];

    /// The section's folder, and its name in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Section::Events => "events",
            Section::Late => "late",
            Section::DeadLetters => "dead_letters",
            Section::Alerts => "alerts",
            Section::Quality => "quality",
            Section::Audit => "audit",
        }
    }

    /// Reads a folder's name.
    pub(super) fn parse(text: &str) -> Option<Section> {
        Section::ALL.into_iter().find(|section| section.as_str() == text)
    }
}

//! What is known of tables beside the lake: from the project, and for what is no table from here.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::SchemaRef;

use crate::flow::lake_key::Section;
use crate::lake::encode::ColumnNote;

/// Tables and laboratories that a project names.
#[derive(Clone, Debug, Default)]
pub struct KnownTables {
    /// The tables, by name.
    pub tables: BTreeMap<String, KnownTable>,
    /// The laboratories of `ref.labs`.
    pub labs: BTreeSet<String>,
}

/// A table as its project declares it.
#[derive(Clone, Debug, Default)]
pub struct KnownTable {
    /// What it holds, for people.
    pub description: String,
    /// Who looks after it.
    pub owner: Option<String>,
    /// The columns that tell rows of a window apart.
    pub grain: Vec<String>,
    /// The column that is a row's time, where it is not `window_start`.
    pub time: Option<String>,
    /// What columns mean, by name.
    pub columns: BTreeMap<String, ColumnNote>,
    /// The columns as they are stored, for a table that has no rows yet.
    pub schema: Option<SchemaRef>,
}

/// Every table that has windows has this one.
pub const WINDOW_START: &str = "window_start";

impl KnownTables {
    /// What is known of a table; of a section what it always is.
    pub fn table(&self, name: &str) -> KnownTable {
        let section = Section::ALL.into_iter().find(|section| section.as_str() == name);
        match section {
            Some(section) => of_section(section),
            None => self.tables.get(name).cloned().unwrap_or_default(),
        }
    }

    /// The column that is the time of a table's rows, as far as anybody knows.
    pub fn time_of(&self, name: &str, schema: &SchemaRef) -> Option<String> {
        let has = |column: &str| schema.column_with_name(column).is_some();
        if has(WINDOW_START) {
            return Some(WINDOW_START.to_owned());
        }
        self.table(name).time.filter(|column| has(column))
    }
}

fn of_section(section: Section) -> KnownTable {
    const POSITION: [&str; 3] = ["topic", "partition", "offset"];
    let (description, time, grain): (&str, Option<&str>, &[&str]) = match section {
        Section::Events => (
            "Every event that was understood, with what became of it.",
            Some("event_time"),
            &POSITION,
        ),
        Section::Late => (
            "Events that came too late for every window of a table.",
            Some("event_time"),
            &["topic", "partition", "offset", "table_name"],
        ),
        // A record's own time is not always known, its day is.
        Section::DeadLetters => {
            ("Records that could not become events, with the reason.", None, &POSITION)
        }
        Section::Alerts => (
            "Every breach of an alert rule: its beginning, reminders and end.",
            Some(WINDOW_START),
            &["table", "rule", "lab_id", "group", "kind", "figure"],
        ),
        Section::Quality => (
            "What was odd in the stream, as clocks that ran ahead.",
            Some("event_time"),
            &["kind", "topic", "partition", "offset"],
        ),
        Section::Audit => (
            "What people had done: who, when, what, on what, before and after.",
            Some("at"),
            &["who", "what", "subject"],
        ),
    };
    KnownTable {
        description: description.to_owned(),
        grain: grain.iter().map(|column| (*column).to_owned()).collect(),
        time: time.map(str::to_owned),
        ..KnownTable::default()
    }
}

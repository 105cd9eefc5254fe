//! `tables` and `tables/{name}`: what there is, and what its columns mean.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::known::KnownTable;
use super::problem::NoAnswer;
use super::question::{AnswerTold, Asked, Payload, RouteQuestion, RouteTold};
use super::reading::Reading;
use super::span::FiledDays;
use super::told::{Described, answer};
use crate::flow::lake_key::LakeKey;
use crate::flow::sql_type::sql_type;
use crate::lake::encode::ColumnNote;
use crate::lake::read::choose::TableObject;

answer! {
    /// Every table.
    pub struct TablesAnswer {
        /// The tables of pipelines in the order of their names, then what is no table: `events`, `late`,
        /// `dead_letters`, `alerts`, `quality`, `audit`; without those that the caller's role may not see.
        pub tables: Vec<TableSummary>,
    }
}

answer! {
    /// A table in short.
    pub struct TableSummary {
        /// The name, as in SQL.
        pub name: String,
        /// What it holds; empty where neither the project nor the objects tell.
        pub description: String,
        /// Who looks after it, as far as its alert rules tell.
        pub owner: Option<String>,
        /// Objects that make it up; 0 where it has no rows yet.
        pub objects: u64,
        /// Their bytes.
        pub bytes: u64,
        /// The first day that has an object.
        pub first_day: Option<String>,
        /// The last day that has an object.
        pub last_day: Option<String>,
        /// The last day that will not change any more, with all days before it; null where none has settled.
        pub settled_through: Option<String>,
    }
}

answer! {
    /// A table in full.
    pub struct TableAnswer {
        /// The name, as in SQL.
        pub name: String,
        /// What it holds; empty where neither the project nor the objects tell.
        pub description: String,
        /// Who looks after it, as far as its alert rules tell.
        pub owner: Option<String>,
        /// Objects that make it up; 0 where it has no rows yet.
        pub objects: u64,
        /// Their bytes.
        pub bytes: u64,
        /// The first day that has an object.
        pub first_day: Option<String>,
        /// The last day that has an object.
        pub last_day: Option<String>,
        /// The last day that will not change any more, with all days before it.
        pub settled_through: Option<String>,
        /// The column that `from` and `to` are about; null where nobody knows: they are about days then.
        pub time: Option<String>,
        /// The columns that tell the rows of a window apart.
        pub grain: Vec<String>,
        /// The columns in their order.
        pub columns: Vec<ColumnTold>,
    }
}

answer! {
    /// A column.
    pub struct ColumnTold {
        /// The name.
        pub name: String,
        /// The type, as SQL calls it.
        pub r#type: String,
        /// The unit, as `min`.
        pub unit: Option<String>,
        /// What it means.
        pub description: Option<String>,
        /// Whether sums over disjoint windows or groups are right; null where it is no figure.
        pub additive: Option<bool>,
    }
}

/// The question for all tables.
pub struct TablesQuestion {
    names: Vec<String>,
}

/// The question for one table.
pub struct TableQuestion {
    name: String,
}

/// What columns mean that every table has; `docs/lake.md` says the same.
const EVERYWHERE: [(&str, &str); 7] = [
    ("window_start", "Beginning of the window, UTC"),
    ("window_end", "End of the window, UTC; not part of it"),
    ("local_start", "Beginning of the window on the laboratory's clock"),
    ("revision", "0, then one more for each time late rows changed the window"),
    ("is_tile", "True where windows do not overlap: sum only there, and only what is additive"),
    ("incomplete", "True where part of the window's input is known to be missing"),
    ("date", "The day: UTC, in calendar tables on the laboratory's clock"),
];

impl RouteQuestion for TablesQuestion {
    fn told() -> RouteTold {
        RouteTold {
            path: "/tables",
            is_open: Self::IS_OPEN,
            summary: "Every table, with what it holds and which days there are.",
            parameters: Vec::new(),
            answer: AnswerTold::Object(TablesAnswer::schema),
        }
    }

    async fn read(reading: &Reading, asked: Asked) -> Result<TablesQuestion, NoAnswer> {
        asked.parameters.end()?;
        Ok(TablesQuestion { names: reading.tables() })
    }

    fn decided_by(&self) -> Option<Vec<(String, FiledDays)>> {
        let whole = |name: &String| (name.clone(), FiledDays::default());
        Some(self.names.iter().map(whole).collect())
    }

    async fn answer(self, reading: &Reading) -> Result<Payload, NoAnswer> {
        let mut tables = Vec::new();
        for name in self.names {
            let mut known = reading.known().table(&name);
            if known.description.is_empty() {
                known.description = reading.notes(&name).await?.description;
            }
            tables.push(summary(reading, &name, &known));
        }
        Payload::object(&TablesAnswer { tables })
    }
}

impl RouteQuestion for TableQuestion {
    fn told() -> RouteTold {
        RouteTold {
            path: "/tables/{name}",
            is_open: Self::IS_OPEN,
            summary: "One table: its columns with units, meanings, and whether they add up.",
            parameters: Vec::new(),
            answer: AnswerTold::Object(TableAnswer::schema),
        }
    }

    async fn read(reading: &Reading, asked: Asked) -> Result<TableQuestion, NoAnswer> {
        asked.parameters.end()?;
        reading.columns(&asked.name).await?;
        Ok(TableQuestion { name: asked.name })
    }

    fn decided_by(&self) -> Option<Vec<(String, FiledDays)>> {
        Some(vec![(self.name.clone(), FiledDays::default())])
    }

    async fn answer(self, reading: &Reading) -> Result<Payload, NoAnswer> {
        let name = &self.name;
        let schema = reading.columns(name).await?;
        let mut known = reading.known().table(name);
        if known.description.is_empty() || known.columns.is_empty() {
            let notes = reading.notes(name).await?;
            if known.description.is_empty() {
                known.description = notes.description;
            }
            if known.columns.is_empty() {
                known.columns = notes.columns;
            }
        }
        let columns = schema.fields().iter();
        let columns =
            columns.map(|field| column(field.name(), sql_type(field.data_type()), &known.columns));
        let TableSummary {
            name: table,
            description,
            owner,
            objects,
            bytes,
            first_day,
            last_day,
            settled_through,
        } = summary(reading, name, &known);
        Payload::object(&TableAnswer {
            name: table,
            description,
            owner,
            objects,
            bytes,
            first_day,
            last_day,
            settled_through,
            time: reading.known().time_of(name, &schema),
            columns: columns.collect(),
            grain: known.grain,
        })
    }
}

fn column(name: &str, kind: String, notes: &BTreeMap<String, ColumnNote>) -> ColumnTold {
    let note = notes.get(name).cloned().unwrap_or_default();
    let everywhere = || EVERYWHERE.iter().find(|(column, _)| *column == name);
    let said = Some(note.description).filter(|text| !text.is_empty());
    let description = said.or_else(|| everywhere().map(|(_, meaning)| (*meaning).to_owned()));
    ColumnTold {
        name: name.to_owned(),
        r#type: kind,
        unit: note.unit,
        description,
        additive: note.additive,
    }
}

/// A table in short.
pub fn summary(reading: &Reading, name: &str, known: &KnownTable) -> TableSummary {
    let objects = reading.objects(name, FiledDays::default());
    let day = |day: Option<NaiveDate>| day.map(|day| day.to_string());
    let days = objects.iter().map(|object| object.key.date());
    TableSummary {
        name: name.to_owned(),
        description: known.description.clone(),
        owner: known.owner.clone(),
        objects: objects.len() as u64,
        bytes: objects.iter().map(|object| object.meta.size).sum(),
        first_day: day(days.clone().min()),
        last_day: day(days.max()),
        settled_through: day(settled_through(&objects)),
    }
}

/// The last settled day before the first one that is not.
fn settled_through(objects: &[&TableObject]) -> Option<NaiveDate> {
    let is_settled = |object: &&&TableObject| matches!(object.key, LakeKey::Settled { .. });
    let open = objects.iter().filter(|object| !is_settled(object));
    let open = open.map(|object| object.key.date()).min();
    let settled = objects.iter().filter(is_settled).map(|object| object.key.date());
    settled.filter(|day| open.is_none_or(|open| *day < open)).max()
}

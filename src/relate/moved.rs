//! What the entities of a machine did, as the relation of the machine's name, and what it refused, as rows
//! of `refused`.
//!
//! Such rows are few, so texts are written out.

use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array};
use arrow::error::ArrowError;

use super::changed::{ChangeRelation, Changed};
use super::column::{ColumnHolds, RelationColumn, column};
use super::plain::{instants, rows_of, texts};
use super::schema::Relation;
use crate::lifecycle::entity::{Key, Move, Moves};
use crate::lifecycle::machine::StateMachine;

use ColumnHolds::{Float, Int, Text, Time};

/// What every machine tells, behind the columns of its entity.
const MOVED: [RelationColumn; 9] = [
    column("from_state", Text, "the state before; null of a new entity"),
    column("to_state", Text, "the state after"),
    column("event", Text, "the name of the transition or timer"),
    column("seconds_in_state", Float, "time in the state before; null when negative or new"),
    column(
        "version",
        Int,
        "of most machines how many transitions it has made, this one among them",
    ),
    column("user", Text, "who did it; null where time did. In SQL as \"user\""),
    column("reason", Text, "the event's free text; null where time did it"),
    column("at", Time, "when it happened (event time)"),
    column("holder", Text, "who holds it from then on; null where nobody does"),
];

/// The columns of a machine's relation. What the entity is told apart by stands once, in front.
pub(super) fn moved_columns(machine: &StateMachine) -> Vec<RelationColumn> {
    let entity = &machine.spec.entity;
    let events = Relation::Events.columns();
    let of_event = |name: &String| events.iter().find(|column| column.name == *name);
    let keys = entity.iter().filter_map(of_event).map(|column| **column);
    let own = MOVED.into_iter().filter(|column| !entity.iter().any(|name| name == column.name));
    keys.chain(own).collect()
}

/// The rows of a machine's relation. `needed` are places among its columns.
///
/// # Errors
/// When a column is not of its type, which is a fault of ours.
pub fn moved(
    moves: &Moves,
    machine: &StateMachine,
    needed: &[usize],
) -> Result<Changed, ArrowError> {
    let columns = moved_columns(machine);
    let rows = &moves.moved;
    let key = |row: &Move, place: usize| row.key.text(place).map(str::to_owned);
    let made = rows_of(rows.len(), (&columns, needed), &|name| {
        let entity = machine.spec.entity.iter().position(|column| column == name);
        if let Some(place) = entity {
            return Some(texts(rows, |row| key(row, place)));
        }
        let state = |state| machine.name(state).map(str::to_owned);
        Some(match name {
            "from_state" => texts(rows, |row| state(row.from)),
            "to_state" => texts(rows, |row| state(row.to)),
            "event" => texts(rows, |row| Some(row.name.to_string())),
            "seconds_in_state" => {
                let seconds = |row: &Move| row.stayed.map(|stayed| stayed as f64 / 1e6);
                Arc::new(rows.iter().map(seconds).collect::<Float64Array>())
            }
            "version" => {
                let versions = rows.iter().map(|row| row.version);
                Arc::new(Int64Array::from_iter_values(versions))
            }
            "user" => texts(rows, |row| row.said.user.as_deref().map(str::to_owned)),
            "reason" => texts(rows, |row| row.said.reason.as_deref().map(str::to_owned)),
            "at" => instants(rows.iter().map(|row| Some(row.at))),
            "holder" => texts(rows, |row| row.holder.as_deref().map(str::to_owned)),
            _ => return None,
        })
    });
    Ok(Changed {
        rows: made?,
        time: rows.iter().map(|row| row.at).collect::<Vec<_>>().into(),
        watermark_before: rows.iter().map(|row| row.watermark_before).collect::<Vec<_>>().into(),
        cause: rows.iter().map(|row| row.cause).collect::<Vec<_>>().into(),
        barred: None,
    })
}

/// What a machine refused, as rows of `refused`; what tells of a tube is null. `needed` are places among
/// the relation's columns.
///
/// # Errors
/// When a column is not of its type, which is a fault of ours.
pub fn refused(
    moves: &Moves,
    machine: &StateMachine,
    needed: &[usize],
) -> Result<Changed, ArrowError> {
    let columns: Vec<RelationColumn> = ChangeRelation::Refused.columns().copied().collect();
    let rows = &moves.refused;
    let lab = |key: &Key| {
        let place = machine.spec.entity.iter().position(|column| column == "lab_id")?;
        key.text(place).map(str::to_owned)
    };
    let made = rows_of(rows.len(), (&columns, needed), &|name| {
        Some(match name {
            "lab_id" => texts(rows, |row| lab(&row.key)),
            "reason" => texts(rows, |row| Some(row.reason.text().to_owned())),
            "state" => texts(rows, |row| machine.name(row.state).map(str::to_owned)),
            "word" => texts(rows, |row| Some(machine.word_text(row.word).to_owned())),
            "allowed" => texts(rows, |row| Some(machine.allowed(row.state).join(","))),
            "noticed_at" => instants(rows.iter().map(|row| Some(row.noticed_at))),
            _ => return None,
        })
    });
    Ok(Changed {
        rows: made?,
        time: rows.iter().map(|row| row.noticed_at).collect::<Vec<_>>().into(),
        watermark_before: rows.iter().map(|row| row.watermark_before).collect::<Vec<_>>().into(),
        cause: rows.iter().map(|row| row.cause).collect::<Vec<_>>().into(),
        barred: None,
    })
}

//! An event of a critical result: its key and word, and what it says of the result and the call.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, TimestampMicrosecondArray};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;

use crate::flow::coded::Codes;
use crate::lifecycle::entity::{self, EntityStep};
use crate::lifecycle::machine::StateMachine;
use crate::lifecycle::stage::JudgedEvents;
use crate::lifecycle::waiting::Timed;

/// What a call that reached nobody says.
const UNREACHABLE: &str = "unreachable";

/// What an event says beside its word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CriticalSaid {
    /// The call reached nobody.
    pub(super) is_unreached: bool,
    /// Whether the result was read back; none where the feed does not say.
    pub(super) read_back: Option<bool>,
    /// When the result was there.
    pub(super) resulted: Option<i64>,
    pub(super) priority: Option<Arc<str>>,
    pub(super) patient_class: Option<Arc<str>>,
    pub(super) location: Option<Arc<str>>,
    pub(super) flag: Option<Arc<str>>,
    pub(super) channel: Option<Arc<str>>,
    pub(super) role: Option<Arc<str>>,
}

/// One event of a critical result.
#[derive(Clone, Debug, Default)]
pub struct CriticalStep {
    pub(super) entity: EntityStep,
    pub(super) said: CriticalSaid,
}

impl CriticalStep {
    /// Its row in the batch that it came in.
    pub fn batch_row(&self) -> u32 {
        self.entity.batch_row
    }
}

impl Timed for CriticalStep {
    fn at(&self) -> i64 {
        self.entity.at
    }

    fn offset(&self) -> i64 {
        self.entity.offset
    }

    fn watermark_before(&self) -> i64 {
        self.entity.watermark_before
    }
}

/// The event's columns that critical results are followed by, beside those that guards read.
pub fn columns(machine: &StateMachine) -> BTreeSet<String> {
    let own = [
        "outcome",
        "read_back",
        "processed_at",
        "priority",
        "patient_class",
        "location",
        "flag",
        "channel",
        "notified_to_role",
    ];
    entity::columns(machine).into_iter().chain(own.map(str::to_owned)).collect()
}

/// The steps of a batch's events that are of critical results, in their order.
///
/// # Errors
/// When a column does not hold what decode puts into it.
pub fn critical_steps(
    machine: &StateMachine,
    events: JudgedEvents<'_>,
) -> Result<Vec<CriticalStep>, ArrowError> {
    let rows = events.rows;
    let entities = entity::steps(machine, events)?;
    if entities.is_empty() {
        return Ok(Vec::new());
    }
    let codes = |name: &str| rows.column_by_name(name).map(Codes::of).transpose();
    let [outcome, priority, class] =
        [codes("outcome")?, codes("priority")?, codes("patient_class")?];
    let [location, flag, channel] = [codes("location")?, codes("flag")?, codes("channel")?];
    let role = codes("notified_to_role")?;
    let read_back: Option<&BooleanArray> =
        rows.column_by_name("read_back").and_then(|column| column.as_boolean_opt());
    let processed: Option<&TimestampMicrosecondArray> = rows
        .column_by_name("processed_at")
        .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    let text = |column: &Option<Codes>, row: usize| -> Option<Arc<str>> {
        column.as_ref().and_then(|column| column.text(row)).map(Arc::from)
    };
    let step = |entity: EntityStep| {
        let row = entity.batch_row as usize;
        let read_back = read_back.filter(|all| all.is_valid(row)).map(|all| all.value(row));
        let resulted = processed.filter(|all| all.is_valid(row)).map(|all| all.value(row));
        let said = CriticalSaid {
            is_unreached: text(&outcome, row).as_deref() == Some(UNREACHABLE),
            read_back,
            resulted,
            priority: text(&priority, row),
            patient_class: text(&class, row),
            location: text(&location, row),
            flag: text(&flag, row),
            channel: text(&channel, row),
            role: text(&role, row),
        };
        CriticalStep { entity, said }
    };
    Ok(entities.into_iter().map(step).collect())
}

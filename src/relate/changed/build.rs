//! Rows of changes as columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array, new_null_array,
};
use arrow::datatypes::{Field, Schema, UInt32Type};
use arrow::error::ArrowError;

use super::columns::ChangeRelation;
use crate::flow::coded::with_columns;
use crate::lifecycle::change::{
    BackdatedRow, ChangeHead, Changes, CompletionRow, DeadlineRow, DueRow, ErrorRow, OverrunPhase,
    RefusedRow, RejectionRow, RestatementRow, TransitionRow,
};
use crate::lifecycle::machine::{MachineState, StateMachine};
use crate::lifecycle::texts::{CodedColumn, RunTexts};
use crate::lifecycle::{TargetOrigin, Time, Told};
use crate::relate::column::RelationColumn;

/// A minute in microseconds.
const MINUTE: f64 = 60_000_000.0;

/// A column of a relation; none where it has none of this name.
type MadeColumn = Result<Option<ArrayRef>, ArrowError>;

/// What codes stand for.
#[derive(Clone, Copy, Debug)]
pub struct ChangeNames<'a> {
    /// The machine that the changes are of.
    pub machine: &'a StateMachine,
    /// The texts of the run.
    pub texts: &'a RunTexts,
}

/// Rows of one relation.
#[derive(Clone, Debug)]
pub struct Changed {
    /// The rows, with the needed columns in the order of the relation; texts may be coded.
    pub rows: RecordBatch,
    /// Event time of each row, microseconds.
    pub time: Int64Array,
    /// The partition's watermark before the event that each row came from.
    pub watermark_before: Int64Array,
    /// Which of the changes' causes brought each row about; ascending.
    pub cause: UInt32Array,
    /// Which rows windows do not count, nor take for late: receipts that a row form told of too late.
    /// None where there is none.
    pub barred: Option<BooleanArray>,
}

impl Changed {
    fn with_barred(self, barred: BooleanArray) -> Changed {
        Changed { barred: (barred.true_count() > 0).then_some(barred), ..self }
    }
}

/// The rows of a relation. `needed` are places among its columns; their order does not matter.
///
/// # Errors
/// When a code has no text, which is a fault of ours.
pub fn changed(
    changes: &Changes,
    relation: ChangeRelation,
    needed: &[usize],
    names: ChangeNames<'_>,
) -> Result<Changed, ArrowError> {
    let columns = relation.columns().enumerate().filter(|(at, _)| needed.contains(at));
    let columns: Vec<&RelationColumn> = columns.map(|(_, column)| column).collect();
    let beside = (names, changes.origins.as_slice());
    match relation {
        ChangeRelation::Transitions => {
            let rows = &changes.transitions;
            let made = made(rows, |row| &row.head, &columns, beside, transition)?;
            let is_barred =
                |row: &TransitionRow| row.implied && row.head.at < row.head.watermark_before;
            Ok(made.with_barred(rows.iter().map(|row| Some(is_barred(row))).collect()))
        }
        ChangeRelation::Completions => {
            made(&changes.completions, |row| &row.head, &columns, beside, completion)
        }
        ChangeRelation::Due => made(&changes.due, |row| &row.head, &columns, beside, due),
        ChangeRelation::Deadlines => {
            made(&changes.deadlines, |row| &row.head, &columns, beside, deadline)
        }
        ChangeRelation::Rejections => {
            made(&changes.rejections, |row| &row.head, &columns, beside, rejection)
        }
        ChangeRelation::Errors => made(&changes.errors, |row| &row.head, &columns, beside, error),
        ChangeRelation::Restatements => {
            made(&changes.restatements, |row| &row.head, &columns, beside, restatement)
        }
        ChangeRelation::Refused => {
            made(&changes.refused, |row| &row.head, &columns, beside, refused)
        }
        ChangeRelation::Backdated => {
            made(&changes.backdated, |row| &row.head, &columns, beside, backdated)
        }
    }
}

fn transition(rows: &ChangeRows<'_, TransitionRow>, name: &str) -> MadeColumn {
    Ok(Some(match name {
        "from_state" => rows.state(|row| row.from)?,
        "to_state" => rows.state(|row| row.to)?,
        "seconds_in_state" => rows.float(|row| row.stayed.map(|stayed| stayed as f64 / 1e6)),
        "machine_id" => rows.code(CodedColumn::Machine, |row| row.machine)?,
        "operator_id" => rows.code(CodedColumn::Operator, |row| row.operator)?,
        "error_code" => rows.code(CodedColumn::Error, |row| row.error)?,
        "reject_reason" => rows.code(CodedColumn::Reason, |row| row.reason)?,
        "at" => rows.time(|row| Some(row.head.at)),
        "implied" => rows.truth(|row| Some(row.implied)),
        _ => return Ok(None),
    }))
}

fn due(rows: &ChangeRows<'_, DueRow>, name: &str) -> MadeColumn {
    Ok(Some(match name {
        "kind" => rows.word(|_| Some("test")),
        "due_at" => rows.time(|row| Some(row.due_at)),
        "target_minutes" => rows.minutes(|row| row.target.get()),
        "outcome" => rows.word(|row| Some(row.outcome.text())),
        "state" => rows.state(|row| row.state)?,
        "phase" => rows.word(|row| row.phase.map(OverrunPhase::text)),
        "target_source" => rows.word(|row| rows.source(row.origin)),
        "target_version" => rows.word(|row| rows.version(row.origin)),
        "at" => rows.time(|row| Some(row.head.at)),
        _ => return Ok(None),
    }))
}

fn deadline(rows: &ChangeRows<'_, DeadlineRow>, name: &str) -> MadeColumn {
    Ok(Some(match name {
        "kind" => rows.word(|row| Some(row.kind.text())),
        "stage" => rows.word(|row| Some(row.stage.text())),
        "due_at" => rows.time(|row| row.due_at.get()),
        "target_minutes" => rows.minutes(|row| row.target.get()),
        "state" => rows.state(|row| row.state)?,
        "machine_id" => rows.code(CodedColumn::Machine, |row| row.machine)?,
        "at" => rows.time(|row| Some(row.head.at)),
        _ => return Ok(None),
    }))
}

fn rejection(rows: &ChangeRows<'_, RejectionRow>, name: &str) -> MadeColumn {
    let phase = |analytical| if analytical { "analytical" } else { "pre_analytical" };
    Ok(Some(match name {
        "reject_reason" => rows.code(CodedColumn::Reason, |row| row.reason)?,
        "phase" => rows.word(|row| Some(phase(row.is_analytical))),
        "machine_id" => rows.code(CodedColumn::Machine, |row| row.machine)?,
        "tests" => rows.int(|row| Some(i64::from(row.tests))),
        "rejected_at" => rows.time(|row| Some(row.head.at)),
        _ => return Ok(None),
    }))
}

fn error(rows: &ChangeRows<'_, ErrorRow>, name: &str) -> MadeColumn {
    Ok(Some(match name {
        "machine_id" => rows.code(CodedColumn::Machine, |row| row.machine)?,
        "operator_id" => rows.code(CodedColumn::Operator, |row| row.operator)?,
        "error_code" => rows.code(CodedColumn::Error, |row| row.error)?,
        "received_at" => rows.time(|row| row.received.get()),
        "minutes_since_receipt" => rows.minutes(|row| Time::at(row.head.at).since(row.received)),
        "at" => rows.time(|row| Some(row.head.at)),
        _ => return Ok(None),
    }))
}

fn restatement(rows: &ChangeRows<'_, RestatementRow>, name: &str) -> MadeColumn {
    Ok(Some(match name {
        "kind" => rows.word(|row| Some(row.kind.text())),
        "was" => rows.word(|row| Some(row.was.as_str())),
        "is" => rows.word(|row| Some(row.is.as_str())),
        "at" => rows.time(|row| Some(row.head.at)),
        _ => return Ok(None),
    }))
}

fn refused(rows: &ChangeRows<'_, RefusedRow>, name: &str) -> MadeColumn {
    let machine = rows.names.machine;
    Ok(Some(match name {
        "reason" => rows.word(|row| Some(row.reason.text())),
        "state" => rows.state(|row| row.state)?,
        "word" => rows.word(|row| Some(machine.word_text(row.word))),
        "allowed" => rows.text(|row| {
            let allowed = machine.allowed(row.state);
            Some(if row.is_final { String::new() } else { allowed.join(",") })
        }),
        "noticed_at" => rows.time(|row| Some(row.head.at)),
        _ => return Ok(None),
    }))
}

fn backdated(rows: &ChangeRows<'_, BackdatedRow>, name: &str) -> MadeColumn {
    Ok(Some(match name {
        "to_state" => rows.state(|row| row.to)?,
        "at" => rows.time(|row| Some(row.happened)),
        "noticed_at" => rows.time(|row| Some(row.head.at)),
        _ => return Ok(None),
    }))
}

fn completion(rows: &ChangeRows<'_, CompletionRow>, name: &str) -> MadeColumn {
    let done = |row: &CompletionRow| Time::at(row.head.at);
    let told = |told: Told| match told {
        Told::Nothing => None,
        Told::No => Some(false),
        Told::Yes => Some(true),
    };
    Ok(Some(match name {
        "ordered_at" => rows.time(|row| row.ordered.get()),
        "collected_at" => rows.time(|row| row.collected.get()),
        "received_at" => rows.time(|row| row.received.get()),
        "resulted_at" => rows.time(|row| row.resulted.get()),
        "completed_at" => rows.time(|row| Some(row.head.at)),
        "tat_us" => rows.int(|row| done(row).since(row.clock_start)),
        "tat_minutes" => rows.minutes(|row| done(row).since(row.clock_start)),
        "order_to_collect_minutes" => rows.minutes(|row| row.collected.since(row.ordered)),
        "collect_to_receive_minutes" => rows.minutes(|row| row.received.since(row.collected)),
        "receive_to_result_minutes" => rows.minutes(|row| row.resulted.since(row.received)),
        "result_to_verify_minutes" => rows.minutes(|row| done(row).since(row.resulted)),
        "total_minutes" => rows.minutes(|row| done(row).since(row.ordered)),
        "target_minutes" => rows.minutes(|row| row.target.get()),
        "within_target" => rows.truth(|row| row.due.get().map(|due| row.head.at <= due)),
        "machine_id" => rows.code(CodedColumn::Machine, |row| row.machine)?,
        "operator_id" => rows.code(CodedColumn::Operator, |row| row.operator)?,
        "auto_verified" => rows.truth(|row| told(row.auto_verified)),
        "delta_flag" => rows.truth(|row| told(row.delta_flag)),
        "repeats" => rows.int(|row| Some(i64::from(row.repeats))),
        "clock_start_at" => rows.time(|row| row.clock_start.get()),
        "add_on" => rows.truth(|row| {
            let started = row.clock_start.get()?;
            Some(Some(started) > row.received.get())
        }),
        "due_at" => rows.time(|row| row.due.get()),
        "tat_working_minutes" => rows.minutes(|row| row.working),
        "target_source" => rows.word(|row| rows.source(row.origin)),
        "target_version" => rows.word(|row| rows.version(row.origin)),
        "clock" => rows.word(|row| Some(rows.origin(row.origin)?.clock.as_str())),
        _ => return Ok(None),
    }))
}

/// A relation's rows: what each has in front, and what is its own.
fn made<R>(
    rows: &[R],
    head: impl Fn(&R) -> &ChangeHead,
    columns: &[&RelationColumn],
    (names, origins): (ChangeNames<'_>, &[TargetOrigin]),
    own: impl Fn(&ChangeRows<'_, R>, &str) -> MadeColumn,
) -> Result<Changed, ArrowError> {
    let rows = ChangeRows { rows, names, origins };
    let of_head = |name: &str| -> MadeColumn {
        Ok(Some(match name {
            "lab_id" => rows.code(CodedColumn::Lab, |row| head(row).lab)?,
            "specimen_id" => rows.word(|row| Some(head(row).specimen.text())),
            "assay" => rows.code(CodedColumn::Assay, |row| head(row).assay)?,
            "priority" => rows.word(|row| Some(head(row).priority.letter())),
            "patient_class" => rows.code(CodedColumn::Class, |row| head(row).class)?,
            "location" => rows.code(CodedColumn::Location, |row| head(row).location)?,
            _ => return Ok(None),
        }))
    };
    let mut arrays = Vec::with_capacity(columns.len());
    let mut fields = Vec::with_capacity(columns.len());
    for column in columns {
        let made = match of_head(column.name)? {
            Some(array) => Some(array),
            None => own(&rows, column.name)?,
        };
        // A column that nobody makes is a fault of ours; the test over all columns finds it.
        let made = made.unwrap_or_else(|| new_null_array(&column.data_type(), rows.rows.len()));
        fields.push(Field::new(column.name, made.data_type().clone(), true));
        arrays.push(made);
    }
    let schema = Arc::new(Schema::new(fields));
    let heads = || rows.rows.iter().map(&head);
    Ok(Changed {
        rows: with_columns(&schema, arrays, rows.rows.len())?,
        time: heads().map(|head| head.at).collect::<Vec<_>>().into(),
        watermark_before: heads().map(|head| head.watermark_before).collect::<Vec<_>>().into(),
        cause: heads().map(|head| head.cause).collect::<Vec<_>>().into(),
        barred: None,
    })
}

/// Rows to be read a column at a time.
struct ChangeRows<'a, R> {
    rows: &'a [R],
    names: ChangeNames<'a>,
    origins: &'a [TargetOrigin],
}

impl<'a, R> ChangeRows<'a, R> {
    fn origin(&self, number: u32) -> Option<&'a TargetOrigin> {
        self.origins.get(number as usize)
    }

    fn source(&self, origin: u32) -> Option<&'a str> {
        Some(self.origin(origin)?.source.as_str())
    }

    fn version(&self, origin: u32) -> Option<&'a str> {
        Some(&self.origin(origin)?.version)
    }

    fn code(&self, column: CodedColumn, of: impl Fn(&R) -> u32) -> Result<ArrayRef, ArrowError> {
        let codes = self.rows.iter().map(|row| Some(of(row)).filter(|code| *code != u32::MAX));
        coded(codes.collect(), self.names.texts.array(column))
    }

    fn state(&self, of: impl Fn(&R) -> MachineState) -> Result<ArrayRef, ArrowError> {
        let codes = self.rows.iter().map(|row| u32::from(of(row).0).checked_sub(1));
        let names = StringArray::from_iter_values(self.names.machine.states());
        coded(codes.collect(), Arc::new(names))
    }

    fn word<'w>(&'w self, of: impl Fn(&'w R) -> Option<&'w str>) -> ArrayRef {
        Arc::new(self.rows.iter().map(of).collect::<StringArray>())
    }

    fn text(&self, of: impl Fn(&R) -> Option<String>) -> ArrayRef {
        Arc::new(self.rows.iter().map(of).collect::<StringArray>())
    }

    fn time(&self, of: impl Fn(&R) -> Option<i64>) -> ArrayRef {
        let times: TimestampMicrosecondArray = self.rows.iter().map(of).collect();
        Arc::new(times.with_timezone("UTC"))
    }

    fn int(&self, of: impl Fn(&R) -> Option<i64>) -> ArrayRef {
        Arc::new(self.rows.iter().map(of).collect::<Int64Array>())
    }

    fn float(&self, of: impl Fn(&R) -> Option<f64>) -> ArrayRef {
        Arc::new(self.rows.iter().map(of).collect::<Float64Array>())
    }

    /// Of microseconds.
    fn minutes(&self, of: impl Fn(&R) -> Option<i64>) -> ArrayRef {
        self.float(|row| of(row).map(|micros| micros as f64 / MINUTE))
    }

    fn truth(&self, of: impl Fn(&R) -> Option<bool>) -> ArrayRef {
        Arc::new(self.rows.iter().map(of).collect::<BooleanArray>())
    }
}

fn coded(codes: UInt32Array, texts: ArrayRef) -> Result<ArrayRef, ArrowError> {
    Ok(Arc::new(DictionaryArray::<UInt32Type>::try_new(codes, texts)?))
}

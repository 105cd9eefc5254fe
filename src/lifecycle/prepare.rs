//! A batch of events as steps: pure and independent of every other batch, so it runs on any core.

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use super::id::EntityId;
use super::machine::StateMachine;
use super::test::record::{Time, Urgency};
use super::test::step::{TestStep, Told};
use super::texts::{CodedColumn, NO_TEXT, RunTexts};
use super::words::RowWords;
use crate::flow::coded::Codes;

/// The event's columns that tests are followed by, beside those of their machine.
pub(super) const TEST_COLUMNS: &[&str] = &[
    "event_type",
    "lab_id",
    "event_time",
    "specimen_id",
    "assay",
    "priority",
    "patient_class",
    "location",
    "profile_tat_min",
    "ordered_at",
    "collected_at",
    "received_at",
    "processed_at",
    "machine_id",
    "operator_id",
    "error_code",
    "reject_reason",
    "auto_verified",
    "delta_flag",
    "repeat_no",
];

/// Events to be made into steps.
pub(super) struct StepEvents<'a> {
    pub(super) rows: &'a RecordBatch,
    pub(super) offsets: &'a [i64],
    pub(super) times: &'a [i64],
    pub(super) watermark_before: &'a [i64],
    /// Of each guard of the machine, whether it holds for each event.
    pub(super) guards: &'a [BooleanArray],
    /// Whether a table has counted each event by itself; none where none has.
    pub(super) counted: Option<&'a [bool]>,
}

/// The steps of the events that say something to the machine, in their order.
pub(super) fn steps(
    machine: &StateMachine,
    texts: &RunTexts,
    events: &StepEvents<'_>,
) -> Result<Vec<TestStep>, ArrowError> {
    let columns = EventColumns::of(texts, events.rows)?;
    let words = RowWords::of(machine, events.rows)?;
    let count = events.rows.num_rows();
    let mut steps = Vec::with_capacity(count);
    for row in 0..count {
        let Some((word, form)) = words.of_row(row) else { continue };
        let Some(specimen) = columns.specimen.filter(|ids| ids.is_valid(row)) else { continue };
        let specimen = specimen.value(row);
        let lab = columns.code(CodedColumn::Lab, row);
        let seed = columns.lab_seeds.get(columns.lab_row(row)).copied().unwrap_or_default();
        steps.push(TestStep {
            at: events.times[row],
            offset: events.offsets[row],
            watermark_before: events.watermark_before[row],
            tube: xxh3_128_with_seed(specimen.as_bytes(), seed),
            ordered: columns.time(0, row),
            collected: columns.time(1, row),
            received: columns.time(2, row),
            processed: columns.time(3, row),
            profile: columns.profile(row),
            specimen: EntityId::new(specimen),
            lab,
            assay: columns.code(CodedColumn::Assay, row),
            class: columns.code(CodedColumn::Class, row),
            location: columns.code(CodedColumn::Location, row),
            machine: columns.code(CodedColumn::Machine, row),
            operator: columns.code(CodedColumn::Operator, row),
            error: columns.code(CodedColumn::Error, row),
            reason: columns.code(CodedColumn::Reason, row),
            row: row as u32,
            guards: guards(events.guards, row),
            repeat_no: columns.repeat_no(row),
            word,
            form,
            is_counted: events.counted.is_some_and(|counted| counted[row]),
            priority: columns.priority(row),
            auto_verified: told(columns.auto_verified, row),
            delta_flag: told(columns.delta_flag, row),
        });
    }
    Ok(steps)
}

fn guards(guards: &[BooleanArray], row: usize) -> u32 {
    let holds = |guard: &BooleanArray| guard.is_valid(row) && guard.value(row);
    guards.iter().enumerate().fold(0, |bits, (bit, guard)| bits | u32::from(holds(guard)) << bit)
}

fn told(column: Option<&BooleanArray>, row: usize) -> Told {
    match column.filter(|column| column.is_valid(row)).map(|column| column.value(row)) {
        None => Told::Nothing,
        Some(false) => Told::No,
        Some(true) => Told::Yes,
    }
}

/// The columns of a batch, as they are read by row.
struct EventColumns<'a> {
    /// By column, the codes of the rows, and what each of them is in the run's texts.
    codes: [Option<(Codes, Vec<u32>)>; CodedColumn::ALL.len()],
    /// By the batch's code of a laboratory.
    lab_seeds: Vec<u64>,
    priorities: Option<(Codes, Vec<Urgency>)>,
    specimen: Option<&'a arrow::array::StringArray>,
    times: [Option<&'a arrow::array::TimestampMicrosecondArray>; 4],
    profile: Option<&'a arrow::array::Float64Array>,
    repeat_no: Option<&'a arrow::array::Int64Array>,
    auto_verified: Option<&'a BooleanArray>,
    delta_flag: Option<&'a BooleanArray>,
}

impl<'a> EventColumns<'a> {
    fn of(texts: &RunTexts, rows: &'a RecordBatch) -> Result<EventColumns<'a>, ArrowError> {
        let codes_of = |column: CodedColumn| -> Result<_, ArrowError> {
            let Some(codes) = rows.column_by_name(column.field()) else { return Ok(None) };
            let codes = Codes::of(codes)?;
            let known = texts.codes(column, &codes);
            Ok(Some((codes, known)))
        };
        let mut codes: [Option<(Codes, Vec<u32>)>; CodedColumn::ALL.len()] = Default::default();
        for column in CodedColumn::ALL {
            codes[column as usize] = codes_of(column)?;
        }
        let seed = |text: &str| xxh3_64(text.as_bytes());
        let lab_seeds = codes[0].as_ref().map_or_else(Vec::new, |(codes, _)| codes.each(seed));
        let priorities = match rows.column_by_name("priority") {
            Some(column) => {
                let codes = Codes::of(column)?;
                let priorities = codes.each(Urgency::of);
                Some((codes, priorities))
            }
            None => None,
        };
        let column = |name: &str| rows.column_by_name(name);
        let time = |name: &str| {
            column(name).and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>())
        };
        Ok(EventColumns {
            codes,
            lab_seeds,
            priorities,
            specimen: column("specimen_id").and_then(|column| column.as_string_opt::<i32>()),
            times: ["ordered_at", "collected_at", "received_at", "processed_at"].map(time),
            profile: column("profile_tat_min")
                .and_then(|column| column.as_primitive_opt::<Float64Type>()),
            repeat_no: column("repeat_no")
                .and_then(|column| column.as_primitive_opt::<Int64Type>()),
            auto_verified: column("auto_verified").and_then(|column| column.as_boolean_opt()),
            delta_flag: column("delta_flag").and_then(|column| column.as_boolean_opt()),
        })
    }

    #[inline]
    fn code(&self, column: CodedColumn, row: usize) -> u32 {
        let Some((codes, known)) = &self.codes[column as usize] else { return NO_TEXT };
        codes.code(row).map_or(NO_TEXT, |code| known[code])
    }

    fn lab_row(&self, row: usize) -> usize {
        let lab = self.codes[0].as_ref().and_then(|(codes, _)| codes.code(row));
        lab.unwrap_or(usize::MAX)
    }

    fn priority(&self, row: usize) -> Urgency {
        let Some((codes, priorities)) = &self.priorities else { return Urgency::default() };
        codes.code(row).map_or(Urgency::default(), |code| priorities[code])
    }

    #[inline]
    fn time(&self, which: usize, row: usize) -> Time {
        let column = self.times[which].filter(|column| column.is_valid(row));
        column.map_or(Time::NONE, |column| Time::at(column.value(row)))
    }

    fn profile(&self, row: usize) -> Time {
        let column = self.profile.filter(|column| column.is_valid(row));
        column.map_or(Time::NONE, |column| Time::at((column.value(row) * 6e7).round() as i64))
    }

    fn repeat_no(&self, row: usize) -> u16 {
        let column = self.repeat_no.filter(|column| column.is_valid(row));
        column.map_or(0, |column| column.value(row).clamp(0, i64::from(u16::MAX)) as u16)
    }
}

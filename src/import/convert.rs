//! Rows into events, by a map.
//!
//! The map is resolved against the header once, with every fault of it at once; then each row
//! becomes its events or the reason why it cannot. An event's id is a hash of what makes it the
//! event it is (lab, specimen, assay, status, time), so that importing a file again repeats no
//! event. Pure.

use xxhash_rust::xxh3::xxh3_128;

use super::map::{Carried, CsvMap, MAPPED_FIELDS, MapFault, ShiftSide};
use super::number::{Unit, read_span};
use super::resolve::{Resolved, resolve};
use super::rows::CsvRow;
use super::time::{TimeReader, within_years};
use super::value::{FieldValue, position, status, typed};
use crate::flow::Timestamp;

/// One event, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvertedEvent {
    /// Its event time.
    pub at: Timestamp,
    /// The Kafka key: lab and specimen.
    pub key: String,
    /// What it says became of the test.
    pub status: &'static str,
    /// One JSON object, without a line end.
    pub json: Vec<u8>,
}

/// Turns rows into events.
#[derive(Debug)]
pub struct Converter {
    /// The rules by position in [`MAPPED_FIELDS`], each after the fields that it counts from.
    rules: Vec<(usize, Resolved)>,
    times: TimeReader,
    null_values: Vec<String>,
    columns: usize,
    lab: Option<String>,
}

impl Converter {
    /// Resolves a map against a file's header. `lab` stands where the map gives no lab.
    pub fn new(
        map: &CsvMap,
        header: &[String],
        lab: Option<&str>,
    ) -> Result<Converter, Vec<MapFault>> {
        let times = TimeReader { zone: map.source.timezone, order: map.source.date_order };
        let rules = resolve(map, header, lab, times)?;
        Ok(Converter {
            rules,
            times,
            null_values: map.source.null_values.clone(),
            columns: header.len(),
            lab: lab.map(str::to_owned),
        })
    }

    /// The events of the row with this number (from 1), or why it has none.
    pub fn convert(&self, row: &CsvRow, number: u64) -> Result<Vec<ConvertedEvent>, String> {
        if row.len() != self.columns {
            return Err(format!("has {} fields where the header has {}", row.len(), self.columns));
        }
        let mut values: Vec<Option<FieldValue>> = vec![None; MAPPED_FIELDS.len()];
        for (field, rule) in &self.rules {
            let value = self.value(*field, rule, row, number, &values);
            values[*field] = value.map_err(|why| format!("{}: {why}", MAPPED_FIELDS[*field].0))?;
        }
        if values[position("lab_id")].is_none() {
            values[position("lab_id")] = self.lab.clone().map(FieldValue::Text);
        }
        events_of(&values)
    }

    fn value(
        &self,
        field: usize,
        rule: &Resolved,
        row: &CsvRow,
        number: u64,
        earlier: &[Option<FieldValue>],
    ) -> Result<Option<FieldValue>, String> {
        let name = MAPPED_FIELDS[field].0;
        match rule {
            Resolved::Column { index, values, otherwise } => {
                let raw = row.field(*index);
                let listed = values.iter().find(|(from, _)| from == raw).map(|(_, to)| to.as_str());
                let text = match listed.or(otherwise.as_deref()) {
                    Some(text) => text,
                    None if self.is_null(raw) => return Ok(None),
                    None => raw,
                };
                if text.is_empty() { Ok(None) } else { typed(name, text, &self.times).map(Some) }
            }
            Resolved::DateAndTime { date, time } => {
                let (date, time) = (row.field(*date), row.field(*time));
                if self.is_null(date) || self.is_null(time) {
                    return Ok(None);
                }
                self.times.read_parts(date, time).map(|at| Some(FieldValue::Time(at)))
            }
            Resolved::RowNumber => Ok(Some(FieldValue::Text(number.to_string()))),
            Resolved::Constant(value) => Ok(Some(value.clone())),
            Resolved::AfterBase { base, side, index, unit } => {
                self.shifted(*base, *side, row.field(*index), *unit)
            }
            Resolved::AfterField { field, side, index, unit } => match &earlier[*field] {
                Some(FieldValue::Time(from)) => {
                    self.shifted(*from, *side, row.field(*index), *unit)
                }
                Some(
                    FieldValue::Text(_)
                    | FieldValue::Int(_)
                    | FieldValue::Float(_)
                    | FieldValue::Bool(_),
                )
                | None => Ok(None),
            },
        }
    }

    fn shifted(
        &self,
        from: Timestamp,
        side: ShiftSide,
        text: &str,
        unit: Unit,
    ) -> Result<Option<FieldValue>, String> {
        if self.is_null(text) {
            return Ok(None);
        }
        let span = read_span(text, unit)?;
        let at = match side {
            ShiftSide::Add => from.plus(span),
            ShiftSide::Subtract => from.minus(span),
        };
        within_years(at, &at.to_rfc3339()).map(|at| Some(FieldValue::Time(at)))
    }

    fn is_null(&self, text: &str) -> bool {
        text.is_empty() || self.null_values.iter().any(|null| null == text)
    }
}

/// The one or two events of a row's values.
fn events_of(values: &[Option<FieldValue>]) -> Result<Vec<ConvertedEvent>, String> {
    let text = |name: &str| match &values[position(name)] {
        Some(FieldValue::Text(text)) => Some(text.as_str()),
        Some(
            FieldValue::Time(_) | FieldValue::Int(_) | FieldValue::Float(_) | FieldValue::Bool(_),
        )
        | None => None,
    };
    let time = |name: &str| match &values[position(name)] {
        Some(FieldValue::Time(at)) => Some(*at),
        Some(
            FieldValue::Text(_) | FieldValue::Int(_) | FieldValue::Float(_) | FieldValue::Bool(_),
        )
        | None => None,
    };
    let absent = |name: &str| format!("{name}: is empty");
    let lab = text("lab_id").ok_or_else(|| absent("lab_id"))?;
    let specimen = text("specimen_id").ok_or_else(|| absent("specimen_id"))?;
    let received_at = time("received_at").ok_or_else(|| absent("received_at"))?;
    let status = status(text("status").ok_or_else(|| absent("status"))?)?;
    let assay = text("assay");
    if status == "REJECTED" && text("reject_reason").is_none() {
        return Err("reject_reason: is empty, and a rejection needs its reason".to_owned());
    }
    if assay.is_none() && matches!(status, "IN_PROCESS" | "COMPLETED" | "ERROR") {
        return Err(format!("assay: is empty, and {status} is said of a test"));
    }
    let event = |status: &'static str, at: Timestamp| {
        let assay = assay.unwrap_or("");
        let identity = format!("{lab}\0{specimen}\0{assay}\0{status}\0{}", at.0);
        let id = format!("{:032x}", xxh3_128(identity.as_bytes()));
        let json = write_json(&id, status, values)?;
        Ok::<ConvertedEvent, String>(ConvertedEvent {
            at,
            key: format!("{lab}:{specimen}"),
            status,
            json,
        })
    };
    let mut events = vec![event("RECEIVED", received_at)?];
    if status != "RECEIVED" {
        events.push(event(status, time("processed_at").unwrap_or(received_at))?);
    }
    Ok(events)
}

/// One JSON object: the id, then the fields in the order of [`MAPPED_FIELDS`].
fn write_json(id: &str, status: &str, values: &[Option<FieldValue>]) -> Result<Vec<u8>, String> {
    let mut json = format!("{{\"event_id\":\"{id}\"").into_bytes();
    for ((name, carried), value) in MAPPED_FIELDS.iter().zip(values) {
        let written = match value {
            Some(FieldValue::Text(_)) if *name == "status" => serde_json::to_vec(status),
            Some(_) if *carried == Carried::Outcome && status == "RECEIVED" => continue,
            None => continue,
            Some(FieldValue::Text(text)) => serde_json::to_vec(text),
            Some(FieldValue::Time(at)) => serde_json::to_vec(&at.to_rfc3339()),
            Some(FieldValue::Int(number)) => serde_json::to_vec(number),
            Some(FieldValue::Float(number)) => serde_json::to_vec(number),
            Some(FieldValue::Bool(yes)) => serde_json::to_vec(yes),
        };
        let written = written.map_err(|error| format!("{name}: could not be written: {error}"))?;
        json.extend_from_slice(format!(",\"{name}\":").as_bytes());
        json.extend_from_slice(&written);
    }
    json.push(b'}');
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::map::map_of_own_names;
    use crate::import::rows::{CsvRead, RowReader};

    const HEADER: &str =
        "specimen_id,assay,machine_id,operator_id,status,error_code,received_at,processed_at";

    /// The events of a starter kit's row without their ids, or why it has none.
    fn convert(line: &str) -> Result<Vec<String>, String> {
        let events = convert_with_ids(line)?;
        let without_id = |event: &ConvertedEvent| {
            let json = String::from_utf8(event.json.clone()).unwrap();
            format!("{} {{{}", event.at, json.split_once(',').unwrap().1)
        };
        Ok(events.iter().map(without_id).collect())
    }

    fn convert_with_ids(line: &str) -> Result<Vec<ConvertedEvent>, String> {
        let header: Vec<String> = HEADER.split(',').map(str::to_owned).collect();
        let map = map_of_own_names(&header, b',').unwrap();
        let converter = Converter::new(&map, &header, Some("lab-1")).unwrap();
        let mut row = CsvRow::default();
        assert_eq!(RowReader::new(line.as_bytes(), b',').read(&mut row).unwrap(), CsvRead::Row);
        converter.convert(&row, 1)
    }

    #[test]
    fn a_finished_row_is_two_events() {
        assert_eq!(
            convert("SP1,CBC,M1,O2,COMPLETED,,2026-03-01T08:00:00Z,2026-03-01T09:30:00.5Z")
                .unwrap(),
            [
                "2026-03-01T08:00:00Z {\"lab_id\":\"lab-1\",\"specimen_id\":\"SP1\",\"assay\":\"CBC\",\
                 \"received_at\":\"2026-03-01T08:00:00Z\",\"status\":\"RECEIVED\"}",
                "2026-03-01T09:30:00.500Z {\"lab_id\":\"lab-1\",\"specimen_id\":\"SP1\",\"assay\":\"CBC\",\
                 \"received_at\":\"2026-03-01T08:00:00Z\",\"processed_at\":\"2026-03-01T09:30:00.500Z\",\
                 \"machine_id\":\"M1\",\"operator_id\":\"O2\",\"status\":\"COMPLETED\"}",
            ]
        );
    }

    #[test]
    fn an_error_without_its_time_stands_at_the_receipt() {
        let events = convert("SP1,CBC,M1,O2,error,E03,2026-03-01 08:00:00,").unwrap();
        assert_eq!(events.len(), 2);
        let (at, json) = events[1].split_once(' ').unwrap();
        assert_eq!(at, "2026-03-01T08:00:00Z");
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        let expected = serde_json::json!({
            "lab_id": "lab-1", "specimen_id": "SP1", "assay": "CBC", "machine_id": "M1",
            "operator_id": "O2", "error_code": "E03", "status": "ERROR",
            "received_at": "2026-03-01T08:00:00Z",
        });
        assert_eq!(json, expected);
        assert_eq!(convert("SP1,,,,RECEIVED,,2026-03-01T08:00:00Z,").unwrap().len(), 1);
    }

    #[test]
    fn a_negative_duration_keeps_both_events() {
        let events = convert("SP1,CBC,,,COMPLETED,,2026-03-01T08:00:00Z,2026-03-01T07:00:00Z");
        let told = events.unwrap().into_iter().map(|event| {
            let (at, json) = event.split_once(' ').unwrap();
            let json: serde_json::Value = serde_json::from_str(json).unwrap();
            let fields = ["status", "received_at", "processed_at"];
            let fields = fields.map(|field| json[field].as_str().unwrap_or("none").to_owned());
            (at.to_owned(), fields.join(" "))
        });
        let (received, processed) = ("2026-03-01T08:00:00Z", "2026-03-01T07:00:00Z");
        let expected = [
            (received.to_owned(), format!("RECEIVED {received} none")),
            (processed.to_owned(), format!("COMPLETED {received} {processed}")),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_events_id_follows_from_what_it_says() {
        let line = "SP1,CBC,M1,O2,COMPLETED,,2026-03-01T08:00:00Z,2026-03-01T09:30:00Z";
        let ids = |line: &str| -> Vec<Vec<u8>> {
            convert_with_ids(line).unwrap().iter().map(|event| event.json[..47].to_vec()).collect()
        };
        let first = ids(line);
        assert_eq!(first, ids(line));
        assert_ne!(first[0], first[1]);
        let moved = ids(&line.replace("09:30", "09:31"));
        assert_eq!((moved[0] == first[0], moved[1] == first[1]), (true, false));
        assert!(ids(&line.replace("SP1", "SP2")).iter().all(|id| !first.contains(id)));
    }

    #[test]
    fn a_bad_row_says_why() {
        let cases = [
            ("SP1,CBC,M1", "has 3 fields where the header has 8"),
            (",CBC,,,COMPLETED,,2026-03-01,", "specimen_id: is empty"),
            ("SP1,CBC,,,COMPLETED,,,", "received_at: is empty"),
            ("SP1,,,,COMPLETED,,2026-03-01,", "assay: is empty, and COMPLETED is said of a test"),
            ("SP1,CBC,,,COMPLETED,,soon,", "received_at: `soon` is not a time"),
            (
                "SP1,CBC,,,COMPLETED,,20244-01-01,",
                "received_at: `20244-01-01` lies outside of the years 1970 to 9999",
            ),
            (
                "SP1,CBC,,,DONE,,2026-03-01,",
                "status: `DONE` is not a status; map it with `values` to one of RECEIVED, \
                 IN_PROCESS, COMPLETED, ERROR, REJECTED, CANCELLED",
            ),
        ];
        for (line, why) in cases {
            assert_eq!(convert(line), Err(why.to_owned()), "{line}");
        }
        let long = format!("{},CBC,,,COMPLETED,,2026-03-01,", "x".repeat(65));
        assert!(convert(&long).is_err_and(|why| why.ends_with("is longer than 64 bytes")));
    }
}

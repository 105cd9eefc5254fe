//! Rows into events, by a map.
//!
//! The map is resolved against the header once, with every fault of it at once; then each row
//! becomes its events or the reason why it cannot. An event's id is a hash of what makes it the
//! event it is (lab, specimen, assay, status, time), so that importing a file again repeats no
//! event. Pure.

use xxhash_rust::xxh3::xxh3_128;

use super::map::{Anchor, Carried, CsvMap, FieldRule, MAPPED_FIELDS, MapFault, Side, nearest};
use super::number::{Unit, read_span, shown};
use super::rows::Row;
use super::time::{TimeReader, within_years};
use crate::flow::Timestamp;
use crate::flow::event::{EVENT_FIELDS, FieldKind};

/// The statuses of the row form.
pub const STATUSES: [&str; 6] =
    ["RECEIVED", "IN_PROCESS", "COMPLETED", "ERROR", "REJECTED", "CANCELLED"];

/// One event, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its event time.
    pub at: Timestamp,
    /// The Kafka key: lab and specimen.
    pub key: String,
    /// What it says became of the test.
    pub status: &'static str,
    /// One JSON object, without a line end.
    pub json: Vec<u8>,
}

/// A field's value in one row.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Time(Timestamp),
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// A rule with its columns found and its constants read.
#[derive(Debug)]
enum Resolved {
    Column { index: usize, values: Vec<(String, String)>, otherwise: Option<String> },
    DateAndTime { date: usize, time: usize },
    RowNumber,
    Constant(Value),
    AfterBase { base: Timestamp, side: Side, index: usize, unit: Unit },
    AfterField { field: usize, side: Side, index: usize, unit: Unit },
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
        let mut resolver = Resolver { header, times, map, faults: Vec::new() };
        let mut rules = Vec::new();
        for (name, rule) in &map.fields {
            if let Some(resolved) = resolver.field(name, rule) {
                rules.push(resolved);
            }
        }
        resolver.required(lab);
        let rules = resolver.in_order(rules);
        if !resolver.faults.is_empty() {
            return Err(resolver.faults);
        }
        Ok(Converter {
            rules,
            times,
            null_values: map.source.null_values.clone(),
            columns: header.len(),
            lab: lab.map(str::to_owned),
        })
    }

    /// The events of the row with this number (from 1), or why it has none.
    pub fn convert(&self, row: &Row, number: u64) -> Result<Vec<Event>, String> {
        if row.len() != self.columns {
            return Err(format!("has {} fields where the header has {}", row.len(), self.columns));
        }
        let mut values: Vec<Option<Value>> = vec![None; MAPPED_FIELDS.len()];
        for (field, rule) in &self.rules {
            let value = self.value(*field, rule, row, number, &values);
            values[*field] = value.map_err(|why| format!("{}: {why}", MAPPED_FIELDS[*field].0))?;
        }
        if values[position("lab_id")].is_none() {
            values[position("lab_id")] = self.lab.clone().map(Value::Text);
        }
        events_of(&values)
    }

    fn value(
        &self,
        field: usize,
        rule: &Resolved,
        row: &Row,
        number: u64,
        earlier: &[Option<Value>],
    ) -> Result<Option<Value>, String> {
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
                self.times.read_parts(date, time).map(|at| Some(Value::Time(at)))
            }
            Resolved::RowNumber => Ok(Some(Value::Text(number.to_string()))),
            Resolved::Constant(value) => Ok(Some(value.clone())),
            Resolved::AfterBase { base, side, index, unit } => {
                self.shifted(*base, *side, row.field(*index), *unit)
            }
            Resolved::AfterField { field, side, index, unit } => match &earlier[*field] {
                Some(Value::Time(from)) => self.shifted(*from, *side, row.field(*index), *unit),
                Some(Value::Text(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_)) | None => {
                    Ok(None)
                }
            },
        }
    }

    fn shifted(
        &self,
        from: Timestamp,
        side: Side,
        text: &str,
        unit: Unit,
    ) -> Result<Option<Value>, String> {
        if self.is_null(text) {
            return Ok(None);
        }
        let span = read_span(text, unit)?;
        let at = match side {
            Side::Add => from.plus(span),
            Side::Subtract => from.minus(span),
        };
        within_years(at, &at.to_rfc3339()).map(|at| Some(Value::Time(at)))
    }

    fn is_null(&self, text: &str) -> bool {
        text.is_empty() || self.null_values.iter().any(|null| null == text)
    }
}

/// Resolves rules and collects what is wrong with them.
struct Resolver<'a> {
    header: &'a [String],
    times: TimeReader,
    map: &'a CsvMap,
    faults: Vec<MapFault>,
}

impl Resolver<'_> {
    fn fault(&mut self, path: &[&str], what: String) {
        self.faults.push(MapFault::new(path, &what));
    }

    fn field(&mut self, name: &str, rule: &FieldRule) -> Option<(usize, Resolved)> {
        let Some(field) = MAPPED_FIELDS.iter().position(|(known, _)| *known == name) else {
            self.fault(&["fields", name], unknown_field(name));
            return None;
        };
        let resolved = match rule {
            FieldRule::Column { column, time: None, values, otherwise } => {
                let index = self.column(&["fields", name, "column"], column);
                for text in values.iter().map(|(_, to)| to).chain(otherwise) {
                    if let Err(why) = typed(name, text, &self.times) {
                        self.fault(&["fields", name, "values"], why);
                    }
                }
                Resolved::Column {
                    index: index?,
                    values: values.clone(),
                    otherwise: otherwise.clone(),
                }
            }
            FieldRule::Column { column, time: Some(time), .. } => {
                self.only_for_times(name, "time");
                let date = self.column(&["fields", name, "column"], column);
                let time = self.column(&["fields", name, "time"], time);
                Resolved::DateAndTime { date: date?, time: time? }
            }
            FieldRule::RowNumber => Resolved::RowNumber,
            FieldRule::Constant(text) => match typed(name, text, &self.times) {
                Ok(value) => Resolved::Constant(value),
                Err(why) => {
                    self.fault(&["fields", name, "constant"], why);
                    return None;
                }
            },
            FieldRule::Shifted { from, side, column, unit } => {
                self.only_for_times(name, "add");
                return self.shifted(name, from, *side, column, unit).map(|rule| (field, rule));
            }
        };
        if matches!(resolved, Resolved::RowNumber) && !matches!(kind_of(name), FieldKind::Text(_)) {
            self.fault(&["fields", name], format!("a row number cannot be the `{name}`"));
        }
        Some((field, resolved))
    }

    fn shifted(
        &mut self,
        name: &str,
        from: &Anchor,
        side: Side,
        column: &str,
        unit: &str,
    ) -> Option<Resolved> {
        let key = match side {
            Side::Add => "add",
            Side::Subtract => "subtract",
        };
        let index = self.column(&["fields", name, key, "column"], column);
        let known = Unit::parse(unit);
        if known.is_none() {
            let what = format!("`{unit}` is not a unit; write us, ms, s, min, h, d or w");
            self.fault(&["fields", name, key, "unit"], what);
        }
        match from {
            Anchor::Base(text) => match self.times.read(text) {
                Ok(base) => Some(Resolved::AfterBase { base, side, index: index?, unit: known? }),
                Err(why) => {
                    let what = format!("{why}; write a time as 2020-01-01T12:00:00Z");
                    self.fault(&["fields", name, "base"], what);
                    None
                }
            },
            Anchor::Field(other) => {
                let field = self.time_field(name, other);
                Some(Resolved::AfterField { field: field?, side, index: index?, unit: known? })
            }
        }
    }

    fn time_field(&mut self, name: &str, other: &str) -> Option<usize> {
        let mapped = self.map.fields.iter().any(|(field, _)| field == other);
        let field = MAPPED_FIELDS.iter().position(|(known, _)| *known == other);
        if mapped && field.is_some() && kind_of(other) == FieldKind::Time {
            return field;
        }
        let times: Vec<&str> = self
            .map
            .fields
            .iter()
            .map(|(field, _)| field.as_str())
            .filter(|field| kind_of(field) == FieldKind::Time && *field != name)
            .collect();
        if self.map.unreadable.iter().any(|field| field == other) {
            return None;
        }
        let what = format!(
            "`{other}` is not a time that this map gives; write one of its times ({})",
            times.join(", ")
        );
        self.fault(&["fields", name, "from"], what);
        None
    }

    fn only_for_times(&mut self, name: &str, key: &str) {
        if kind_of(name) != FieldKind::Time {
            let what = format!("`{name}` is not a time; take `{key}` away and name its column");
            self.fault(&["fields", name, key], what);
        }
    }

    fn column(&mut self, path: &[&str], column: &str) -> Option<usize> {
        let mut found = self.header.iter().enumerate().filter(|(_, name)| *name == column);
        let (first, second) = (found.next(), found.next());
        if second.is_some() {
            let what = format!("the file has two columns `{column}`; give each a name of its own");
            self.fault(path, what);
        } else if first.is_none() {
            let remedy = match nearest(column, self.header.iter().map(String::as_str)) {
                Some(near) => format!("write `{near}`"),
                None => format!("write one of {}", self.header.join(", ")),
            };
            self.fault(path, format!("the file has no column `{column}`; {remedy}"));
        }
        first.map(|(index, _)| index)
    }

    /// What every map has to give.
    fn required(&mut self, lab: Option<&str>) {
        let read = self.map.fields.iter().map(|(name, _)| name.as_str());
        let given: Vec<&str> = read.chain(self.map.unreadable.iter().map(String::as_str)).collect();
        let mut need = |name: &str, example: &str| {
            if !given.contains(&name) {
                let what = format!("`{name}` is missing; add a line as `{name}: {example}`");
                self.faults.push(MapFault::new(&["fields"], &what));
            }
        };
        need("specimen_id", "{ row_number: true }");
        need("status", "{ constant: COMPLETED }");
        need("received_at", "column_name");
        need("assay", "column_name");
        if lab.is_none() {
            need("lab_id", "{ constant: lab-1 }");
        }
    }

    /// The rules so that each stands after the field it counts from.
    fn in_order(&mut self, mut waiting: Vec<(usize, Resolved)>) -> Vec<(usize, Resolved)> {
        let mut ordered: Vec<(usize, Resolved)> = Vec::new();
        while !waiting.is_empty() {
            let waits: Vec<usize> = waiting.iter().map(|(field, _)| *field).collect();
            let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(_, rule)| {
                !matches!(rule, Resolved::AfterField { field, .. } if waits.contains(field))
            });
            if ready.is_empty() {
                for (field, _) in rest {
                    let name = MAPPED_FIELDS[field].0;
                    let what =
                        format!("`{name}` counts from itself; begin at a column or a `base`");
                    self.fault(&["fields", name, "from"], what);
                }
                return ordered;
            }
            ordered.extend(ready);
            waiting = rest;
        }
        ordered
    }
}

fn unknown_field(name: &str) -> String {
    match name {
        "event_time" => "`event_time` is not mapped: in the row form it is `processed_at`, else \
                         `received_at`; map these"
            .to_owned(),
        "event_id" | "schema_version" | "event_type" | "seq" => {
            format!("`{name}` is made by the import; take the line away")
        }
        _ => {
            let known = || MAPPED_FIELDS.iter().map(|(field, _)| *field);
            let remedy = match nearest(name, known()) {
                Some(near) => format!("write `{near}`"),
                None => format!("write one of {}", known().collect::<Vec<_>>().join(", ")),
            };
            format!("an event has no field `{name}` that a map can fill; {remedy}")
        }
    }
}

fn position(name: &str) -> usize {
    MAPPED_FIELDS.iter().position(|(field, _)| *field == name).unwrap_or(MAPPED_FIELDS.len())
}

fn kind_of(name: &str) -> FieldKind {
    let field = EVENT_FIELDS.iter().find(|(field, _)| *field == name);
    field.map_or(FieldKind::Text(0), |(_, kind)| *kind)
}

/// Reads a text as what the field holds. The error says what is wrong and what would be right.
fn typed(name: &str, text: &str, times: &TimeReader) -> Result<Value, String> {
    let not = |what: &str| format!("`{}` is not {what}", shown(text));
    match kind_of(name) {
        FieldKind::Text(longest) => {
            let text = match name {
                "status" => status(text)?,
                "priority" => priority(text)?,
                _ => text,
            };
            if text.len() > longest {
                return Err(format!("`{}` is longer than {longest} bytes", shown(text)));
            }
            Ok(Value::Text(text.to_owned()))
        }
        FieldKind::Time => times.read(text).map(Value::Time),
        FieldKind::Int => text.parse().map(Value::Int).map_err(|_| not("a whole number")),
        FieldKind::Float => {
            let number = text.parse().ok().filter(|number: &f64| number.is_finite());
            number.map(Value::Float).ok_or_else(|| not("a number"))
        }
        FieldKind::Bool => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" => Ok(Value::Bool(true)),
            "false" | "f" | "no" | "n" | "0" => Ok(Value::Bool(false)),
            _ => Err(not("true or false")),
        },
    }
}

fn status(text: &str) -> Result<&'static str, String> {
    STATUSES.into_iter().find(|known| known.eq_ignore_ascii_case(text)).ok_or_else(|| {
        let all = STATUSES.join(", ");
        format!("`{}` is not a status; map it with `values` to one of {all}", shown(text))
    })
}

fn priority(text: &str) -> Result<&'static str, String> {
    match text.to_ascii_uppercase().as_str() {
        "S" | "STAT" => Ok("S"),
        "A" | "ASAP" => Ok("A"),
        "R" | "ROUTINE" => Ok("R"),
        _ => Err(format!(
            "`{}` is not a priority; map it with `values` to S (stat), A (asap) or R (routine)",
            shown(text)
        )),
    }
}

/// The one or two events of a row's values.
fn events_of(values: &[Option<Value>]) -> Result<Vec<Event>, String> {
    let text = |name: &str| match &values[position(name)] {
        Some(Value::Text(text)) => Some(text.as_str()),
        Some(Value::Time(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_)) | None => None,
    };
    let time = |name: &str| match &values[position(name)] {
        Some(Value::Time(at)) => Some(*at),
        Some(Value::Text(_) | Value::Int(_) | Value::Float(_) | Value::Bool(_)) | None => None,
    };
    let absent = |name: &str| format!("{name}: is empty");
    let lab = text("lab_id").ok_or_else(|| absent("lab_id"))?;
    let specimen = text("specimen_id").ok_or_else(|| absent("specimen_id"))?;
    let received_at = time("received_at").ok_or_else(|| absent("received_at"))?;
    let status = status(text("status").ok_or_else(|| absent("status"))?)?;
    let assay = text("assay");
    if assay.is_none() && matches!(status, "IN_PROCESS" | "COMPLETED" | "ERROR") {
        return Err(format!("assay: is empty, and {status} is said of a test"));
    }
    let event = |status: &'static str, at: Timestamp| {
        let assay = assay.unwrap_or("");
        let identity = format!("{lab}\0{specimen}\0{assay}\0{status}\0{}", at.0);
        let id = format!("{:032x}", xxh3_128(identity.as_bytes()));
        let json = write_json(&id, status, values)?;
        Ok::<Event, String>(Event { at, key: format!("{lab}:{specimen}"), status, json })
    };
    let mut events = vec![event("RECEIVED", received_at)?];
    if status != "RECEIVED" {
        events.push(event(status, time("processed_at").unwrap_or(received_at))?);
    }
    Ok(events)
}

/// One JSON object: the id, then the fields in the order of [`MAPPED_FIELDS`].
fn write_json(id: &str, status: &str, values: &[Option<Value>]) -> Result<Vec<u8>, String> {
    let mut json = format!("{{\"event_id\":\"{id}\"").into_bytes();
    for ((name, carried), value) in MAPPED_FIELDS.iter().zip(values) {
        let written = match value {
            Some(Value::Text(_)) if *name == "status" => serde_json::to_vec(status),
            Some(_) if *carried == Carried::Outcome && status == "RECEIVED" => continue,
            None => continue,
            Some(Value::Text(text)) => serde_json::to_vec(text),
            Some(Value::Time(at)) => serde_json::to_vec(&at.to_rfc3339()),
            Some(Value::Int(number)) => serde_json::to_vec(number),
            Some(Value::Float(number)) => serde_json::to_vec(number),
            Some(Value::Bool(yes)) => serde_json::to_vec(yes),
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
    use super::super::map::map_of_own_names;
    use super::super::rows::{Read, RowReader};
    use super::*;

    const HEADER: &str =
        "specimen_id,assay,machine_id,operator_id,status,error_code,received_at,processed_at";

    /// The events of a starter kit's row without their ids, or why it has none.
    fn convert(line: &str) -> Result<Vec<String>, String> {
        let events = convert_with_ids(line)?;
        let without_id = |event: &Event| {
            let json = String::from_utf8(event.json.clone()).unwrap();
            format!("{} {{{}", event.at, json.split_once(',').unwrap().1)
        };
        Ok(events.iter().map(without_id).collect())
    }

    fn convert_with_ids(line: &str) -> Result<Vec<Event>, String> {
        let header: Vec<String> = HEADER.split(',').map(str::to_owned).collect();
        let map = map_of_own_names(&header, b',').unwrap();
        let converter = Converter::new(&map, &header, Some("lab-1")).unwrap();
        let mut row = Row::default();
        assert_eq!(RowReader::new(line.as_bytes(), b',').read(&mut row).unwrap(), Read::Row);
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
        assert!(events[1].starts_with("2026-03-01T08:00:00Z {"), "{}", events[1]);
        assert!(events[1].contains("\"error_code\":\"E03\",\"status\":\"ERROR\""), "{}", events[1]);
        assert!(!events[1].contains("processed_at"), "{}", events[1]);
        assert_eq!(convert("SP1,,,,RECEIVED,,2026-03-01T08:00:00Z,").unwrap().len(), 1);
    }

    #[test]
    fn a_negative_duration_keeps_both_events() {
        let events = convert("SP1,CBC,,,COMPLETED,,2026-03-01T08:00:00Z,2026-03-01T07:00:00Z");
        let events = events.unwrap();
        assert!(events[0].starts_with("2026-03-01T08:00:00Z"));
        assert!(events[1].starts_with("2026-03-01T07:00:00Z"));
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

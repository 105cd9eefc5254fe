//! A map's rules against a file's header: columns found, constants read, and every fault of the map
//! with its place. Pure.

use super::map::{Anchor, CsvMap, FieldRule, MAPPED_FIELDS, MapFault, ShiftSide, nearest};
use super::number::Unit;
use super::time::TimeReader;
use super::value::{FieldValue, kind_of, typed};
use crate::flow::Timestamp;
use crate::flow::event::FieldKind;

/// A rule with its columns found and its constants read.
#[derive(Debug)]
pub(super) enum Resolved {
    Column { index: usize, values: Vec<(String, String)>, otherwise: Option<String> },
    DateAndTime { date: usize, time: usize },
    RowNumber,
    Constant(FieldValue),
    AfterBase { base: Timestamp, side: ShiftSide, index: usize, unit: Unit },
    AfterField { field: usize, side: ShiftSide, index: usize, unit: Unit },
}

/// The rules of a map by position in [`MAPPED_FIELDS`], each after the field that it counts from.
/// `lab` stands where the map gives no lab.
pub(super) fn resolve(
    map: &CsvMap,
    header: &[String],
    lab: Option<&str>,
    times: TimeReader,
) -> Result<Vec<(usize, Resolved)>, Vec<MapFault>> {
    let mut resolver = RuleResolver { header, times, map, faults: Vec::new() };
    let mut rules = Vec::new();
    for (name, rule) in &map.fields {
        if let Some(resolved) = resolver.field(name, rule) {
            rules.push(resolved);
        }
    }
    resolver.required(lab);
    let rules = resolver.in_order(rules);
    if resolver.faults.is_empty() { Ok(rules) } else { Err(resolver.faults) }
}

/// Resolves rules and collects what is wrong with them.
struct RuleResolver<'a> {
    header: &'a [String],
    times: TimeReader,
    map: &'a CsvMap,
    faults: Vec<MapFault>,
}

impl RuleResolver<'_> {
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
        if matches!(resolved, Resolved::RowNumber)
            && !matches!(kind_of(name), FieldKind::Text(_) | FieldKind::Code(_))
        {
            self.fault(&["fields", name], format!("a row number cannot be the `{name}`"));
        }
        Some((field, resolved))
    }

    fn shifted(
        &mut self,
        name: &str,
        from: &Anchor,
        side: ShiftSide,
        column: &str,
        unit: &str,
    ) -> Option<Resolved> {
        let key = match side {
            ShiftSide::Add => "add",
            ShiftSide::Subtract => "subtract",
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

//! A field's text as what the field holds: texts within their length, statuses, priorities, times,
//! numbers. Pure.

use super::map::MAPPED_FIELDS;
use super::number::shown;
use super::time::TimeReader;
use crate::flow::Timestamp;
use crate::flow::event::{EVENT_FIELDS, FieldKind};

/// The statuses of the row form.
pub(super) const STATUSES: [&str; 6] =
    ["RECEIVED", "IN_PROCESS", "COMPLETED", "ERROR", "REJECTED", "CANCELLED"];

/// A field's value in one row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum FieldValue {
    Text(String),
    Time(Timestamp),
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// A field's place in [`MAPPED_FIELDS`].
pub(super) fn position(name: &str) -> usize {
    MAPPED_FIELDS.iter().position(|(field, _)| *field == name).unwrap_or(MAPPED_FIELDS.len())
}

/// What a field holds.
pub(super) fn kind_of(name: &str) -> FieldKind {
    let field = EVENT_FIELDS.iter().find(|(field, _)| *field == name);
    field.map_or(FieldKind::Text(0), |(_, kind)| *kind)
}

/// Reads a text as what the field holds. The error says what is wrong and what would be right.
pub(super) fn typed(name: &str, text: &str, times: &TimeReader) -> Result<FieldValue, String> {
    let not = |what: &str| format!("`{}` is not {what}", shown(text));
    match kind_of(name) {
        FieldKind::Text(longest) | FieldKind::Code(longest) => {
            let text = match name {
                "status" => status(text)?,
                "priority" => priority(text)?,
                _ => text,
            };
            if text.len() > longest {
                return Err(format!("`{}` is longer than {longest} bytes", shown(text)));
            }
            Ok(FieldValue::Text(text.to_owned()))
        }
        FieldKind::Time => times.read(text).map(FieldValue::Time),
        FieldKind::Int => text.parse().map(FieldValue::Int).map_err(|_| not("a whole number")),
        FieldKind::Float => {
            let number = text.parse().ok().filter(|number: &f64| number.is_finite());
            number.map(FieldValue::Float).ok_or_else(|| not("a number"))
        }
        FieldKind::Bool => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" => Ok(FieldValue::Bool(true)),
            "false" | "f" | "no" | "n" | "0" => Ok(FieldValue::Bool(false)),
            _ => Err(not("true or false")),
        },
    }
}

/// The status that a text means.
pub(super) fn status(text: &str) -> Result<&'static str, String> {
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

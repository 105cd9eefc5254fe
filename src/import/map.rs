//! What a map says: which column of a file becomes which field of an event, and how.
//!
//! A map is data. It is read from YAML by `config/csv_map.rs` and put to work, against a header,
//! by [`super::Converter`]; both report every fault they find as a [`MapFault`].

use chrono_tz::Tz;

use super::time::DateOrder;

/// A whole map.
#[derive(Clone, Debug)]
pub struct CsvMap {
    /// How the file is written.
    pub source: CsvForm,
    /// The event's fields, in the order of the map.
    pub fields: Vec<(String, FieldRule)>,
    /// Fields whose rule could not be read, which is reported already.
    pub unreadable: Vec<String>,
}

/// How a file is written.
#[derive(Clone, Debug)]
pub struct CsvForm {
    /// The zone of times that carry none.
    pub timezone: Tz,
    /// The order of dates with the year last.
    pub date_order: Option<DateOrder>,
    /// Values that stand for nothing.
    pub null_values: Vec<String>,
    /// What separates fields.
    pub delimiter: u8,
}

impl Default for CsvForm {
    fn default() -> CsvForm {
        CsvForm {
            timezone: Tz::UTC,
            date_order: None,
            null_values: vec![String::new()],
            delimiter: b',',
        }
    }
}

/// Where a field's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldRule {
    /// A column.
    Column {
        /// Its name.
        column: String,
        /// For a time: the column that holds the time of day, `column` holding the date.
        time: Option<String>,
        /// What the column's values become; a value that is not listed stays as it is.
        values: Vec<(String, String)>,
        /// What every value that is not listed becomes, nothing included.
        otherwise: Option<String>,
    },
    /// The number of the row within the file, from 1.
    RowNumber,
    /// The same for all rows.
    Constant(String),
    /// A time moved by a column of durations.
    Shifted {
        /// From where.
        from: Anchor,
        /// To which side.
        side: ShiftSide,
        /// The column of durations.
        column: String,
        /// Their unit.
        unit: String,
    },
}

impl FieldRule {
    /// The column of this name as it stands.
    pub fn column(name: &str) -> FieldRule {
        FieldRule::Column {
            column: name.to_owned(),
            time: None,
            values: Vec::new(),
            otherwise: None,
        }
    }
}

/// What a shifted time is counted from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// A fixed instant.
    Base(String),
    /// Another time of the same row.
    Field(String),
}

/// To which side a time is shifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShiftSide {
    /// Later.
    Add,
    /// Earlier.
    Subtract,
}

/// A mistake in a map, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapFault {
    /// The keys that lead to it, as `fields`, `status`, `column`.
    pub path: Vec<String>,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

impl MapFault {
    /// A fault at the end of `path`, told as `what; remedy`.
    pub fn new(path: &[&str], told: &str) -> MapFault {
        let (what, remedy) = told.split_once("; ").unwrap_or((told, "write another value"));
        MapFault {
            path: path.iter().map(|key| (*key).to_owned()).collect(),
            what: what.to_owned(),
            remedy: remedy.to_owned(),
        }
    }
}

/// The events that a field of the map goes into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// RECEIVED and the outcome.
    Both,
    /// The outcome alone: it was not known before.
    Outcome,
}

/// The fields that a map may fill, in the order in which they are written.
pub const MAPPED_FIELDS: &[(&str, Carried)] = {
    use Carried::{Both, Outcome};
    &[
        ("lab_id", Both),
        ("specimen_id", Both),
        ("order_id", Both),
        ("patient_ref", Both),
        ("assay", Both),
        ("loinc", Both),
        ("priority", Both),
        ("patient_class", Both),
        ("location", Both),
        ("specimen_type", Both),
        ("profile_tat_min", Both),
        ("recollect_of", Both),
        ("referred_from", Both),
        ("ordered_at", Both),
        ("collected_at", Both),
        ("received_at", Both),
        ("processed_at", Outcome),
        ("machine_id", Outcome),
        ("operator_id", Outcome),
        ("error_code", Outcome),
        ("reject_reason", Outcome),
        ("referred_to", Outcome),
        ("auto_verified", Outcome),
        ("delta_flag", Outcome),
        ("repeat_no", Outcome),
        ("status", Outcome),
    ]
};

/// The header of the starter kit's CSV, which needs no map.
pub const STARTER_KIT_COLUMNS: [&str; 8] = [
    "specimen_id",
    "assay",
    "machine_id",
    "operator_id",
    "status",
    "error_code",
    "received_at",
    "processed_at",
];

/// Whether a map may fill a field of this name.
pub fn is_mapped_field(name: &str) -> bool {
    MAPPED_FIELDS.iter().any(|(field, _)| *field == name)
}

/// The map of a file whose columns bear the event's own names: the starter kit's eight, and any
/// other field of the row form beside them. The error lists what fits not.
pub fn map_of_own_names(header: &[String], delimiter: u8) -> Result<CsvMap, String> {
    let list = |names: Vec<&str>| {
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    let unknown: Vec<&str> =
        header.iter().map(String::as_str).filter(|name| !is_mapped_field(name)).collect();
    let missing: Vec<&str> = STARTER_KIT_COLUMNS
        .into_iter()
        .filter(|name| !header.iter().any(|column| column == name))
        .collect();
    let mut wrong = Vec::new();
    if !unknown.is_empty() {
        wrong.push(format!("unknown columns: {}", list(unknown)));
    }
    if !missing.is_empty() {
        wrong.push(format!("missing columns: {}", list(missing)));
    }
    if !wrong.is_empty() {
        return Err(wrong.join("; "));
    }
    let fields = header.iter().map(|name| (name.clone(), FieldRule::column(name))).collect();
    Ok(CsvMap {
        source: CsvForm { delimiter, ..CsvForm::default() },
        fields,
        unreadable: Vec::new(),
    })
}

/// The name among `known` that is nearest to `name`, when it is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters to insert, remove, replace or swap; 1 where one name begins with the other.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    if left.len().min(right.len()) >= 3 && (left.starts_with(&right) || right.starts_with(&left)) {
        return usize::from(left != right);
    }
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let mut best = (row[j] + usize::from(a != b)).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && left[i - 1] == *b && right[j - 1] == *a {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_starter_kits_header_needs_no_map() {
        let map = map_of_own_names(&header(&STARTER_KIT_COLUMNS), b',').unwrap();
        assert_eq!(map.fields.len(), 8);
        let mut more = header(&STARTER_KIT_COLUMNS);
        more.push("lab_id".to_owned());
        assert!(map_of_own_names(&more, b',').is_ok());
    }

    #[test]
    fn another_header_is_named_column_by_column() {
        let mut other = header(&STARTER_KIT_COLUMNS);
        other[0] = "specimen".to_owned();
        other.push("patient_name".to_owned());
        assert_eq!(
            map_of_own_names(&other, b',').err().as_deref(),
            Some("unknown columns: `specimen`, `patient_name`; missing columns: `specimen_id`")
        );
    }

    #[test]
    fn near_names_are_suggested() {
        assert_eq!(nearest("recieved_at", ["received_at", "processed_at"]), Some("received_at"));
        assert_eq!(nearest("colour", ["received_at", "processed_at"]), None);
        assert_eq!(nearest("specimen", ["specimen_id", "assay"]), Some("specimen_id"));
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("tset", "test"), 1);
    }
}

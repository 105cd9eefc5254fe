//! `data/reference/<name>.csv` as Arrow: the table `ref.<name>`.
//!
//! The type of a column follows from all of its values that are not empty:
//!
//! | every value is | column |
//! |---|---|
//! | `true` or `false` | Boolean |
//! | a whole number without leading zeros, of 64 bits | Int64 |
//! | a number without leading zeros | Float64 |
//! | RFC 3339 with an offset | timestamp, microseconds, UTC |
//! | anything else, or nothing at all | Utf8 |
//!
//! A column called `code`, or whose name ends in `_id`, is Utf8 whatever it holds: identifiers stay
//! as they are written. An empty cell, quoted or not, is null. One wrong number therefore makes a
//! column text, which the SQL that computes with it reports.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Schema};
use xxhash_rust::xxh3::xxh3_128;

use crate::flow::Timestamp;

use super::csv_text::{CsvCell, rows};
use super::decode::{is_name, name_like};
use super::fault::{Faults, Position, nearest, quoted};
use super::files;

/// A reference table of the project.
#[derive(Clone)]
pub struct ReferenceTable {
    /// The file's stem: `labs` for `ref.labs`.
    pub name: String,
    /// The file, for messages.
    pub path: PathBuf,
    /// The file's bytes.
    pub bytes: Vec<u8>,
    /// XXH3 of the bytes, 32 hexadecimal digits: the table's version.
    pub content_hash: String,
    /// The rows in the order of the file.
    pub rows: RecordBatch,
}

impl fmt::Debug for ReferenceTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReferenceTable")
            .field("name", &self.name)
            .field("path", &self.path)
            .field("content_hash", &self.content_hash)
            .field("rows", &self.rows.num_rows())
            .finish_non_exhaustive()
    }
}

impl ReferenceTable {
    /// Reads a table; what is wrong with it goes to `faults`.
    pub fn parse(name: &str, path: &Path, bytes: &[u8], faults: &mut Faults) -> Option<Self> {
        if !is_name(name) {
            let what = format!("the table's name {} is not one that SQL reads", quoted(name));
            let remedy = format!("rename the file to {}.csv", name_like(name));
            faults.push(Position::START, what, remedy);
            return None;
        }
        let rows = rows(files::text(bytes, faults)?, faults)?;
        let before = faults.count();
        let Some((header, cells)) = rows.split_first() else {
            faults.push(Position::START, "the file is empty", "write a line of column names");
            return None;
        };
        check_header(header, faults);
        check_widths(header, cells, faults);
        if faults.count() > before {
            return None;
        }
        if name == "labs" {
            check_labs(header, cells, faults);
        }
        if faults.count() > before {
            return None;
        }
        let rows = match batch(header, cells) {
            Ok(rows) => rows,
            Err(error) => {
                let what = format!("could not make a table of it: {error}");
                faults.push(Position::START, what, "shorten the file");
                return None;
            }
        };
        Some(ReferenceTable {
            name: name.to_owned(),
            path: path.to_owned(),
            bytes: bytes.to_vec(),
            content_hash: format!("{:032x}", xxh3_128(bytes)),
            rows,
        })
    }
}

fn check_header(header: &[CsvCell], faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for cell in header {
        if !is_name(&cell.text) {
            let what = format!("the column's name {} needs quotes in SQL", quoted(&cell.text));
            faults.push(cell.at, what, format!("rename it to {}", name_like(&cell.text)));
        } else if !seen.insert(&cell.text) {
            let what = format!("the column {} stands twice", quoted(&cell.text));
            faults.push(cell.at, what, "remove or rename one of them");
        }
    }
}

fn check_widths(header: &[CsvCell], rows: &[Vec<CsvCell>], faults: &mut Faults) {
    for row in rows {
        if row.len() == header.len() {
            continue;
        }
        let at = row.get(header.len()).or(row.first()).map_or(Position::START, |cell| cell.at);
        let what = format!("the row has {} cells, the header {}", row.len(), header.len());
        let remedy = if row.len() > header.len() {
            "remove what is too much, or put a cell with a comma in quotes"
        } else {
            "add the missing cells; an empty cell still has its comma"
        };
        faults.push(at, what, remedy);
    }
}

/// The stream itself reads `labs`: each lab once, with a zone that exists.
fn check_labs(header: &[CsvCell], rows: &[Vec<CsvCell>], faults: &mut Faults) {
    let column = |name: &str| header.iter().position(|cell| cell.text == name);
    let Some(lab_id) = column("lab_id") else {
        let what = "labs.csv has no column `lab_id`";
        faults.push(Position::START, what, "name the column with the labs' ids lab_id");
        return;
    };
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for row in rows {
        let cell = &row[lab_id];
        if cell.text.is_empty() {
            faults.push(cell.at, "the lab has no id", "write its id, or remove the line");
        } else if let Some(first) = seen.insert(&cell.text, cell.at.line) {
            let what =
                format!("the lab {} stands twice, first in line {first}", quoted(&cell.text));
            faults.push(cell.at, what, "keep one line for each lab");
        }
    }
    let Some(tz) = column("tz") else { return };
    for cell in rows.iter().map(|row| &row[tz]).filter(|cell| !cell.text.is_empty()) {
        if cell.text.parse::<chrono_tz::Tz>().is_ok() {
            continue;
        }
        let known = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
        let remedy = match nearest(&cell.text, known) {
            Some(near) => format!("did you mean {near}?"),
            None => {
                "write a zone of the IANA database, as Europe/Berlin, or nothing for UTC".into()
            }
        };
        faults.push(cell.at, format!("unknown time zone {}", quoted(&cell.text)), remedy);
    }
}

fn batch(
    header: &[CsvCell],
    rows: &[Vec<CsvCell>],
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (i, cell) in header.iter().enumerate() {
        let values: Vec<Option<&str>> = rows
            .iter()
            .map(|row| Some(row[i].text.as_str()).filter(|text| !text.is_empty()))
            .collect();
        let column = array(&cell.text, &values);
        fields.push(Field::new(&cell.text, column.data_type().clone(), true));
        columns.push(column);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
}

/// The narrowest column that holds every value.
fn array(name: &str, values: &[Option<&str>]) -> ArrayRef {
    let text = || Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    if name == "code" || name.ends_with("_id") || values.iter().all(Option::is_none) {
        return text();
    }
    if let Some(found) = all(values, boolean) {
        return Arc::new(BooleanArray::from(found));
    }
    if let Some(found) = all(values, integer) {
        return Arc::new(Int64Array::from(found));
    }
    if let Some(found) = all(values, float) {
        return Arc::new(Float64Array::from(found));
    }
    if let Some(found) = all(values, |text| Timestamp::parse_rfc3339(text).map(|at| at.0)) {
        return Arc::new(TimestampMicrosecondArray::from(found).with_timezone("UTC"));
    }
    text()
}

/// Every value read, or `None` when one cannot be.
fn all<T>(values: &[Option<&str>], read: impl Fn(&str) -> Option<T>) -> Option<Vec<Option<T>>> {
    let read = |value: &Option<&str>| match value {
        Some(text) => read(text).map(Some),
        None => Some(None),
    };
    values.iter().map(read).collect()
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    let padded = digits.len() > 1 && digits.starts_with('0');
    if plain && !padded { text.parse().ok() } else { None }
}

fn float(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let known =
        digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+'));
    let padded = digits.len() > 1
        && digits.starts_with('0')
        && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    if !known || padded || !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};

    use super::*;

    fn read(name: &str, text: &str) -> Result<ReferenceTable, Vec<String>> {
        let path = PathBuf::from(format!("{name}.csv"));
        let mut faults = Faults::of(&path);
        let table = ReferenceTable::parse(name, &path, text.as_bytes(), &mut faults);
        table.ok_or_else(|| faults.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn types_follow_from_all_values() {
        let table = read(
            "t",
            "lab_id,code,minutes,share,active,valid_from,zip,text,nothing\n\
             7,12,60,0.5,true,2026-03-01T00:00:00Z,01234,60,\n\
             8,,,1,,2026-03-01T02:00:00+01:00,22,x,\"\"\n",
        )
        .expect("table");
        let types: Vec<_> =
            table.rows.schema().fields().iter().map(|field| field.data_type().clone()).collect();
        use DataType::{Boolean, Float64, Int64, Utf8};
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        assert_eq!(types, [Utf8, Utf8, Int64, Float64, Boolean, instant, Utf8, Utf8, Utf8]);
        let column = |name: &str| table.rows.column_by_name(name).expect("column").clone();
        let minutes = column("minutes");
        let minutes = minutes.as_primitive::<Int64Type>();
        assert_eq!(minutes.iter().collect::<Vec<_>>(), [Some(60), None]);
        assert_eq!(column("share").as_primitive::<Float64Type>().values().to_vec(), [0.5, 1.0]);
        let from = column("valid_from");
        let from = from.as_primitive::<TimestampMicrosecondType>();
        // date -u -d 2026-03-01 +%s: 1772323200; one hour later 1772326800
        assert_eq!(from.values().to_vec(), [1_772_323_200_000_000, 1_772_326_800_000_000]);
        assert_eq!(column("nothing").null_count(), 2);
        assert_eq!(column("zip").as_string::<i32>().value(0), "01234");
    }

    #[test]
    fn every_fault_of_a_table_is_placed() {
        let cases: &[(&str, &str, &[&str])] = &[
            (
                "t",
                "a,b\n1,2\n3\n\n4,5,6\n",
                &[
                    "t.csv:3:1: the row has 1 cells, the header 2. add the missing cells",
                    "t.csv:5:5: the row has 3 cells, the header 2. remove what is too much",
                ],
            ),
            (
                "t",
                "Lab Id,a,a\n",
                &[
                    "t.csv:1:1: the column's name `Lab Id` needs quotes in SQL. rename it to lab_id",
                    "t.csv:1:10: the column `a` stands twice",
                ],
            ),
            ("t", "", &["t.csv:1:1: the file is empty"]),
            (
                "labs",
                "lab_id,tz\nn,Europe/Berln\ns,\nn,UTC\n",
                &[
                    "labs.csv:4:1: the lab `n` stands twice, first in line 2",
                    "labs.csv:2:3: unknown time zone `Europe/Berln`. did you mean Europe/Berlin?",
                ],
            ),
            ("labs", "lab,tz\n", &["labs.csv:1:1: labs.csv has no column `lab_id`"]),
            ("My Table", "a\n", &["My Table.csv:1:1: the table's name `My Table`"]),
        ];
        for (name, text, expected) in cases {
            let found = read(name, text).expect_err("faults");
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, expected) in found.iter().zip(*expected) {
                assert!(found.starts_with(expected), "{found}");
            }
        }
    }

    #[test]
    fn numbers_keep_to_json_like_forms() {
        for (text, expected) in [("1", Some(1.0)), ("-0.5", Some(-0.5)), ("1e3", Some(1000.0))] {
            assert_eq!(float(text), expected, "{text}");
        }
        for text in ["00.5", "inf", "NaN", ".5", "1e999", "1-2", "0x1", "+1"] {
            assert_eq!(float(text), None, "{text}");
        }
        for text in ["007", "+1", "-", "9223372036854775808", "1.0"] {
            assert_eq!(integer(text), None, "{text}");
        }
        assert_eq!(integer("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(integer("0"), Some(0));
    }
}

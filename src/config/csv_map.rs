//! The YAML of a CSV map (`import --map`) as a [`CsvMap`], with the place of every mistake.
//!
//! Reads what stands in the file; whether the columns exist is asked of the CSV's header
//! afterwards, and those mistakes too are given their line and column here.

use std::path::{Path, PathBuf};

use chrono_tz::Tz;

use super::decode::{Fields, NamedNode};
use super::fault::{Fault, Faults, Position, nearest, quoted};
use super::yaml::{Document, Node, YamlEntry, YamlValue};
use crate::import::Converter;
use crate::import::map::{Anchor, CsvForm, CsvMap, FieldRule, MapFault, ShiftSide};
use crate::import::time::DateOrder;

const RULE_EXAMPLE: &str = "a column's name, or a map as { column: result, otherwise: COMPLETED }";

/// A map's file, read as far as it could be.
#[derive(Debug)]
pub struct CsvMapFile {
    /// The map, without the rules that could not be read.
    pub map: CsvMap,
    file: PathBuf,
    document: Option<Document>,
    faults: Vec<Fault>,
}

impl CsvMapFile {
    /// Reads a file. Its mistakes come with [`CsvMapFile::converter`].
    pub fn read(file: &Path) -> CsvMapFile {
        let mut faults = Faults::of(file);
        let document = Document::read(file, &mut faults);
        CsvMapFile::of(file, document, faults)
    }

    fn of(file: &Path, document: Option<Document>, mut faults: Faults) -> CsvMapFile {
        let mut map =
            CsvMap { source: CsvForm::default(), fields: Vec::new(), unreadable: Vec::new() };
        if let Some(document) = &document {
            read_map(document, &mut map, &mut faults);
        }
        CsvMapFile { map, file: file.to_owned(), document, faults: faults.into_vec() }
    }

    /// The map put to work on a file with this header; else every mistake of the map, in the order
    /// of the lines.
    pub fn converter(&self, header: &[String], lab: Option<&str>) -> Result<Converter, Vec<Fault>> {
        let mut faults = self.faults.clone();
        if self.document.is_none() {
            return Err(faults);
        }
        match Converter::new(&self.map, header, lab) {
            Ok(converter) if faults.is_empty() => Ok(converter),
            Ok(_) => Err(faults),
            Err(found) => {
                faults.extend(found.iter().map(|fault| self.locate(fault)));
                faults.sort_by_key(|fault| (fault.line, fault.column));
                Err(faults)
            }
        }
    }

    fn locate(&self, fault: &MapFault) -> Fault {
        let mut at = Position::START;
        let mut node = self.document.as_ref().map(|document| &document.root);
        for key in &fault.path {
            let Some(entry) = node.and_then(|node| entry_of(node, key)) else { break };
            at = if matches!(entry.node.value, YamlValue::Map(_)) {
                entry.key_at
            } else {
                entry.node.at
            };
            node = Some(&entry.node);
        }
        Fault::at(&self.file, at, fault.what.clone(), fault.remedy.clone())
    }
}

fn entry_of<'n>(node: &'n Node, key: &str) -> Option<&'n YamlEntry> {
    match &node.value {
        YamlValue::Map(entries) => entries.iter().find(|entry| entry.key == key),
        YamlValue::Null | YamlValue::Scalar { .. } | YamlValue::List(_) => None,
    }
}

fn read_map(document: &Document, map: &mut CsvMap, faults: &mut Faults) {
    let example = "`source:` and `fields:`, or let `import FILE --infer` draft a map";
    let Some(mut root) = NamedNode::root(document).fields(faults, example) else { return };
    if let Some(source) = root.take("source") {
        read_form(&source, &mut map.source, faults);
    }
    let fields = root.require("fields", faults, "{ specimen_id: column_name }");
    root.finish(faults);
    let Some(fields) = fields else { return };
    for entry in fields.map(faults, "a line per field, as `assay: test_id`").unwrap_or_default() {
        match read_rule(&fields.entry(entry), faults) {
            Some(rule) => map.fields.push((entry.key.clone(), rule)),
            None => map.unreadable.push(entry.key.clone()),
        }
    }
}

fn read_form(source: &NamedNode<'_>, form: &mut CsvForm, faults: &mut Faults) {
    let Some(mut keys) = source.fields(faults, "{ timezone: UTC }") else { return };
    if let Some(zone) = keys.take("timezone") {
        const EXAMPLE: &str = "a zone of the IANA database, as Europe/Berlin or UTC";
        let name = zone.text(faults, EXAMPLE);
        match name.map(str::parse::<Tz>) {
            Some(Ok(zone)) => form.timezone = zone,
            Some(Err(_)) => {
                zone.wrong(faults, "is not a time zone", format!("write {EXAMPLE}"));
            }
            None => {}
        }
    }
    if let Some(order) = keys.take("date_order") {
        match order.text(faults, "day_first or month_first") {
            Some("day_first") => form.date_order = Some(DateOrder::DayFirst),
            Some("month_first") => form.date_order = Some(DateOrder::MonthFirst),
            Some(_) => order.wrong(faults, "is not an order", "write day_first or month_first"),
            None => {}
        }
    }
    if let Some(delimiter) = keys.take("delimiter") {
        match delimiter_of(delimiter.node) {
            Some(byte) => form.delimiter = byte,
            None => {
                let remedy = "write one character, as \";\", or tab";
                delimiter.wrong(faults, "is not a delimiter", remedy);
            }
        }
    }
    if let Some(nulls) = keys.take("null_values") {
        let items = nulls.list(faults, "a list, as [\"\", NA]").unwrap_or_default();
        form.null_values = items.iter().filter_map(|item| scalar(item, faults)).collect();
    }
    keys.finish(faults);
}

/// One ASCII character that is no quote and no line end, or the word `tab`.
fn delimiter_of(node: &Node) -> Option<u8> {
    match &node.value {
        YamlValue::Scalar { text, .. } if text == "tab" || text == "\\t" => Some(b'\t'),
        YamlValue::Scalar { text, .. } => match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Some(*byte),
            _ => None,
        },
        YamlValue::Null | YamlValue::List(_) | YamlValue::Map(_) => None,
    }
}

/// A scalar's text, the empty one included.
fn scalar(value: &NamedNode<'_>, faults: &mut Faults) -> Option<String> {
    match &value.node.value {
        YamlValue::Scalar { text, .. } => Some(text.clone()),
        YamlValue::Null => Some(String::new()),
        YamlValue::List(_) | YamlValue::Map(_) => {
            value.wrong(faults, "must be a single value", "write a text or a number");
            None
        }
    }
}

fn read_rule(rule: &NamedNode<'_>, faults: &mut Faults) -> Option<FieldRule> {
    let entries = match &rule.node.value {
        YamlValue::Scalar { .. } => return rule.text(faults, RULE_EXAMPLE).map(FieldRule::column),
        YamlValue::Map(entries) => entries,
        YamlValue::Null | YamlValue::List(_) => {
            rule.wrong(faults, "has no rule", format!("write {RULE_EXAMPLE}"));
            return None;
        }
    };
    let has = |key: &str| entries.iter().any(|entry| entry.key == key);
    let mut keys = rule.fields(faults, RULE_EXAMPLE)?;
    let read = if has("column") {
        read_column(&mut keys, faults)
    } else if has("row_number") {
        let wanted = keys.take("row_number")?;
        match wanted.boolean(faults) {
            Some(true) => Some(FieldRule::RowNumber),
            Some(false) => {
                wanted.wrong(faults, "is false", "write true, or name a column instead");
                None
            }
            None => None,
        }
    } else if has("constant") {
        let constant = keys.take("constant")?;
        scalar(&constant, faults).map(FieldRule::Constant)
    } else if has("base") || has("from") {
        read_shift(rule, &mut keys, faults)
    } else {
        return unknown_rule(rule, entries, faults);
    };
    keys.finish(faults);
    read
}

fn read_column(keys: &mut Fields<'_>, faults: &mut Faults) -> Option<FieldRule> {
    let column = keys.take("column")?;
    let column = column.text(faults, "a column's name").map(str::to_owned);
    let time = keys.take("time");
    let time =
        time.map(|time| time.text(faults, "the column of the time of day").map(str::to_owned));
    let mut values = Vec::new();
    if let Some(listed) = keys.take("values") {
        for entry in listed.map(faults, "a map, as { invalid: ERROR }").unwrap_or_default() {
            if let Some(to) = scalar(&listed.entry(entry), faults) {
                values.push((entry.key.clone(), to));
            }
        }
    }
    let otherwise = keys.take("otherwise").and_then(|value| scalar(&value, faults));
    Some(FieldRule::Column { column: column?, time: time.flatten(), values, otherwise })
}

fn read_shift(
    rule: &NamedNode<'_>,
    keys: &mut Fields<'_>,
    faults: &mut Faults,
) -> Option<FieldRule> {
    let base = keys.take("base");
    let from = keys.take("from");
    let anchor = match (&base, &from) {
        (Some(base), None) => base
            .text(faults, "a time, as 2020-01-01T12:00:00Z")
            .map(|at| Anchor::Base(at.to_owned())),
        (None, Some(from)) => {
            from.text(faults, "another time's name").map(|name| Anchor::Field(name.to_owned()))
        }
        (Some(_), Some(_)) | (None, None) => {
            rule.wrong(faults, "has both `base` and `from`", "keep one of them");
            None
        }
    };
    let (add, subtract) = (keys.take("add"), keys.take("subtract"));
    let (side, shift) = match (add, subtract) {
        (Some(add), None) => (ShiftSide::Add, add),
        (None, Some(subtract)) => (ShiftSide::Subtract, subtract),
        (Some(_), Some(_)) | (None, None) => {
            let remedy = "write one of them, as add: { column: tat, unit: h }";
            rule.wrong(faults, "needs either `add` or `subtract`", remedy);
            return None;
        }
    };
    let mut parts = shift.fields(faults, "{ column: tat, unit: h }")?;
    let column = parts.require("column", faults, "tat");
    let column =
        column.and_then(|column| column.text(faults, "a column's name").map(str::to_owned));
    let unit = parts.require("unit", faults, "h");
    let unit =
        unit.and_then(|unit| unit.text(faults, "us, ms, s, min, h, d or w").map(str::to_owned));
    parts.finish(faults);
    Some(FieldRule::Shifted { from: anchor?, side, column: column?, unit: unit? })
}

fn unknown_rule(
    rule: &NamedNode<'_>,
    entries: &[YamlEntry],
    faults: &mut Faults,
) -> Option<FieldRule> {
    const KEYS: [&str; 5] = ["column", "row_number", "constant", "base", "from"];
    let near = entries.iter().find_map(|entry| Some((entry, nearest(&entry.key, KEYS)?)));
    match near {
        Some((entry, near)) => {
            let what = format!("unknown key {}", quoted(&entry.key));
            faults.push(entry.key_at, what, format!("did you mean `{near}`?"));
        }
        None => {
            let remedy = format!("begin with one of {}", KEYS.join(", "));
            rule.wrong(faults, "does not say where its value comes from", remedy);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const COVID: &str = r#"source: { timezone: UTC, null_values: ["", NA] }
fields:
  specimen_id: { row_number: true }
  lab_id:      clinic_name
  assay:       test_id
  received_at: { base: "2020-01-01T12:00:00Z", add: { column: pan_day, unit: d } }
  processed_at: { from: received_at, add: { column: rec_ver_tat, unit: h } }
  collected_at: { from: received_at, subtract: { column: col_rec_tat, unit: h } }
  status:      { column: result, values: { invalid: ERROR }, otherwise: COMPLETED }
"#;

    fn read(text: &str) -> CsvMapFile {
        let file = Path::new("map.yaml");
        let mut faults = Faults::of(file);
        let document = Document::parse(text, &mut faults);
        CsvMapFile::of(file, document, faults)
    }

    fn header(names: &str) -> Vec<String> {
        names.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn the_documented_map_is_read() {
        let read = read(COVID);
        assert_eq!(read.map.source.null_values, ["", "NA"]);
        assert_eq!(read.map.fields.len(), 7);
        assert_eq!(
            read.map.fields[3].1,
            FieldRule::Shifted {
                from: Anchor::Base("2020-01-01T12:00:00Z".to_owned()),
                side: ShiftSide::Add,
                column: "pan_day".to_owned(),
                unit: "d".to_owned(),
            }
        );
        let columns = header("clinic_name,test_id,pan_day,rec_ver_tat,col_rec_tat,result");
        assert!(read.converter(&columns, None).is_ok());
    }

    #[test]
    fn every_mistake_is_reported_at_once_with_its_place() {
        let text = r#"source: { timezone: Mars/Base, sep: ";" }
fields:
  specimen: id
  lab_id: { colum: lab }
  assay: tset
  priority: { column: prio, values: { high: X } }
  received_at: { base: noon, add: { column: day, unit: fortnight } }
  processed_at: { from: verified_at, add: { column: tat } }
  collected_at: { from: ordered_at, subtract: { column: tat, unit: h } }
  ordered_at: { from: collected_at, subtract: { column: tat, unit: h } }
"#;
        let faults = read(text).converter(&header("id,lab,test,prio,day,tat"), None).unwrap_err();
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let expected = [
            "map.yaml:1:21: ",
            "map.yaml:1:32: unknown key `sep`",
            "map.yaml:2:1: `specimen_id` is missing. add a line",
            "map.yaml:2:1: `status` is missing",
            "map.yaml:3:13: an event has no field `specimen` that a map can fill. write `specimen_id`",
            "map.yaml:4:13: unknown key `colum`. did you mean `column`?",
            "map.yaml:5:10: the file has no column `tset`. write `test`",
            "map.yaml:6:29: `X` is not a priority",
            "map.yaml:7:24: `noon` is not a time",
            "map.yaml:7:56: `fortnight` is not a unit. write us",
            "map.yaml:8:43: the key `unit` is missing",
            "map.yaml:9:25: `collected_at` counts from itself",
            "map.yaml:10:23: `ordered_at` counts from itself",
        ];
        for prefix in expected {
            assert!(told.iter().any(|line| line.starts_with(prefix)), "{prefix} in {told:#?}");
        }
        assert_eq!(told.len(), expected.len(), "{told:#?}");
    }

    #[test]
    fn a_drafted_map_is_a_map() {
        use crate::import::infer::Sample;
        use crate::import::{CsvRead, CsvRow, RowReader};
        let file = "pan_day;test id;clinic_name;result;col_rec_tat;rec_ver_tat;first_name\n\
                    4;covid;ward a;negative;1.4;5.2;x\n7;covid;lab;invalid;2.3;5.8;y\n";
        let mut rows = RowReader::new(file.as_bytes(), b';');
        let mut row = CsvRow::default();
        assert_eq!(rows.read(&mut row).expect("bytes"), CsvRead::Row);
        let header: Vec<String> = row.fields().map(str::to_owned).collect();
        let mut sample = Sample::new(header.clone(), b';');
        while rows.read(&mut row).expect("bytes") == CsvRead::Row {
            sample.add(&row);
        }
        let map = read(&sample.draft());
        assert_eq!(map.map.source.delimiter, b';');
        let converter = map.converter(&header, None).expect("a map without mistakes");
        let mut rows = RowReader::new(file.lines().nth(1).expect("a row").as_bytes(), b';');
        assert_eq!(rows.read(&mut row).expect("bytes"), CsvRead::Row);
        let events = converter.convert(&row, 1).expect("two events");
        let outcome = String::from_utf8(events[1].json.clone()).expect("JSON");
        // Day 4 after the first of January at noon, and 5.2 h later.
        assert!(outcome.contains(r#""received_at":"2020-01-05T12:00:00Z""#), "{outcome}");
        assert!(outcome.contains(r#""processed_at":"2020-01-05T17:12:00Z""#), "{outcome}");
        assert!(outcome.contains(r#""collected_at":"2020-01-05T10:36:00Z""#), "{outcome}");
    }
}

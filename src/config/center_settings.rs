//! A centre's own targets as somebody writes them, a CSV or a YAML file, as rows and every fault with its place.
//!
//! ```csv
//! assay,priority,patient_class,minutes
//! K,S,ED,45
//! ```
//! In YAML `targets: [{ assay: K, priority: S, patient_class: ED, minutes: 45 }]`. Whatever is not named is
//! any; `minutes` that are 0 or not there mean no deadline.

use std::collections::BTreeMap;
use std::path::Path;

use crate::reference::{Target, TargetClock, TargetStart, published};

use super::csv_text;
use super::decode::NamedNode;
use super::fault::{Fault, Faults, Position, nearest, quoted};
use super::files;
use super::yaml::{Document, YamlValue};

const KNOWN: [&str; 6] = ["assay", "priority", "patient_class", "minutes", "clock", "from"];
const EXAMPLE: &str = "targets: [{ assay: K, priority: S, minutes: 45 }]";

/// What is written of one target: texts by name, and where they stand.
#[derive(Default)]
struct WrittenTarget {
    at: Option<Position>,
    cells: BTreeMap<String, (String, Position)>,
}

/// The targets of a file's bytes: YAML where its name ends so, else CSV. The project's assays are those that
/// targets may name, where it has any.
///
/// # Errors
/// Everything that is wrong with them.
pub fn read(path: &Path, bytes: &[u8], assays: &[&str]) -> Result<Vec<Target>, Vec<Fault>> {
    let mut faults = Faults::of(path);
    let written = files::text(bytes, &mut faults).and_then(|text| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        match ending {
            Some("yaml" | "yml") => of_yaml(text, &mut faults),
            Some(_) | None => of_csv(text, &mut faults),
        }
    });
    let written = written.unwrap_or_default();
    let targets: Vec<Target> = written.iter().map(|one| target(one, assays, &mut faults)).collect();
    repeated(&written, &targets, &mut faults);
    let bytes = published::text(&targets).len();
    if bytes > published::MOST_BYTES {
        let what = format!("the targets take {bytes} bytes, more than {}", published::MOST_BYTES);
        faults.push(Position::START, what, "let one row speak of several assays or priorities");
    }
    if faults.count() == 0 { Ok(targets) } else { Err(faults.into_vec()) }
}

fn of_csv(text: &str, faults: &mut Faults) -> Option<Vec<WrittenTarget>> {
    let mut rows = csv_text::rows(text, faults)?.into_iter();
    let Some(header) = rows.next() else {
        faults.push(Position::START, "the file is empty", "write assay,priority,minutes and rows");
        return None;
    };
    for cell in &header {
        known(&cell.text, cell.at, faults);
    }
    if !header.iter().any(|cell| cell.text == "minutes") {
        let what = "there is no column `minutes`";
        faults.push(Position::START, what, "add it: the longest allowable time of each row");
        return None;
    }
    let written = |row: Vec<csv_text::CsvCell>| {
        let at = row.first().map(|cell| cell.at);
        if row.len() != header.len() {
            let what = format!("the row has {} cells, the header {}", row.len(), header.len());
            faults.push(at.unwrap_or(Position::START), what, "write one cell for each column");
        }
        let cells = header.iter().zip(row);
        let cells = cells.filter(|(_, cell)| !cell.text.is_empty());
        let cells = cells.map(|(name, cell)| (name.text.clone(), (cell.text, cell.at)));
        WrittenTarget { at, cells: cells.collect() }
    };
    Some(rows.map(written).collect())
}

fn of_yaml(text: &str, faults: &mut Faults) -> Option<Vec<WrittenTarget>> {
    let document = Document::parse(text, faults)?;
    let root = NamedNode::root(&document);
    let mut fields = root.fields(faults, EXAMPLE)?;
    let targets = fields.require("targets", faults, EXAMPLE);
    fields.finish(faults);
    let targets = targets?;
    let mut written = Vec::new();
    for item in targets.list(faults, EXAMPLE)? {
        let mut one = WrittenTarget { at: Some(item.at()), ..WrittenTarget::default() };
        for entry in item.map(faults, "{ assay: K, priority: S, minutes: 45 }").unwrap_or_default()
        {
            let value = item.entry(entry);
            known(&entry.key, entry.key_at, faults);
            match &entry.node.value {
                YamlValue::Null => {}
                YamlValue::Scalar { text, .. } => {
                    one.cells.insert(entry.key.clone(), (text.clone(), value.at()));
                }
                YamlValue::List(_) | YamlValue::Map(_) => {
                    value.wrong(faults, "must be one value", "write each target by itself");
                }
            }
        }
        written.push(one);
    }
    Some(written)
}

fn known(name: &str, at: Position, faults: &mut Faults) {
    if KNOWN.contains(&name) {
        return;
    }
    let remedy = match nearest(name, KNOWN) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("there are {}", KNOWN.join(", ")),
    };
    faults.push(at, format!("a target has no {}", quoted(name)), remedy);
}

fn target(written: &WrittenTarget, assays: &[&str], faults: &mut Faults) -> Target {
    let text = |name: &str| written.cells.get(name).map(|(text, _)| text.clone());
    let assay = written.cells.get("assay");
    if let Some((name, at)) = assay
        && !assays.is_empty()
        && !assays.contains(&name.as_str())
    {
        let remedy = match nearest(name, assays.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => "add it to data/reference/assays.csv".to_owned(),
        };
        faults.push(*at, format!("there is no assay {}", quoted(name)), remedy);
    }
    let priority = written.cells.get("priority").map(|(word, at)| {
        let stored = published::priority(word);
        if stored.is_none() {
            let what = format!("no test has the priority {}", quoted(word));
            faults.push(*at, what, "write S for stat, A for asap or R for routine");
        }
        stored.unwrap_or_default().to_owned()
    });
    let minutes = written.cells.get("minutes").and_then(|(text, at)| {
        let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
        if number.is_none() {
            let what = format!("`minutes` is no number of minutes: {}", quoted(text));
            faults.push(*at, what, "write a number with a decimal point, as 90 or 7.5");
        }
        number
    });
    let clocks = TargetClock::ALL.map(|clock| (clock.as_str(), clock));
    let starts = TargetStart::ALL.map(|start| (start.as_str(), start));
    Target {
        lab_id: None,
        assay: text("assay"),
        priority,
        patient_class: text("patient_class"),
        target_minutes: minutes,
        clock: one_of(written, "clock", &clocks, faults),
        from: one_of(written, "from", &starts, faults),
        valid_from: None,
    }
}

fn one_of<T: Copy + Default>(
    written: &WrittenTarget,
    name: &str,
    words: &[(&'static str, T)],
    faults: &mut Faults,
) -> T {
    let Some((word, at)) = written.cells.get(name) else { return T::default() };
    let found = words.iter().find(|(text, _)| text == word);
    if found.is_none() {
        let words: Vec<&str> = words.iter().map(|(text, _)| *text).collect();
        let what = format!("unknown `{name}` {}", quoted(word));
        faults.push(*at, what, format!("write {}", words.join(" or ")));
    }
    found.map_or(T::default(), |(_, value)| *value)
}

/// Two rows of the same test: the later one would win, and the earlier one is hardly meant so.
fn repeated(written: &[WrittenTarget], targets: &[Target], faults: &mut Faults) {
    let of = |target: &Target| {
        (target.assay.clone(), target.priority.clone(), target.patient_class.clone())
    };
    for (number, target) in targets.iter().enumerate() {
        if targets[..number].iter().any(|earlier| of(earlier) == of(target)) {
            let at = written[number].at.unwrap_or(Position::START);
            faults.push(at, "a row before it speaks of the same tests", "keep one of them");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, text: &str) -> Result<String, Vec<String>> {
        let read = read(Path::new(name), text.as_bytes(), &["K", "NA", "CREA", "PCR"]);
        let lines = |faults: Vec<Fault>| faults.iter().map(ToString::to_string).collect();
        read.map(|targets| published::text(&targets)).map_err(lines)
    }

    #[test]
    fn both_forms_say_the_same() {
        let csv = "assay,priority,patient_class,minutes,from\nK,STAT,ED,45,\n,,,90.5,collected\nPCR,,,,\n";
        let yaml = "targets:\n  - { assay: K, priority: S, patient_class: ED, minutes: 45 }\n  \
                    - { minutes: 90.5, from: collected }\n  - { assay: PCR, minutes: }\n";
        let expected = r#"{"targets":[{"assay":"K","minutes":45.0,"patient_class":"ED","priority":"S"},{"from":"collected","minutes":90.5},{"assay":"PCR","minutes":null}]}"#;
        let sorted = |text: &str| -> serde_json::Value { serde_json::from_str(text).unwrap() };
        assert_eq!(sorted(&told("a.csv", csv).unwrap()), sorted(expected));
        assert_eq!(sorted(&told("a.yaml", yaml).unwrap()), sorted(expected));
    }

    #[test]
    fn every_fault_has_its_place() {
        let csv = "asay,assay,priority,minutes\n,K,X,45\n,CRAE,S,-1\n,K,,60\n,K,,70\n,NA\n";
        assert_eq!(
            told("a.csv", csv).unwrap_err(),
            [
                "a.csv:1:1: a target has no `asay`. did you mean assay?",
                "a.csv:6:1: the row has 2 cells, the header 4. write one cell for each column",
                "a.csv:2:4: no test has the priority `X`. write S for stat, A for asap or R for routine",
                "a.csv:3:2: there is no assay `CRAE`. did you mean CREA?",
                "a.csv:3:9: `minutes` is no number of minutes: `-1`. write a number with a decimal point, as 90 or 7.5",
                "a.csv:5:1: a row before it speaks of the same tests. keep one of them",
            ]
        );
        assert_eq!(
            told("a.csv", "assay\nK\n").unwrap_err(),
            [
                "a.csv:1:1: there is no column `minutes`. add it: the longest allowable time of each row"
            ]
        );
        let yaml = "targets:\n  - { assay: K, minute: 4, clock: moon }\n  - [1]\n";
        let faults = told("a.yaml", yaml).unwrap_err();
        assert_eq!(faults[0], "a.yaml:2:17: a target has no `minute`. did you mean minutes?");
        assert!(faults[1].starts_with("a.yaml:3:5: "), "{faults:?}");
        assert_eq!(faults[2], "a.yaml:2:35: unknown `clock` `moon`. write wall or working");
        let many: String = (0..200).map(|one| format!("class-{one},45\n")).collect();
        let faults = told("a.csv", &format!("patient_class,minutes\n{many}")).unwrap_err();
        assert!(faults[0].starts_with("a.csv:1:1: the targets take "), "{faults:?}");
    }
}

//! A file's header and first values into the draft of a map, with a word on how sure it is.
//!
//! A draft is for a person to read: each line says `sure` or `a guess` and why. What may identify
//! a patient is left out, whatever it looks like. Pure.

use std::fmt::Write;

use super::map::STARTER_KIT_COLUMNS;
use super::profile::{ColumnProfile, NAMES, PATIENT_WORDS, PRIORITY_WORDS, STATUS_WORDS, snake};
use super::rows::CsvRow;

/// So many rows are looked at.
pub const SAMPLED_ROWS: u64 = 10_000;

/// The columns of a file as far as they were looked at.
#[derive(Debug)]
pub struct Sample {
    header: Vec<String>,
    delimiter: u8,
    profiles: Vec<ColumnProfile>,
}

impl Sample {
    /// A sample without rows yet.
    pub fn new(header: Vec<String>, delimiter: u8) -> Sample {
        let profiles = header.iter().map(|_| ColumnProfile::default()).collect();
        Sample { header, delimiter, profiles }
    }

    /// Looks at a row. A row with the wrong number of fields says nothing.
    pub fn add(&mut self, row: &CsvRow) {
        if row.len() == self.header.len() {
            for (profile, value) in self.profiles.iter_mut().zip(row.fields()) {
                profile.add(value);
            }
        }
    }

    /// The draft, as YAML.
    pub fn draft(&self) -> String {
        let mut draft = Draft { sample: self, used: Vec::new(), lines: Vec::new() };
        draft.identity();
        draft.received();
        draft.processed();
        draft.collected();
        draft.status();
        draft.priority();
        draft.plain();
        draft.finish()
    }
}

/// How a line of the draft came about.
enum Sure {
    Sure,
    Guess(String),
}

struct Draft<'a> {
    sample: &'a Sample,
    used: Vec<usize>,
    lines: Vec<(String, Sure)>,
}

impl Draft<'_> {
    fn find(&self, field: &str) -> Option<(usize, bool)> {
        let names = NAMES.iter().find(|(known, _)| *known == field)?.1;
        names.iter().enumerate().find_map(|(rank, name)| {
            let column = self.sample.header.iter().position(|column| snake(column) == *name)?;
            (!self.used.contains(&column)).then_some((column, rank == 0))
        })
    }

    fn line(&mut self, field: &str, value: &str, sure: Sure) {
        self.lines.push((format!("{field}: {value}"), sure));
    }

    fn name(&self, column: usize) -> String {
        scalar(&self.sample.header[column])
    }

    /// A column under its own or a known name.
    fn direct(&mut self, field: &str) -> bool {
        let Some((column, sure)) = self.find(field) else { return false };
        self.used.push(column);
        let sure = if sure { Sure::Sure } else { Sure::Guess("by the column's name".to_owned()) };
        let name = self.name(column);
        self.line(field, &name, sure);
        true
    }

    fn identity(&mut self) {
        if !self.direct("specimen_id") {
            let why = "no column names the tube, so each row counts as one".to_owned();
            self.line("specimen_id", "{ row_number: true }", Sure::Guess(why));
        }
        if !self.direct("lab_id") {
            let why = "no column names the laboratory; write its id".to_owned();
            self.line("lab_id", "{ constant: lab-1 }", Sure::Guess(why));
        }
        if !self.direct("assay") {
            let why = "no column names the test; write its code".to_owned();
            self.line("assay", "{ constant: unknown }", Sure::Guess(why));
        }
    }

    /// A time: a column of times, or a date and the column with the time of day that belongs to it.
    fn time(&mut self, field: &str, from: &str) -> bool {
        let Some((column, sure)) = self.find(from) else { return false };
        let profile = &self.sample.profiles[column];
        if !profile.mostly(profile.times) {
            return false;
        }
        let stem = snake(&self.sample.header[column]).replace("_date", "");
        let clock = self.sample.header.iter().enumerate().position(|(index, name)| {
            let clock = &self.sample.profiles[index];
            snake(name) == format!("{stem}_time") && clock.mostly(clock.clocks)
        });
        let date = self.name(column);
        self.used.push(column);
        if let Some(clock) = clock {
            self.used.push(clock);
            let value = format!("{{ column: {date}, time: {} }}", self.name(clock));
            self.line(field, &value, Sure::Guess("the date and its time of day".to_owned()));
        } else if field != from {
            let why = "no column says when the tube came in, so its collection stands for it";
            self.line(field, &date, Sure::Guess(why.to_owned()));
        } else {
            let sure =
                if sure { Sure::Sure } else { Sure::Guess("its values are times".to_owned()) };
            self.line(field, &date, sure);
        }
        true
    }

    fn received(&mut self) {
        if self.time("received_at", "received_at") || self.time("received_at", "collected_at") {
            return;
        }
        let day = self.sample.header.iter().enumerate().position(|(index, name)| {
            let profile = &self.sample.profiles[index];
            snake(name).split('_').any(|word| word == "day")
                && profile.mostly(profile.whole_numbers)
        });
        if let Some(day) = day {
            self.used.push(day);
            let value = format!(
                "{{ base: \"2020-01-01T12:00:00Z\", add: {{ column: {}, unit: d }} }}",
                self.name(day)
            );
            let why = "whole days from a day that the file does not name; write it as the base";
            self.line("received_at", &value, Sure::Guess(why.to_owned()));
        } else {
            let why = "nothing looks like the time of receipt; name its column".to_owned();
            self.line("received_at", "received_at", Sure::Guess(why));
        }
    }

    /// A column of durations whose name has `tat` in it and what `about` asks for.
    fn duration(&self, about: fn(&str) -> bool) -> Option<(usize, &'static str, Sure)> {
        let column = self.sample.header.iter().enumerate().position(|(index, name)| {
            let (name, profile) = (snake(name), &self.sample.profiles[index]);
            let turnaround = name.split('_').any(|word| word == "tat" || word == "turnaround");
            turnaround && about(&name) && profile.mostly(profile.numbers)
        })?;
        let (name, profile) = (snake(&self.sample.header[column]), &self.sample.profiles[column]);
        let word = |wanted: &[&str]| name.split('_').any(|word| wanted.contains(&word));
        Some(if word(&["h", "hour", "hours", "hrs"]) {
            (column, "h", Sure::Sure)
        } else if word(&["m", "min", "mins", "minutes"]) {
            (column, "min", Sure::Sure)
        } else if profile.small * 2 > profile.filled {
            (column, "h", Sure::Guess("most values are below 24, as hours would be".to_owned()))
        } else {
            (column, "min", Sure::Guess("most values are above 24, as minutes would be".to_owned()))
        })
    }

    fn shifted(&mut self, field: &str, key: &str, about: fn(&str) -> bool) -> bool {
        let Some((column, unit, sure)) = self.duration(about) else { return false };
        self.used.push(column);
        let value = format!(
            "{{ from: received_at, {key}: {{ column: {}, unit: {unit} }} }}",
            self.name(column)
        );
        self.line(field, &value, sure);
        true
    }

    fn processed(&mut self) {
        if !self.time("processed_at", "processed_at") {
            self.shifted("processed_at", "add", |name| !name.starts_with("col"));
        }
    }

    fn collected(&mut self) {
        if !self.time("collected_at", "collected_at") {
            self.shifted("collected_at", "subtract", |name| name.starts_with("col"));
        }
        self.time("ordered_at", "ordered_at");
    }

    /// The values of a column as the words of `meanings`, those already right left out.
    fn meant(&self, column: usize, meanings: &[(&str, &[&str])]) -> (Vec<String>, Vec<String>) {
        let (mut pairs, mut unknown) = (Vec::new(), Vec::new());
        for value in self.sample.profiles[column].values.keys() {
            let word = snake(value);
            match meanings.iter().find(|(_, words)| words.contains(&word.as_str())) {
                Some((meaning, _)) if meaning.eq_ignore_ascii_case(value) => {}
                Some((meaning, _)) => pairs.push(format!("{}: {meaning}", scalar(value))),
                None => unknown.push(value.clone()),
            }
        }
        (pairs, unknown)
    }

    fn status(&mut self) {
        let Some((column, by_own_name)) = self.find("status") else {
            let why = "no column says what became of the test".to_owned();
            self.line("status", "{ constant: COMPLETED }", Sure::Guess(why));
            return;
        };
        self.used.push(column);
        let name = self.name(column);
        let (pairs, unknown) = self.meant(column, STATUS_WORDS);
        let values = pairs.join(", ");
        if !by_own_name {
            let value =
                format!("{{ column: {name}, values: {{ {values} }}, otherwise: COMPLETED }}");
            let why = "a result stands for a finished test".to_owned();
            self.line("status", &value, Sure::Guess(why));
        } else if unknown.is_empty() && pairs.is_empty() {
            self.line("status", &name, Sure::Sure);
        } else {
            let value = format!("{{ column: {name}, values: {{ {values} }} }}");
            let sure = Draft::unless_unknown(&unknown);
            self.line("status", &value, sure);
        }
    }

    fn unless_unknown(unknown: &[String]) -> Sure {
        if unknown.is_empty() {
            return Sure::Sure;
        }
        let shown: Vec<String> = unknown.iter().take(8).map(|value| scalar(value)).collect();
        Sure::Guess(format!("say what these mean: {}", shown.join(", ")))
    }

    fn priority(&mut self) {
        let Some((column, _)) = self.find("priority") else { return };
        self.used.push(column);
        let name = self.name(column);
        let (pairs, unknown) = self.meant(column, PRIORITY_WORDS);
        if pairs.is_empty() && unknown.is_empty() {
            self.line("priority", &name, Sure::Sure);
            return;
        }
        let value = format!("{{ column: {name}, values: {{ {} }} }}", pairs.join(", "));
        let sure = if unknown.is_empty() {
            Sure::Guess("S is stat, A asap, R routine".to_owned())
        } else {
            Draft::unless_unknown(&unknown)
        };
        self.line("priority", &value, sure);
    }

    fn plain(&mut self) {
        for field in [
            "patient_class",
            "location",
            "specimen_type",
            "order_id",
            "machine_id",
            "operator_id",
            "error_code",
            "reject_reason",
        ] {
            self.direct(field);
        }
    }

    fn finish(self) -> String {
        let profiles = &self.sample.profiles;
        let sum = |count: fn(&ColumnProfile) -> u64| profiles.iter().map(count).sum::<u64>();
        let mut out = String::from(
            "# A draft. CsvRead every line marked `a guess`, then: import FILE --map THIS --out file:events.ndjson\n",
        );
        if STARTER_KIT_COLUMNS.iter().all(|name| self.sample.header.iter().any(|c| c == name)) {
            out.push_str("# The columns bear the events' own names: without a map the file is read just as well.\n");
        }
        out.push_str("source:\n");
        let zone = if sum(|p| p.zoned) > 0 {
            "used only where a time carries no zone"
        } else {
            "a guess: write the laboratory's zone, as Europe/Berlin"
        };
        out += &commented("  timezone: UTC", zone);
        let (day, month) = (sum(|p| p.day_first), sum(|p| p.month_first));
        if day + month > 0 {
            let order = if day >= month { "day_first" } else { "month_first" };
            let seen = if day > 0 && month > 0 {
                "a guess: both occur"
            } else {
                "sure: a number above 12 shows it"
            };
            out += &commented(&format!("  date_order: {order}"), seen);
        }
        if self.sample.delimiter != b',' {
            let delimiter = char::from(self.sample.delimiter).escape_default();
            out += &format!("  delimiter: \"{delimiter}\"\n");
        }
        let nulls = if sum(|p| p.not_applicable) > 0 { "[\"\", NA]" } else { "[\"\"]" };
        out += &format!("  null_values: {nulls}\nfields:\n");
        for (line, sure) in &self.lines {
            match sure {
                Sure::Sure => out += &commented(&format!("  {line}"), "sure"),
                Sure::Guess(why) => {
                    out += &commented(&format!("  {line}"), &format!("a guess: {why}"))
                }
            }
        }
        out += &self.left_out();
        out
    }

    fn left_out(&self) -> String {
        let rest =
            self.sample.header.iter().enumerate().filter(|(index, _)| !self.used.contains(index));
        let (patient, other): (Vec<_>, Vec<_>) = rest
            .map(|(_, name)| name.as_str())
            .partition(|name| snake(name).split('_').any(|word| PATIENT_WORDS.contains(&word)));
        let mut out = String::new();
        for (names, why) in [(patient, "may speak of a patient"), (other, "no field of an event")] {
            if !names.is_empty() {
                // Writing to a String cannot fail.
                if writeln!(out, "# left out, {why}: {}", names.join(", ")).is_err() {
                    return out;
                }
            }
        }
        out
    }
}

fn commented(line: &str, comment: &str) -> String {
    format!("{line:<48} # {comment}\n")
}

/// A text as a YAML scalar, quoted where it has to be.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' '))
        && !text.ends_with(' ')
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "yes" | "no" | "null" | "on" | "off" | "y" | "n"
        );
    if plain { text.to_owned() } else { format!("{text:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::rows::{CsvRead, RowReader};

    /// The draft's lines for a file, without comments and indentation.
    fn lines(csv: &str) -> Vec<String> {
        let mut rows = RowReader::new(csv.as_bytes(), b',');
        let mut row = CsvRow::default();
        assert_eq!(rows.read(&mut row).unwrap(), CsvRead::Row);
        let mut sample = Sample::new(row.fields().map(str::to_owned).collect(), b',');
        while rows.read(&mut row).unwrap() == CsvRead::Row {
            sample.add(&row);
        }
        let draft = sample.draft();
        let code = |line: &str| line.split(" #").next().unwrap_or("").trim().to_owned();
        draft.lines().filter(|line| !line.starts_with('#')).map(code).collect()
    }

    #[test]
    fn dates_minutes_and_words_are_recognised() {
        let draft = lines(
            "specimen_id,patient_id,assay,collection_date,received_date,status,machine_id,\
             tat_minutes,error_code,priority\n\
             SP001,P001,COVID-19,2024-01-15,2024-01-15 08:00:00,completed,MACH001,120,,high\n",
        );
        assert_eq!(
            draft,
            [
                "source:",
                "timezone: UTC",
                "null_values: [\"\"]",
                "fields:",
                "specimen_id: specimen_id",
                "lab_id: { constant: lab-1 }",
                "assay: assay",
                "received_at: received_date",
                "processed_at: { from: received_at, add: { column: tat_minutes, unit: min } }",
                "collected_at: collection_date",
                "status: status",
                "priority: { column: priority, values: { high: S } }",
                "machine_id: machine_id",
                "error_code: error_code",
            ]
        );
    }

    #[test]
    fn a_date_and_its_time_of_day_belong_together() {
        let draft = lines(
            "specimen_id,collection_date,test_type,tat_hours,status,priority,patient_age,\
             technician_id,collection_time\n\
             SP001,2024-01-15,CBC,2.1,Completed,Routine,45,T001,08:30\n\
             SP003,2024-01-15,Blood Culture,48.0,In Progress,Urgent,67,T003,10:00\n",
        );
        for line in [
            "assay: test_type",
            "received_at: { column: collection_date, time: collection_time }",
            "processed_at: { from: received_at, add: { column: tat_hours, unit: h } }",
            "status: { column: status, values: { In Progress: IN_PROCESS } }",
            "priority: { column: priority, values: { Routine: R, Urgent: S } }",
            "operator_id: technician_id",
        ] {
            assert!(draft.iter().any(|drafted| drafted == line), "{line} in {draft:#?}");
        }
    }

    #[test]
    fn the_order_of_day_and_month_shows_above_twelve() {
        let of = |date: &str| lines(&format!("specimen_id,received_at\nA,{date}\nB,01/02/2026\n"));
        assert!(of("13/02/2026").contains(&"date_order: day_first".to_owned()));
        assert!(of("02/13/2026").contains(&"date_order: month_first".to_owned()));
    }

    #[test]
    fn names_and_ages_are_left_out() {
        let draft = lines("sample_id,last_name,gender,age,received_at\nA,x,f,4,2026-01-01\n");
        let at = draft.iter().position(|line| line == "fields:").unwrap();
        // What every event needs and the file does not say stands there as a constant.
        let expected = [
            "specimen_id: sample_id",
            "lab_id: { constant: lab-1 }",
            "assay: { constant: unknown }",
            "received_at: received_at",
            "status: { constant: COMPLETED }",
        ];
        assert_eq!(draft[at + 1..], expected);
        for name in ["last_name", "gender", "age"] {
            assert!(draft.iter().all(|line| !line.contains(name)), "{name} in {draft:#?}");
        }
    }
}

//! What `check` says of projects full of mistakes: the whole text as it was read and found right, and
//! each place beside where the mistake stands in its file.

use std::path::Path;

use crate::binary::{Place, Ran, repository};

/// A mistake: the file, and the text that stands there. Of a text that stands there more than once
/// the last one counts; nothing stands for the file's first character.
type Mistake = (&'static str, &'static str);

const OF_THE_PROJECT: &[Mistake] = &[
    ("pipelines/broken.yaml", "\"not closed"),
    ("pipelines/by_assay.yaml", "[lab_id]"),
    ("pipelines/by_lab.yaml", "many, when"),
    ("pipelines/by_lab.yaml", "p90 > 120"),
    ("pipelines/slow_tests.yaml", "50m, slide"),
    ("pipelines/slow_tests.yaml", "calender"),
    ("pipelines/slow_tests.yaml", "allowed_latenes"),
    ("pipelines/slow_tests.yaml", "maybe"),
    ("pipelines/slow_tests.yaml", "urgent"),
    ("pipelines/unwritten.yaml", ""),
    ("sql/marts/by_clock.sql", "now()"),
    ("sql/marts/night_work.sql", "c.tat_minuts"),
    ("turnaround.yaml", "lakes"),
    ("turnaround.yaml", "soon"),
    ("turnaround.yaml", "group.id"),
    ("turnaround.yaml", "quiet_hours"),
];

const OF_THE_TABLES: &[Mistake] = &[
    ("data/reference/benches.csv", "Bench Name"),
    ("data/reference/benches.csv", "bench\n"),
    ("data/reference/benches.csv", "a,b"),
    ("data/reference/labs.csv", "Europe/Berln"),
    ("data/reference/labs.csv", ",Europe/Oslo"),
    ("data/reference/labs.csv", "lab-north,UTC"),
    ("data/reference/targets.csv", "priorty"),
    ("data/reference/targets.csv", "60 min"),
    ("data/reference/targets.csv", "01.03.2026"),
];

/// `file:line:column` of a mistake, both from 1, the column in characters.
fn place_of(project: &Path, (file, text): Mistake) -> String {
    let whole = std::fs::read_to_string(project.join(file)).expect("the case is there");
    let at = match text {
        "" => 0,
        text => whole.rfind(text).unwrap_or_else(|| panic!("{file} does not hold {text}")),
    };
    let before = &whole[..at];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = before.matches('\n').count() + 1;
    format!("{file}:{line}:{}", before[line_start..].chars().count() + 1)
}

/// What `check` says of a case, with the files named from the case's folder.
fn checked(case: &str) -> Ran {
    let project = repository().join("tests/cases").join(case);
    let project = project.to_str().expect("the path is text");
    let ran = Place::new().run(&["check", "--project", project]).failed(2, &[]);
    Ran { err: ran.err.replace(&format!("{project}/"), ""), ..ran }
}

/// The places of the faults, in the order in which they are told.
fn places(told: &str) -> Vec<String> {
    let faults = told.lines().filter(|line| !line.starts_with("note: "));
    let place = |line: &str| Some(line.split_once(": ")?.0.to_owned());
    faults.filter_map(place).collect()
}

#[track_caller]
fn stand_where_they_are_said_to(case: &str, mistakes: &[Mistake]) {
    let ran = checked(case);
    let project = repository().join("tests/cases").join(case);
    let expected: Vec<String> =
        mistakes.iter().map(|mistake| place_of(&project, *mistake)).collect();
    assert_eq!(places(&ran.err), expected);
    assert_eq!(ran.err.lines().last(), Some(format!("{} faults", mistakes.len()).as_str()));
    assert_eq!(ran.out, "");
    insta::assert_snapshot!(format!("check_{case}"), ran.err);
}

#[test]
fn of_a_project_stand_where_they_are_said_to() {
    stand_where_they_are_said_to("faulty_project", OF_THE_PROJECT);
}

/// While a table is faulty the queries that would read it are not looked at.
#[test]
fn of_reference_tables_stand_where_they_are_said_to() {
    stand_where_they_are_said_to("faulty_tables", OF_THE_TABLES);
}

/// The lake has another table, so that it is not empty. The pipeline's own has no rows yet.
#[test]
fn of_a_pipeline_are_told_where_its_table_is_asked_for() {
    let place = crate::own_project::place();
    place.run(&crate::own_project::ONCE).succeeded();
    let case = repository().join("tests/cases/faulty_project");
    let case = case.to_str().expect("the path is text");
    let asked = |table: &str| {
        let sql = format!("SELECT * FROM {table}");
        // Its settings have faults as well, which come before.
        place.write("faulty/turnaround.yaml", "");
        for folder in ["pipelines", "sql/marts"] {
            let entries = std::fs::read_dir(format!("{case}/{folder}")).expect("a folder");
            for entry in entries.map(|entry| entry.expect("an entry").path()) {
                let name = entry.file_name().and_then(|name| name.to_str()).expect("a name");
                let text = std::fs::read(&entry).expect("a file");
                place.write(&format!("faulty/{folder}/{name}"), text);
            }
        }
        place.run(&["query", &sql, "--lake", "lake", "--project", "faulty"])
    };
    asked("night_work_1h").failed(2, &["night_work.sql:4:12: there is no column c.tat_minuts"]);
    asked("slow_tests_1h").failed(2, &["slow_tests.yaml:5:10: unknown kind of window"]);
    asked("nobody_1h").failed(2, &["there is no table `nobody_1h`"]);
}

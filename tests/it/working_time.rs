//! Working time of opening hours that are read from a project, against a count of minutes by Python's
//! zoneinfo.

use serde_json::Value;
use turnaround::config::Project;
use turnaround::flow::{Span, Timestamp};
use turnaround::reference::Reference;

use crate::own_project;
use crate::servers;

#[test]
fn it_is_what_counting_minutes_gives() {
    let test = "working_time::it_is_what_counting_minutes_gives";
    let Some(python) = servers::python(test) else { return };
    let place = own_project::place();
    place.python(&python, "tests/oracle/working_time.py", &["project"]);
    let project = Project::load(Some(&place.path("project"))).expect("the project has no fault");
    let labs = Reference::new(&project.reference_rows, 4.0).labs;
    let cases = std::fs::read_to_string(place.path("project/cases.ndjson")).expect("the cases");
    let mut compared = 0;
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).expect("a case");
        let text = |key: &str| case[key].as_str().expect("a text");
        let instant = |key: &str| Timestamp::parse_rfc3339(text(key)).expect("an instant");
        let span = |key: &str| Span(case[key].as_i64().expect("microseconds"));
        let hours = &labs.of(text("lab")).hours;
        let from = instant("from");
        assert_eq!(hours.working_between(from, instant("to")), span("worked_us"), "{line}");
        assert_eq!(hours.deadline(from, span("working_us")), instant("deadline"), "{line}");
        compared += 1;
    }
    // Three zones, nine calendars, forty cases.
    assert_eq!(compared, 1_080);
}

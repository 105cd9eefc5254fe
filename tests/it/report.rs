//! The demo's report: its text as it was read and found right, and its figures beside those that
//! DuckDB has of the same feed.

use crate::binary::{Place, repository};
use crate::servers;

/// The text of a page, a line for each of its own that has any; drawings are left out.
fn text_of(html: &str) -> String {
    let without = |text: &str, (from, to): (&str, &str), instead: &str| {
        let mut kept = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once(from) {
            let (_, after) = behind.split_once(to).expect("what is opened is closed");
            kept.push_str(before);
            kept.push_str(instead);
            rest = after;
        }
        kept + rest
    };
    let text = without(html, ("<style>", "</style>"), "");
    let text = without(&text, ("<svg", "</svg>"), " [drawing] ");
    let text = without(&text, ("<", ">"), " ");
    let text = text.replace("&#x2f;", "/").replace("&amp;", "&");
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    lines.join("\n") + "\n"
}

#[test]
fn of_the_demo_says_what_another_engine_finds() {
    let place = Place::new();
    place.run(&["demo", "--dir", "lake"]).succeeded();
    let text = text_of(&place.read("lake/report.html"));
    insta::assert_snapshot!("report", text);
    let Some(python) = servers::python("report::of_the_demo_says_what_another_engine_finds") else {
        return;
    };
    place.write("report.txt", text);
    // As the demo makes it: what comes late is refused, so the order of records matters.
    let order = ["--max-disorder", "5m", "--out", "file:feed.ndjson"];
    place.run(&[&["generate", "--profile", "demo"][..], &order].concat()).succeeded();
    let reference = repository().join("data/reference");
    let reference = reference.to_str().expect("the path is text");
    let arguments = ["--reference", reference, "feed.ndjson", "report.txt"];
    let told = place.python(&python, "tests/oracle/report.py", &arguments);
    // Seven tiles, three laboratories twice, twelve groups, four books.
    assert_eq!(told.lines().last(), Some("29 lines, the same"), "{told}");
}

#[test]
fn tags_and_drawings_are_no_text() {
    let page = "<style>a { b }</style><p>One\n <b>two</b>  three</p>\n\n<svg><text>4</text></svg>";
    assert_eq!(text_of(page), "One\ntwo three\n[drawing]\n");
}

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

/// The lines of a page's text that hold figures.
fn figures_of(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.bytes().any(|byte| byte.is_ascii_digit())).collect()
}

#[test]
fn of_a_lake_shows_what_the_demo_shows() {
    let place = Place::new();
    place.run(&["demo", "--dir", "lake"]).succeeded();
    let demo = text_of(&place.read("lake/report.html"));
    // In New York the first hours are of the day before.
    let whole = ["--from", "2026-02-28", "--to", "2026-03-05"];
    let ran = place.run(&[&["report", "--lake", "lake"][..], &whole].concat()).succeeded();
    assert_eq!(ran.out, "report.html\n");
    let page = place.read("report.html");
    let text = text_of(&page);
    // Every figure but those of the feed itself, and of cards that were never sent.
    let other = |line: &&str| {
        !text.contains(*line)
            && !["March 2026", "would have been told", "PCR in runs", "seed", "Records read"]
                .iter()
                .any(|own| line.contains(own))
    };
    let lacking: Vec<&str> = figures_of(&demo).into_iter().filter(other).collect();
    let books = ["Counted", "Of other kinds", "Too late for every table", "Refused", "Repeated"];
    let lacking: Vec<&str> = lacking
        .into_iter()
        .filter(|line| !books.iter().any(|book| line.starts_with(book)))
        .collect();
    assert!(lacking.is_empty(), "{lacking:#?}\n{text}");
    assert!(figures_of(&text).len() > 40, "{text}");
    assert!(!text.contains("Made-up") && !text.contains("seed"), "{text}");
    for outside in ["src=", "href=", "url(http", "@import", "<script"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn of_a_lake_is_of_the_laboratories_and_days_that_are_asked_for() {
    let place = Place::new();
    place.run(&["demo", "--dir", "lake"]).succeeded();
    let day = ["--from", "2026-03-02", "--to", "2026-03-03", "--out", "-"];
    let north = [&["report", "--lake", "lake", "--lab", "lab-north"][..], &day].concat();
    let text = text_of(&place.run(&north).succeeded().out);
    assert!(text.contains("2 March 2026") && !text.contains("West"), "{text}");
    let count = |of: &str| {
        let sql = format!(
            "SELECT count({of}) AS n FROM completions WHERE lab_id = 'lab-north' AND completed_at >= \
             TIMESTAMP '2026-03-02T00:00:00Z' AND completed_at < TIMESTAMP '2026-03-03T00:00:00Z'"
        );
        place.value("lake", &sql).as_u64().expect("a count")
    };
    let grouped = |count: u64| {
        assert!((1_000..1_000_000).contains(&count), "{count}");
        format!("{},{:03}", count / 1000, count % 1000)
    };
    let (tests, late) = (count("*"), count("CASE WHEN NOT within_target THEN 1 END"));
    assert!(text.contains(&format!("Tests completed {}", grouped(tests))), "{tests}: {text}");
    assert!(text.contains(&format!("Breaches {late} ")), "{late}: {text}");
    let report = |arguments: &[&str]| {
        place.run(&[&["report", "--lake", "lake", "--out", "-"], arguments].concat())
    };
    report(&["--from", "2026-03-02", "--to", "2026-03-02"]).failed(2, &["must come after"]);
    report(&["--from", "2026-01-01", "--to", "2026-03-02"]).failed(2, &["more than 31 days"]);
    report(&["--from", "soon"]).failed(2, &["`soon` is no time"]);
    place.run(&["report", "--lake", "nowhere"]).failed(2, &["does not exist"]);
    let elsewhere = report(&["--lab", "lab-nowhere"]).succeeded();
    assert!(text_of(&elsewhere.out).contains("No test was completed"), "{}", elsewhere.out);
}

#[test]
fn of_an_empty_lake_says_that_there_is_nothing() {
    let place = Place::new();
    std::fs::create_dir(place.path("lake")).expect("a folder can be made");
    place.run(&["report", "--lake", "lake"]).succeeded();
    let text = text_of(&place.read("report.html"));
    assert!(text.contains("No test was completed in this period."), "{text}");
    assert!(text.contains("Tests completed 0 in 0 laboratories"), "{text}");
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    assert!(!place.read("report.html").contains("NaN"));
}

#[test]
fn tags_and_drawings_are_no_text() {
    let page = "<style>a { b }</style><p>One\n <b>two</b>  three</p>\n\n<svg><text>4</text></svg>";
    assert_eq!(text_of(page), "One\ntwo three\n[drawing]\n");
}

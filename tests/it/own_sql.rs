//! Questions in a caller's own SQL: off unless enabled, one SELECT, over what the caller may see; and which
//! pages of other origins a browser lets ask.

use serde_json::json;

use crate::access::{kind, token, two_labs, with};
use crate::served::Served;

fn route(sql: &str, more: &str) -> String {
    let sql: String = url::form_urlencoded::byte_serialize(sql.as_bytes()).collect();
    format!("query?sql={sql}{more}")
}

#[tokio::test]
async fn one_select_is_answered_where_it_is_enabled() {
    let place = two_labs();
    let off = Served::start(&place, &["--lake", "lake"]);
    let got = off.ask(&route("SELECT 1", ""), &[]).await;
    assert_eq!(kind(&got), (403, "off".to_owned()));
    drop(off);
    let served = Served::start(&place, &["--lake", "lake", "--enable-query"]);
    // Thirty-two of forty of each laboratory are completed: four are errors, four are rejected.
    let sql = "SELECT lab_id, count(*) AS n FROM completions GROUP BY lab_id ORDER BY lab_id";
    let rows = served.json(&route(sql, "")).await["rows"].clone();
    let expected = json!([{ "lab_id": "lab-alpha", "n": 32 }, { "lab_id": "lab-omega", "n": 32 }]);
    assert_eq!(rows, expected);
    let csv = served.ask(&route(sql, ""), &[("accept", "text/csv")]).await;
    assert_eq!(csv.text(), "lab_id,n\nlab-alpha,32\nlab-omega,32\n");
    for (sql, more, status, wrong) in [
        ("SELECT", "", 400, "wrong-value"),
        ("SELECT nothing FROM completions", "", 400, "wrong-value"),
        ("SELECT * FROM nowhere", "", 400, "wrong-value"),
        ("SELECT 1; SELECT 2", "", 400, "wrong-value"),
        ("DROP TABLE completions", "", 400, "wrong-value"),
        ("CREATE TABLE t AS SELECT 1", "", 400, "wrong-value"),
        ("INSERT INTO completions SELECT * FROM completions", "", 400, "wrong-value"),
        ("COPY completions TO 'there.csv'", "", 400, "wrong-value"),
        ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "", 400, "wrong-value"),
        ("SET datafusion.execution.batch_size = 1", "", 400, "wrong-value"),
        ("SELECT CAST(specimen_id AS BIGINT) FROM completions", "", 400, "wrong-value"),
        ("SELECT 1 / 0", "", 400, "wrong-value"),
        ("SELECT * FROM completions", "&limit=63", 422, "too-much"),
        ("SELECT 1", "&limit=0", 400, "wrong-value"),
        ("SELECT 1", "&lab=lab-alpha", 400, "unknown-parameter"),
        ("SELECT interval '1 day'", "", 200, ""),
    ] {
        let got = served.ask(&route(sql, more), &[]).await;
        assert_eq!(got.status, status, "{sql}: {}", got.text());
        if status != 200 {
            assert_eq!(kind(&got).1, wrong, "{sql}");
        }
    }
    let whole = served.json(&route("SELECT * FROM completions", "&limit=64")).await;
    assert_eq!(whole["count"], 64);
    assert_eq!(kind(&served.ask("query", &[]).await), (400, "wrong-value".to_owned()));
}

/// What would need more memory or time than an answer may take ends, and the server goes on.
#[tokio::test]
async fn a_select_that_is_too_much_ends() {
    let place = two_labs();
    let served = Served::start(&place, &["--lake", "lake", "--enable-query"]);
    let many = "FROM events AS a, events AS b, events AS c, events AS d";
    for sql in [
        format!(
            "SELECT a.specimen_id || b.specimen_id AS s, count(*) {many}, events AS e GROUP BY 1, c.offset, d.offset, e.offset"
        ),
        format!("SELECT a.* {many} ORDER BY b.specimen_id"),
    ] {
        let got = served.ask(&route(&sql, "&limit=100000"), &[]).await;
        assert!(matches!(got.status, 422 | 504), "{sql}: {} {}", got.status, got.text());
        assert_eq!(served.json("health").await["status"], "ok");
    }
}

#[tokio::test]
async fn a_tenants_sql_sees_its_laboratories_and_no_columns_about_staff() {
    let place = two_labs();
    let alpha = token(&place, "alpha", "viewer", &["--labs", "lab-alpha"]);
    let served = Served::start(&place, &["--lake", "lake", "--enable-query"]);
    let mut seen = 0;
    for sql in [
        "SELECT * FROM completions",
        "SELECT * FROM events",
        "SELECT max(specimen_id), min(specimen_id), count(*) FROM completions",
        "SELECT a.specimen_id FROM completions AS a RIGHT JOIN completions AS b ON a.lab_id <> b.lab_id",
        "WITH other AS (SELECT * FROM completions WHERE lab_id <> 'lab-alpha') SELECT * FROM other",
        "SELECT * FROM (SELECT lab_id FROM events UNION ALL SELECT specimen_id FROM errors)",
        "SELECT specimen_id FROM completions WHERE EXISTS (SELECT 1 FROM events WHERE lab_id = 'lab-omega')",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM lake.public.completions",
        "SELECT * FROM throughput_1h",
        "SELECT operator_id FROM completions",
        "SELECT * FROM dead_letters",
        "SELECT * FROM audit",
        "SHOW TABLES",
    ] {
        let got = with(&served, &alpha, &route(sql, "&limit=1000"), "application/json").await;
        let text = got.text();
        assert!(matches!(got.status, 200 | 400 | 403), "{sql}: {text}");
        assert!(!text.contains("omega") || text.contains("SELECT"), "{sql}: {text}");
        assert!(!text.contains("-staff"), "{sql}: {text}");
        seen += usize::from(text.contains("alpha-S"));
    }
    // Two whole tables, and the largest and smallest specimen: the others can find nothing of their own.
    assert_eq!(seen, 3);
}

#[tokio::test]
async fn other_origins_are_opened_to_where_they_are_named() {
    let place = two_labs();
    let page = ("origin", "https://dashboard.example");
    let asks = [page, ("access-control-request-method", "GET")];
    let closed = Served::start(&place, &["--lake", "lake"]);
    assert_eq!(closed.ask("tables", &[page]).await.header("access-control-allow-origin"), None);
    drop(closed);
    let opened = ["--lake", "lake", "--cors-origin", "https://dashboard.example"];
    let served = Served::start(&place, &opened);
    let got = served.ask("tables", &[page]).await;
    assert_eq!(got.header("access-control-allow-origin"), Some(page.1));
    assert_eq!(got.header("access-control-allow-credentials"), None);
    assert!(got.headers.get_all("vary").iter().any(|vary| vary == "origin"));
    let wrong = served.ask("tables/nowhere", &[page]).await;
    assert_eq!((wrong.status, wrong.header("access-control-allow-origin")), (404, Some(page.1)));
    let other = served.ask("tables", &[("origin", "https://elsewhere.example")]).await;
    assert_eq!((other.status, other.header("access-control-allow-origin")), (200, None));
    let mut first =
        reqwest::Client::new().request(reqwest::Method::OPTIONS, format!("{}/stream", served.url));
    for (name, value) in asks {
        first = first.header(name, value);
    }
    let first = first.send().await.expect("the server answers");
    assert_eq!(first.status().as_u16(), 204);
    let takes = first.headers()["access-control-allow-headers"].to_str().expect("a text");
    assert!(takes.contains("authorization") && takes.contains("last-event-id"), "{takes}");
    let ran = place.run(&["serve", "--lake", "lake", "--cors-origin", "dashboard.example"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("is no origin"), "{}", ran.err);
}

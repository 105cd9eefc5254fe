//! Alerts as the API tells them, beside the same worked out from the rows; and who sees to them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::access::{kind, token};
use crate::api::filled;
use crate::served::Served;

const KEYS: [&str; 5] = ["rule", "table", "lab_id", "group", "begun_at"];

/// What a breach is known by.
fn key(row: &Value) -> String {
    KEYS.map(|column| row[column].to_string()).join("/")
}

/// The breaches that rows of `alerts` tell of: how many reminders, when over, the id.
fn breaches(rows: &[Value]) -> BTreeMap<String, (u64, Value, Value)> {
    let mut found: BTreeMap<String, (u64, Value, Value)> = BTreeMap::new();
    for row in rows {
        let breach = found.entry(key(row)).or_insert((0, Value::Null, Value::Null));
        match row["kind"].as_str() {
            Some("begin") => breach.2 = row["notice_id"].clone(),
            Some("reminder") => breach.0 += 1,
            Some("end") => breach.1 = row["window_end"].clone(),
            other => panic!("an unknown kind {other:?}"),
        }
    }
    found
}

#[tokio::test]
async fn alerts_are_what_their_rows_tell() {
    let place = filled("1.1");
    let served = Served::start(&place, &["--lake", "lake"]);
    let rows = served.json("tables/alerts/rows?limit=100000").await;
    let rows = rows["rows"].as_array().expect("rows").clone();
    let expected = breaches(&rows);
    assert!(expected.len() > 20, "{} breaches", expected.len());
    let mut told = 0;
    for (state, is_open) in [("open", true), ("past", false)] {
        let got = served.json(&format!("alerts?state={state}&limit=1000")).await;
        for alert in got["alerts"].as_array().expect("alerts") {
            let (reminders, ended_at, id) = &expected[&key(alert)];
            assert_eq!(&alert["ended_at"], ended_at, "{alert}");
            assert_eq!(&alert["id"], id, "{alert}");
            assert_eq!(alert["reminders"], json!(reminders), "{alert}");
            assert_eq!(alert["ended_at"].is_null(), is_open);
            // What its last row says.
            let mine = rows.iter().filter(|row| key(row) == key(alert));
            let last = mine.max_by_key(|row| row["window_end"].to_string()).expect("a row");
            for column in ["severity", "figure", "figure_value", "target", "n", "owner", "runbook"]
            {
                assert_eq!(alert[column], last[column], "{column} of {alert}");
            }
            assert_eq!(alert["acknowledged"], false);
            told += 1;
        }
    }
    assert_eq!(told, expected.len());
    let one = served.json("alerts?state=all&lab=lab-north&limit=1000").await;
    let one = one["alerts"].as_array().expect("alerts");
    assert!(!one.is_empty() && one.iter().all(|alert| alert["lab_id"] == "lab-north"));
    let wrong = served.ask("alerts?state=closed", &[]).await;
    assert_eq!(
        (kind(&wrong).1, wrong.json()["allowed"].clone()),
        ("wrong-value".to_owned(), json!(["open", "past", "all"]))
    );
}

/// What the audit table says of a breach, once it is listed.
async fn audited(served: &Served, bearer: &str, id: &str) -> Vec<Value> {
    for _ in 0..50 {
        let got = served.ask("tables/audit/rows?limit=1000", &[("authorization", bearer)]).await;
        let rows = got.json()["rows"].as_array().expect("rows").clone();
        let of = |row: &Value| row["what"] == "alert.acknowledge" && row["subject"] == id;
        let rows: Vec<Value> = rows.into_iter().filter(of).collect();
        if !rows.is_empty() {
            return rows;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Vec::new()
}

#[tokio::test]
async fn who_may_acknowledges_and_it_is_told_and_written_down() {
    let place = filled("1.1");
    let north = ["--labs", "lab-north"];
    let [viewer, operator] =
        ["viewer", "operator"].map(|role| token(&place, "north", role, &north));
    let none = token(&place, "idle", "none", &north);
    let west = token(&place, "west", "operator", &["--labs", "lab-west"]);
    let admin = token(&place, "all", "admin", &["--labs", "*"]);
    let served = Served::start(&place, &["--lake", "lake"]);
    let bearer = |token: &str| format!("Bearer {token}");
    let get = async |token: &str, route: &str| {
        let got = served.ask(route, &[("authorization", &bearer(token))]).await;
        assert_eq!(got.status, 200, "{route}: {}", got.text());
        got.json()
    };
    let alerts = get(&operator, "alerts?state=all&limit=1000").await["alerts"].clone();
    let alerts = alerts.as_array().expect("alerts");
    assert!(alerts.iter().all(|alert| alert["lab_id"] == "lab-north"));
    let breach = alerts.iter().find(|alert| alert["id"].is_string()).expect("a breach").clone();
    let id = breach["id"].as_str().expect("an id").to_owned();
    let route = format!("alerts/{id}/acknowledge?note=M1%20is%20being%20repaired");
    let post = async |token: &str, route: &str| {
        served.post(route, &[("authorization", &bearer(token))]).await
    };
    let refused = (403, "role-needed".to_owned());
    assert_eq!(kind(&post(&viewer, &route).await), refused);
    assert_eq!(post(&none, &route).await.status, 403);
    assert_eq!(served.post(&route, &[]).await.status, 401);
    // A breach of another's laboratory is none.
    assert_eq!(kind(&post(&west, &route).await), (404, "unknown-alert".to_owned()));
    for wrong in ["zz", "0123456789abcdef0123456789abcdef", "%25", "0123456789ab%25"] {
        let got = post(&operator, &format!("alerts/{wrong}/acknowledge")).await;
        assert_eq!(kind(&got), (404, "unknown-alert".to_owned()), "{wrong}");
    }
    let long = post(&operator, &format!("alerts/{id}/acknowledge?note={}", "x".repeat(201))).await;
    assert_eq!(kind(&long), (400, "wrong-value".to_owned()));

    let got = post(&operator, &route).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let told = got.json()["acknowledged"][0].clone();
    assert_eq!((told["id"].clone(), told["by"].clone()), (json!(id), json!("north")));
    // The first one stays, also by the command, which takes what a card shows.
    let card = breach["card_id"].as_str().expect("a card").get(..12).expect("digits").to_owned();
    let ran = place.run(&["ack", &card, "--user", "bert", "--lake", "lake", "--json"]).succeeded();
    assert!(
        ran.out.lines().any(|line| line.contains(&id) && line.contains("\"by\":\"north\"")),
        "{}",
        ran.out
    );
    let alerts = get(&admin, "alerts?state=all&limit=1000").await["alerts"].clone();
    let mine = alerts.as_array().expect("alerts").iter().find(|alert| alert["id"] == id.as_str());
    let mine = mine.expect("the breach");
    let seen = ["acknowledged", "acknowledged_by", "note"].map(|column| mine[column].clone());
    assert_eq!(seen, [json!(true), json!("north"), json!("M1 is being repaired")]);
    // The audit table has each that was written, and none that was refused.
    let rows = audited(&served, &bearer(&admin), &id).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(
        (rows[0]["who"].clone(), rows[0]["tenant"].clone()),
        (json!("north"), json!("north"))
    );
    let ran = place.run(&["ack", "0123456789ab", "--user", "bert", "--lake", "lake"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("nothing is known of a card"), "{}", ran.err);
}

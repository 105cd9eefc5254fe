//! Who may ask the API, and what they see: tokens from their making to their end, a tenant's
//! laboratories in every route, and what a role opens.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use arrow::ipc::reader::StreamReader;
use arrow::util::pretty::pretty_format_batches;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use crate::binary::{Place, unique, wait_for};
use crate::kafka_to_s3::reach_s3;
use crate::served::{Got, Served};
use crate::servers;

/// A lake of two laboratories; every id of either bears its name.
pub(crate) fn two_labs() -> Place {
    let place = Place::new();
    let mut lines = String::new();
    for name in ["alpha", "omega"] {
        let lab = format!("lab-{name}");
        for number in 0..40 {
            let status = match number % 10 {
                0 => "ERROR",
                1 => "REJECTED",
                _ => "COMPLETED",
            };
            let event = json!({
                "lab_id": lab, "specimen_id": format!("{name}-S{number}"), "assay": "K",
                "status": status, "priority": "S",
                "machine_id": format!("{name}-M1"), "operator_id": format!("{name}-staff"),
                "error_code": (status == "ERROR").then(|| format!("{name}-E1")),
                "reject_reason": (status == "REJECTED").then(|| "HEMOLYZED".to_owned()),
                "received_at": format!("2026-03-02T{:02}:20:00Z", 6 + number / 10),
                "processed_at": format!("2026-03-02T{:02}:{:02}:00Z", 8 + number / 10, number),
            });
            lines += &format!("{event}\n");
        }
        // One that is no event.
        lines += &format!("{{\"lab_id\":\"{lab}\",\"specimen_id\":\n");
    }
    place.write("events.ndjson", lines);
    place.run(&["run", "--once", "--source", "file:events.ndjson", "--lake", "lake"]).succeeded();
    place
}

/// Makes a token and gives its text.
pub(crate) fn token(place: &Place, tenant: &str, role: &str, more: &[&str]) -> String {
    let arguments = ["token", "create", "--lake", "lake", "--tenant", tenant, "--role", role];
    let ran = place.run(&[&arguments[..], more].concat()).succeeded();
    ran.out.trim().to_owned()
}

fn id_of(token: &str) -> &str {
    token.split('_').nth(1).expect("an id")
}

pub(crate) async fn with(served: &Served, token: &str, route: &str, accept: &str) -> Got {
    let bearer = format!("Bearer {token}");
    served.ask(route, &[("authorization", &bearer), ("accept", accept)]).await
}

async fn json_with(served: &Served, token: &str, route: &str) -> Value {
    let got = with(served, token, route, "application/json").await;
    assert_eq!(got.status, 200, "{route}: {}", got.text());
    got.json()
}

pub(crate) fn kind(got: &Got) -> (u16, String) {
    let kind = got.json()["type"].as_str().unwrap_or_default().to_owned();
    (got.status, kind.trim_start_matches("urn:turnaround:").to_owned())
}

const FORMS: [&str; 5] = [
    "application/json",
    "application/x-ndjson",
    "text/csv",
    "application/vnd.apache.arrow.stream",
    "application/vnd.apache.parquet",
];

/// What an answer tells, as a text.
fn told(got: &Got) -> String {
    let rows = |batches: Vec<arrow::array::RecordBatch>| {
        pretty_format_batches(&batches).expect("rows can be shown").to_string()
    };
    match got.header("content-type") {
        Some("application/vnd.apache.arrow.stream") => {
            let read = StreamReader::try_new(got.body.as_slice(), None).expect("Arrow");
            rows(read.map(|batch| batch.expect("a batch")).collect())
        }
        Some("application/vnd.apache.parquet") => {
            let bytes = bytes::Bytes::from(got.body.clone());
            let read = ParquetRecordBatchReaderBuilder::try_new(bytes).expect("Parquet");
            rows(read.build().expect("Parquet").map(|batch| batch.expect("a batch")).collect())
        }
        _ => got.text(),
    }
}

/// Every route of the description, with each table where it names one, and whether it is open.
fn routes(document: &Value, tables: &BTreeSet<String>) -> Vec<(String, bool)> {
    let mut routes = Vec::new();
    for (path, told) in document["paths"].as_object().expect("paths") {
        let route = path.strip_prefix("/api/v1/").expect("below the base");
        let is_open = told["get"]["security"] == json!([]);
        // A stream does not end by itself: `stream` asks it. Commands are asked by `acknowledge`, and
        // what a caller's own SQL sees by `own_sql`.
        if matches!(route, "stream" | "query") || told.get("get").is_none() {
            continue;
        }
        if route.contains("{name}") {
            let named = tables.iter().map(|table| (route.replace("{name}", table), is_open));
            routes.extend(named);
        } else if route.contains("{lab}") {
            for name in ["alpha", "omega"] {
                let lab = route.replace("{lab}", &format!("lab-{name}"));
                routes.push((lab.replace("{id}", &format!("{name}-S2")), is_open));
            }
        } else {
            routes.push((route.to_owned(), is_open));
        }
    }
    routes
}

#[tokio::test]
async fn a_tenant_sees_its_laboratories_alone_on_every_route() {
    let place = two_labs();
    let all = token(&place, "all", "admin", &["--labs", "*"]);
    let alpha = |role: &str| token(&place, "alpha", role, &["--labs", "lab-alpha"]);
    let roles = ["viewer", "operator", "admin"].map(alpha);
    let omega = token(&place, "omega", "admin", &["--labs", "lab-omega"]);
    let served = Served::start(&place, &["--lake", "lake"]);
    let document = served.json("openapi.json").await;
    let tables = json_with(&served, &all, "tables").await;
    let tables = tables["tables"].as_array().expect("tables").iter();
    let tables: BTreeSet<String> =
        tables.map(|table| table["name"].as_str().expect("a name").to_owned()).collect();
    assert!(tables.contains("dead_letters") && tables.contains("audit"), "{tables:?}");
    let routes = routes(&document, &tables);
    assert!(routes.len() > 30, "{routes:?}");

    let callers = roles.iter().map(|token| (token, "alpha", "omega"));
    let callers: Vec<_> = callers.chain([(&omega, "omega", "alpha")]).collect();
    let (mut answers, mut seen) = (0, 0);
    for (route, _) in &routes {
        let queries = ["", "limit=7", "lab=lab-alpha", "lab=lab-omega", "from=2026-01-01"];
        for (query, (token, own, other)) in
            queries.iter().flat_map(|query| callers.iter().map(move |caller| (query, caller)))
        {
            let forms = if query.is_empty() { &FORMS[..] } else { &FORMS[..1] };
            for form in forms {
                let got = with(&served, token, &format!("{route}?{query}"), form).await;
                let text = told(&got);
                let status = got.status;
                assert!(matches!(status, 200 | 400 | 403 | 404 | 406), "{route}?{query}: {text}");
                if got.status == 200 {
                    assert!(!text.contains(other), "{route}?{query} as {form} for {own}: {text}");
                    answers += 1;
                    seen += usize::from(text.contains(own));
                } else if got.status == 400 {
                    let problem = got.json();
                    assert!(!problem["allowed"].to_string().contains(other), "{problem}");
                }
            }
        }
    }
    assert!(answers > 300 && seen > 100, "{answers} answers, {seen} with rows");

    // Whoever sees every laboratory sees both, so there was something to be hidden.
    for table in ["completions", "events"] {
        let whole = json_with(&served, &all, &format!("tables/{table}/rows?limit=100000")).await;
        let text = whole.to_string();
        assert!(text.contains("alpha") && text.contains("omega"), "{table}: {text}");
    }
    let letters = json_with(&served, &all, "dead-letters").await;
    assert_eq!(letters["count"], 2);
    // A dead letter does not say whose it is.
    assert_eq!(json_with(&served, &roles[1], "dead-letters").await["count"], 0);
}

#[tokio::test]
async fn a_role_opens_what_it_opens_and_none_opens_nothing() {
    let place = two_labs();
    let [viewer, operator, admin, none] = ["viewer", "operator", "admin", "none"]
        .map(|role| token(&place, "all", role, &["--labs", "*"]));
    let served = Served::start(&place, &["--lake", "lake"]);
    let document = served.json("openapi.json").await;
    let tables = BTreeSet::from(["completions".to_owned(), "dead_letters".to_owned()]);
    for (route, is_open) in routes(&document, &tables) {
        let got = with(&served, &none, &route, "*/*").await;
        let expected = if is_open { 200 } else { 403 };
        assert_eq!(got.status, expected, "{route}: {}", got.text());
        let got = served.ask(&route, &[]).await;
        let expected = if is_open { 200 } else { 401 };
        assert_eq!(got.status, expected, "{route}: {}", got.text());
    }

    let refused = (403, "role-needed".to_owned());
    let cases = [
        ("dead-letters", [false, true, true]),
        ("tables/dead_letters", [false, true, true]),
        ("tables/dead_letters/rows", [false, true, true]),
        ("dead-letters?columns=reason,bytes", [false, false, true]),
        ("tables/audit/rows", [false, false, true]),
        ("tables/completions/rows?columns=operator_id", [false, false, true]),
        ("tables/events/rows?columns=event_id,operator_id", [false, false, true]),
        ("tables/completions/rows?columns=machine_id", [true, true, true]),
    ];
    for (route, opens) in cases {
        for (token, opens) in [&viewer, &operator, &admin].into_iter().zip(opens) {
            let got = with(&served, token, route, "*/*").await;
            if opens {
                assert_eq!(got.status, 200, "{route}: {}", got.text());
            } else {
                assert_eq!(kind(&got), refused, "{route}");
                assert!(
                    got.json()["detail"].as_str().is_some_and(|text| text.contains("the role"))
                );
            }
        }
    }
    for (token, sees) in [(&viewer, false), (&operator, false), (&admin, true)] {
        for route in ["tables/completions/rows", "tables/events/rows", "tables/completions"] {
            let text = json_with(&served, token, route).await.to_string();
            assert_eq!(text.contains("operator_id"), sees, "{route}");
            assert_eq!(text.contains("-staff"), sees && route.ends_with("rows"), "{route}");
        }
        // Nor can one ask by a column that one does not see.
        let filtered = "tables/completions/rows?operator_id=alpha-staff";
        let got = with(&served, token, filtered, "*/*").await;
        assert_eq!(got.status, if sees { 200 } else { 400 }, "{}", got.text());
    }
    let listed = json_with(&served, &viewer, "tables").await.to_string();
    assert!(!listed.contains("dead_letters") && !listed.contains("audit"), "{listed}");
}

#[tokio::test]
async fn a_token_is_made_used_rotated_and_revoked() {
    let place = two_labs();
    let create = ["token", "create", "--lake", "lake", "--tenant", "alpha", "--role", "viewer"];
    place.run(&create).failed(2, &["there is no tenant `alpha`; add --labs"]);
    place.run(&[&create[..7], &["root"]].concat()).failed(2, &["viewer, operator or admin"]);
    let first = token(
        &place,
        "alpha",
        "viewer",
        &["--labs", "lab-alpha", "--user", "board", "--by", "anna"],
    );
    let outside = [&create[..], &["--labs", "lab-omega"]].concat();
    place.run(&outside).failed(2, &["tenant `alpha` does not have `lab-omega`"]);
    // The lake keeps a hash, and no token.
    let kept = place.read(&format!("lake/_turnaround/access/tokens/{}.json", id_of(&first)));
    assert!(kept.contains("\"hash\"") && !kept.contains(&first[17..]), "{kept}");

    let served = Served::start(&place, &["--lake", "lake"]);
    let got = served.ask("tables", &[]).await;
    assert_eq!(kind(&got), (401, "no-token".to_owned()));
    assert_eq!(got.header("www-authenticate"), Some("Bearer realm=\"turnaround\""));
    let got = with(&served, "tat_0f1e2d3c4b5a_00", "tables", "*/*").await;
    assert_eq!(kind(&got), (401, "unknown-token".to_owned()));
    assert!(got.header("www-authenticate").is_some_and(|text| text.contains("invalid_token")));
    let rows = json_with(&served, &first, "tables/completions/rows").await;
    assert_eq!(rows["count"], json!(32));
    let other = with(&served, &first, "metrics/tat?lab=lab-omega", "*/*").await;
    assert_eq!(kind(&other), (400, "unknown-lab".to_owned()));

    let list = || {
        let ran = place.run(&["token", "list", "--lake", "lake", "--json"]).succeeded();
        let listed: Value = serde_json::from_str(&ran.out).expect("an array");
        listed.as_array().expect("an array").clone()
    };
    let used = wait_for("a last use", Duration::from_secs(30), || {
        list()[0]["last_used_at"].as_str().map(str::to_owned)
    });
    assert!(used.ends_with('Z') && used.len() == 20, "{used}");

    let rotate = ["token", "rotate", id_of(&first), "--lake", "lake", "--keep-old", "1h"];
    let second = place.run(&rotate).succeeded().out.trim().to_owned();
    let both = [&first, &second];
    for token in both {
        // A new one is known within seconds.
        wait_until(async || with(&served, token, "tables", "*/*").await.status == 200).await;
    }
    place.run(&["token", "revoke", id_of(&first), "--lake", "lake"]).succeeded();
    let revoked = (401, "revoked-token".to_owned());
    wait_until(async || with(&served, &first, "tables", "*/*").await.status == 401).await;
    let got = with(&served, &first, "tables", "*/*").await;
    assert_eq!(kind(&got), revoked);
    assert_eq!(with(&served, &second, "tables", "*/*").await.status, 200);
    let states: BTreeSet<String> =
        list().iter().map(|token| token["state"].as_str().expect("a state").to_owned()).collect();
    assert_eq!(states, BTreeSet::from(["good".to_owned(), "revoked".to_owned()]));

    // A tenant's other laboratories are those of its tokens.
    let set = ["tenant", "set", "alpha", "--labs", "lab-omega", "--lake", "lake"];
    assert_eq!(place.run(&set).succeeded().out, "tenant alpha has lab-omega\n");
    wait_until(async || {
        let rows = json_with(&served, &second, "tables/completions/rows").await.to_string();
        rows.contains("omega") && !rows.contains("alpha")
    })
    .await;

    let short = token(&place, "alpha", "viewer", &["--expires", "1s"]);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    wait_until(async || kind(&with(&served, &short, "tables", "*/*").await).1 == "expired-token")
        .await;

    let sql = "SELECT who, what, count(*) AS n FROM audit GROUP BY who, what ORDER BY what, who";
    let mut audited = place.query("lake", sql);
    audited.retain(|row| row["who"] == "anna");
    let by_anna = |what: &str| json!({ "who": "anna", "what": what, "n": 1 });
    assert_eq!(audited, [by_anna("tenant.set"), by_anna("token.create")]);
    let sql = "SELECT count(*) AS n FROM audit WHERE what = 'token.rotate' AND before LIKE '%board%' \
               AND after LIKE '%board%' AND subject IS NOT NULL";
    assert_eq!(place.value("lake", sql), json!(1));
    let leaked =
        "SELECT count(*) AS n FROM audit WHERE after LIKE '%hash%' OR before LIKE '%hash%'";
    assert_eq!(place.value("lake", leaked), json!(0));
}

async fn wait_until(mut ready: impl AsyncFnMut() -> bool) {
    for _ in 0..200 {
        if ready().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("waited in vain");
}

#[tokio::test]
async fn a_token_that_asks_too_often_waits() {
    let place = two_labs();
    let board = token(&place, "alpha", "viewer", &["--labs", "lab-alpha"]);
    let served = Served::start(&place, &["--lake", "lake", "--requests-a-minute", "6"]);
    for _ in 0..6 {
        assert_eq!(with(&served, &board, "tables", "*/*").await.status, 200);
    }
    let got = with(&served, &board, "tables", "*/*").await;
    assert_eq!(kind(&got), (429, "too-many-requests".to_owned()));
    let seconds = got.header("retry-after").and_then(|text| text.parse().ok());
    assert!(seconds.is_some_and(|seconds: u64| (1..=10).contains(&seconds)), "{seconds:?}");
    assert_eq!(served.ask("health", &[]).await.status, 200);
}

#[tokio::test]
async fn people_sign_in_with_a_cookie_that_no_script_reads() {
    let place = two_labs();
    let anna = token(&place, "alpha", "viewer", &["--labs", "lab-alpha"]);
    let served = Served::start(&place, &["--lake", "lake"]);
    let root = served.url.trim_end_matches("/api/v1");
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
    let client = client.expect("a client");
    let page = client.get(format!("{root}/login")).send().await.expect("a page");
    assert_eq!(page.status().as_u16(), 200);
    let post = async |token: &str, site: &str| {
        let form = format!("token={token}");
        let request = client.post(format!("{root}/login")).body(form);
        request.header("sec-fetch-site", site).send().await.expect("the server answers")
    };
    assert_eq!(post("tat_wrong", "same-origin").await.status().as_u16(), 401);
    assert_eq!(post(&anna, "cross-site").await.status().as_u16(), 403);
    assert_eq!(post(&"a".repeat(10_000), "same-origin").await.status().as_u16(), 400);
    let signed = post(&anna, "same-origin").await;
    assert_eq!(signed.status().as_u16(), 303);
    let cookie = signed.headers()["set-cookie"].to_str().expect("text").to_owned();
    assert!(
        cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains("Secure"),
        "{cookie}"
    );
    let pair = cookie.split(';').next().expect("a pair");
    let rows = served.ask("tables/completions/rows", &[("cookie", pair)]).await;
    assert_eq!((rows.status, &rows.json()["count"]), (200, &json!(32)));
    let out = client.post(format!("{root}/logout")).send().await.expect("the server answers");
    let cookie = out.headers()["set-cookie"].to_str().expect("text");
    assert!(cookie.starts_with("turnaround=;") && cookie.contains("Max-Age=0"), "{cookie}");
}

#[tokio::test]
async fn others_are_let_in_with_tokens_or_where_it_is_said_twice() {
    let place = two_labs();
    let open = ["serve", "--lake", "lake", "--listen", "0.0.0.0:0"];
    place.run(&open).failed(2, &["can be reached from other machines", "--insecure-listen"]);
    let at = |served: &Served| {
        let port = served.url.trim_end_matches("/api/v1").rsplit(':').next().expect("a port");
        format!("http://127.0.0.1:{port}/api/v1")
    };
    let insecure =
        Served::start(&place, &["--lake", "lake", "--listen", "0.0.0.0:0", "--insecure-listen"]);
    let got = reqwest::get(format!("{}/tables", at(&insecure))).await.expect("it answers");
    assert_eq!(got.status().as_u16(), 200);
    let board = token(&place, "alpha", "viewer", &["--labs", "lab-alpha"]);
    // The first token closes a server that runs.
    wait_until(async || {
        let got = reqwest::get(format!("{}/tables", at(&insecure))).await.expect("it answers");
        got.status().as_u16() == 401
    })
    .await;
    let closed = Served::start(&place, &["--lake", "lake", "--listen", "0.0.0.0:0"]);
    let asked = reqwest::Client::new().get(format!("{}/tables", at(&closed))).bearer_auth(&board);
    assert_eq!(asked.send().await.expect("it answers").status().as_u16(), 200);
}

#[tokio::test]
async fn tls_is_spoken_with_a_certificates_files() {
    let place = two_labs();
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args([
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .arg("-keyout")
        .arg(place.path("key.pem"))
        .arg("-out")
        .arg(place.path("cert.pem"))
        .stderr(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return servers::cannot_run(
            "access::tls_is_spoken_with_a_certificates_files needs openssl",
        );
    }
    let anna = token(&place, "alpha", "viewer", &["--labs", "lab-alpha"]);
    let serve = ["serve", "--lake", "lake", "--listen", "127.0.0.1:0", "--tls-cert"];
    place
        .run(&[&serve[..], &["nowhere.pem", "--tls-key", "key.pem"]].concat())
        .failed(2, &["nowhere.pem"]);
    place
        .run(&[&serve[..], &["key.pem", "--tls-key", "key.pem"]].concat())
        .failed(2, &["key.pem", "no certificate"]);
    let served = Served::start(
        &place,
        &["--lake", "lake", "--tls-cert", "cert.pem", "--tls-key", "key.pem"],
    );
    assert!(served.url.starts_with("https://127.0.0.1:"), "{}", served.url);
    let cert =
        reqwest::Certificate::from_pem(place.read("cert.pem").as_bytes()).expect("a certificate");
    let client = reqwest::Client::builder().add_root_certificate(cert).build().expect("a client");
    let asked = client.get(format!("{}/tables", served.url)).bearer_auth(&anna).send().await;
    assert_eq!(asked.expect("it answers").status().as_u16(), 200);
    let root = served.url.trim_end_matches("/api/v1");
    let client = reqwest::Client::builder()
        .add_root_certificate(
            reqwest::Certificate::from_pem(place.read("cert.pem").as_bytes())
                .expect("a certificate"),
        )
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client");
    let signed = client.post(format!("{root}/login")).body(format!("token={anna}")).send().await;
    let signed = signed.expect("it answers");
    assert!(signed.headers()["set-cookie"].to_str().expect("text").ends_with("; Secure"));
    // Who speaks no TLS gets nothing, and disturbs nobody.
    assert!(reqwest::get(served.url.replace("https", "http")).await.is_err());
}

#[tokio::test]
async fn tokens_are_kept_in_a_bucket_too() {
    let Some(s3) = servers::s3("access::tokens_are_kept_in_a_bucket_too") else { return };
    let name = unique("tokens");
    let made = reqwest::Client::new().put(format!("{s3}/{name}")).send().await;
    assert_eq!(made.expect("the S3 server answers").status(), 200);
    let mut place = Place::new();
    reach_s3(&mut place, &s3);
    let lake = format!("s3://{name}/lake");
    let create = |role: &str| {
        let create = ["token", "create", "--lake", &lake, "--tenant", "all", "--role", role];
        let ran = place.run(&[&create[..], &["--labs", "*"]].concat()).succeeded();
        ran.out.trim().to_owned()
    };
    let admin = create("admin");
    let served = Served::start(&place, &["--lake", &lake]);
    assert_eq!(served.ask("tables", &[]).await.status, 401);
    let audit = json_with(&served, &admin, "tables/audit/rows").await;
    assert_eq!(audit["count"], json!(2), "{audit}");
    place.run(&["token", "revoke", id_of(&admin), "--lake", &lake]).succeeded();
    wait_until(async || with(&served, &admin, "tables", "*/*").await.status == 401).await;
    let listed = place.run(&["token", "list", "--lake", &lake]).succeeded().out;
    assert!(listed.contains("revoked") && listed.contains("all"), "{listed}");
}

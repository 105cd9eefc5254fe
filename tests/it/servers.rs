//! Where the servers of the tests are: `tests/servers/up.sh` starts them and says so in the
//! environment. A test that needs one that is not there says SKIPPED past the capture of its
//! output, and fails where `CI=true`.

use std::io::Write;

/// The Kafka brokers, as `host:port`.
pub(crate) fn kafka(test: &str) -> Option<String> {
    server("KAFKA_BROKERS", test)
}

/// The S3 server's URL. It takes any credentials and starts without buckets; an HTTP `PUT` of
/// `URL/name` makes one.
pub(crate) fn s3(test: &str) -> Option<String> {
    server("TURNAROUND_TEST_S3", test)
}

/// A Python that has duckdb, polars and pyarrow.
pub(crate) fn python(test: &str) -> Option<String> {
    server("TURNAROUND_TEST_PYTHON", test)
}

#[expect(clippy::disallowed_methods, reason = "the tests are told by the environment")]
fn server(variable: &str, test: &str) -> Option<String> {
    let found = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if found.is_none() {
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!in_ci, "{test} needs {variable}; run it by `make test`");
        let line = format!("SKIPPED: {test} needs {variable}; run it by `make test`\n");
        std::io::stderr().write_all(line.as_bytes()).expect("standard error can be written");
    }
    found
}

#[test]
fn kafka_answers() {
    use rdkafka::consumer::{BaseConsumer, Consumer};

    let Some(brokers) = kafka("servers::kafka_answers") else { return };
    let consumer: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", &brokers)
        .create()
        .expect("a consumer needs no broker yet");
    let metadata = consumer.fetch_metadata(None, std::time::Duration::from_secs(20));
    assert!(!metadata.expect("a broker answers").brokers().is_empty());
}

/// What the lake builds upon: of two puts with `If-None-Match: *` the second is refused.
#[tokio::test]
async fn s3_puts_only_if_absent() {
    let Some(url) = s3("servers::s3_puts_only_if_absent") else { return };
    let bucket = format!("{url}/servers-test-{}", std::process::id());
    let client = reqwest::Client::new();
    let made = client.put(&bucket).send().await.expect("the S3 server answers");
    assert_eq!(made.status(), 200);
    let put = |body: &'static str| {
        client.put(format!("{bucket}/key")).header("If-None-Match", "*").body(body).send()
    };
    assert_eq!(put("first").await.expect("it answers").status(), 200);
    assert_eq!(put("second").await.expect("it answers").status(), 412);
    let kept = client.get(format!("{bucket}/key")).send().await.expect("it answers");
    assert_eq!(kept.text().await.expect("a body"), "first");
}

#[test]
fn python_has_the_readers() {
    let Some(python) = python("servers::python_has_the_readers") else { return };
    let code = "import duckdb, polars, pyarrow.parquet";
    let status = std::process::Command::new(python).args(["-c", code]).status();
    assert!(status.expect("python runs").success());
}

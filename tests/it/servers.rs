//! Where the servers of the tests are: `tests/servers/up.sh` starts them and says so in the
//! environment. A test that needs one that is not there says SKIPPED past the capture of its
//! output, and fails where `CI=true`.

use std::io::Write;

/// The Kafka brokers, as `host:port`.
pub fn kafka(test: &str) -> Option<String> {
    server("KAFKA_BROKERS", test)
}

/// The S3 server's URL. It takes any credentials and starts without buckets; an HTTP `PUT` of
/// `URL/name` makes one.
pub fn s3(test: &str) -> Option<String> {
    server("TURNAROUND_TEST_S3", test)
}

/// A Python that has duckdb, polars and pyarrow.
pub fn python(test: &str) -> Option<String> {
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

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

/// A Python that has duckdb, pandas, polars, pyarrow, chdb and pyspark.
pub(crate) fn python(test: &str) -> Option<String> {
    server("TURNAROUND_TEST_PYTHON", test)
}

#[expect(clippy::disallowed_methods, reason = "the tests are told by the environment")]
fn server(variable: &str, test: &str) -> Option<String> {
    let found = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if found.is_none() {
        let need = format!("{test} needs {variable}; run it by `make test`");
        assert!(!in_ci(), "{need}");
        skipped(&need);
    }
    found
}

#[expect(clippy::disallowed_methods, reason = "the tests are told by the environment")]
fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

#[expect(clippy::disallowed_methods, reason = "the tests are told by the environment")]
fn on_github() -> bool {
    std::env::var("GITHUB_ACTIONS").is_ok()
}

/// Says past the capture of a test's output that it did not run, and notes it for the last lines.
#[expect(clippy::disallowed_methods, reason = "the tests are told by the environment")]
fn skipped(why: &str) {
    let line = format!("SKIPPED: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("standard error can be written");
    if let Some(notes) = std::env::var_os("TURNAROUND_SKIPPED") {
        let mut notes = std::fs::OpenOptions::new().append(true).create(true).open(notes);
        let noted = notes.as_mut().map(|notes| writeln!(notes, "{why}"));
        noted.expect("the notes are open").expect("they can be written");
    }
}

/// Whether a file is there that the project does not carry; as with servers, it must be with
/// `CI=true`, but for GitHub's machines, to which nobody hands it.
pub(crate) fn is_there(file: &std::path::Path, test: &str) -> bool {
    let there = file.exists();
    if !there {
        cannot_run(&format!("{test} needs {}", file.display()));
    }
    there
}

/// A test cannot run for want of what no script of ours can bring: a failure with `CI=true`, but for
/// GitHub's machines, and else a loud skip.
pub(crate) fn cannot_run(need: &str) {
    assert!(!in_ci() || on_github(), "{need}");
    skipped(need);
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

/// What the lake builds upon: of two puts of one key, each if absent, the second is refused.
#[tokio::test]
async fn s3_puts_only_if_absent() {
    use object_store::aws::AmazonS3Builder;
    use object_store::path::Path;
    use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode};

    let Some(url) = s3("servers::s3_puts_only_if_absent") else { return };
    let bucket = format!("servers-test-{}", std::process::id());
    let made = reqwest::Client::new().put(format!("{url}/{bucket}")).send().await;
    assert_eq!(made.expect("the S3 server answers").status(), 200);
    let store = AmazonS3Builder::new()
        .with_endpoint(url)
        .with_allow_http(true)
        .with_bucket_name(bucket)
        .with_region("us-east-1")
        .with_access_key_id("testing")
        .with_secret_access_key("testing")
        .build()
        .expect("the settings are whole");
    let key = Path::from("key");
    let put = |body: &'static str| store.put_opts(&key, body.into(), PutMode::Create.into());
    put("first").await.expect("nothing is there yet");
    let second = put("second").await;
    assert!(matches!(second, Err(Error::AlreadyExists { .. })), "{second:?}");
    let kept = store.get(&key).await.expect("it is there").bytes().await.expect("it has bytes");
    assert_eq!(&kept[..], b"first");
}

#[test]
fn python_has_the_readers() {
    let Some(python) = python("servers::python_has_the_readers") else { return };
    let code = "import chdb, duckdb, pandas, polars, pyarrow.parquet, pyspark";
    let status = std::process::Command::new(python).args(["-c", code]).status();
    assert!(status.expect("python runs").success());
}

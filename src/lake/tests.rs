//! The lake against main memory, a folder, a store that fails, and an S3 server when
//! `TURNAROUND_TEST_S3` names one's endpoint.

// long because the same cases over four kinds of store.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, TimeUnit};
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    PutMultipartOptions, PutResult,
};

use super::*;
use crate::flow::card_key::CardKey;
use crate::flow::lake_key::{Fingerprint, FiringKey};
use crate::flow::{Offset, Window};

fn rows(minutes: &[f64]) -> Vec<RecordBatch> {
    let labs = StringArray::from_iter_values(minutes.iter().map(|_| "north"));
    let minutes = Float64Array::from(minutes.to_vec());
    let columns: [(&str, arrow::array::ArrayRef); 2] =
        [("lab_id", Arc::new(labs)), ("p90_minutes", Arc::new(minutes))];
    vec![RecordBatch::try_from_iter(columns).unwrap()]
}

fn day(number: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 3, number).unwrap()
}

fn settled(table: &str, date: NaiveDate) -> LakeKey {
    LakeKey::Settled { table: SafeName::of(table), date, revision: 0 }
}

fn live(table: &str, date: NaiveDate, hour: i64, revision: u32) -> LakeKey {
    let midnight = date.and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp_micros();
    let start = Timestamp(midnight).plus(crate::flow::Span(hour * 3_600_000_000));
    let window = Window { start, end: start.plus(crate::flow::Span::HOUR) };
    let fingerprint = Fingerprint(7);
    let table = SafeName::of(table);
    LakeKey::Live { date, firing: FiringKey { table, window, revision, fingerprint } }
}

fn archived(topic: &str, index: i32, date: NaiveDate, first: i64, last: i64) -> LakeKey {
    let partition = Partition { topic: Arc::from(topic), index };
    let input = InputKey::of(&partition, Offset(first), Offset(last));
    LakeKey::Input { section: Section::Events, date, input }
}

fn notes(revision: u32) -> ObjectNotes {
    ObjectNotes { revision, ..ObjectNotes::default() }
}

/// What every kind of store must do alike.
async fn check(lake: &Lake) {
    let key = settled("throughput_1h", day(1));
    let first = lake.put(&key, rows(&[1.0, 2.0]), notes(0)).await.unwrap();
    assert!(matches!(first, PutOutcome::Written { bytes } if bytes > 0));
    // Other notes, the same rows: nothing to do.
    let again = lake.put(&key, rows(&[1.0, 2.0]), notes(9)).await.unwrap();
    assert_eq!(again, PutOutcome::AlreadyThere);
    let other = lake.put(&key, rows(&[1.0, 3.0]), notes(0)).await.unwrap_err();
    assert!(matches!(&other, LakeError::Conflict { key: k, .. } if *k == key.to_string()));
    assert!(!other.is_retryable());
    assert!(other.to_string().contains("delete that object"), "{other}");

    let keys = [
        live("throughput_1h", day(2), 1, 0),
        live("throughput_1h", day(2), 1, 1),
        live("throughput_1h", day(3), 0, 0),
        live("throughput_1", day(2), 0, 0),
        archived("lab/events", 0, day(1), 10, 19),
        archived("lab/events", 0, day(2), 0, 9),
        archived("lab/events", 1, day(1), 0, 4),
        archived("lab", 0, day(1), 0, 4),
    ];
    let puts = keys.iter().map(|key| lake.put(key, rows(&[1.0]), notes(0)));
    for put in futures::future::join_all(puts).await {
        assert!(matches!(put, Ok(PutOutcome::Written { .. })), "{put:?}");
    }
    let names = |listed: Vec<Listed>| listed.into_iter().map(|one| one.key).collect::<Vec<_>>();
    assert_eq!(names(lake.settled_days("throughput_1h").await.unwrap()), [key]);
    let of_day = names(lake.live_objects("throughput_1h", day(2)).await.unwrap());
    assert_eq!(of_day, keys[..2]);
    assert_eq!(names(lake.live_objects_of("throughput_1h").await.unwrap()), keys[..3]);
    let partition = Arc::new(Partition { topic: Arc::from("lab/events"), index: 0 });
    let absent = Arc::new(Partition { topic: Arc::from("lab/events"), index: 7 });
    let asked = [Arc::clone(&partition), absent];
    let mut runs = lake.list_ranges(Section::Events, &asked).await.unwrap();
    assert_eq!(runs.len(), 1);
    let runs = runs.remove(&partition).unwrap();
    let expected = [
        ArchivedRun { date: day(2), first: 0, to: 10 },
        ArchivedRun { date: day(1), first: 10, to: 20 },
    ];
    assert_eq!(runs, expected);

    assert_eq!(lake.delete(&of_day).await.unwrap(), 2);
    lake.delete(&of_day).await.unwrap();
    assert_eq!(lake.live_objects("throughput_1h", day(2)).await.unwrap(), []);
    assert_eq!(lake.live_objects_of("throughput_1h").await.unwrap().len(), 1);
    check_race(lake).await;
}

/// Of sixteen writers of one object one writes it; the others find their own rows there.
async fn check_race(lake: &Lake) {
    let key = settled("raced", day(1));
    let puts = (0..16).map(|_| {
        let (lake, key) = (lake.clone(), key.clone());
        tokio::spawn(async move { lake.put(&key, rows(&[5.0]), notes(0)).await })
    });
    let mut written = 0;
    for put in futures::future::join_all(puts).await {
        match put.unwrap().unwrap() {
            PutOutcome::Written { .. } => written += 1,
            PutOutcome::AlreadyThere => {}
        }
    }
    assert_eq!(written, 1);
}

#[tokio::test]
async fn memory_does_what_a_lake_must() {
    check(&Lake::in_memory()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_does_what_a_lake_must_and_holds_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/lake with space");
    let lake = Lake::open(path.to_str().unwrap(), []).unwrap();
    check(&lake).await;
    let mut files = Vec::new();
    files_below(&path, &mut files);
    let strange: Vec<_> = files.iter().filter(|name| !name.ends_with(".parquet")).collect();
    assert!(strange.is_empty(), "{strange:?}");
    // One settled, one raced, four live of which two are deleted, four archived.
    assert_eq!(files.len(), 8);
    assert!(!path.join("live/throughput_1h/day=2026-03-02").exists());
    assert!(path.join("tables/throughput_1h/day=2026-03-01/day-r0.parquet").is_file());

    let url = url::Url::from_file_path(&path).unwrap();
    let by_url = Lake::open(url.as_str(), []).unwrap();
    assert_eq!(by_url.settled_days("raced").await.unwrap().len(), 1);
}

fn files_below(folder: &FilePath, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, files);
        } else {
            files.push(path.to_string_lossy().into_owned());
        }
    }
}

#[tokio::test]
async fn a_lake_is_marked_once_and_one_of_another_layout_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap(), []).unwrap();
    let mark = folder.path().join("_turnaround/format");
    for _ in 0..2 {
        lake.claim().await.unwrap();
        assert_eq!(std::fs::read_to_string(&mark).unwrap(), "{\"layout\":2}\n");
    }
    std::fs::write(&mark, "{\"layout\":1}").unwrap();
    let refused = lake.claim().await.unwrap_err();
    assert!(matches!(refused, LakeError::OtherLayout { .. }), "{refused:?}");
    assert!(refused.to_string().contains("has layout 1, this version reads and writes layout 2"));

    std::fs::remove_file(&mark).unwrap();
    let old = folder.path().join("events/date=2026-03-01");
    std::fs::create_dir_all(&old).unwrap();
    std::fs::write(old.join("t-0-0-9.parquet"), "x").unwrap();
    let refused = lake.claim().await.unwrap_err();
    assert!(refused.to_string().contains("`date=` before the day"), "{refused}");
    assert!(!mark.exists());
}

#[tokio::test]
async fn a_damaged_object_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap(), []).unwrap();
    let key = settled("throughput_1h", day(1));
    let file = folder.path().join(key.to_string());
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    for content in [b"".as_slice(), b"PAR1 not all of it", b"PAR1 not all of it PAR1"] {
        std::fs::write(&file, content).unwrap();
        let error = lake.put(&key, rows(&[1.0]), notes(0)).await.unwrap_err();
        assert!(matches!(&error, LakeError::Unreadable { .. }), "{error:?}");
        assert!(error.to_string().contains(&key.to_string()));
        assert_eq!(std::fs::read(&file).unwrap(), content);
    }
}

#[tokio::test]
async fn rows_that_cannot_be_stored_name_object_and_column() {
    let lake = Lake::in_memory();
    let wait: arrow::array::ArrayRef = Arc::new(arrow::array::DurationSecondArray::from(vec![1]));
    let batch = RecordBatch::try_from_iter([("wait", wait)]).unwrap();
    let key = settled("waits", day(1));
    let error = lake.put(&key, vec![batch], notes(0)).await.unwrap_err();
    let LakeError::Encode { key: of, source } = error else { panic!("{error:?}") };
    assert_eq!(of, key.to_string());
    let EncodeError::UnsupportedType { column, data_type, .. } = source else {
        panic!("{source:?}")
    };
    assert_eq!((column.as_str(), data_type), ("wait", DataType::Duration(TimeUnit::Second)));
    assert_eq!(lake.list(TABLES).await.unwrap(), [], "nothing was put");
}

/// How a store fails.
#[derive(Clone, Copy, Debug)]
enum Failure {
    /// The answer to a put that was done is lost.
    AnswerLost,
    /// A put is not done.
    Unavailable,
    /// "Conflict" while no object is there.
    FalseConflict,
    /// What is there is not given.
    Unread,
}

/// A store in memory whose first puts fail.
#[derive(Debug)]
struct Flaky {
    inner: InMemory,
    failure: Failure,
    left: AtomicUsize,
}

impl Flaky {
    /// Whether it fails this time.
    fn fails(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
    }
}

impl std::fmt::Display for Flaky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("flaky")
    }
}

#[async_trait]
impl ObjectStore for Flaky {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        if matches!(self.failure, Failure::Unread) || !self.fails() {
            return self.inner.put_opts(location, payload, options).await;
        }
        match self.failure {
            Failure::AnswerLost => {
                self.inner.put_opts(location, payload, options).await?;
                Err(object_store::Error::Generic { store: "flaky", source: "time-out".into() })
            }
            Failure::Unavailable | Failure::Unread => {
                Err(object_store::Error::Generic { store: "flaky", source: "503".into() })
            }
            Failure::FalseConflict => Err(object_store::Error::AlreadyExists {
                path: location.to_string(),
                source: "409".into(),
            }),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        if matches!(self.failure, Failure::Unread) && self.fails() {
            return Err(object_store::Error::Generic { store: "flaky", source: "503".into() });
        }
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn flaky(failure: Failure, failures: usize) -> Lake {
    let left = AtomicUsize::new(failures);
    let objects: Arc<dyn ObjectStore> = Arc::new(Flaky { inner: InMemory::new(), failure, left });
    Lake::new(Store {
        uploads: Arc::clone(&objects),
        objects,
        prefix: Path::from("some/prefix"),
        name: "s3://bucket/some/prefix".to_owned(),
        kind: StoreKind::S3,
    })
}

#[tokio::test]
async fn a_failing_put_is_tried_again() {
    let key = settled("throughput_1h", day(1));
    for (failure, expected) in [
        (Failure::AnswerLost, "AlreadyThere"),
        (Failure::Unavailable, "Written"),
        (Failure::FalseConflict, "Written"),
    ] {
        let lake = flaky(failure, 2);
        let outcome = lake.put(&key, rows(&[1.0]), notes(0)).await.unwrap();
        assert!(format!("{outcome:?}").starts_with(expected), "{failure:?} {outcome:?}");
        assert_eq!(lake.settled_days("throughput_1h").await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn what_is_kept_of_a_card_is_read_again_when_the_store_did_not_answer() {
    let lake = flaky(Failure::Unread, 2);
    let key = CardKey::Waiting { id: "a".repeat(32) };
    lake.put_card(&key, Bytes::from_static(b"1")).await.unwrap();
    assert_eq!(lake.read_card(&key).await.unwrap().as_deref(), Some(&b"1"[..]));
}

/// As when the run is asked to stop while its lake is away, before anything was read.
#[tokio::test]
async fn a_stop_ends_the_reading_of_cards() {
    let stop = CancellationToken::new();
    let lake =
        flaky(Failure::Unread, usize::MAX).for_run(Duration::from_secs(60), true, stop.clone());
    let key = CardKey::Waiting { id: "a".repeat(32) };
    stop.cancel();
    let error = lake.read_card(&key).await.unwrap_err();
    assert!(matches!(error, LakeError::Stopped { .. }), "{error}");
}

#[tokio::test]
async fn a_store_that_stays_away_is_named_with_what_to_do() {
    let mut lake = flaky(Failure::Unavailable, usize::MAX);
    lake.waiting.patience = Patience::For(Duration::from_millis(150));
    let key = settled("throughput_1h", day(1));
    let error = lake.put(&key, rows(&[1.0]), notes(0)).await.unwrap_err();
    assert!(error.is_retryable());
    let text = error.to_string();
    assert!(text.starts_with("could not write `tables/throughput_1h/"), "{text}");
    assert!(text.contains("`s3://bucket/some/prefix`") && text.contains("AWS_REGION"), "{text}");
}

#[test]
fn errors_are_sorted_by_what_the_caller_can_do() {
    let io = |kind: std::io::ErrorKind| object_store::Error::Generic {
        store: "LocalFileSystem",
        source: Box::new(std::io::Error::from(kind)),
    };
    let sorted = |error| error::classify(StoreKind::Local, "lake", "write `x`".to_owned(), error);
    use std::io::ErrorKind;
    for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge] {
        assert!(matches!(sorted(io(kind)), LakeError::NoSpace { .. }));
    }
    for kind in [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem] {
        assert!(matches!(sorted(io(kind)), LakeError::Denied { .. }));
    }
    assert!(matches!(sorted(io(ErrorKind::TimedOut)), LakeError::Unreachable { .. }));
    let missing = object_store::Error::NotFound { path: "x".into(), source: "404".into() };
    assert!(matches!(sorted(missing), LakeError::Missing { .. }));
}

#[test]
fn a_store_is_quoted_in_one_line() {
    let said = |text: &str| {
        let source = std::io::Error::other(text.to_owned()).into();
        let said = error::StoreSaid::from(object_store::Error::Generic { store: "S3", source });
        said.to_string()
    };
    let xml = "status 404: <?xml?>\n<Error>\n <Code>NoSuchBucket</Code>\n \
               <Message>It is not there.\nRequestId:1</Message>\n</Error>";
    assert_eq!(said(xml), "NoSuchBucket: It is not there.");
    assert_eq!(said("Connection\n  refused"), "Connection refused");
    assert_eq!(said(&"x".repeat(1000)).len(), 300);
}

fn open_error(location: &str, purpose: Purpose) -> LakeError {
    store::open(location, [], purpose).unwrap_err()
}

#[test]
fn wrong_locations_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let absent = folder.path().join("absent");
    let absent = absent.to_str().unwrap();
    let cases = [
        ("ftp://host/lake", "the scheme `ftp` is unknown"),
        ("s3:///lake", "bucket's name is missing"),
        ("file://lake", "three slashes"),
        ("", "it is empty"),
        (file.to_str().unwrap(), "it is a file"),
    ];
    for (location, expected) in cases {
        let error = open_error(location, Purpose::Read);
        assert!(matches!(error, LakeError::BadLocation { .. }), "{location}");
        assert!(error.to_string().contains(expected), "{location}: {error}");
    }
    assert!(matches!(open_error(absent, Purpose::Read), LakeError::Missing { .. }));
    assert!(!FilePath::new(absent).exists());
    let below_a_file = file.join("lake");
    let error = open_error(below_a_file.to_str().unwrap(), Purpose::Write);
    assert!(error.to_string().contains("could not create the folder"), "{error}");
}

#[test]
fn settings_come_from_the_pairs_and_names_hold_no_secret() {
    let pairs = |all: &[(&str, &str)]| -> Vec<(String, String)> {
        all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let environment = pairs(&[
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_REGION", "eu-central-1"),
        ("REGION", "nowhere"),
        ("TOKEN", "secret"),
    ]);
    let store = store::open("s3://u:secret@bucket/a/b?x=secret", environment, Purpose::Write);
    let store = store.unwrap();
    assert_eq!(store.prefix.as_ref(), "a/b");
    assert_eq!(store.kind, StoreKind::S3);
    let shown = format!("{} {}", store.name, store.objects);
    assert!(!shown.contains("secret"), "{shown}");
    let emulator = pairs(&[("AZURE_STORAGE_USE_EMULATOR", "true")]);
    let store = store::open("az://container/lake", emulator, Purpose::Write).unwrap();
    assert_eq!((store.kind, store.prefix.as_ref()), (StoreKind::Azure, "lake"));
    let open = pairs(&[("GOOGLE_SKIP_SIGNATURE", "true")]);
    let store = store::open("gs://bucket", open, Purpose::Write).unwrap();
    assert_eq!((store.kind, store.prefix.as_ref()), (StoreKind::Google, ""));
}

/// The endpoint of an S3 server to test against; with `CI=true` there must be one.
#[tokio::test(flavor = "multi_thread")]
async fn s3_does_what_a_lake_must() {
    let test = "sink::lake::tests::s3_does_what_a_lake_must";
    let Some(endpoint) = crate::skipped::server("TURNAROUND_TEST_S3", test) else { return };
    let bucket = format!("lake-{}", std::process::id());
    let open = |bucket: &str| {
        let environment = [
            ("AWS_ENDPOINT", endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
            ("AWS_REGION", "us-east-1"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        Lake::open(&format!("s3://{bucket}/some/prefix"), environment).unwrap()
    };
    let missing = open("no-such-bucket").put(&settled("t", day(1)), rows(&[1.0]), notes(0)).await;
    assert!(matches!(missing, Err(LakeError::Missing { .. })), "{missing:?}");
    let created = reqwest::Client::new().put(format!("{endpoint}/{bucket}")).send().await.unwrap();
    assert!(created.status().is_success());
    check(&open(&bucket)).await;
}

/// A bucket's rule may remove an object between the listing and the read: it would be waited for without
/// end, were it taken for an outage.
#[tokio::test]
async fn an_object_that_is_gone_is_not_waited_for() {
    let lake = Lake::in_memory().for_run(Duration::ZERO, true, CancellationToken::new());
    let key = archived("lab", 0, day(1), 0, 9);
    let read = || tokio::time::timeout(Duration::from_secs(20), lake.read(&key));
    assert_eq!(read().await.expect("it answers").unwrap(), None);
    lake.put(&key, rows(&[1.5]), notes(0)).await.unwrap();
    let found = read().await.expect("it answers").unwrap().expect("it is there");
    assert_eq!(found[0].columns(), rows(&[1.5])[0].columns());
}

//! A feed through a real topic of six partitions into a bucket comes to the same settled tables,
//! row for row, as through a file into a folder.

use crate::binary::{Place, count, tables, unique};
use crate::servers;

/// Lets the commands of a place reach the S3 server of the tests.
pub(crate) fn reach_s3(place: &mut Place, url: &str) {
    place.set("AWS_ENDPOINT", url);
    place.set("AWS_ALLOW_HTTP", "true");
    place.set("AWS_ACCESS_KEY_ID", "testing");
    place.set("AWS_SECRET_ACCESS_KEY", "testing");
    place.set("AWS_REGION", "us-east-1");
}

#[tokio::test]
async fn topic_to_bucket_equals_file_to_folder() {
    let test = "kafka_to_s3::topic_to_bucket_equals_file_to_folder";
    let (Some(brokers), Some(s3)) = (servers::kafka(test), servers::s3(test)) else { return };
    let name = unique("to-s3");
    let made = reqwest::Client::new().put(format!("{s3}/{name}")).send().await;
    assert_eq!(made.expect("the S3 server answers").status(), 200);
    let mut place = Place::new();
    reach_s3(&mut place, &s3);
    place.set("KAFKA_BROKERS", &brokers);
    let same = tokio::task::spawn_blocking(move || both_ways(&place, &name)).await;
    same.expect("both ways are the same");
}

fn both_ways(place: &Place, name: &str) {
    let (topic, bucket) = (format!("kafka:{name}"), format!("s3://{name}/some/prefix"));
    let feed = ["generate", "--profile", "demo", "--days", "1", "--faults", "refused=2%", "--json"];
    let sent = place.counters(&[&feed[..], &["--out", &topic, "--partitions", "6"]].concat());
    let written = place.counters(&[&feed[..], &["--out", "file:feed.ndjson"]].concat());
    assert_eq!(count(&sent, "bytes"), count(&written, "bytes"), "the feeds are the same");
    let run = ["run", "--once", "--json", "--source"];
    let of_topic = place.counters(&[&run[..], &[&topic, "--lake", &bucket]].concat());
    let of_file = place.counters(&[&run[..], &["file:feed.ndjson", "--lake", "lake"]].concat());
    assert_eq!(count(&of_topic, "events_in"), count(&sent, "events"));
    assert_eq!(tables(&of_topic).len(), 20, "every shipped table");
    for table in tables(&of_topic) {
        assert_eq!(of_topic["tables"][table], of_file["tables"][table], "{table}");
        let rows = |lake| {
            let all = format!("SELECT * FROM {table}");
            let text = place.run(&["query", &all, "--lake", lake, "--format", "csv"]).succeeded();
            let mut rows: Vec<String> = text.out.lines().map(str::to_owned).collect();
            rows.sort();
            rows
        };
        let (bucket_rows, folder_rows) = (rows(&bucket), rows("lake"));
        // Nobody edits settings in the plain course.
        let is_filled = folder_rows.len() > 1 || table == "center_status";
        assert!(is_filled, "{table} has rows");
        assert!(
            bucket_rows == folder_rows,
            "{table}: {}",
            first_difference(&bucket_rows, &folder_rows)
        );
    }
    let partitions = place.query(&bucket, "SELECT DISTINCT \"partition\" FROM events");
    assert_eq!(partitions.len(), 6, "every partition had events");
    let archived = place.value(&bucket, "SELECT count(*) FROM events");
    assert_eq!(archived, count(&sent, "events"));
}

fn first_difference(one: &[String], other: &[String]) -> String {
    let pairs = one.iter().zip(other).find(|(one, other)| one != other);
    format!("{} and {} rows; first: {pairs:?}", one.len(), other.len())
}

//! Events of one specimen on more than one partition: counted, warned of, and told at the end.

use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::json;

use crate::binary::{Place, count, unique};
use crate::servers;
use crate::takeover::{client, create_topic};

/// Of ten specimens three are received on one partition and verified on the other.
#[tokio::test]
async fn a_specimen_on_two_partitions_is_counted_and_told() {
    let test = "scattered::a_specimen_on_two_partitions_is_counted_and_told";
    let Some(brokers) = servers::kafka(test) else { return };
    let topic = unique("scattered");
    create_topic(&brokers, &topic, 2).await;
    let told = tokio::task::spawn_blocking(move || told(&brokers, &topic));
    told.await.expect("it is told");
}

fn told(brokers: &str, topic: &str) {
    let producer: BaseProducer = client(brokers).create().expect("a producer");
    for (to_state, minute) in [("RECEIVED", 0), ("VERIFIED", 30)] {
        for specimen in 0..10 {
            let event = json!({
                "event_type": "specimen.transition", "lab_id": "north", "assay": "K",
                "specimen_id": format!("s{specimen}"), "to_state": to_state,
                "event_time": format!("2026-03-02T08:{:02}:00Z", minute + specimen),
            });
            let event = event.to_string();
            let strays = to_state == "VERIFIED" && specimen < 3;
            let record = BaseRecord::<(), str>::to(topic).payload(&event);
            let record = record.partition(if strays { 1 } else { 0 });
            producer.send(record).map_err(|(error, _)| error).expect("the record is taken");
        }
    }
    producer.flush(Duration::from_secs(60)).expect("the records are there");
    let mut place = Place::new();
    place.set("KAFKA_BROKERS", brokers);
    place.set("RUST_LOG", "warn");
    let source = format!("kafka:{topic}");
    let run = ["run", "--once", "--json", "--source", &source, "--lake", "lake"];
    let ran = place.run(&run).succeeded();
    assert_eq!(count(&ran.counters(), "scattered"), 3, "{}", ran.out);
    let warned = ran.err.matches("events of one specimen come on more than one partition").count();
    assert_eq!(warned, 1, "{}", ran.err);
    let summary =
        "the events of 3 of 10 specimens that were looked at came on more than one partition";
    assert!(ran.err.contains(summary), "{}", ran.err);
}

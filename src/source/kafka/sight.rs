//! What librdkafka's statistics tell about the brokers and the ends of the partitions. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A leader from which nothing has come for so long cannot vouch for a partition's end. An idle
/// fetch is answered after 200 ms (`fetch.wait.max.ms`).
const FRESH_US: i64 = 4_000_000;

/// What is known of each partition of a topic at some moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TopicSight {
    pub(super) partitions: BTreeMap<i32, PartitionSight>,
}

/// What is known of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartitionSight {
    /// The connection to the broker that serves it stands.
    pub(super) reachable: bool,
    /// That broker has answered just now.
    pub(super) fresh: bool,
    /// The partition's end, when known.
    pub(super) high: Option<i64>,
    /// The end of what is not within an open transaction, when known.
    pub(super) stable: Option<i64>,
}

#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    brokers: BTreeMap<String, BrokerState>,
    #[serde(default)]
    topics: BTreeMap<String, TopicState>,
}

#[derive(Deserialize)]
struct BrokerState {
    nodeid: i32,
    state: String,
    /// Microseconds since the last byte came, or -1.
    rxidle: i64,
}

#[derive(Deserialize)]
struct TopicState {
    partitions: BTreeMap<String, PartitionState>,
}

#[derive(Deserialize)]
struct PartitionState {
    partition: i32,
    broker: i32,
    hi_offset: i64,
    ls_offset: i64,
}

/// Reads librdkafka's statistics (STATISTICS.md of librdkafka 2.12).
pub(super) fn read(json: &[u8], topic: &str) -> Result<TopicSight, serde_json::Error> {
    let mut statistics: Statistics = serde_json::from_slice(json)?;
    let brokers: BTreeMap<i32, BrokerState> = statistics
        .brokers
        .into_values()
        .filter(|broker| broker.nodeid >= 0)
        .map(|broker| (broker.nodeid, broker))
        .collect();
    let known = |offset: i64| (offset >= 0).then_some(offset);
    let sight_of = |state: PartitionState| {
        let broker = brokers.get(&state.broker);
        let reachable = broker.is_some_and(|broker| broker.state == "UP");
        let fresh =
            reachable && broker.is_some_and(|broker| (0..FRESH_US).contains(&broker.rxidle));
        let (high, stable) = (known(state.hi_offset), known(state.ls_offset));
        (state.partition, PartitionSight { reachable, fresh, high, stable })
    };
    let partitions = match statistics.topics.remove(topic) {
        // Partition -1 stands for messages without one.
        Some(topic) => {
            topic.partitions.into_values().filter(|p| p.partition >= 0).map(sight_of).collect()
        }
        None => BTreeMap::new(),
    };
    Ok(TopicSight { partitions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_seen_through_its_brokers_connection() {
        let json = br#"{ "name": "x", "brokers": {
            "a:1/bootstrap": { "nodeid": -1, "state": "DOWN", "rxidle": -1, "txidle": 3 },
            "a:1/1": { "nodeid": 1, "state": "UP", "rxidle": 400000 },
            "a:2/2": { "nodeid": 2, "state": "UP", "rxidle": 9000000 },
            "a:3/3": { "nodeid": 3, "state": "CONNECT", "rxidle": 10 } },
          "topics": { "other": { "partitions": {} }, "t": { "topic": "t", "partitions": {
            "0": { "partition": 0, "broker": 1, "hi_offset": 12, "ls_offset": 10, "lo_offset": 0 },
            "1": { "partition": 1, "broker": 2, "hi_offset": 7, "ls_offset": -1001 },
            "2": { "partition": 2, "broker": 3, "hi_offset": -1001, "ls_offset": -1001 },
            "-1": { "partition": -1, "broker": -1, "hi_offset": -1001, "ls_offset": -1001 } } } } }"#;
        let seen =
            |reachable, fresh, high, stable| PartitionSight { reachable, fresh, high, stable };
        let sight = read(json, "t").expect("valid");
        let expected = BTreeMap::from([
            (0, seen(true, true, Some(12), Some(10))),
            (1, seen(true, false, Some(7), None)),
            (2, seen(false, false, None, None)),
        ]);
        assert_eq!(sight.partitions, expected);
        assert_eq!(read(json, "absent").expect("valid"), TopicSight::default());
        assert!(read(b"{", "t").is_err());
    }
}

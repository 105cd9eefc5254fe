//! What the reading thread watches besides messages: the group, the brokers, the ends of partitions.
//!
//! The callbacks have noted it, or librdkafka's statistics tell; here it is judged.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::TopicSettings;
use super::context::{Context, Problem};
use super::faults;
use super::faults::ReadEnd;
use super::lane::Lane;
use super::sight::{PartitionSight, TopicSight};
use crate::source::SourceError;

/// How long the group may take to give this member every partition.
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);

/// How often an outage is told of.
const OUTAGE_NOTICE: Duration = Duration::from_secs(30);

/// Since when something has not been as it should be.
#[derive(Default)]
pub(super) struct Health {
    /// This member has not held every partition.
    incomplete_since: Option<Instant>,
    /// No broker that serves a partition has been reachable.
    outage_since: Option<Instant>,
    outage_told: Option<Instant>,
}

/// What is watched: a topic's consumer and its partitions.
pub(super) struct WatchedTopic<'a> {
    pub(super) consumer: &'a BaseConsumer<Context>,
    pub(super) lanes: &'a mut [Lane],
    pub(super) settings: &'a TopicSettings,
    pub(super) topic: &'a str,
}

impl Health {
    /// Looks at what the callbacks have noted.
    pub(super) fn watch(&mut self, of: &mut WatchedTopic<'_>) -> Result<(), ReadEnd> {
        let context = of.consumer.context();
        let (group, topic) = (&of.settings.group, of.topic);
        match context.take_problem() {
            None => {}
            Some(Problem::TakenAway) => {
                let found = "another has just joined and was given some of the partitions";
                return Err(faults::several_instances(group, topic, found).into());
            }
            Some(Problem::NewPartition(index)) => {
                return Err(faults::new_partition(topic, index).into());
            }
            Some(Problem::Refused(reason)) => {
                return Err(faults::refused(&of.settings.brokers, &reason).into());
            }
            Some(Problem::Tls(reason)) => {
                tracing::warn!(topic, reason, "TLS with a broker failed; trying again");
            }
            Some(Problem::Rebalance(reason)) => {
                return Err(ReadEnd::Failed(SourceError::Failed {
                    attempted: format!("take the partitions of topic `{topic}`; start again"),
                    source: anyhow::anyhow!(reason),
                }));
            }
        }
        for index in context.take_given() {
            let given = of.lanes.iter_mut().find(|lane| lane.partition.index == index);
            given.into_iter().for_each(Lane::assigned_anew);
        }
        let sight = context.take_sight();
        self.watch_membership(of, context.assigned())?;
        match sight {
            Some(sight) => self.look(of, &sight),
            None => Ok(()),
        }
    }

    /// Errs when the group leaves this member without every partition for too long.
    fn watch_membership(&mut self, of: &WatchedTopic<'_>, assigned: usize) -> Result<(), ReadEnd> {
        // During an outage nobody is given anything; the outage has its own limit.
        if assigned == of.lanes.len() || self.outage_since.is_some() {
            self.incomplete_since = None;
            return Ok(());
        }
        let since = *self.incomplete_since.get_or_insert_with(Instant::now);
        if since.elapsed() < JOIN_TIMEOUT {
            return Ok(());
        }
        let (all, group) = (of.lanes.len(), &of.settings.group);
        if assigned == 0 {
            let reason = of.consumer.context().last_failure();
            return Err(ReadEnd::Failed(SourceError::Failed {
                attempted: format!(
                    "join group `{group}` within {} s; look at the group's coordinator",
                    JOIN_TIMEOUT.as_secs()
                ),
                source: anyhow::anyhow!(reason.unwrap_or_else(|| "no partition was given".into())),
            }));
        }
        let found = format!("this one was given {assigned} of {all} partitions");
        Err(faults::several_instances(group, of.topic, &found).into())
    }

    /// Judges the statistics: lag, ends that still hold, outage.
    fn look(&mut self, of: &mut WatchedTopic<'_>, sight: &TopicSight) -> Result<(), ReadEnd> {
        let committed = of.reads_committed();
        let context = of.consumer.context();
        for lane in of.lanes.iter_mut() {
            let index = lane.partition.index;
            let Some(seen) = sight.partitions.get(&index) else { continue };
            let end = if committed { seen.stable } else { seen.high };
            let holds = lane.still_at_end(seen.fresh && context.holds(index));
            if lane.read {
                lane.meters.lag.set(0.0);
            } else if holds {
                lane.to_tell = true;
                lane.meters.lag.set(0.0);
            } else if let Some(end) = end {
                lane.meters.lag.set((end - lane.next).max(0) as f64);
            }
        }
        let reachable = |seen: &PartitionSight| seen.reachable;
        let wanted = |index: &i32| of.lanes.iter().any(|l| l.partition.index == *index && !l.read);
        let mut seen = sight.partitions.iter().filter(|(index, _)| wanted(index));
        if seen.any(|(_, seen)| reachable(seen)) {
            if self.outage_since.take().is_some() {
                tracing::info!(topic = of.topic, "Kafka can be reached again");
            }
            self.outage_told = None;
            return Ok(());
        }
        self.bear_outage(of)
    }

    /// Tells of an outage now and then, and errs when it has lasted too long.
    fn bear_outage(&mut self, of: &WatchedTopic<'_>) -> Result<(), ReadEnd> {
        let now = Instant::now();
        let since = *self.outage_since.get_or_insert(now);
        let (brokers, topic) = (&of.settings.brokers, of.topic);
        let lasted = now.duration_since(since);
        let reason = of.consumer.context().last_failure();
        let reason = reason.unwrap_or_else(|| "no connection to a broker stands".to_owned());
        if lasted >= of.settings.outage_timeout {
            let seconds = lasted.as_secs();
            return Err(ReadEnd::Failed(SourceError::Failed {
                attempted: format!(
                    "reach Kafka at `{brokers}` for {seconds} s while reading topic `{topic}`; \
                     look at the brokers and the network, and start again"
                ),
                source: anyhow::anyhow!(reason),
            }));
        }
        // The first moments after a start look like an outage.
        let due =
            self.outage_told.map_or(since + Duration::from_secs(5), |told| told + OUTAGE_NOTICE);
        if now >= due {
            self.outage_told = Some(now);
            tracing::warn!(
                brokers,
                topic,
                seconds = lasted.as_secs(),
                reason,
                "Kafka cannot be reached; trying on"
            );
        }
        Ok(())
    }
}

impl WatchedTopic<'_> {
    fn reads_committed(&self) -> bool {
        self.settings.options.get("isolation.level").is_none_or(|level| level == "read_committed")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::super::consumer::{Share, consumer};
    use super::super::lane::Bounds;
    use super::super::reader::{Reader, Reins};
    use super::*;
    use crate::flow::{Partition, Timestamp};

    /// A reader of one partition of a topic that no broker serves; it was given the partition.
    fn reader() -> Reader {
        let settings = TopicSettings::new("127.0.0.1:1", vec!["t".to_owned()], Timestamp(0));
        let consumer = Arc::new(consumer(&settings, "t", Share::of(1)).expect("a consumer"));
        consumer.context().expect_partitions(1);
        let partition = Arc::new(Partition { topic: "t".into(), index: 0 });
        let bounds = [Bounds { partition, low: 0, high: 0 }];
        let (sender, _) = tokio::sync::mpsc::channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let reins = Reins { sender, alignment: Arc::default(), stop };
        let mut reader = Reader::new(consumer, "t", &bounds, &settings, reins).expect("a reader");
        reader.consumer.context().note_given(&[0]);
        assert!(reader.watch().is_ok());
        reader
    }

    /// Whether a partition that once was at its end is told to be so after these statistics.
    fn tells(reader: &mut Reader, fresh: bool) -> bool {
        let seen = PartitionSight { reachable: true, fresh, high: Some(0), stable: Some(0) };
        let sight = TopicSight { partitions: BTreeMap::from([(0, seen)]) };
        let mut of = WatchedTopic {
            consumer: &reader.consumer,
            lanes: &mut reader.lanes,
            settings: &reader.settings,
            topic: &reader.topic,
        };
        assert!(reader.health.look(&mut of, &sight).is_ok());
        std::mem::take(&mut reader.lanes[0].to_tell)
    }

    #[test]
    fn an_end_that_was_told_before_an_outage_is_believed_when_two_statistics_bear_it_out() {
        let mut reader = reader();
        reader.lanes[0].at_end = true;
        let told: Vec<bool> = [true, true, true, false, false, true, true, true]
            .map(|fresh| tells(&mut reader, fresh))
            .into();
        assert_eq!(told, [false, true, true, false, false, false, true, true]);
    }

    #[test]
    fn an_end_that_was_told_before_the_group_was_joined_again_is_not_believed() {
        let mut reader = reader();
        (reader.lanes[0].at_end, reader.lanes[0].to_tell) = (true, true);
        reader.consumer.context().note_given(&[0]);
        assert!(reader.watch().is_ok());
        assert!(!reader.lanes[0].at_end && !reader.lanes[0].to_tell);
        assert!([true; 5].iter().all(|fresh| !tells(&mut reader, *fresh)));
        // librdkafka tells it again.
        reader.lanes[0].at_end = true;
        assert_eq!([tells(&mut reader, true), tells(&mut reader, true)], [false, true]);
    }

    #[test]
    fn what_is_read_to_where_it_was_to_be_read_stays_so_when_the_group_is_joined_again() {
        let mut reader = reader();
        (reader.lanes[0].read, reader.lanes[0].to_tell) = (true, true);
        reader.lanes[0].assigned_anew();
        assert!(reader.lanes[0].to_tell && reader.lanes[0].read);
    }
}

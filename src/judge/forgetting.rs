//! Says that repeats are remembered for less than they should be: a partition that brings millions of
//! ids an hour is bounded in memory, not in time.

use crate::decode::Forgotten;
use crate::flow::{Partition, Span, Timestamp};
use crate::metrics as names;

/// At most so often is it logged.
const LOGGED_EVERY: Span = Span::HOUR;

/// When it was last logged.
#[derive(Debug, Default)]
pub(crate) struct Forgetting {
    logged_at: Option<Timestamp>,
}

impl Forgetting {
    /// Counts what a partition forgot early, and logs it unless that was done within the hour.
    pub(crate) fn note(&mut self, partition: &Partition, forgotten: Forgotten, now: Timestamp) {
        let Forgotten { ids, horizon } = forgotten;
        metrics::counter!(names::FORGOTTEN).increment(ids);
        let label = format!("{}/{}", partition.topic, partition.index);
        let seconds = horizon.0 as f64 / Span::SECOND.0 as f64;
        metrics::gauge!(names::REPEATS_HORIZON, "partition" => label.clone()).set(seconds);
        if self.is_due(now) {
            tracing::warn!(
                partition = %label,
                "event ids come so densely that repeats are known only for {horizon} of event time; \
                 spread the topic over more partitions"
            );
        }
    }

    fn is_due(&mut self, now: Timestamp) -> bool {
        let due = self.logged_at.is_none_or(|logged| now >= logged.plus(LOGGED_EVERY));
        if due {
            self.logged_at = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_logged_once_an_hour() {
        let mut forgetting = Forgetting::default();
        let minutes = [0, 1, 59, 60, 61, 119, 120];
        let due = minutes.map(|minute| forgetting.is_due(Timestamp(minute * Span::MINUTE.0)));
        assert_eq!(due, [true, false, false, true, false, false, true]);
    }
}

//! When an entity's next timer goes off.

use std::fmt::Debug;

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;

use super::step::Key;
use super::{Entities, WheelTimer};
use crate::lifecycle::spec::TimerWhen;

/// A minute in microseconds.
const MINUTE: i64 = 60_000_000;

/// What timers ask of reference data.
pub trait Lengths: Debug + Send + Sync {
    /// The zone of an entity's laboratory.
    fn zone(&self, key: &Key) -> Tz;
    /// How long an entity is silent between two signs of life, microseconds; none where it gives none.
    fn heartbeat(&self, key: &Key) -> Option<i64>;
    /// The entity's target, microseconds; none where it has no deadline.
    fn target(&self, key: &Key, since: i64) -> Option<i64>;
}

/// Every laboratory in UTC, no heartbeats, no targets.
#[derive(Clone, Copy, Debug)]
pub struct NoLengths;

impl Lengths for NoLengths {
    fn zone(&self, _: &Key) -> Tz {
        Tz::UTC
    }

    fn heartbeat(&self, _: &Key) -> Option<i64> {
        None
    }

    fn target(&self, _: &Key, _: i64) -> Option<i64> {
        None
    }
}

impl Entities {
    /// The earliest timer of an entity that is still to come, by its number in the machine.
    pub(super) fn due(&self, at: u32) -> Option<(i64, usize)> {
        let entity = &self.entities[at];
        let runs = self
            .machine
            .timers
            .iter()
            .enumerate()
            .filter(|(_, timer)| timer.within.contains(&entity.state));
        let times = runs.filter_map(|(number, timer)| {
            let time = match timer.when {
                TimerWhen::After(span) => entity.since.checked_add(span.0)?,
                TimerWhen::At(minute, grace) => {
                    next_local(self.lengths.zone(&entity.key), entity.since, minute)?
                        .checked_add(grace.0)?
                }
                TimerWhen::Silence(beats) => {
                    let beat = self.lengths.heartbeat(&entity.key)?;
                    let silent = entity.heard.checked_add(beat.checked_mul(i64::from(beats))?)?;
                    // Time does not go back for whom a timer has brought here after so long a silence.
                    silent.max(entity.since)
                }
                TimerWhen::Share(thousandths) => {
                    let target = self.lengths.target(&entity.key, entity.since)?;
                    let share = target.checked_mul(i64::from(thousandths))? / 1000;
                    // A share of nothing would be over again and again.
                    entity.since.checked_add(share).filter(|time| *time > entity.since)?
                }
            };
            Some((time, number))
        });
        times.min()
    }

    /// Sets an entity's timer for what comes next.
    pub(super) fn wind(&mut self, at: u32) {
        let next = self.due(at).map(|(time, _)| time);
        let entity = &mut self.entities[at];
        let is_earlier = next.is_some() && entity.timer.is_none_or(|timer| next < Some(timer));
        let born = entity.born;
        if let Some(time) = next.filter(|_| is_earlier) {
            entity.timer = Some(time);
            self.order.wheel.set(WheelTimer { at: time, born, entity: at });
        }
    }
}

/// The first time of day `minute` of a zone that is later than `since`. A local time that comes twice is
/// the first; one that does not come is the first instant after the gap.
pub(super) fn next_local(zone: Tz, since: i64, minute: u16) -> Option<i64> {
    let local = DateTime::<Utc>::from_timestamp_micros(since)?.with_timezone(&zone);
    let mut date = local.date_naive().pred_opt()?;
    // The day before, too: a time in a gap may come out later than its date says.
    for _ in 0..4 {
        let time = date.and_hms_opt(u32::from(minute / 60), u32::from(minute % 60), 0)?;
        if let Some(at) = instant(zone, time)
            && at > since
        {
            return Some(at);
        }
        date = date.succ_opt()?;
    }
    None
}

fn instant(zone: Tz, time: NaiveDateTime) -> Option<i64> {
    let mut time = time;
    // No gap is longer than a day.
    for _ in 0..=24 * 4 {
        if let Some(found) = zone.from_local_datetime(&time).earliest() {
            return Some(found.timestamp_micros());
        }
        time = time.checked_add_signed(chrono::TimeDelta::microseconds(15 * MINUTE))?;
    }
    None
}

//! A listing of what fired → its objects in the order in which they are told of.
//!
//! An object that takes the place of others holds rows that were told of already: it is passed over. None
//! is told of before it was in sight for a while, since one that was put before it may come into sight
//! after it; one that comes even later is told of as if it was put after those that were told of.

use std::collections::HashMap;
use std::time::Duration;

use object_store::ObjectMeta;
use tokio::time::Instant;

use super::place::StreamPlace;
use crate::flow::lake_key::LakeKey;

/// An object that fired.
#[derive(Clone, Debug)]
pub struct FiredObject {
    /// Before its first row.
    pub place: StreamPlace,
    /// The table.
    pub table: String,
    /// Where it is.
    pub meta: ObjectMeta,
    /// Whether its rows are told of; else others of them were.
    pub is_told: bool,
    /// From when on it is told of.
    pub ripe_at: Instant,
}

/// What fired, in order.
#[derive(Debug, Default)]
pub struct FiredObjects {
    /// The objects.
    pub objects: Vec<FiredObject>,
    /// When each came into sight, and its place.
    sighted: HashMap<String, (Instant, StreamPlace)>,
}

impl FiredObjects {
    /// Takes in a listing, whose objects ripen after a while in sight.
    pub fn list(&mut self, listed: Vec<(LakeKey, ObjectMeta)>, ripens: Duration, now: Instant) {
        let told = told(&listed);
        let ripe = self.objects.iter().rev().find(|object| object.ripe_at <= now);
        let ripe = ripe.map(|object| object.place);
        let mut sighted = HashMap::with_capacity(listed.len());
        let mut objects = Vec::with_capacity(listed.len());
        for ((key, meta), is_told) in listed.into_iter().zip(told) {
            let name = meta.location.to_string();
            let (seen, place) = self.sighted.get(&name).copied().unwrap_or_else(|| {
                let place = StreamPlace::before(meta.last_modified.timestamp_micros(), &name);
                let late = ripe.filter(|ripe| place < *ripe);
                (now, late.map_or(place, |ripe| StreamPlace { put_at: ripe.put_at + 1, ..place }))
            });
            objects.push(FiredObject {
                place,
                table: table_of(&key),
                meta,
                is_told,
                ripe_at: seen + ripens,
            });
            sighted.insert(name, (seen, place));
        }
        objects.sort_by_key(|object| object.place);
        (self.objects, self.sighted) = (objects, sighted);
    }

    /// The place behind everything that is in sight.
    pub fn end(&self) -> StreamPlace {
        self.objects.last().map_or(StreamPlace::default(), |object| object.place.behind())
    }

    /// The objects that have rows behind a place, in order.
    pub fn behind(&self, place: StreamPlace) -> &[FiredObject] {
        let from = self.objects.partition_point(|object| object.place.behind() <= place);
        &self.objects[from..]
    }
}

fn table_of(key: &LakeKey) -> String {
    match key {
        LakeKey::Input { section, .. } | LakeKey::Aside { section, .. } => {
            section.as_str().to_owned()
        }
        LakeKey::Settled { table, .. }
        | LakeKey::Ending { table, .. }
        | LakeKey::Rows { table, .. } => table.as_str().to_owned(),
        LakeKey::Live { firing, .. } => firing.table.as_str().to_owned(),
    }
}

/// Of each object whether its rows are told of.
fn told(listed: &[(LakeKey, ObjectMeta)]) -> Vec<bool> {
    let mut by_day: HashMap<_, Vec<&LakeKey>> = HashMap::new();
    for (key, _) in listed {
        if let LakeKey::Rows { table, date, .. } = key {
            by_day.entry((table, *date)).or_default().push(key);
        }
    }
    let is_told = |(key, _): &(LakeKey, ObjectMeta)| match key {
        LakeKey::Live { .. } | LakeKey::Aside { .. } => true,
        LakeKey::Rows { table, date, .. } => {
            let others = by_day.get(&(table, *date));
            !others.is_some_and(|others| others.iter().any(|other| key.covers(other)))
        }
        LakeKey::Settled { .. } | LakeKey::Ending { .. } | LakeKey::Input { .. } => false,
    };
    listed.iter().map(is_told).collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use object_store::path::Path;

    use super::*;

    const RIPENS: Duration = Duration::from_millis(300);

    fn object(name: &str, second: i64) -> (LakeKey, ObjectMeta) {
        let name = format!("live/t/day=2026-03-02/{name}-00000001.parquet");
        let meta = ObjectMeta {
            location: Path::from(name.as_str()),
            last_modified: DateTime::from_timestamp(second, 0).unwrap(),
            size: 1,
            e_tag: None,
            version: None,
        };
        (LakeKey::parse(&name).unwrap(), meta)
    }

    #[test]
    fn what_takes_the_place_of_others_is_passed_over() {
        let mut fired = FiredObjects::default();
        let now = Instant::now();
        let window = "20260302T120000Z-20260302T130000Z";
        let first = vec![object("lab-0-20-39", 2), object("lab-0-10-19", 1)];
        fired.list(first, RIPENS, now);
        let told = |fired: &FiredObjects| -> Vec<bool> {
            fired.objects.iter().map(|object| object.is_told).collect()
        };
        assert_eq!(told(&fired), [true, true]);
        let begun = fired.end();
        let later = now + RIPENS;
        fired.list(
            vec![
                object("lab-0-20-39", 2),
                object("lab-0-10-19", 1),
                object("lab-0-10-39", 3),
                object(&format!("{window}-r1"), 4),
                object(&format!("{window}-final"), 5),
                object("lab-0-40-49", 6),
            ],
            RIPENS,
            later,
        );
        assert_eq!(told(&fired), [true, true, false, true, false, true]);
        let ripe: Vec<bool> = fired.objects.iter().map(|object| object.ripe_at <= later).collect();
        assert_eq!(ripe, [true, true, false, false, false, false]);
        assert_eq!(fired.behind(begun).len(), 4);
        assert_eq!(fired.behind(begun)[0].place.put_at, 3_000_000);
        assert_eq!(fired.behind(StreamPlace::default()).len(), 6);
        assert!(fired.behind(fired.end()).is_empty());
        // One that comes into sight after those behind it were told of is told of as well.
        let end = fired.end();
        fired.list(vec![object("lab-0-40-49", 6), object("lab-1-0-9", 4)], RIPENS, later + RIPENS);
        assert_eq!(fired.behind(end).len(), 1);
        assert_eq!(fired.behind(end)[0].place.put_at, 6_000_001);
    }
}

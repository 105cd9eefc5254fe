//! What of days that have not settled stands in `live/`, and when it is put there. Pure: the
//! clock's moment is handed in.
//!
//! A window's firing is an object of its own; sessions, of which many end at once, share one per
//! minute. Once nothing that ends within an hour can be revised any more, one object of that hour's
//! last revisions takes their place. Names and rows are functions of the input; the clock decides
//! only what is worth putting: while catching up the hours alone, and of a day that is past, which goes
//! to `tables/` at once, nothing unless the input rests.

use std::cmp::Ordering;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use chrono::NaiveDate;
use datafusion::common::{Result, internal_err};

use crate::flow::lake_key::InputKey;
use crate::flow::output::by_window;
use crate::flow::{OutputBatch, Span, Timestamp, Window};
use crate::keep::held::{Held as Kept, Keeper};
use crate::keep::own::own_rows;
use crate::keep::pile::Pile;
use crate::window::OffsetsByPartition;

/// A stream that is so far behind an hour's close is catching up: it puts the hour, not its parts.
const CATCHING_UP: Span = Span(15 * Span::MINUTE.0);

/// What a partition's range of offsets takes in a tree.
const BYTES_OF_ORIGIN: usize = 64;

/// An object to put into `live/`.
#[derive(Debug)]
pub struct LiveObject {
    /// The table.
    pub table: Arc<str>,
    /// The day.
    pub date: NaiveDate,
    /// What it holds.
    pub name: LiveName,
    /// The rows, at least one batch.
    pub rows: Pile,
    /// Where they came from.
    pub origins: OffsetsByPartition,
}

/// What a live object holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveName {
    /// A window in one revision.
    Firing(Window, u32),
    /// All windows that end in a range, its end included, each in its last revision.
    Ends(Window),
    /// A run of a partition's rows.
    Rows(InputKey),
}

/// When it is asked what to put.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The job's watermark.
    pub watermark: Timestamp,
    /// The clock.
    pub now: Timestamp,
    /// Whether the input is being read; not, where it is silent.
    pub reading: bool,
    /// Whether nothing has been read for a while: what there is of the input has been read.
    pub rests: bool,
    /// Whether the input is of now, as a topic's: then what lies behind is being caught up with. A
    /// file's is of whenever it is read.
    pub follows_clock: bool,
}

impl Moment {
    /// The time of which days are past that would have settled by then if nothing came late.
    pub fn past(self) -> Option<Timestamp> {
        self.follows_clock.then(|| self.now.minus(CATCHING_UP))
    }

    /// Whether what closes then is read so late that its parts are not worth putting.
    pub fn is_behind(self, closes: Timestamp) -> bool {
        self.follows_clock && self.reading && closes.plus(CATCHING_UP) <= self.now
    }
}

/// The windows of a pipeline's tables whose hours have not closed.
#[derive(Debug, Default)]
pub struct WindowHours {
    tables: BTreeMap<Arc<str>, TableHours>,
    /// How many firings there were.
    firings: u64,
}

#[derive(Debug)]
struct TableHours {
    /// How long after a window's end it can still fire.
    closes_after: Span,
    /// Whether windows that end within a minute share an object.
    by_minute: bool,
    /// By the hour's end and date.
    hours: BTreeMap<(Timestamp, NaiveDate), Vec<HeldWindow>>,
    /// Objects of hours that have closed, of days that are past.
    past: BTreeMap<NaiveDate, Vec<LiveObject>>,
}

/// A window that fired. Its rows stand in those of its firing, which the keeper has.
#[derive(Debug)]
struct HeldWindow {
    window: Window,
    revision: u32,
    fired: Fired,
    range: Range<usize>,
    origins: OffsetsByPartition,
    put: bool,
}

/// The rows of a firing, and its number.
#[derive(Clone, Debug)]
struct Fired(u64, Kept);

/// Firings whose rows have been read, by number: windows of one stand apart among those of others.
#[derive(Default)]
struct AtHand(BTreeMap<u64, RecordBatch>);

impl AtHand {
    fn rows_of(&mut self, held: &HeldWindow) -> Result<RecordBatch> {
        let Fired(number, kept) = &held.fired;
        let rows = match self.0.entry(*number) {
            Entry::Occupied(read) => read.into_mut(),
            Entry::Vacant(place) => place.insert(kept.load()?),
        };
        Ok(rows.slice(held.range.start, held.range.len()))
    }
}

/// The end of the slot of time that holds an instant; the slot's end is within.
fn slot_end(instant: Timestamp, slot: Span) -> Timestamp {
    let slots = instant.0.div_euclid(slot.0) + i64::from(instant.0.rem_euclid(slot.0) != 0);
    Timestamp(slots.saturating_mul(slot.0))
}

impl WindowHours {
    /// Adds a table of which nothing has fired: how long after its end a window can still fire, and
    /// whether the windows that end within a minute share an object.
    pub fn table(&mut self, table: &Arc<str>, closes_after: Span, by_minute: bool) {
        let hours =
            TableHours { closes_after, by_minute, hours: BTreeMap::new(), past: BTreeMap::new() };
        self.tables.insert(Arc::clone(table), hours);
    }

    /// Takes in a firing, with where the rows of each of its windows came from; the rows go to the
    /// keeper.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written, or belong to no window, or to no table of
    /// the pipeline.
    pub fn add(
        &mut self,
        fired: &OutputBatch,
        origins: Vec<OffsetsByPartition>,
        keeper: &mut Keeper,
    ) -> Result<()> {
        let Some(table) = self.tables.get_mut(&fired.table) else {
            return internal_err!("the table `{}` fired, which no pipeline has", fired.table);
        };
        // A revision without rows takes back those of the revisions before it.
        if fired.rows.num_rows() == 0 && fired.revision == 0 {
            return Ok(());
        }
        let ranges = by_window(fired)?;
        self.firings += 1;
        let rows = Fired(self.firings, keeper.keep(own_rows(&fired.rows)?)?);
        let mut origins = origins.into_iter();
        for (window, range) in ranges {
            let origins = origins.next().unwrap_or_default();
            if range.is_empty() && fired.revision == 0 {
                continue;
            }
            let hour = (slot_end(window.end, Span::HOUR), fired.date);
            let (revision, fired) = (fired.revision, rows.clone());
            let held = HeldWindow { window, revision, fired, range, origins, put: false };
            table.hours.entry(hour).or_default().push(held);
        }
        Ok(())
    }

    /// Bytes of memory, but for what the keeper has.
    pub fn size(&self) -> usize {
        let of = |held: &HeldWindow| size_of::<HeldWindow>() + held.origins.len() * BYTES_OF_ORIGIN;
        let tables = self.tables.values();
        let hours = tables.clone().flat_map(|table| table.hours.values().flatten()).map(of);
        let past = tables.flat_map(|table| table.past.values().flatten());
        let past = past.map(|object| object.rows.size() + size_of::<LiveObject>());
        hours.sum::<usize>() + past.sum::<usize>()
    }

    /// Forgets a day that has settled.
    pub fn settled(&mut self, table: &str, date: NaiveDate) {
        if let Some(table) = self.tables.get_mut(table) {
            table.hours.retain(|(_, held), _| *held != date);
            table.past.remove(&date);
        }
    }

    /// What is to be put now; `present` tells the first day of a table that is not past. What waits
    /// of days that are goes to the keeper.
    ///
    /// # Errors
    /// Where rows go to disk and it cannot be written or read.
    pub fn due(
        &mut self,
        moment: Moment,
        present: impl Fn(&Arc<str>) -> NaiveDate,
        keeper: &mut Keeper,
    ) -> Result<Vec<LiveObject>> {
        let mut due = Vec::new();
        for (name, table) in &mut self.tables {
            if !table.hours.is_empty() {
                let present = if moment.rests { NaiveDate::MIN } else { present(name) };
                table.due(name, (moment, present), keeper, &mut due)?;
            }
            if moment.rests {
                due.extend(std::mem::take(&mut table.past).into_values().flatten());
            }
        }
        Ok(due)
    }
}

impl TableHours {
    fn due(
        &mut self,
        name: &Arc<str>,
        (moment, present): (Moment, NaiveDate),
        keeper: &mut Keeper,
        due: &mut Vec<LiveObject>,
    ) -> Result<()> {
        let hours: Vec<(Timestamp, NaiveDate)> = self.hours.keys().copied().collect();
        for (end, date) in hours {
            let closes = end.plus(self.closes_after);
            if closes <= moment.watermark {
                let Some(held) = self.hours.remove(&(end, date)) else { continue };
                let mut objects = self.hour(name, (end, date), held)?;
                if date >= present {
                    due.append(&mut objects);
                    continue;
                }
                objects.iter_mut().try_for_each(|object| object.rows.settle(keeper))?;
                self.past.entry(date).or_default().append(&mut objects);
            } else if date >= present && !moment.is_behind(closes) {
                due.extend(self.parts(name, (end, date), moment.watermark)?);
            }
        }
        Ok(())
    }

    /// An hour that has closed: one object in the place of its parts, if there are several.
    fn hour(
        &self,
        table: &Arc<str>,
        (end, date): (Timestamp, NaiveDate),
        mut held: Vec<HeldWindow>,
    ) -> Result<Vec<LiveObject>> {
        let minute = |held: &HeldWindow| slot_end(held.window.end, Span::MINUTE);
        let several = match self.by_minute {
            true => held.iter().map(minute).collect::<BTreeSet<_>>().len() > 1,
            false => held.len() > 1,
        };
        if !several {
            return self.unput(table, date, &mut held, Timestamp::MAX);
        }
        let range = Window { start: end.minus(Span::HOUR), end };
        Ok(vec![ending_in((table, date), range, &held, &mut AtHand::default())?])
    }

    /// The parts of an hour that have fired and are not put.
    fn parts(
        &mut self,
        table: &Arc<str>,
        hour: (Timestamp, NaiveDate),
        watermark: Timestamp,
    ) -> Result<Vec<LiveObject>> {
        let Some(mut held) = self.hours.remove(&hour) else { return Ok(Vec::new()) };
        let until = watermark.minus(self.closes_after);
        let parts = self.unput(table, hour.1, &mut held, until);
        self.hours.insert(hour, held);
        parts
    }

    fn unput(
        &self,
        table: &Arc<str>,
        date: NaiveDate,
        held: &mut [HeldWindow],
        until: Timestamp,
    ) -> Result<Vec<LiveObject>> {
        let mut at_hand = AtHand::default();
        let mut minutes: BTreeMap<Timestamp, Vec<&mut HeldWindow>> = BTreeMap::new();
        let mut parts = Vec::new();
        for one in held.iter_mut().filter(|one| !one.put) {
            if self.by_minute {
                minutes.entry(slot_end(one.window.end, Span::MINUTE)).or_default().push(one);
                continue;
            }
            let rows = vec![at_hand.rows_of(one)?];
            one.put = true;
            parts.push(LiveObject {
                table: Arc::clone(table),
                date,
                name: LiveName::Firing(one.window, one.revision),
                rows: rows.into(),
                origins: one.origins.clone(),
            });
        }
        for (end, mut held) in minutes.into_iter().filter(|(end, _)| *end <= until) {
            held.iter_mut().for_each(|one| one.put = true);
            let held: Vec<&HeldWindow> = held.into_iter().map(|one| &*one).collect();
            let range = Window { start: end.minus(Span::MINUTE), end };
            parts.push(ending_in((table, date), range, held, &mut at_hand)?);
        }
        Ok(parts)
    }
}

/// The windows that end in a range, in order, each in its last revision.
fn ending_in<'a>(
    (table, date): (&Arc<str>, NaiveDate),
    range: Window,
    held: impl IntoIterator<Item = &'a HeldWindow>,
    at_hand: &mut AtHand,
) -> Result<LiveObject> {
    let mut last: BTreeMap<Window, Vec<&HeldWindow>> = BTreeMap::new();
    let mut origins = OffsetsByPartition::new();
    for one in held {
        let kept = last.entry(one.window).or_default();
        match kept.first().map(|kept| kept.revision.cmp(&one.revision)) {
            Some(Ordering::Greater) => {}
            Some(Ordering::Less) => *kept = vec![one],
            Some(Ordering::Equal) | None => kept.push(one),
        }
    }
    for (partition, range) in last.values().flatten().flat_map(|held| &held.origins) {
        let covered = origins.entry(Arc::clone(partition)).or_insert(*range);
        covered.from = covered.from.min(range.from);
        covered.to = covered.to.max(range.to);
    }
    let rows = last.values().flatten().map(|held| at_hand.rows_of(held));
    Ok(LiveObject {
        table: Arc::clone(table),
        date,
        name: LiveName::Ends(range),
        rows: rows.collect::<Result<Vec<_>>>()?.into(),
        origins,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, AsArray, Int64Array, TimestampMicrosecondArray};
    use arrow::datatypes::Int64Type;

    /// 2026-03-01T00:00:00Z, by `date -u -d 2026-03-01 +%s`.
    const MIDNIGHT: i64 = 1_772_323_200_000_000;

    fn at(hour: i64, minute: i64, second: i64) -> Timestamp {
        Timestamp(MIDNIGHT + ((hour * 60 + minute) * 60 + second) * 1_000_000)
    }

    fn day() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 3, 1).unwrap()
    }

    fn table() -> Arc<str> {
        "t".into()
    }

    fn hours(closes_after: Span, by_minute: bool) -> WindowHours {
        let mut hours = WindowHours::default();
        hours.table(&table(), closes_after, by_minute);
        hours
    }

    /// The hour before `end`, with one row.
    fn fired(end: Timestamp, revision: u32, n: i64) -> OutputBatch {
        let start = end.minus(Span::HOUR);
        let instant = |of: Timestamp| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from(vec![of.0]).with_timezone("UTC"))
        };
        let n: ArrayRef = Arc::new(Int64Array::from(vec![n]));
        let columns = [("n", n), ("window_start", instant(start)), ("window_end", instant(end))];
        OutputBatch {
            table: table(),
            date: day(),
            windows: vec![Window { start, end }],
            revision,
            rows: RecordBatch::try_from_iter(columns).unwrap(),
        }
    }

    fn live(watermark: Timestamp) -> Moment {
        let now = watermark.plus(Span::MINUTE);
        Moment { watermark, now, reading: true, rests: false, follows_clock: true }
    }

    fn told(due: Vec<LiveObject>) -> Vec<(LiveName, Vec<i64>)> {
        let ns = |rows: &RecordBatch| rows.column(0).as_primitive::<Int64Type>().values().to_vec();
        let told = |object: LiveObject| {
            (object.name, object.rows.load().unwrap().iter().flat_map(ns).collect())
        };
        due.into_iter().map(told).collect()
    }

    /// What is to be put where no day is past.
    fn due(hours: &mut WindowHours, moment: Moment) -> Vec<LiveObject> {
        hours.due(moment, |_| NaiveDate::MIN, &mut Keeper::new(0)).unwrap()
    }

    fn firing(end: Timestamp, revision: u32) -> LiveName {
        LiveName::Firing(Window { start: end.minus(Span::HOUR), end }, revision)
    }

    fn ends(start: Timestamp, end: Timestamp) -> LiveName {
        LiveName::Ends(Window { start, end })
    }

    #[test]
    fn windows_stand_alone_until_their_hour_can_change_no_more() {
        let mut hours = hours(Span(2 * Span::HOUR.0), false);
        hours.add(&fired(at(12, 5, 0), 0, 1), Vec::new(), &mut Keeper::new(0)).unwrap();
        hours.add(&fired(at(13, 0, 0), 0, 2), Vec::new(), &mut Keeper::new(0)).unwrap();
        hours.add(&fired(at(13, 5, 0), 0, 3), Vec::new(), &mut Keeper::new(0)).unwrap();
        let parts = told(due(&mut hours, live(at(13, 5, 0))));
        let expected = [(at(12, 5, 0), 1), (at(13, 0, 0), 2), (at(13, 5, 0), 3)];
        assert_eq!(parts, expected.map(|(end, n)| (firing(end, 0), vec![n])));
        hours.add(&fired(at(12, 5, 0), 2, 10), Vec::new(), &mut Keeper::new(0)).unwrap();
        let revised = told(due(&mut hours, live(at(13, 10, 0))));
        assert_eq!(revised, [(firing(at(12, 5, 0), 2), vec![10])]);
        assert_eq!(told(due(&mut hours, live(at(14, 59, 59)))), []);
        let hour = told(due(&mut hours, live(at(15, 0, 0))));
        assert_eq!(hour, [(ends(at(12, 0, 0), at(13, 0, 0)), vec![10, 2])]);
        // The next one holds a single object, which is as good.
        assert_eq!(told(due(&mut hours, live(at(16, 0, 0)))), []);
        assert!(hours.tables["t"].hours.is_empty());
    }

    #[test]
    fn what_is_caught_up_with_is_put_by_the_hour_and_days_that_are_past_not_at_all() {
        let behind = |watermark: Timestamp, reading| {
            let now = at(16, 0, 0);
            Moment { watermark, now, reading, rests: false, follows_clock: true }
        };
        let filled = || {
            let mut hours = hours(Span(2 * Span::HOUR.0), false);
            hours.add(&fired(at(12, 5, 0), 0, 1), Vec::new(), &mut Keeper::new(0)).unwrap();
            hours.add(&fired(at(13, 0, 0), 0, 2), Vec::new(), &mut Keeper::new(0)).unwrap();
            hours
        };
        let mut read = filled();
        assert_eq!(told(due(&mut read, behind(at(14, 0, 0), true))), []);
        let hour = told(due(&mut read, behind(at(15, 0, 0), true)));
        assert_eq!(hour, [(ends(at(12, 0, 0), at(13, 0, 0)), vec![1, 2])]);
        // A silence may last: what is there is put.
        assert_eq!(told(due(&mut filled(), behind(at(14, 0, 0), false))).len(), 2);
        let mut keeper = Keeper::new(0);
        let tomorrow = |_: &Arc<str>| day().succ_opt().unwrap();
        let mut past = filled();
        let mut due = |moment: Moment| told(past.due(moment, tomorrow, &mut keeper).unwrap());
        assert_eq!(due(behind(at(15, 0, 0), true)), []);
        assert_eq!(due(behind(at(15, 0, 0), false)), []);
        // The input rests, so this may be all that there is of it.
        let resting = Moment { rests: true, ..behind(at(15, 0, 0), false) };
        assert_eq!(due(resting), hour);
        assert_eq!(due(resting), []);
        let mut settled = filled();
        settled.due(behind(at(15, 0, 0), true), tomorrow, &mut keeper).unwrap();
        settled.settled("t", day());
        assert_eq!(told(settled.due(resting, tomorrow, &mut keeper).unwrap()), []);
    }

    /// 10,000 rows are 240 kB; what is known of their window is not, before it is put and after.
    #[test]
    fn rows_wait_with_the_keeper_until_their_hour_closes() {
        let mut hours = hours(Span::HOUR, false);
        let one = fired(at(13, 0, 0), 0, 7);
        let rows =
            arrow::compute::concat_batches(&one.rows.schema(), &vec![one.rows.clone(); 10_000]);
        let many = OutputBatch { rows: rows.unwrap(), ..one };
        let mut keeper = Keeper::new(1 << 20);
        hours.add(&many, Vec::new(), &mut keeper).unwrap();
        let holds = |hours: &WindowHours, keeper: &Keeper| {
            assert!((240_000..300_000).contains(&keeper.in_memory()), "{}", keeper.in_memory());
            assert!(hours.size() < 1_000, "{}", hours.size());
        };
        holds(&hours, &keeper);
        let put = hours.due(live(at(13, 0, 0)), |_| NaiveDate::MIN, &mut keeper).unwrap();
        assert_eq!(told(put)[0].1, vec![7; 10_000]);
        holds(&hours, &keeper);
        hours.due(live(at(14, 0, 0)), |_| NaiveDate::MIN, &mut keeper).unwrap();
        assert_eq!((hours.size(), keeper.in_memory()), (0, 0));
        hours.add(&many, Vec::new(), &mut keeper).unwrap();
        drop(hours);
        assert_eq!(keeper.in_memory(), 0, "nothing stays of a pipeline that is stopped");
    }

    #[test]
    fn sessions_share_an_object_for_each_minute_in_which_they_end() {
        let mut hours = hours(Span::MINUTE, true);
        for (second, n) in [(10, 1), (50, 2)] {
            hours.add(&fired(at(12, 1, second), 0, n), Vec::new(), &mut Keeper::new(0)).unwrap();
        }
        assert_eq!(told(due(&mut hours, live(at(12, 2, 59)))), []);
        let minute = told(due(&mut hours, live(at(12, 3, 0))));
        assert_eq!(minute, [(ends(at(12, 1, 0), at(12, 2, 0)), vec![1, 2])]);
        hours.add(&fired(at(12, 30, 0), 0, 3), Vec::new(), &mut Keeper::new(0)).unwrap();
        let hour = told(due(&mut hours, live(at(13, 1, 0))));
        assert_eq!(hour, [(ends(at(12, 0, 0), at(13, 0, 0)), vec![1, 2, 3])]);
    }
}

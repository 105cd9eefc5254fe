//! Tumbling and hopping windows as runs of panes.
//!
//! Pane `p` of a grid covers `[p × width, (p + 1) × width)` microseconds since the Unix epoch. A
//! window that ends at pane `e` covers panes `[e − size, e)`. All window ends of a shape are
//! multiples of its slide. Instants at which rows count are kept in **ticks**, of which a pane has
//! a whole number: the steps in which windows are revised need not be as wide as a pane.

use std::collections::BTreeSet;

use super::lateness::{Lateness, gcd};
use crate::flow::{Span, Timestamp, Window};

/// The panes that several window shapes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaneGrid {
    width: i64,
    tick: i64,
    lateness: Lateness,
}

/// A window's length and slide in panes of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The window's length in panes.
    pub size: i64,
    /// From one window's end to the next one's, in panes; divides `size`.
    pub slide: i64,
}

impl Shape {
    /// How many panes a window has, where windows overlap and so share panes.
    pub fn shared_panes(self) -> Option<usize> {
        if self.slide < self.size { usize::try_from(self.size).ok() } else { None }
    }
}

impl PaneGrid {
    /// The widest panes in which every one of the spans is a whole number of panes.
    pub fn over(spans: impl IntoIterator<Item = Span>) -> PaneGrid {
        let width = spans.into_iter().fold(0, |width, span| gcd(width, span.0));
        let width = width.max(1);
        PaneGrid { width, tick: width, lateness: Lateness::NONE }
    }

    /// The same panes, whose windows are revised for late rows.
    pub fn revised(self, lateness: Lateness) -> PaneGrid {
        PaneGrid { tick: lateness.unit_with(self.width), lateness, ..self }
    }

    /// For how long windows are revised.
    pub fn lateness(self) -> Lateness {
        self.lateness
    }

    /// A pane's width.
    pub fn width(self) -> Span {
        Span(self.width)
    }

    /// The pane that holds an instant.
    pub fn pane_of(self, time: i64) -> i64 {
        time.div_euclid(self.width)
    }

    /// The first tick at which a row may count: the end of its pane, or, when its partition's
    /// watermark had passed that, the first after the watermark.
    pub fn ready(self, pane: i64, watermark_before: i64) -> i64 {
        self.ticks(pane + 1).max(watermark_before.div_euclid(self.tick).saturating_add(1))
    }

    /// A pane's beginning in ticks.
    pub fn ticks(self, pane: i64) -> i64 {
        pane.saturating_mul(self.width / self.tick)
    }

    /// The first pane that begins at or after a tick.
    pub fn pane_at(self, tick: i64) -> i64 {
        let whole = self.width / self.tick;
        -(tick.saturating_neg().div_euclid(whole))
    }

    /// How many ticks after a window's end a revision is due.
    pub fn due_after(self, revision: u32) -> i64 {
        self.lateness.due_after(revision).0 / self.tick
    }

    /// The tick up to which rows count in a revision of the window that ends at `end`.
    pub fn bound(self, end: i64, revision: u32) -> i64 {
        self.ticks(end).saturating_add(self.due_after(revision))
    }

    /// The last window end of a shape whose revision is due at `watermark`.
    pub fn last_due(self, shape: Shape, watermark: Timestamp, revision: u32) -> i64 {
        let reached = watermark.minus(self.lateness.due_after(revision));
        shape.align_down(self.reached(reached))
    }

    /// The start of the first window of a shape that may fire or be revised yet at `watermark`.
    pub fn open_from(self, shape: Shape, watermark: Timestamp) -> Timestamp {
        let last_final = self.last_due(shape, watermark, self.lateness.revisions());
        self.start_of(last_final.saturating_add(shape.slide).saturating_sub(shape.size))
    }

    /// Whether a row that is ready at `ready` counts in some window that holds its pane.
    pub fn counts(self, shape: Shape, pane: i64, ready: i64) -> bool {
        ready <= self.bound(shape.last_end(pane), self.lateness.revisions())
    }

    /// From the start of the first window that holds a pane to the end of the last.
    pub fn holding(self, shape: Shape, pane: i64) -> Window {
        let first = shape.align_up(pane + 1) - shape.size;
        Window { start: self.start_of(first), end: self.start_of(shape.last_end(pane)) }
    }

    /// The ends of the windows in whose revision a row is new: those that hold its pane, had ended
    /// by its watermark, and whose step it falls into.
    pub fn revised_ends(
        self,
        shape: Shape,
        (pane, ready): (i64, i64),
        revision: u32,
    ) -> BTreeSet<i64> {
        let first = self.pane_at(ready.saturating_sub(self.due_after(revision))).max(pane + 1);
        let mut ends = BTreeSet::new();
        let mut end = shape.align_up(first);
        while end <= shape.last_end(pane) && self.bound(end, revision - 1) < ready {
            ends.insert(end);
            end += shape.slide;
        }
        ends
    }

    /// The instant at which pane `pane` begins.
    pub fn start_of(self, pane: i64) -> Timestamp {
        Timestamp(pane.saturating_mul(self.width))
    }

    /// The largest pane end that `watermark` has reached.
    pub fn reached(self, watermark: Timestamp) -> i64 {
        watermark.0.div_euclid(self.width)
    }

    /// A window shape in panes of this grid.
    pub fn shape(self, size: Span, slide: Span) -> Shape {
        Shape { size: size.0 / self.width, slide: slide.0 / self.width }
    }
}

impl Shape {
    /// The end of the last window that holds `pane`.
    pub fn last_end(self, pane: i64) -> i64 {
        pane.div_euclid(self.slide) * self.slide + self.size
    }

    /// The first window end at or after `end`.
    pub fn align_up(self, end: i64) -> i64 {
        -((-end).div_euclid(self.slide)) * self.slide
    }

    /// The last window end at or before `end`.
    pub fn align_down(self, end: i64) -> i64 {
        end.div_euclid(self.slide).saturating_mul(self.slide)
    }

    /// Whether windows do not overlap.
    pub fn is_tile(self) -> bool {
        self.size == self.slide
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn panes_are_the_common_measure() {
        let five = Span(5 * Span::MINUTE.0);
        assert_eq!(PaneGrid::over([Span::HOUR, five]).width(), five);
        assert_eq!(PaneGrid::over([Span::HOUR, five, Span::DAY]).width(), five);
        assert_eq!(PaneGrid::over([Span::HOUR]).width(), Span::HOUR);
        assert_eq!(
            PaneGrid::over([Span::HOUR, five]).shape(Span::HOUR, five),
            Shape { size: 12, slide: 1 }
        );
    }

    #[test]
    fn a_late_row_is_ready_after_its_watermark() {
        let grid = PaneGrid::over([Span(10)]);
        assert_eq!(grid.ready(grid.pane_of(25), i64::MIN), 3);
        assert_eq!(grid.ready(grid.pane_of(25), 29), 3);
        assert_eq!(grid.ready(grid.pane_of(25), 30), 4, "a window that ends at 30 has ended");
        assert_eq!(grid.ready(grid.pane_of(25), 44), 5);
    }

    #[test]
    fn ticks_are_the_common_measure_of_panes_and_steps() {
        let grid = PaneGrid::over([Span(60)]).revised(Lateness::new(Span(50), Span(15)));
        assert_eq!((grid.ticks(2), grid.ready(0, i64::MIN)), (24, 12));
        assert_eq!(grid.ready(0, 62), 13, "the watermark stands within [60, 65)");
        let shape = grid.shape(Span(60), Span(60));
        assert_eq!([1, 2, 3, 4].map(|k| grid.bound(1, k)), [15, 18, 21, 22]);
        assert!(grid.counts(shape, 0, grid.ready(0, 109)));
        assert!(!grid.counts(shape, 0, grid.ready(0, 110)));
        assert_eq!(grid.last_due(shape, Timestamp(74), 1), 0);
        assert_eq!(grid.last_due(shape, Timestamp(75), 1), 1);
    }

    /// At each watermark the window that starts then has not ended, or may be revised yet.
    #[test]
    fn the_first_window_that_is_open() {
        let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
        let hours = |hours: i64| Span(hours * Span::HOUR.0);
        let open = |size: i64, slide: i64, allowed: i64, watermark: &str| {
            let grid = PaneGrid::over([hours(size), hours(slide)]);
            let grid = grid.revised(Lateness::new(hours(allowed), Span::HOUR));
            grid.open_from(grid.shape(hours(size), hours(slide)), at(watermark))
        };
        // 2026-03-01T00:00Z is hour 492312 since 1970, which is 70330 times 7 and 2: so windows of 7
        // hours end at 22:00 on 28 February and at 05:00, 12:00, 19:00 and 02:00 from then on.
        assert_eq!(open(7, 7, 2, "2026-03-01T02:00:00Z"), at("2026-02-28T22:00:00Z"));
        assert_eq!(open(7, 7, 2, "2026-03-01T06:59:59Z"), at("2026-02-28T22:00:00Z"));
        assert_eq!(open(7, 7, 2, "2026-03-01T07:00:00Z"), at("2026-03-01T05:00:00Z"));
        // Day 20513 since 1970 is the second of two and the fourth of a week of seven.
        assert_eq!(open(48, 48, 2, "2026-03-02T01:59:59Z"), at("2026-02-28T00:00:00Z"));
        assert_eq!(open(48, 48, 2, "2026-03-02T02:00:00Z"), at("2026-03-02T00:00:00Z"));
        assert_eq!(open(672, 168, 2, "2026-03-05T01:59:59Z"), at("2026-02-05T00:00:00Z"));
        assert_eq!(open(672, 168, 2, "2026-03-05T02:00:00Z"), at("2026-02-12T00:00:00Z"));
        // Where the slide divides the day it is as old as the size says.
        assert_eq!(open(24, 1, 0, "2026-03-02T23:30:00Z"), at("2026-03-02T00:00:00Z"));
    }

    #[test]
    fn the_windows_that_hold_an_instant() {
        // Of an hour every quarter: 10:20 lies in those from 09:30 to 10:15, the last of which
        // ends at 11:15.
        let minutes = |minutes: i64| Span(minutes * Span::MINUTE.0);
        let grid = PaneGrid::over([minutes(60), minutes(15)]);
        let held = grid.holding(grid.shape(minutes(60), minutes(15)), grid.pane_of(minutes(620).0));
        assert_eq!((held.start.0, held.end.0), (minutes(570).0, minutes(675).0));
    }

    proptest! {
        #[test]
        fn panes_tile_time(time in -1_000_000i64..1_000_000, width in 1i64..5_000) {
            let grid = PaneGrid::over([Span(width)]);
            let pane = grid.pane_of(time);
            prop_assert!(grid.start_of(pane).0 <= time && time < grid.start_of(pane + 1).0);
        }

        #[test]
        fn the_last_window_holds_the_pane_and_the_next_does_not(
            pane in -500i64..500, slide in 1i64..9, times in 1i64..9,
        ) {
            let shape = Shape { size: slide * times, slide };
            let end = shape.last_end(pane);
            prop_assert!(end - shape.size <= pane && pane < end);
            prop_assert!(end + slide - shape.size > pane);
            prop_assert_eq!(end.rem_euclid(slide), 0);
        }

        #[test]
        fn a_row_is_new_in_the_revisions_that_its_watermark_says(
            time in 0i64..400, behind in 0i64..200, width in 1i64..4, slide in 1i64..4,
            times in 1i64..5, allowed in 0i64..90, step in 1i64..40,
        ) {
            let lateness = Lateness::new(Span(allowed), Span(step));
            let (size, slide) = (slide * times * 10 * width, slide * 10 * width);
            let grid = PaneGrid::over([Span(size), Span(slide)]).revised(lateness);
            let shape = grid.shape(Span(size), Span(slide));
            let watermark = time + behind;
            let pane = grid.pane_of(time);
            let ready = grid.ready(pane, watermark);
            let mut counted = false;
            for number in 0..=(time + size) / slide + 1 {
                let (start, end) = (number * slide - size, number * slide);
                let holds = start <= time && time < end;
                let known = if holds { lateness.revision_of(end, watermark) } else { None };
                counted |= known.is_some();
                for revision in 1..=lateness.revisions() {
                    let found = grid.revised_ends(shape, (pane, ready), revision);
                    prop_assert_eq!(found.contains(&(end / grid.width().0)), known == Some(revision));
                }
                if holds {
                    prop_assert_eq!(ready <= grid.bound(end / grid.width().0, 0), known == Some(0));
                }
            }
            prop_assert_eq!(grid.counts(shape, pane, ready), counted);
        }

        #[test]
        fn ends_align_up(end in -500i64..500, slide in 1i64..9) {
            let shape = Shape { size: slide, slide };
            let aligned = shape.align_up(end);
            prop_assert!(aligned >= end && aligned - end < slide && aligned.rem_euclid(slide) == 0);
        }
    }
}

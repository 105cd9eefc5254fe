//! Tumbling and hopping windows as runs of panes.
//!
//! Pane `p` of a grid covers `[p × width, (p + 1) × width)` microseconds since the Unix epoch. A
//! window that ends at pane `e` covers panes `[e − size, e)`. All window ends of a shape are
//! multiples of its slide.

use crate::flow::{Span, Timestamp};

/// The panes that several window shapes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaneGrid {
    width: i64,
}

/// A window's length and slide in panes of a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The window's length in panes.
    pub size: i64,
    /// From one window's end to the next one's, in panes; divides `size`.
    pub slide: i64,
}

impl PaneGrid {
    /// The widest panes in which every one of the spans is a whole number of panes.
    pub fn over(spans: impl IntoIterator<Item = Span>) -> PaneGrid {
        let width = spans.into_iter().fold(0, |width, span| gcd(width, span.0));
        PaneGrid { width: width.max(1) }
    }

    /// A pane's width.
    pub fn width(self) -> Span {
        Span(self.width)
    }

    /// The pane that holds an instant.
    pub fn pane_of(self, time: i64) -> i64 {
        time.div_euclid(self.width)
    }

    /// The first pane end that a row may still count in: `pane + 1`, or, when its partition's
    /// watermark had passed that, the first end after the watermark.
    pub fn ready(self, pane: i64, watermark_before: i64) -> i64 {
        (pane + 1).max(watermark_before.div_euclid(self.width).saturating_add(1))
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

    /// Whether windows do not overlap.
    pub fn is_tile(self) -> bool {
        self.size == self.slide
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
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
        fn ends_align_up(end in -500i64..500, slide in 1i64..9) {
            let shape = Shape { size: slide, slide };
            let aligned = shape.align_up(end);
            prop_assert!(aligned >= end && aligned - end < slide && aligned.rem_euclid(slide) == 0);
        }
    }
}

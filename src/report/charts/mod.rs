//! Figures → drawings, each a pure function.

pub mod analysers;
pub mod errors;
pub mod heat;
pub mod pareto;
pub mod tat;
pub mod throughput;

use chrono_tz::Tz;

use super::svg::scale::Linear;
use super::svg::{Element, label, line, time_axis};
use crate::flow::{Span, Timestamp};

/// Up to so many days hours of the day are named.
const SHORT_DAYS: f64 = 4.0;
/// The room that a day's name takes.
const DAY_WIDTH: f64 = 42.0;

/// The span of event time that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownPeriod {
    /// The first instant.
    pub from: Timestamp,
    /// The first instant beyond.
    pub to: Timestamp,
}

/// Where a chart's plot lies in its drawing.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Width and height of the drawing.
    pub size: (f64, f64),
    /// Left and right edge of the plot.
    pub across: (f64, f64),
    /// Top and bottom edge of the plot.
    pub down: (f64, f64),
}

impl Frame {
    /// Event time across the plot.
    pub fn time(self, period: ShownPeriod) -> Linear {
        Linear::new((period.from.0 as f64, period.to.0 as f64), self.across)
    }

    /// Values from 0 up the plot.
    pub fn values(self, max: f64) -> Linear {
        Linear::new((0.0, max), (self.down.1, self.down.0))
    }

    /// Light grid lines with their values at the left.
    pub fn grid(self, scale: Linear, ticks: &[f64], text: impl Fn(f64) -> String) -> Vec<Element> {
        let mut drawn = Vec::new();
        for tick in ticks {
            let y = scale.at(*tick);
            let class = if *tick == 0.0 { "base" } else { "grid" };
            drawn.push(line((self.across.0, y), (self.across.1, y), class));
            drawn.push(label((self.across.0 - 6.0, y + 3.5), "tick end", &text(*tick)));
        }
        drawn
    }

    /// Local hours below the plot; midnights as lines with the day's name. Of many days only midnights,
    /// and as many names as there is room for.
    pub fn hours(self, period: ShownPeriod, tz: Tz, every: u32) -> Vec<Element> {
        let time = self.time(period);
        let mut drawn = Vec::new();
        let days = (period.to.0 - period.from.0) as f64 / Span::DAY.0 as f64;
        let every = if days > SHORT_DAYS { 24 } else { every };
        let room = (self.across.1 - self.across.0) / DAY_WIDTH;
        let named = (days / room).ceil().max(1.0) as usize;
        let ticks = time_axis::ticks(period.from, period.to, tz, every);
        for (place, tick) in ticks.into_iter().enumerate() {
            let x = time.at(tick.at.0 as f64);
            let below = self.down.1 + 14.0;
            if tick.is_midnight {
                drawn.push(line((x, self.down.0), (x, self.down.1 + 4.0), "day"));
                if days <= SHORT_DAYS || place.is_multiple_of(named) {
                    drawn.push(label((x, below), "tick mid strong", &tick.label));
                }
            } else {
                drawn.push(line((x, self.down.1), (x, self.down.1 + 3.0), "base"));
                drawn.push(label((x, below), "tick mid", &tick.label));
            }
        }
        drawn
    }
}

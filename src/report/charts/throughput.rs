//! Completed tests per hour, the laboratories stacked.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use super::{Frame, ShownPeriod};
use crate::flow::{Span, Timestamp};
use crate::report::figures::Figures;
use crate::report::svg;
use crate::report::svg::{Element, rect, scale, stack};
use crate::report::words;

const FRAME: Frame = Frame { size: (1080.0, 226.0), across: (40.0, 1076.0), down: (12.0, 206.0) };

/// The drawing. Its hours are UTC, since the laboratories lie in several zones.
pub fn drawn(figures: &Figures, period: ShownPeriod) -> String {
    let hours = hours(period);
    let series = series(figures, &hours);
    let layers = stack::stacked(&series);
    let tops = layers.last().into_iter().flatten().map(|(_, top)| *top);
    let ticks = scale::ticks(tops.fold(0.0, f64::max), 4);
    let values = FRAME.values(ticks.last().copied().unwrap_or(1.0));
    let time = FRAME.time(period);
    let mut bars: Vec<Element> = Vec::new();
    for (place, layer) in layers.iter().enumerate() {
        let Some(lab) = figures.labs.get(place) else { continue };
        for (hour, (bottom, top)) in hours.iter().zip(layer) {
            if top <= bottom {
                continue;
            }
            let x = time.at(hour.0 as f64);
            // Of a month's hours each is hardly wider than a line.
            let width = (time.at(hour.plus(Span::HOUR).0 as f64) - x - 1.5).max(0.8);
            let corner = (x + 0.75, values.at(*top));
            let size = (width, values.at(*bottom) - values.at(*top));
            let tip = format!(
                "{}: {:.0} tests, {} (UTC {})",
                lab.name,
                top - bottom,
                words::moment(*hour, lab.tz),
                words::local(*hour, Tz::UTC).format("%H:%M")
            );
            bars.push(rect(corner, size, &format!("lab{place}")).tip(&tip));
        }
    }
    let title = "Tests completed per hour, by laboratory";
    svg::drawing(FRAME.size, "throughput", title, &told(figures, &series))
        .children(FRAME.grid(values, &ticks, |tick| words::grouped(tick as u64)))
        .children(FRAME.hours(period, Tz::UTC, 6))
        .children(bars)
        .end()
}

/// The hours of a period.
fn hours(period: ShownPeriod) -> Vec<Timestamp> {
    let length = usize::try_from((period.to.0 - period.from.0) / Span::HOUR.0).unwrap_or(0);
    let after = |at: &Timestamp| Some(at.plus(Span::HOUR));
    std::iter::successors(Some(period.from), after).take(length).collect()
}

/// Per laboratory, a value for each hour.
fn series(figures: &Figures, hours: &[Timestamp]) -> Vec<Vec<f64>> {
    let counts: BTreeMap<(usize, Timestamp), u64> =
        figures.throughput.iter().map(|(lab, at, count)| ((*lab, *at), *count)).collect();
    let of_lab = |lab: usize| {
        let count = |hour: &Timestamp| counts.get(&(lab, *hour)).copied().unwrap_or(0) as f64;
        hours.iter().map(count).collect()
    };
    (0..figures.labs.len()).map(of_lab).collect()
}

fn told(figures: &Figures, series: &[Vec<f64>]) -> String {
    let of_lab = |(lab, values): (&crate::report::figures::LabFigures, &Vec<f64>)| {
        let sum: f64 = values.iter().sum();
        let most = values.iter().copied().fold(0.0, f64::max);
        format!("{}: {} tests, at most {most:.0} in an hour", lab.name, words::grouped(sum as u64))
    };
    let parts: Vec<String> = figures.labs.iter().zip(series).map(of_lab).collect();
    format!("{}.", parts.join("; "))
}

//! Where and when targets are missed: a row per laboratory and local day, a cell per local hour.

use std::collections::BTreeMap;

use chrono::{NaiveDate, Timelike as _};

use crate::report::figures::{Figures, rate};
use crate::report::svg;
use crate::report::svg::{Element, element, label, rect};
use crate::report::words;

const WIDTH: f64 = 1080.0;
const LEFT: f64 = 120.0;
const CELL: (f64, f64) = (40.0, 24.0);
const TOP: f64 = 20.0;
/// Space between the laboratories.
const GAP: f64 = 10.0;
/// Cells with fewer tests show a dot.
const LEAST_TESTS: u64 = 5;
/// The colour is full from here on: a quarter of the tests too late.
const FULL: f64 = 0.25;

/// Completed and breached, by lab, local day and local hour.
type HeatCells = BTreeMap<(usize, NaiveDate), BTreeMap<u32, (u64, u64)>>;

fn cells(figures: &Figures) -> HeatCells {
    let mut cells = HeatCells::new();
    for (lab, at, completed, breached) in &figures.breaches {
        let Some(tz) = figures.labs.get(*lab).map(|lab| lab.tz) else { continue };
        let there = words::local(*at, tz);
        let day = cells.entry((*lab, there.date_naive())).or_default();
        let (all, late) = day.entry(there.hour()).or_default();
        *all += completed;
        *late += breached;
    }
    cells
}

/// The drawing.
pub fn drawn(figures: &Figures) -> String {
    let cells = cells(figures);
    let mut body: Vec<Element> = Vec::new();
    for hour in 0..24_u32 {
        let x = LEFT + CELL.0 * (f64::from(hour) + 0.5);
        body.push(label((x, TOP - 7.0), "tick mid", &format!("{hour:02}")));
    }
    let (mut y, mut before) = (TOP, None);
    for ((lab, day), hours) in &cells {
        let Some(name) = figures.labs.get(*lab).map(|lab| words::short_name(&lab.name)) else {
            continue;
        };
        let first = before != Some(*lab);
        if first && before.is_some() {
            y += GAP;
        }
        before = Some(*lab);
        if first {
            body.push(label((0.0, y + 16.0), "tick strong", name));
        }
        let date = day.format("%a %-d").to_string();
        body.push(label((LEFT - 10.0, y + 16.0), "tick end", &date));
        for (hour, (all, late)) in hours {
            let x = LEFT + CELL.0 * f64::from(*hour);
            let tip =
                format!("{name}, {date}, {hour:02}:00: {late} of {all} tests beyond their target");
            body.extend(cell((x, y), (*all, *late), &tip));
        }
        y += CELL.1;
    }
    let title = "Tests beyond their target, by laboratory, day and local hour";
    svg::drawing((WIDTH, y + 4.0), "heat", title, &told(figures, &cells)).children(body).end()
}

fn cell((x, y): (f64, f64), (all, late): (u64, u64), tip: &str) -> Vec<Element> {
    let middle = (x + CELL.0 / 2.0, y + CELL.1 / 2.0);
    if all == 0 {
        return Vec::new();
    }
    if all < LEAST_TESTS {
        let dot = element("circle").at("cx", middle.0).at("cy", middle.1).at("r", 1.5);
        return vec![dot.class("few").tip(tip)];
    }
    let share = rate(late, all).unwrap_or(0.0);
    let depth = (share / FULL).min(1.0);
    let size = (CELL.0 - 2.0, CELL.1 - 2.0);
    let ground = rect((x + 1.0, y + 1.0), size, "cell");
    let colour = rect((x + 1.0, y + 1.0), size, "heat").at("fill-opacity", depth).tip(tip);
    let class = if depth > 0.75 { "count deep" } else { "count" };
    let text = label((middle.0, middle.1 + 4.0), class, &format!("{:.0}", share * 100.0));
    vec![ground, colour, text]
}

fn told(figures: &Figures, cells: &HeatCells) -> String {
    let all = cells.iter().flat_map(|((lab, day), hours)| {
        hours.iter().map(move |(hour, (all, late))| (*lab, *day, *hour, *all, *late))
    });
    let worst = all
        .filter(|(_, _, _, all, _)| *all >= 4 * LEAST_TESTS)
        .filter_map(|(lab, day, hour, all, late)| Some((rate(late, all)?, lab, day, hour)))
        .max_by(|one, other| one.0.total_cmp(&other.0));
    let Some((share, lab, day, hour)) = worst else {
        return "No hour has enough tests.".to_owned();
    };
    let name = figures.labs.get(lab).map_or("", |lab| lab.name.as_str());
    format!(
        "The worst hour with at least {} tests: {} at {name}, {} {hour:02}:00.",
        4 * LEAST_TESTS,
        words::percent(Some(share)),
        day.format("%a %-d %b")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_and_number_say_the_share_and_few_tests_say_nothing() {
        let told = |counts| -> String {
            cell((0.0, 0.0), counts, "t").into_iter().map(Element::end).collect()
        };
        assert_eq!(told((0, 0)), "");
        assert!(told((4, 4)).starts_with("<circle"));
        // 1 of 8 is 12.5 %, half of the full colour.
        assert!(told((8, 1)).contains("fill-opacity=\"0.5\""));
        assert!(told((8, 4)).contains("fill-opacity=\"1\"") && told((8, 4)).contains(">50</text>"));
    }
}

//! Errors by instrument: the rate over all days as a bar, the worst hour as a ring.

use crate::report::figures::{Figures, Machine, rate};
use crate::report::svg;
use crate::report::svg::scale::Linear;
use crate::report::svg::{Element, element, label, line, rect, scale};
use crate::report::words;

/// Where `error_rates` begins to alert.
const LIMIT: f64 = 0.05;
const ROW: f64 = 21.0;
const TOP: f64 = 22.0;
const ACROSS: (f64, f64) = (92.0, 500.0);
const WIDTH: f64 = 560.0;

/// The drawing.
pub fn drawn(figures: &Figures) -> String {
    let machines = &figures.machines;
    let bottom = TOP + ROW * machines.len() as f64;
    let worst = machines.iter().filter_map(worst_rate).fold(2.0 * LIMIT, f64::max);
    // The axis ends at 25 %: beyond, an hour's handful of tests says "all of them" alike.
    let ticks = scale::upto(worst.min(0.25), LIMIT);
    let across = Linear::new((0.0, ticks.last().copied().unwrap_or(1.0)), ACROSS);
    let mut svg =
        svg::drawing((WIDTH, bottom + 8.0), "errors", "Error rate by instrument", &told(figures));
    for tick in &ticks {
        let x = across.at(*tick);
        svg = svg
            .child(line((x, TOP - 4.0), (x, bottom), if *tick == 0.0 { "base" } else { "grid" }))
            .child(label((x, TOP - 9.0), "tick mid", &format!("{:.0} %", tick * 100.0)));
    }
    for (place, machine) in machines.iter().enumerate() {
        let y = TOP + ROW * place as f64;
        svg = svg.children(row(figures, machine, across, y));
    }
    let x = across.at(LIMIT);
    svg.child(line((x, TOP - 4.0), (x, bottom), "target")).end()
}

fn worst_rate(machine: &Machine) -> Option<f64> {
    machine.worst.and_then(|(_, errors, tests)| rate(errors, tests))
}

fn row(figures: &Figures, machine: &Machine, across: Linear, y: f64) -> Vec<Element> {
    let Some(lab) = figures.labs.get(machine.lab) else { return Vec::new() };
    let middle = y + ROW / 2.0;
    let of_all = rate(machine.errors, machine.tests);
    let end = across.at(of_all.unwrap_or(0.0)).min(ACROSS.1);
    let tip = format!(
        "{} of {}: {} of {} tests ended in an error",
        machine.machine,
        lab.name,
        words::grouped(machine.errors),
        words::grouped(machine.tests)
    );
    let name = format!("{} {}", words::short_name(&lab.name), machine.machine);
    let bar =
        rect((ACROSS.0, y + 5.0), (end - ACROSS.0, ROW - 10.0), &format!("lab{}", machine.lab));
    let mut drawn = vec![label((ACROSS.0 - 8.0, middle + 4.0), "tick end", &name)];
    let worst = worst_rate(machine).filter(|worst| Some(*worst) > of_all);
    if let (Some(worst), Some((at, errors, tests))) = (worst, machine.worst) {
        let x = across.at(worst).min(ACROSS.1);
        let tip = format!(
            "{}: worst hour from {}: {} of {} tests",
            machine.machine,
            words::moment(at, lab.tz),
            errors,
            tests
        );
        let class = if worst > LIMIT { "ring bad" } else { "ring" };
        drawn.push(line((end, middle), (x - 4.0, middle), "reach"));
        let ring = element("circle").at("cx", x).at("cy", middle).at("r", 4.0).class(class);
        drawn.push(ring.tip(&tip));
    }
    drawn.push(bar.tip(&tip));
    drawn.push(label((WIDTH, middle + 4.0), "tick end strong", &words::percent(of_all)));
    drawn
}

fn told(figures: &Figures) -> String {
    let over = figures
        .machines
        .iter()
        .filter(|machine| worst_rate(machine).is_some_and(|worst| worst > LIMIT));
    let highest = figures.machines.first().map(|machine| {
        let lab = figures.labs.get(machine.lab).map_or("", |lab| lab.name.as_str());
        let rate = words::percent(rate(machine.errors, machine.tests));
        format!("The highest rate is {rate} on {} of {lab}. ", machine.machine)
    });
    format!(
        "{}{} of {} instruments had an hour above 5 % (with at least 20 tests).",
        highest.unwrap_or_default(),
        over.count(),
        figures.machines.len()
    )
}

//! The analyser that stood out: its median turnaround beside that of its bench, two hours by two.
//!
//! A bench is a laboratory's instruments whose names begin with the same letters.

use super::{Frame, ShownPeriod};
use crate::flow::Span;
use crate::report::figures::{AnalyserHours, Figures};
use crate::report::svg;
use crate::report::svg::{element, label, path, scale};
use crate::report::words;

/// Two hours with fewer tests say nothing about an instrument.
const LEAST_TO_JUDGE: u64 = 40;
/// Two hours with fewer tests are not drawn.
const LEAST_TO_DRAW: u64 = 10;
const STEP: Span = Span(2 * Span::HOUR.0);
const FRAME: Frame = Frame { size: (1080.0, 206.0), across: (40.0, 1040.0), down: (16.0, 186.0) };

/// An analyser that was slow beside its bench.
#[derive(Clone, Debug)]
pub struct Outlier<'a> {
    /// Where and when it stood out most.
    pub worst: &'a AnalyserHours,
    /// The mean of the other instruments' medians then, minutes.
    pub peers: f64,
}

fn bench(machine: &str) -> &str {
    machine.trim_end_matches(|one: char| one.is_ascii_digit())
}

/// The analyser whose median stood furthest above its bench's.
pub fn outlier(figures: &Figures) -> Option<Outlier<'_>> {
    let judged = || figures.analysers.iter().filter(|hours| hours.n >= LEAST_TO_JUDGE);
    let beside = |one: &AnalyserHours| {
        let peers: Vec<f64> = judged()
            .filter(|other| {
                (other.lab, other.at) == (one.lab, one.at)
                    && other.machine != one.machine
                    && bench(&other.machine) == bench(&one.machine)
            })
            .map(|other| other.p50)
            .collect();
        let sum: f64 = peers.iter().sum();
        (sum > 0.0).then(|| sum / peers.len() as f64)
    };
    judged()
        .filter_map(|worst| Some(Outlier { worst, peers: beside(worst)? }))
        .max_by(|one, other| one.factor().total_cmp(&other.factor()))
}

impl Outlier<'_> {
    /// How many times as long as on its bench tests took.
    pub fn factor(&self) -> f64 {
        self.worst.p50 / self.peers
    }
}

/// The drawing of the outlier's bench.
pub fn drawn(figures: &Figures, outlier: &Outlier<'_>, period: ShownPeriod) -> String {
    let Some(lab) = figures.labs.get(outlier.worst.lab) else { return String::new() };
    let of_bench: Vec<&AnalyserHours> = figures
        .analysers
        .iter()
        .filter(|hours| hours.lab == outlier.worst.lab && hours.n >= LEAST_TO_DRAW)
        .filter(|hours| bench(&hours.machine) == bench(&outlier.worst.machine))
        .collect();
    let highest = of_bench.iter().map(|hours| hours.p50).fold(0.0, f64::max);
    let ticks = scale::ticks(highest, 4);
    let values = FRAME.values(ticks.last().copied().unwrap_or(1.0));
    let time = FRAME.time(period);
    let middle = |hours: &AnalyserHours| time.at((hours.at.0 + STEP.0 / 2) as f64);
    let point = |hours: &AnalyserHours| (middle(hours), values.at(hours.p50));
    let mut machines: Vec<&str> = of_bench.iter().map(|hours| hours.machine.as_str()).collect();
    machines.dedup();
    // The one that stood out lies on top of the others.
    machines.sort_by_key(|machine| *machine == outlier.worst.machine);
    let title = format!("Median turnaround by analyser, {}", lab.name);
    let mut svg = svg::drawing(FRAME.size, "analysers", &title, &told(figures, outlier))
        .children(FRAME.grid(values, &ticks, |tick| format!("{tick:.0}")))
        .children(FRAME.hours(period, lab.tz, 6));
    let mut names = Vec::new();
    for machine in machines {
        let mut its = of_bench.iter().copied().filter(|hours| hours.machine == machine);
        let runs = path::runs(its.clone(), |hours| hours.at.0, STEP.0);
        let points: Vec<Vec<(f64, f64)>> =
            runs.iter().map(|run| run.iter().map(|hours| point(hours)).collect()).collect();
        let stands_out = machine == outlier.worst.machine;
        let (class, name) = if stands_out { ("p90", "name90") } else { ("peer", "") };
        svg = svg.child(element("path").class(class).with("d", &path::lines(&points)));
        for hours in its.clone() {
            let (x, y) = point(hours);
            let tip = format!(
                "{machine}, {}: median {}, n {}",
                words::moment(hours.at, lab.tz),
                words::minutes(Some(hours.p50)),
                hours.n
            );
            let dot = element("circle").at("cx", x).at("cy", y).at("r", 6.0).class("touch");
            svg = svg.child(dot.tip(&tip));
        }
        if let Some(last) = its.next_back() {
            names.push((point(last), format!("tick strong {name}"), machine));
        }
    }
    let (x, y) = point(outlier.worst);
    let note = format!(
        "{}, {}",
        words::minutes(Some(outlier.worst.p50)),
        words::moment(outlier.worst.at, lab.tz)
    );
    svg.children(apart(names).into_iter().map(|(at, class, text)| label(at, &class, text)))
        .child(element("circle").at("cx", x).at("cy", y).at("r", 3.5).class("mark"))
        .child(label((x + 8.0, y + 1.0), "note", &note))
        .end()
}

/// Labels right of their points, at least a line apart.
fn apart(mut names: Vec<((f64, f64), String, &str)>) -> Vec<((f64, f64), String, &str)> {
    names.sort_by(|one, other| one.0.1.total_cmp(&other.0.1));
    let mut least = f64::NEG_INFINITY;
    for ((x, y), _, _) in &mut names {
        *x += 7.0;
        *y = (*y + 3.5).max(least);
        least = *y + 12.0;
    }
    names
}

/// The outlier in words.
pub fn told(figures: &Figures, outlier: &Outlier<'_>) -> String {
    let Some(lab) = figures.labs.get(outlier.worst.lab) else { return String::new() };
    format!(
        "On {} of {}, the median turnaround reached {} in the two hours from {}, {:.1} times that \
         of the other instruments of its bench ({}).",
        outlier.worst.machine,
        lab.name,
        words::minutes(Some(outlier.worst.p50)),
        words::moment(outlier.worst.at, lab.tz),
        outlier.factor(),
        words::minutes(Some(outlier.peers))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_a_line_apart_in_the_order_of_their_points() {
        let names = vec![
            ((10.0, 52.0), String::new(), "b"),
            ((10.0, 50.0), String::new(), "a"),
            ((10.0, 90.0), String::new(), "c"),
        ];
        let placed: Vec<(f64, &str)> =
            apart(names).into_iter().map(|((_, y), _, name)| (y, name)).collect();
        assert_eq!(placed, [(53.5, "a"), (65.5, "b"), (93.5, "c")]);
    }

    #[test]
    fn a_bench_is_told_by_the_letters() {
        assert_eq!((bench("CH1"), bench("CH12"), bench("M")), ("CH", "CH", "M"));
    }
}

//! Turnaround over time: for each priority and laboratory a small panel, alike in scale, with the
//! median, the 90th percentile and the target, two hours by two.

use super::{Frame, ShownPeriod};
use crate::flow::Span;
use crate::report::figures::{Figures, Hour, LabFigures};
use crate::report::svg;
use crate::report::svg::{Element, element, label, line, path, rect, scale};
use crate::report::words;

/// Two hours with fewer tests say little about percentiles and are left out.
const LEAST_TESTS: u64 = 8;
const STEP: Span = Span(2 * Span::HOUR.0);

/// The panels of one priority.
#[derive(Clone, Debug)]
pub struct PanelRow {
    /// What is shown.
    pub title: String,
    /// A line about it.
    pub note: String,
    /// The laboratories' names, zones and drawings.
    pub panels: Vec<Panel>,
}

/// One laboratory's panel.
#[derive(Clone, Debug)]
pub struct Panel {
    /// The laboratory.
    pub name: String,
    /// Whose hours the axis shows.
    pub zone: String,
    /// The drawing.
    pub svg: String,
}

/// Stat, then routine.
pub fn rows(figures: &Figures, period: ShownPeriod) -> Vec<PanelRow> {
    [("S", "Stat"), ("R", "Routine, wards")]
        .into_iter()
        .filter_map(|(priority, title)| panel_row(figures, period, priority, title))
        .collect()
}

fn panel_row(
    figures: &Figures,
    period: ShownPeriod,
    priority: &str,
    title: &str,
) -> Option<PanelRow> {
    let shown = |hour: &&Hour| hour.priority == priority && hour.n >= LEAST_TESTS;
    let hours: Vec<&Hour> = figures.hours.iter().filter(shown).collect();
    let target = hours.iter().map(|hour| hour.target).reduce(f64::max)?;
    let highest = hours.iter().map(|hour| hour.p90).reduce(f64::max)?;
    // One wild hour must not press all others flat: panels end at three targets.
    let ticks = scale::ticks(highest.min(3.0 * target).max(1.2 * target), 4);
    let panel = |(place, lab): (usize, &LabFigures)| {
        let of_lab: Vec<&Hour> = hours.iter().copied().filter(|hour| hour.lab == place).collect();
        let id = format!("tat-{priority}-{place}");
        Panel {
            name: lab.name.clone(),
            zone: lab.tz.name().replace('_', " "),
            svg: drawn(&Drawn {
                lab,
                hours: &of_lab,
                target,
                ticks: &ticks,
                period,
                title,
                id: &id,
            }),
        }
    };
    Some(PanelRow {
        title: format!("{title} · target {}", words::minutes(Some(target))),
        note: format!(
            "Median and 90th percentile of two hours' completed tests whose target is {}; \
             where they are fewer than {LEAST_TESTS}, nothing is drawn.",
            words::minutes(Some(target))
        ),
        panels: figures.labs.iter().enumerate().map(panel).collect(),
    })
}

/// What one panel is drawn from.
struct Drawn<'a> {
    lab: &'a LabFigures,
    hours: &'a [&'a Hour],
    target: f64,
    ticks: &'a [f64],
    period: ShownPeriod,
    title: &'a str,
    id: &'a str,
}

const FRAME: Frame = Frame { size: (352.0, 196.0), across: (32.0, 318.0), down: (14.0, 172.0) };

fn drawn(panel: &Drawn<'_>) -> String {
    let Drawn { lab, hours, target, ticks, period, title, id } = panel;
    let top = ticks.last().copied().unwrap_or(1.0);
    let (time, values) = (FRAME.time(*period), FRAME.values(top));
    let middle = |hour: &Hour| time.at((hour.at.0 + STEP.0 / 2) as f64);
    let runs = path::runs(hours.iter().copied(), |hour| hour.at.0, STEP.0);
    let along = |of: fn(&Hour) -> f64| -> Vec<Vec<(f64, f64)>> {
        let point = |hour: &&Hour| (middle(hour), values.at(of(hour).min(top)));
        runs.iter().map(|run| run.iter().map(point).collect()).collect()
    };
    let (p50, p90) = (along(|hour| hour.p50), along(|hour| hour.p90));
    let y = values.at(*target);
    let clip = format!("{id}-over");
    let above = rect((FRAME.across.0, 0.0), (FRAME.across.1 - FRAME.across.0, y), "");
    let mut svg = svg::drawing(FRAME.size, id, &format!("{title}, {}", lab.name), &told(panel))
        .child(element("clipPath").with("id", &clip).child(above))
        .children(FRAME.grid(values, ticks, |tick| format!("{tick:.0}")))
        .children(FRAME.hours(*period, lab.tz, 12))
        .child(element("path").class("band").with("d", &path::bands(&p90, &p50)))
        .child(
            element("path")
                .class("over")
                .with("clip-path", &format!("url(#{clip})"))
                .with("d", &path::bands(&p90, &level(&p90, y))),
        )
        .child(line((FRAME.across.0, y), (FRAME.across.1, y), "target"))
        .child(element("path").class("p50").with("d", &path::lines(&p50)))
        .child(element("path").class("p90").with("d", &path::lines(&p90)))
        .children(end_labels(&p50, &p90));
    svg = svg.children(peak(panel, middle, |value| values.at(value.min(top))));
    let tips = hours.iter().map(|hour| {
        let width = time.at((hour.at.0 + STEP.0) as f64) - time.at(hour.at.0 as f64);
        let height = FRAME.down.1 - FRAME.down.0;
        let tip = format!(
            "{}: p50 {}, p90 {}, n {}",
            words::moment(hour.at, lab.tz),
            words::minutes(Some(hour.p50)),
            words::minutes(Some(hour.p90)),
            hour.n
        );
        rect((time.at(hour.at.0 as f64), FRAME.down.0), (width, height), "touch").tip(&tip)
    });
    svg.children(tips.collect::<Vec<_>>()).end()
}

fn level(runs: &[Vec<(f64, f64)>], y: f64) -> Vec<Vec<(f64, f64)>> {
    runs.iter().map(|run| run.iter().map(|(x, _)| (*x, y)).collect()).collect()
}

/// The lines' names at their ends, kept apart.
fn end_labels(p50: &[Vec<(f64, f64)>], p90: &[Vec<(f64, f64)>]) -> Vec<Element> {
    let last = |runs: &[Vec<(f64, f64)>]| runs.last().and_then(|run| run.last()).copied();
    let (Some((x, low)), Some((_, high))) = (last(p50), last(p90)) else { return Vec::new() };
    let high = high.min(low - 11.0);
    vec![
        label((x + 5.0, low + 3.5), "tick name50", "p50"),
        label((x + 5.0, high + 3.5), "tick name90", "p90"),
    ]
}

/// A mark and a label where the 90th percentile was furthest above the target.
fn peak(panel: &Drawn<'_>, x: impl Fn(&Hour) -> f64, y: impl Fn(f64) -> f64) -> Vec<Element> {
    let hours = panel.hours.iter().filter(|hour| hour.n >= 2 * LEAST_TESTS);
    let highest = hours.max_by(|one, other| one.p90.total_cmp(&other.p90));
    let Some(hour) = highest.filter(|hour| hour.p90 > 1.2 * panel.target) else {
        return Vec::new();
    };
    let at = (x(hour), y(hour.p90));
    let left = at.0 > (FRAME.across.0 + FRAME.across.1) / 2.0;
    let (dx, class) = if left { (-6.0, "note end") } else { (6.0, "note") };
    let when = words::local(hour.at, panel.lab.tz).format("%a %H:%M");
    let text = format!("{}, {when}", words::minutes(Some(hour.p90)));
    vec![
        element("circle").at("cx", at.0).at("cy", at.1).at("r", 3.0).class("mark"),
        label((at.0 + dx, (at.1 + 1.0).max(11.0)), class, &text),
    ]
}

/// The panel in words.
fn told(panel: &Drawn<'_>) -> String {
    let over = panel.hours.iter().filter(|hour| hour.p90 > panel.target).count();
    let medians = panel.hours.iter().map(|hour| hour.p50);
    let span =
        (medians.clone().fold(f64::INFINITY, f64::min), medians.fold(f64::NEG_INFINITY, f64::max));
    if panel.hours.is_empty() {
        return "There are too few tests.".to_owned();
    }
    format!(
        "Two-hourly medians lie between {} and {}; the 90th percentile was above the target of {} in \
         {over} of {} such spans.",
        words::minutes(Some(span.0)),
        words::minutes(Some(span.1)),
        words::minutes(Some(panel.target)),
        panel.hours.len()
    )
}

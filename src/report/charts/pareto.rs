//! Rejection reasons in Pareto's order: tubes as bars, the laboratories stacked, and the share
//! that the reasons so far make up as a line.

use super::Frame;
use crate::report::figures::{Figures, RejectionReason};
use crate::report::svg;
use crate::report::svg::scale::Linear;
use crate::report::svg::{Element, element, label, path, rect, scale, stack};

const FRAME: Frame = Frame { size: (470.0, 264.0), across: (34.0, 434.0), down: (20.0, 208.0) };
/// More reasons than this are too narrow to name.
const MOST: usize = 8;

/// The drawing.
pub fn drawn(figures: &Figures) -> String {
    let reasons: Vec<&RejectionReason> = figures.reasons.iter().take(MOST).collect();
    let totals: Vec<f64> = reasons.iter().map(|reason| total(reason)).collect();
    let ticks = scale::ticks(totals.iter().copied().fold(0.0, f64::max), 4);
    let values = FRAME.values(ticks.last().copied().unwrap_or(1.0));
    let shares = FRAME.values(1.0);
    let slot = (FRAME.across.1 - FRAME.across.0) / reasons.len().max(1) as f64;
    let middle = |place: usize| FRAME.across.0 + slot * (place as f64 + 0.5);
    let title = "Rejected tubes by reason";
    let mut svg = svg::drawing(FRAME.size, "pareto", title, &told(&reasons, &totals))
        .children(FRAME.grid(values, &ticks, |tick| format!("{tick:.0}")));
    for share in [0.5, 1.0] {
        let at = (FRAME.across.1 + 6.0, shares.at(share) + 3.5);
        svg = svg.child(label(at, "tick", &format!("{:.0} %", share * 100.0)));
    }
    for (place, reason) in reasons.iter().enumerate() {
        svg = svg.children(bars(figures, reason, middle(place), slot, values)).children(name(
            reason,
            middle(place),
            values,
        ));
    }
    let cumulative = stack::cumulative(&totals);
    let points: Vec<(f64, f64)> = cumulative
        .iter()
        .enumerate()
        .map(|(place, share)| (middle(place), shares.at(*share)))
        .collect();
    svg = svg.child(
        element("path").class("cumulative").with("d", &path::lines(std::slice::from_ref(&points))),
    );
    for ((x, y), share) in points.into_iter().zip(cumulative) {
        let dot = element("circle").at("cx", x).at("cy", y).at("r", 3.0).class("dot");
        svg = svg.child(dot.tip(&format!("{:.0} % so far", share * 100.0)));
    }
    svg.end()
}

fn total(reason: &RejectionReason) -> f64 {
    reason.by_lab.iter().sum::<u64>() as f64
}

fn bars(
    figures: &Figures,
    reason: &RejectionReason,
    x: f64,
    slot: f64,
    values: Linear,
) -> Vec<Element> {
    let series: Vec<Vec<f64>> = reason.by_lab.iter().map(|count| vec![*count as f64]).collect();
    let width = (slot * 0.62).min(44.0);
    let mut drawn = Vec::new();
    for (place, layer) in stack::stacked(&series).iter().enumerate() {
        let (Some((bottom, top)), Some(lab)) = (layer.first(), figures.labs.get(place)) else {
            continue;
        };
        if top <= bottom {
            continue;
        }
        let corner = (x - width / 2.0, values.at(*top));
        let size = (width, values.at(*bottom) - values.at(*top));
        let tip = format!("{}, {}: {:.0} tubes", reason.description, lab.name, top - bottom);
        drawn.push(rect(corner, size, &format!("lab{place}")).tip(&tip));
    }
    drawn
}

/// The count above the bar, the name below it with each word on a line of its own.
fn name(reason: &RejectionReason, x: f64, values: Linear) -> Vec<Element> {
    let count = total(reason);
    let at = (x, values.at(count) - 5.0);
    let mut drawn = vec![label(at, "tick mid strong", &format!("{count:.0}"))];
    for (line, word) in reason.description.split_whitespace().enumerate() {
        let at = (x, FRAME.down.1 + 14.0 + 12.0 * line as f64);
        drawn.push(label(at, "tick mid", word));
    }
    drawn
}

fn told(reasons: &[&RejectionReason], totals: &[f64]) -> String {
    let parts = reasons.iter().zip(totals);
    let parts: Vec<String> =
        parts.map(|(reason, total)| format!("{} {total:.0}", reason.description)).collect();
    format!("Tubes rejected: {}.", parts.join(", "))
}

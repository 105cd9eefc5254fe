//! SVG that stands alone: states in rows by how far they are from the beginning, arrows between them.

use super::{Arrow, Picture};
use crate::lifecycle::spec::MachineSpec;
use std::collections::BTreeMap;

const BOX_WIDTH: i32 = 150;
const BOX_HEIGHT: i32 = 40;
const COLUMN: i32 = 250;
const ROW: i32 = 104;
const MARGIN: i32 = 130;
const LINE: i32 = 14;
/// Letters of a told line before it is broken.
const LETTERS: usize = 30;

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1b2733}\
.label{font-size:11px;fill:#41566b;paint-order:stroke;stroke:#fff;stroke-width:3px}.told{font-size:10px;fill:#5b7186}\
rect{fill:#eef4fa;stroke:#3a6ea5;stroke-width:1.4}.over{fill:#f3f3f0;stroke:#8a8a80}\
path{fill:none;stroke:#3a6ea5;stroke-width:1.3}.timer{stroke-dasharray:5 4;stroke:#b4692a}\
.back{fill:#fff;stroke:none;opacity:.85}circle{fill:#1b2733}";

/// The machine as an SVG document.
pub fn svg(spec: &MachineSpec) -> String {
    let picture = Picture::of(spec);
    let places = Layout::of(&picture);
    let mut body = String::new();
    let (width, height) = (places.width(), places.height());
    for (number, arrow) in picture.arrows.iter().enumerate() {
        body.push_str(&places.arrow(arrow, number));
    }
    for state in &picture.states {
        body.push_str(&places.state(&picture, state));
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>\
         <style>{STYLE}</style><defs><marker id=\"to\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" \
         markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0,0 L8,4 L0,8 z\" \
         style=\"fill:#41566b;stroke:none\"/></marker></defs>\
         <rect class=\"back\" width=\"{width}\" height=\"{height}\"/>{body}</svg>\n",
        title = escaped(&spec.description),
    )
}

/// Where each state stands, by its middle.
struct Layout {
    middles: BTreeMap<String, (i32, i32)>,
    rows: BTreeMap<String, i32>,
    columns: i32,
    /// Below the last row and what is told there.
    bottom: i32,
}

impl Layout {
    fn of(picture: &Picture) -> Layout {
        let rows = rows_of(picture);
        let mut by_row: BTreeMap<i32, Vec<&String>> = BTreeMap::new();
        for state in &picture.states {
            by_row.entry(rows[state]).or_default().push(state);
        }
        let columns = by_row.values().map(Vec::len).max().unwrap_or(1) as i32;
        let mut middles = BTreeMap::new();
        let (mut y, mut bottom) = (50 + BOX_HEIGHT / 2, 0);
        for states in by_row.values() {
            for (column, state) in states.iter().enumerate() {
                let x = MARGIN + BOX_WIDTH / 2 + column as i32 * COLUMN;
                middles.insert((*state).clone(), (x, y));
            }
            let told = states.iter().map(|state| told_lines(picture, state).len());
            bottom = y + told.max().unwrap_or(0) as i32 * LINE;
            y = bottom + ROW;
        }
        Layout { middles, rows, columns, bottom }
    }

    fn width(&self) -> i32 {
        2 * MARGIN + BOX_WIDTH + (self.columns - 1) * COLUMN + 60
    }

    fn height(&self) -> i32 {
        self.bottom + BOX_HEIGHT / 2 + 30
    }

    fn state(&self, picture: &Picture, state: &str) -> String {
        let (x, y) = self.middles[state];
        let (left, top) = (x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2);
        let class =
            if picture.finished.iter().any(|one| one == state) { " class=\"over\"" } else { "" };
        let mut text = format!(
            "<rect{class} x=\"{left}\" y=\"{top}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"8\"/>\
             <text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            y + 5,
            escaped(state)
        );
        for (at, line) in told_lines(picture, state).iter().enumerate() {
            let y = y + BOX_HEIGHT / 2 + LINE * (at as i32 + 1);
            text += &format!(
                "<text class=\"told\" x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
                escaped(line)
            );
        }
        text
    }

    fn arrow(&self, arrow: &Arrow, number: usize) -> String {
        let (to_x, to_y) = self.middles[&arrow.to];
        let class = if arrow.is_timer { " class=\"timer\"" } else { "" };
        let Some(from) = &arrow.from else {
            let (x, y) = (to_x - 40, to_y - BOX_HEIGHT / 2 - 26);
            let path = format!("M{x},{y} L{},{}", to_x - 20, to_y - BOX_HEIGHT / 2);
            return format!(
                "<circle cx=\"{x}\" cy=\"{y}\" r=\"5\"/><path{class} d=\"{path}\" marker-end=\"url(#to)\"/>{}",
                labels(arrow, (x - 8, y - 4), "end")
            );
        };
        let (x, y) = self.middles[from];
        let (down, across) = (self.rows[&arrow.to] - self.rows[from], to_x - x);
        let spread = (number % 3) as i32 * 14 - 14;
        let (path, at, anchor) = if from == &arrow.to {
            let x = x - BOX_WIDTH / 2;
            let far = x - 46;
            let path = format!("M{x},{} C{far},{} {far},{} {x},{}", y - 10, y - 26, y + 26, y + 10);
            (path, (x - 38, y + 4), "end")
        } else if down == 1 || down > 0 && across != 0 {
            let (y, to_y) = (y + BOX_HEIGHT / 2, to_y - BOX_HEIGHT / 2);
            let (x, to_x) = (x + spread, to_x + spread);
            let bend = (to_y - y) / 2;
            let path = format!("M{x},{y} C{x},{} {to_x},{} {to_x},{to_y}", y + bend, to_y - bend);
            (path, ((x + to_x) / 2 + 6, (y + to_y) / 2 + 4), "start")
        } else if down == 0 {
            // To the right above, to the left below.
            let (side, lift) = (across.signum() * BOX_WIDTH / 2, -8 * across.signum());
            let path = format!("M{},{} L{},{}", x + side, y + lift, to_x - side, to_y + lift);
            let below = if lift > 0 { 12 } else { -4 };
            (path, ((x + to_x) / 2, y + lift + below), "middle")
        } else {
            // Back, or past others in the same column: around the left or the right side.
            let side = if down > 0 { -1 } else { 1 };
            let far = side * (44 + 10 * down.abs() + spread);
            let (x, to_x) = (x + side * BOX_WIDTH / 2, to_x + side * BOX_WIDTH / 2);
            let path = format!("M{x},{y} C{},{y} {},{to_y} {to_x},{to_y}", x + far, to_x + far);
            let anchor = if side > 0 { "start" } else { "end" };
            (path, ((x + to_x) / 2 + far * 3 / 4, (y + to_y) / 2 + spread), anchor)
        };
        format!("<path{class} d=\"{path}\" marker-end=\"url(#to)\"/>{}", labels(arrow, at, anchor))
    }
}

fn told_lines(picture: &Picture, state: &str) -> Vec<String> {
    let told = picture.told.iter().filter(|told| told.to == state);
    told.flat_map(|told| broken(&format!("{} from {}", told.label, told.from))).collect()
}

fn labels(arrow: &Arrow, (x, y): (i32, i32), anchor: &str) -> String {
    let lines = arrow.labels.iter().flat_map(|label| broken(label)).enumerate();
    let line = |(at, label): (usize, String)| {
        let (y, label) = (y + at as i32 * 12, escaped(&label));
        format!("<text class=\"label\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{label}</text>")
    };
    lines.map(line).collect()
}

/// How many arrows each state is from the beginning; what no arrow reaches stands in a last row.
fn rows_of(picture: &Picture) -> BTreeMap<String, i32> {
    let mut rows: BTreeMap<String, i32> = BTreeMap::new();
    let begins = picture.arrows.iter().filter(|arrow| arrow.from.is_none());
    let mut edge: Vec<String> = begins.map(|arrow| arrow.to.clone()).collect();
    let mut row = 0;
    while !edge.is_empty() {
        let mut next = Vec::new();
        for state in edge {
            if rows.contains_key(&state) {
                continue;
            }
            let led = picture.arrows.iter().filter(|arrow| arrow.from.as_ref() == Some(&state));
            next.extend(led.map(|arrow| arrow.to.clone()));
            rows.insert(state, row);
        }
        (edge, row) = (next, row + 1);
    }
    // Rows of three, so that a machine of which every state leads to every other is no long line.
    let others = picture.states.iter().filter(|state| !rows.contains_key(*state));
    let others: Vec<String> = others.cloned().collect();
    for (at, state) in others.into_iter().enumerate() {
        rows.insert(state, row + at as i32 / 3);
    }
    rows
}

/// A text in lines.
fn broken(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].len() + word.len() >= LETTERS {
            lines.push(word.to_owned());
        } else {
            let space = if lines[last].is_empty() { "" } else { " " };
            lines[last] += &format!("{space}{word}");
        }
    }
    lines
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

//! A machine as a picture: Mermaid for documents, SVG for everything else.
//!
//! Both draw the same arrows. What leads from very many states to one (losing, abandoning) would hide
//! all others; it is told below the state that it leads to.

mod mermaid;
mod svg;
#[cfg(test)]
mod tests;

pub use mermaid::mermaid;
pub use svg::svg;

use super::spec::{ANY, MachineSpec, NEW, TimerWhen, TransitionSpec, states_of};
use crate::flow::Span;

/// From more states than this a transition is told, not drawn.
const MOST_ARROWS: usize = 3;

/// One arrow.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Arrow {
    /// None of a beginning.
    from: Option<String>,
    to: String,
    /// Its names with what they depend on, a line each.
    labels: Vec<String>,
    is_timer: bool,
}

/// What leads to a state from very many others.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ToldBelow {
    to: String,
    label: String,
    from: String,
}

/// All that is drawn.
#[derive(Clone, Debug, Default)]
struct Picture {
    states: Vec<String>,
    finished: Vec<String>,
    arrows: Vec<Arrow>,
    told: Vec<ToldBelow>,
}

impl Picture {
    fn of(spec: &MachineSpec) -> Picture {
        let mut picture = Picture {
            states: states_of(spec),
            finished: spec.finished.clone(),
            ..Picture::default()
        };
        for name in &spec.begins {
            // Where a line may be joined anywhere, its first state shows the beginning.
            let on_line = spec.line.iter().position(|step| step.state == *name);
            if on_line.is_none_or(|at| at == 0) {
                let label = on_line.map_or("begin", |at| &spec.line[at].name);
                picture.arrow(None, name, label.to_owned(), false);
            }
        }
        for steps in spec.line.windows(2) {
            let [from, to] = steps else { continue };
            picture.arrow(Some(&from.state), &to.state, to.name.clone(), false);
        }
        for transition in &spec.transitions {
            picture.lead(&transition.from, &transition.to, label_of(transition), false);
        }
        for timer in &spec.timers {
            let label = format!("{} ({})", timer.name, words_of(&timer.when));
            picture.lead(&timer.within, &timer.to, label, true);
        }
        picture
    }

    fn lead(&mut self, from: &[String], to: &str, label: String, is_timer: bool) {
        if from.iter().any(|from| from == ANY) {
            let (to, from) = (to.to_owned(), "any other state".to_owned());
            self.told.push(ToldBelow { to, label, from });
        } else if from.len() > MOST_ARROWS {
            self.told.push(ToldBelow { to: to.to_owned(), label, from: from.join(", ") });
        } else {
            for from in from {
                let from = (from != NEW).then_some(from.as_str());
                self.arrow(from, to, label.clone(), is_timer);
            }
        }
    }

    fn arrow(&mut self, from: Option<&str>, to: &str, label: String, is_timer: bool) {
        let same = |arrow: &&mut Arrow| {
            arrow.from.as_deref() == from && arrow.to == to && arrow.is_timer == is_timer
        };
        match self.arrows.iter_mut().find(same) {
            Some(arrow) => arrow.labels.push(label),
            None => self.arrows.push(Arrow {
                from: from.map(str::to_owned),
                to: to.to_owned(),
                labels: vec![label],
                is_timer,
            }),
        }
    }
}

fn label_of(transition: &TransitionSpec) -> String {
    match &transition.when {
        Some(when) => format!("{} [{when}]", transition.name),
        None => transition.name.clone(),
    }
}

/// When a timer goes off, in words.
fn words_of(when: &TimerWhen) -> String {
    match when {
        TimerWhen::After(span) => format!("after {}", Span(span.0)),
        TimerWhen::At(minute, grace) => {
            let late = if grace.0 > 0 { format!(" + {}", Span(grace.0)) } else { String::new() };
            format!("at {:02}:{:02}{late} lab time", minute / 60, minute % 60)
        }
        TimerWhen::Share(thousandths) => {
            format!("at {} % of the target", f64::from(*thousandths) / 10.0)
        }
        TimerWhen::Silence(beats) => format!("after {beats} heartbeats of silence"),
    }
}

//! The state machine of one breach: what a window says about a group, and what follows.
//!
//! `Gone → Pending → Firing → Gone`, by event time alone. A pending breach ends as soon as a window
//! does not show it (it must *hold* for the rule's `for`); a firing one ends by [`BreachSight::Over`].

use crate::flow::{Span, Timestamp};

use super::notice::NoticeKind;

/// Where a group's breach stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BreachState {
    /// There is none.
    Gone,
    /// The predicate has been true since then, not yet long enough.
    Pending {
        /// The end of the first window in which it was true.
        since: Timestamp,
    },
    /// Its Begin has been said.
    Firing(Firing),
}

/// A breach that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Firing {
    /// The end of the first window in which the predicate was true.
    pub(super) since: Timestamp,
    /// The end of the window with which it began.
    pub(super) begun_at: Timestamp,
    /// The end of the window of its last notice that came in its turn.
    pub(super) noticed_at: Timestamp,
}

/// What one window says about one group. Of several rows the one first in this order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum BreachSight {
    /// `when` is true and `until` is not.
    Breached,
    /// A predicate could not be evaluated.
    Unknown,
    /// There is an `until`, and neither is true.
    Between,
    /// `until` is true; without one, `when` is not.
    Over,
    /// No row, and the rule has an `until`.
    Absent,
}

/// When a window is judged, and by which measures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// The rule's `for`.
    pub(super) hold: Span,
    /// Between reminders; zero for none.
    pub(super) repeat: Span,
    /// The window's end.
    pub(super) at: Timestamp,
    /// Whether a breach that goes on is to be told out of turn: nobody has been told of it, and now
    /// somebody can be.
    pub(super) catch_up: bool,
}

/// The next state, and what is to be said about which breach.
pub(super) fn advance(
    state: BreachState,
    sight: BreachSight,
    timing: Timing,
) -> (BreachState, Option<(NoticeKind, Firing)>) {
    match (state, sight) {
        (BreachState::Gone, BreachSight::Breached) => hold(timing.at, timing),
        (
            BreachState::Gone,
            BreachSight::Unknown | BreachSight::Over | BreachSight::Between | BreachSight::Absent,
        ) => (BreachState::Gone, None),
        (BreachState::Pending { since }, BreachSight::Breached) => hold(since, timing),
        (BreachState::Pending { since }, BreachSight::Unknown) => {
            (BreachState::Pending { since }, None)
        }
        (
            BreachState::Pending { .. },
            BreachSight::Over | BreachSight::Between | BreachSight::Absent,
        ) => (BreachState::Gone, None),
        (BreachState::Firing(firing), BreachSight::Over) => {
            (BreachState::Gone, Some((NoticeKind::End, firing)))
        }
        (BreachState::Firing(firing), BreachSight::Absent | BreachSight::Unknown) => {
            (BreachState::Firing(firing), None)
        }
        (BreachState::Firing(firing), BreachSight::Breached | BreachSight::Between) => {
            remind(firing, timing)
        }
    }
}

fn hold(since: Timestamp, timing: Timing) -> (BreachState, Option<(NoticeKind, Firing)>) {
    if timing.at < since.plus(timing.hold) {
        return (BreachState::Pending { since }, None);
    }
    let firing = Firing { since, begun_at: timing.at, noticed_at: timing.at };
    (BreachState::Firing(firing), Some((NoticeKind::Begin, firing)))
}

/// A reminder in its turn moves the next one; one out of turn does not, so that those in turn follow
/// from the rows alone.
fn remind(firing: Firing, timing: Timing) -> (BreachState, Option<(NoticeKind, Firing)>) {
    let due = timing.repeat > Span(0) && timing.at >= firing.noticed_at.plus(timing.repeat);
    let firing = if due { Firing { noticed_at: timing.at, ..firing } } else { firing };
    let said = (due || timing.catch_up).then_some((NoticeKind::Reminder, firing));
    (BreachState::Firing(firing), said)
}

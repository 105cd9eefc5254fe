//! The state machine of one breach: what a window says about a group, and what follows.
//!
//! `None → Pending → Firing → None`, by event time alone. A pending breach ends as soon as a window
//! does not show it (it must *hold* for the rule's `for`); a firing one ends by [`Sight::Over`].

use crate::flow::{Span, Timestamp};

use super::notice::NoticeKind;

/// Where a group's breach stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
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
    /// The end of the window of its last notice.
    pub(super) noticed_at: Timestamp,
    /// Whether one of its notices was young enough to be posted.
    pub(super) announced: bool,
}

/// What one window says about one group. Of several rows the one first in this order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sight {
    /// `when` is true and `until` is not.
    Breached,
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
    /// Whether a notice of this window is young enough to be posted.
    pub(super) fresh: bool,
}

/// The next state, and what is to be said about which breach.
pub(super) fn advance(
    state: Option<State>,
    sight: Sight,
    timing: Timing,
) -> (Option<State>, Option<(NoticeKind, Firing)>) {
    match (state, sight) {
        (None, Sight::Breached) => hold(timing.at, timing),
        (None, Sight::Over | Sight::Between | Sight::Absent) => (None, None),
        (Some(State::Pending { since }), Sight::Breached) => hold(since, timing),
        (Some(State::Pending { .. }), Sight::Over | Sight::Between | Sight::Absent) => (None, None),
        (Some(State::Firing(firing)), Sight::Over) => (None, Some((NoticeKind::End, firing))),
        (Some(State::Firing(firing)), Sight::Absent) => (Some(State::Firing(firing)), None),
        (Some(State::Firing(firing)), Sight::Breached | Sight::Between) => remind(firing, timing),
    }
}

fn hold(since: Timestamp, timing: Timing) -> (Option<State>, Option<(NoticeKind, Firing)>) {
    if timing.at < since.plus(timing.hold) {
        return (Some(State::Pending { since }), None);
    }
    let firing =
        Firing { since, begun_at: timing.at, noticed_at: timing.at, announced: timing.fresh };
    (Some(State::Firing(firing)), Some((NoticeKind::Begin, firing)))
}

fn remind(firing: Firing, timing: Timing) -> (Option<State>, Option<(NoticeKind, Firing)>) {
    let due = timing.repeat > Span(0) && timing.at >= firing.noticed_at.plus(timing.repeat);
    if !due {
        return (Some(State::Firing(firing)), None);
    }
    let announced = firing.announced || timing.fresh;
    let firing = Firing { noticed_at: timing.at, announced, ..firing };
    (Some(State::Firing(firing)), Some((NoticeKind::Reminder, firing)))
}

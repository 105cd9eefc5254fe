//! A breach that is pending or firing, and what is said as it moves on. Pure.

use std::collections::HashSet;
use std::sync::Arc;

use super::breach::{BreachSight, BreachState, Firing, Timing, advance};
use super::notice::{Group, Id, Notice, NoticeKind};
use super::rule::AlertRule;
use crate::flow::{Span, Window};

/// A breach of one group.
#[derive(Clone, Debug)]
pub(super) struct OpenBreach {
    pub(super) rule: Arc<AlertRule>,
    pub(super) group: Group,
    pub(super) state: BreachState,
    /// The id of its Begin, once it fires.
    pub(super) breach: Option<Id>,
    pub(super) last_seen: Window,
}

/// Something to be said about a breach; with the row that it was read from.
pub(super) struct Said {
    pub(super) kind: NoticeKind,
    pub(super) firing: Firing,
    pub(super) breach: Id,
    pub(super) rule: Arc<AlertRule>,
    pub(super) table: Arc<str>,
    pub(super) group: Group,
    pub(super) row: Option<usize>,
}

/// What is the same for all groups of an observation.
#[derive(Clone, Copy)]
pub(super) struct ObservedWindow {
    pub(super) hold: Span,
    pub(super) repeat: Span,
    pub(super) window: Window,
    pub(super) fresh: bool,
}

impl OpenBreach {
    /// Moves the state by one sight.
    pub(super) fn step(
        &mut self,
        sight: BreachSight,
        moment: ObservedWindow,
        told: &HashSet<Id>,
        table: &str,
    ) -> Option<Said> {
        let known = self.breach.as_ref().is_some_and(|breach| told.contains(breach));
        let timing = Timing {
            hold: moment.hold,
            repeat: moment.repeat,
            at: moment.window.end,
            catch_up: moment.fresh && !known,
        };
        let (after, said) = advance(self.state, sight, timing);
        self.state = after;
        let (kind, firing) = said?;
        let begin = (firing.begun_at, firing.begun_at);
        let breach = self.breach.get_or_insert_with(|| {
            Notice::id_of(&self.rule, table, &self.group, NoticeKind::Begin, begin)
        });
        Some(Said {
            kind,
            firing,
            breach: breach.clone(),
            rule: Arc::clone(&self.rule),
            table: table.into(),
            group: self.group.clone(),
            row: None,
        })
    }

    /// The End of a breach that is dropped.
    pub(super) fn ended(self, table: &str) -> Option<Said> {
        match self.state {
            BreachState::Gone | BreachState::Pending { .. } => None,
            BreachState::Firing(firing) => Some(Said {
                kind: NoticeKind::End,
                firing,
                breach: self.breach?,
                rule: self.rule,
                table: table.into(),
                group: self.group,
                row: None,
            }),
        }
    }
}

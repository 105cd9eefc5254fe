//! The breaches that somebody sees to, as the lake tells: nobody is reminded of them.
//!
//! Commands write them down from any process, so a task looks again and again.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::lake::Lake;

use super::notice::{Notice, NoticeKind};

/// How often it is looked: a reminder comes hours after the card before it.
const EVERY: Duration = Duration::from_secs(10);

/// What was acknowledged, as far as it was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Acknowledged(Arc<RwLock<BTreeSet<String>>>);

impl Acknowledged {
    /// Whether a notice reminds of what somebody sees to.
    pub(super) fn silences(&self, notice: &Notice) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        notice.kind == NoticeKind::Reminder && known.contains(notice.breach.as_str())
    }

    /// Reads what the lake has.
    pub(super) async fn refresh(&self, lake: &Lake) {
        match lake.acknowledged().await {
            Ok(read) => *self.0.write().unwrap_or_else(PoisonError::into_inner) = read,
            Err(error) => {
                tracing::debug!(%error, "could not read which alerts are acknowledged");
            }
        }
    }

    /// Reads it again and again, for as long as the task is not aborted.
    pub(super) fn follow(&self, lake: Lake) -> JoinHandle<()> {
        let known = self.clone();
        tokio::spawn(async move {
            let mut beats = tokio::time::interval(EVERY);
            beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                beats.tick().await;
                known.refresh(&lake).await;
            }
        })
    }
}

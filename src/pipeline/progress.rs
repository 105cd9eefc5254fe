//! How far a run has come, for progress bars, health and the summary.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::counts::Counts;
use crate::alert::judging::RuleFault;
use crate::flow::Timestamp;
use crate::lake::{Lake, StoreReach};
use crate::lifecycle::ScatteredTubes;
use crate::sql::collect::collected::Tally;

/// Shared between the loop and those who watch it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Records worked on.
    pub records: AtomicU64,
    /// What the source has delivered, in its own unit.
    pub done: AtomicU64,
    /// What the source will deliver, 0 when unknown.
    pub total: AtomicU64,
    /// The job's watermark, microseconds.
    pub watermark: AtomicI64,
    /// Whether the loop runs and no pipeline is stopped.
    pub ready: AtomicBool,
    /// Why it is not ready.
    trouble: Mutex<Option<String>>,
    /// Alert rules that could not be evaluated on some rows, with the number of these.
    rule_faults: Mutex<BTreeMap<String, u64>>,
    /// The lakes that are written: whether they answer.
    lakes: Mutex<Vec<(String, Arc<StoreReach>)>>,
}

/// A lake that is away.
#[derive(Clone, Debug)]
pub struct Absence {
    /// The lake.
    pub lake: String,
    /// For how long.
    pub lasted: Duration,
    /// What it said.
    pub reason: String,
}

impl Progress {
    /// Notes trouble: the run is not ready any more.
    pub fn trouble(&self, what: &str) {
        self.ready.store(false, Ordering::Relaxed);
        *held(&self.trouble) = Some(what.to_owned());
    }

    /// Notes which rules have faults. The run stays ready: everything else goes on.
    pub fn faulty_rules(&self, faults: &BTreeMap<String, RuleFault>) {
        let told = faults.iter().map(|(rule, fault)| (rule.clone(), fault.rows));
        *held(&self.rule_faults) = told.collect();
    }

    /// Why it is not ready, as far as it has been told.
    pub fn told_trouble(&self) -> Option<String> {
        held(&self.trouble).clone()
    }

    /// How many alert rules have faults.
    pub fn faulty_rule_count(&self) -> usize {
        held(&self.rule_faults).len()
    }

    /// Watches a lake.
    pub fn watch(&self, lake: &Lake) {
        held(&self.lakes).push((lake.store().name.clone(), lake.reach()));
    }

    /// The lake that has been away for longest; none while all answer.
    pub fn away(&self) -> Option<Absence> {
        let lakes = held(&self.lakes);
        let away = lakes.iter().filter_map(|(lake, reach)| {
            let (lasted, reason) = reach.away()?;
            Some(Absence { lake: lake.clone(), lasted, reason })
        });
        away.max_by_key(|absence| absence.lasted)
    }
}

/// What is held is whole after every line, so one who panicked has spoilt nothing.
fn held<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a run has done.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// What became of the records.
    pub counts: Counts,
    /// What became of the events, by table.
    pub tables: BTreeMap<String, Tally>,
    /// Objects written.
    pub objects: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Cards made, also those that were not posted.
    pub cards: u64,
    /// Cards delivered to a webhook.
    pub delivered: u64,
    /// Cards that could not be delivered before the end, by title.
    pub undelivered: Vec<String>,
    /// Cards that quiet hours hold back.
    pub held: usize,
    /// Whether these and the undelivered ones are written down for the next run.
    pub cards_kept: bool,
    /// The largest event time.
    pub largest: Option<Timestamp>,
    /// Clock time the run took.
    pub seconds: f64,
    /// Whether it was asked to stop.
    pub interrupted: bool,
    /// The pipelines that were stopped, with the reason.
    pub stopped: BTreeMap<String, String>,
    /// The alert rules that could not be evaluated on some rows.
    pub rule_faults: BTreeMap<String, RuleFault>,
    /// Whether tubes' events came on one partition each.
    pub scattered: ScatteredTubes,
    /// The last cards made: title and what became of each.
    pub last_cards: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_though_one_who_held_it_has_panicked() {
        let progress = Arc::new(Progress::default());
        let holder = Arc::clone(&progress);
        let holds = std::thread::spawn(move || {
            let _held = (holder.trouble.lock().unwrap(), holder.rule_faults.lock().unwrap());
            panic!("as a bug would");
        });
        assert!(holds.join().is_err());
        progress.trouble("the disk is full");
        assert_eq!(progress.told_trouble().as_deref(), Some("the disk is full"));
        let fault = RuleFault { rows: 2, reason: "a division by zero".to_owned() };
        progress.faulty_rules(&BTreeMap::from([("slow".to_owned(), fault)]));
        assert_eq!(progress.faulty_rule_count(), 1);
    }
}

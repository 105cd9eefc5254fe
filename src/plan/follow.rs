//! How tests and the entities of other machines are followed, where some query asks for it: the machine,
//! its guards, the rows that are wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::prelude::SessionContext;

use super::guards::{MachineGuards, machine_fault};
use crate::config::{Fault, Project, Settings};
use crate::flow::Span;
use crate::flow::event::EVENT_FIELDS;
use crate::lifecycle::critical::{
    self, CRITICAL_MACHINE, CriticalResults, CriticalRules, CriticalSettings,
};
use crate::lifecycle::entity::{self, Entities, Lengths, ReferenceLengths};
use crate::lifecycle::machine::StateMachine;
use crate::lifecycle::{self, LifecycleShared, Partitions, TEST_MACHINE, TestSettings, WantedRows};
use crate::reference::Reference;
use crate::relate::{ChangeRelation, CriticalRelation, machine_of};

/// A test is at risk once this share of its target has run.
const AT_RISK_SHARE: f64 = 0.8;

/// Of a critical result that is open, a reminder is due after this share of its time.
const REMINDER_SHARE: f64 = 0.5;

/// What is followed.
pub struct FollowPlan {
    /// Tests; none where no query reads what becomes of them.
    pub tests: Option<TestPlan>,
    /// The machines whose relations some query reads.
    pub machines: Vec<MachinePlan>,
    /// Critical results; none where no query reads what becomes of them.
    pub critical: Option<CriticalPlan>,
}

/// How critical results are followed.
pub struct CriticalPlan {
    /// The machine, and targets.
    pub rules: Arc<CriticalRules>,
    /// The columns of the machine's own relation that some query reads; none where no query does.
    pub moved: Option<Vec<usize>>,
    /// The machine's conditions.
    pub guards: MachineGuards,
}

/// How tests are followed.
pub struct TestPlan {
    /// What all cores share.
    pub shared: LifecycleShared,
    /// The rows that some query reads.
    pub wanted: WantedRows,
    /// The machine's conditions.
    pub guards: MachineGuards,
}

/// How the entities of a machine are followed.
pub struct MachinePlan {
    /// The machine.
    pub machine: Arc<StateMachine>,
    /// The columns of its relation that some query reads; none where no query does.
    pub needed: Option<Vec<usize>>,
    /// The machine's conditions.
    pub guards: MachineGuards,
    lengths: Arc<dyn Lengths>,
    keep_finished: Span,
}

impl FollowPlan {
    /// The event's columns that are read, as places among [`EVENT_FIELDS`].
    pub fn event_columns(&self) -> BTreeSet<usize> {
        let tests = self.tests.iter();
        let tests = tests.map(|plan| (lifecycle::columns(plan.shared.machine()), &plan.guards));
        let machines = self.machines.iter();
        let machines = machines.map(|plan| (entity::columns(&plan.machine), &plan.guards));
        let critical = self.critical.iter();
        let critical = critical.map(|plan| (critical::columns(&plan.rules.machine), &plan.guards));
        let mut columns = BTreeSet::new();
        for (named, guards) in tests.chain(machines).chain(critical) {
            let fields = EVENT_FIELDS.iter().enumerate();
            let of_machine = fields.filter(|(_, (name, _))| named.contains(*name));
            columns.extend(of_machine.map(|(place, _)| place).chain(guards.columns()));
        }
        columns
    }
}

impl CriticalPlan {
    /// Results of which nothing has been seen.
    pub fn results(&self) -> Partitions<CriticalResults> {
        let rules = Arc::clone(&self.rules);
        Partitions::new(move || CriticalResults::new(Arc::clone(&rules)))
    }
}

impl MachinePlan {
    /// Entities of which nothing has been seen.
    pub fn entities(&self) -> Partitions<Entities> {
        let (machine, lengths) = (Arc::clone(&self.machine), Arc::clone(&self.lengths));
        let keep = self.keep_finished.0;
        Partitions::new(move || Entities::new(Arc::clone(&machine), Arc::clone(&lengths), keep))
    }
}

/// What is followed where these columns of relations are read, by their names; none where no query reads
/// what becomes of anything.
pub(super) fn follow(
    context: &SessionContext,
    (project, settings): (&Project, &Settings),
    reference: &Arc<Reference>,
    read: &BTreeMap<&str, BTreeSet<usize>>,
) -> Result<Option<FollowPlan>, Vec<Fault>> {
    let tests = tests(context, (project, settings), reference, read)?;
    let (mut machines, mut faults) = (Vec::new(), Vec::new());
    // Tests have the targets that centres publish, whether anything reads what becomes of these or not.
    let publish = project.machines.iter().filter(|machine| machine.spec.settings.is_some());
    let publish = publish.filter(|_| tests.is_some()).map(|machine| machine.spec.name.as_str());
    let mut followed: BTreeMap<&str, Option<&BTreeSet<usize>>> =
        publish.map(|name| (name, None)).collect();
    followed.extend(read.iter().map(|(name, needed)| (*name, Some(needed))));
    for (name, needed) in followed.into_iter().filter(|(name, _)| *name != CRITICAL_MACHINE) {
        let Some(machine) = machine_of(&project.machines, name) else { continue };
        match MachineGuards::of(context, machine) {
            Ok(guards) => machines.push(MachinePlan {
                machine: Arc::new(machine.clone()),
                needed: needed.map(|needed| needed.iter().copied().collect()),
                guards,
                lengths: Arc::new(ReferenceLengths::new(Arc::clone(reference), machine)),
                keep_finished: settings.time.keep_finished,
            }),
            Err(found) => faults.extend(found),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let critical = critical(context, (project, settings), reference, read)?;
    let nothing = tests.is_none() && machines.is_empty() && critical.is_none();
    Ok((!nothing).then_some(FollowPlan { tests, machines, critical }))
}

/// How critical results are followed for these relations; none where no query reads what becomes of them.
fn critical(
    context: &SessionContext,
    (project, settings): (&Project, &Settings),
    reference: &Arc<Reference>,
    read: &BTreeMap<&str, BTreeSet<usize>>,
) -> Result<Option<CriticalPlan>, Vec<Fault>> {
    let moved = read.get(CRITICAL_MACHINE).filter(|_| {
        // A view may have the machine's name, and is read then.
        machine_of(&project.machines, CRITICAL_MACHINE).is_some()
    });
    let reads = |relation: CriticalRelation| read.contains_key(relation.name());
    if moved.is_none() && !CriticalRelation::ALL.into_iter().any(reads) {
        return Ok(None);
    }
    let Some(machine) = machine_of(&project.machines, CRITICAL_MACHINE) else {
        let what = "there is no machine for critical results";
        let remedy = "add it, or do not read what becomes of critical results";
        return Err(vec![Fault::of("pipelines/lifecycles/critical.yaml", what, remedy)]);
    };
    let guards = MachineGuards::of(context, machine)?;
    let settings = CriticalSettings {
        reference: Arc::clone(reference),
        reminder_share: REMINDER_SHARE,
        keep_finished: settings.time.keep_finished,
    };
    let rules = CriticalRules::new(machine.clone(), settings).map_err(|missing| {
        let fault = |name: &&str| {
            let what = format!("the machine has no {name}");
            machine_fault(machine, what, "critical results are followed by it; name it so")
        };
        missing.iter().map(fault).collect::<Vec<_>>()
    })?;
    let moved = moved.map(|needed| needed.iter().copied().collect());
    Ok(Some(CriticalPlan { rules: Arc::new(rules), moved, guards }))
}

/// How tests are followed for these relations; none where no query reads what the stage tells.
fn tests(
    context: &SessionContext,
    (project, settings): (&Project, &Settings),
    reference: &Arc<Reference>,
    read: &BTreeMap<&str, BTreeSet<usize>>,
) -> Result<Option<TestPlan>, Vec<Fault>> {
    let reads = |relation: ChangeRelation| read.contains_key(relation.name());
    if !ChangeRelation::ALL.into_iter().any(reads) {
        return Ok(None);
    }
    let machine = project.machines.iter().find(|machine| machine.spec.name == TEST_MACHINE);
    let Some(machine) = machine else {
        let what = "there is no machine for tests";
        let remedy = "add it, or do not read what becomes of tests";
        return Err(vec![Fault::of("pipelines/lifecycles/test.yaml", what, remedy)]);
    };
    let guards = MachineGuards::of(context, machine)?;
    let settings = TestSettings {
        reference: Arc::clone(reference),
        at_risk_share: AT_RISK_SHARE,
        keep_finished: settings.time.keep_finished,
    };
    let shared = LifecycleShared::new(machine.clone(), settings).map_err(|missing| {
        let fault = |name: &&str| {
            let what = format!("the machine has no {name}");
            machine_fault(machine, what, "tests are followed by it; name it so")
        };
        missing.iter().map(fault).collect::<Vec<_>>()
    })?;
    let wanted = WantedRows {
        transitions: reads(ChangeRelation::Transitions),
        completions: reads(ChangeRelation::Completions),
        due: reads(ChangeRelation::Due),
        deadlines: reads(ChangeRelation::Deadlines),
        backdated: reads(ChangeRelation::Backdated),
    };
    Ok(Some(TestPlan { shared, wanted, guards }))
}

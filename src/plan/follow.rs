//! How tests are followed, where some query asks for it: the machine, its guards, the rows that are wanted.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::datatypes::Schema;
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::prelude::SessionContext;

use crate::config::{Fault, Project, Settings};
use crate::flow::EventBatch;
use crate::flow::coded::plain_rows;
use crate::flow::event::EVENT_FIELDS;
use crate::lifecycle::WantedRows;
use crate::lifecycle::machine::StateMachine;
use crate::lifecycle::{self, LifecycleShared, TestSettings};
use crate::reference::Reference;
use crate::relate::{ChangeRelation, Relation, event_rows, relation_schema};
use crate::sql::plan::predicate::Predicate;

/// A test is at risk once this share of its target has run.
const AT_RISK_SHARE: f64 = 0.8;

/// The machine that tests are followed by.
const TEST_MACHINE: &str = "test";

/// How tests are followed.
pub struct FollowPlan {
    /// What all cores share.
    pub shared: LifecycleShared,
    /// The rows that some query reads.
    pub wanted: WantedRows,
    guards: Vec<CompiledGuard>,
}

/// A guard over the event's columns that it names.
struct CompiledGuard {
    predicate: Predicate,
    /// Their places among the event's columns.
    columns: Vec<usize>,
}

impl FollowPlan {
    /// Of each guard of the machine, whether it holds for each event. One that cannot be evaluated on an
    /// event does not hold for it.
    ///
    /// # Errors
    /// When a column of the events is not of its type.
    pub fn guards(&self, events: &EventBatch) -> Result<Vec<BooleanArray>> {
        let holds = |guard: &CompiledGuard| {
            let rows = plain_rows(&event_rows(events, &guard.columns)?)?;
            Ok(guard.predicate.evaluate(&rows).holds)
        };
        self.guards.iter().map(holds).collect()
    }

    /// The event's columns that it reads, as places among [`EVENT_FIELDS`].
    pub fn event_columns(&self) -> BTreeSet<usize> {
        let named = lifecycle::columns(self.shared.machine());
        let fields = EVENT_FIELDS.iter().enumerate();
        let of_machine = fields.filter(|(_, (name, _))| named.contains(*name));
        let of_guards = self.guards.iter().flat_map(|guard| guard.columns.iter().copied());
        of_machine.map(|(place, _)| place).chain(of_guards).collect()
    }
}

/// How tests are followed for these relations; none where no query reads what the stage tells.
pub(super) fn follow(
    context: &SessionContext,
    (project, settings): (&Project, &Settings),
    reference: &Arc<Reference>,
    relations: &[(Relation, Vec<usize>)],
) -> std::result::Result<Option<FollowPlan>, Vec<Fault>> {
    let reads = |relation| relations.iter().any(|(read, _)| *read == Relation::Changed(relation));
    if !ChangeRelation::ALL.into_iter().any(reads) {
        return Ok(None);
    }
    let machine = project.machines.iter().find(|machine| machine.spec.name == TEST_MACHINE);
    let Some(machine) = machine else {
        let what = "there is no machine for tests".to_owned();
        return Err(vec![fault(what, "add pipelines/lifecycles/test.yaml")]);
    };
    let guards = guards(context, machine)?;
    let settings = TestSettings {
        reference: Arc::clone(reference),
        at_risk_share: AT_RISK_SHARE,
        keep_finished: settings.time.keep_finished,
    };
    let shared = LifecycleShared::new(machine.clone(), settings).map_err(|missing| {
        let fault = |name: &&str| {
            fault(format!("the machine has no {name}"), "tests are followed by it; name it so")
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
    Ok(Some(FollowPlan { shared, wanted, guards }))
}

fn fault(what: String, remedy: &str) -> Fault {
    Fault::of("pipelines/lifecycles/test.yaml", what, remedy)
}

fn guards(
    context: &SessionContext,
    machine: &StateMachine,
) -> std::result::Result<Vec<CompiledGuard>, Vec<Fault>> {
    let compiled = machine.guards.iter().map(|text| {
        let told = |error: DataFusionError| {
            let what = format!("the guard `{text}` cannot be planned: {}", error.strip_backtrace());
            fault(what, "write a condition over the event's columns")
        };
        guard(context, text).map_err(told)
    });
    let (mut guards, mut faults) = (Vec::new(), Vec::new());
    compiled.for_each(|one| match one {
        Ok(guard) => guards.push(guard),
        Err(fault) => faults.push(fault),
    });
    if faults.is_empty() { Ok(guards) } else { Err(faults) }
}

/// Compiled over the columns alone that it names.
fn guard(context: &SessionContext, text: &str) -> Result<CompiledGuard> {
    let all = relation_schema(Relation::Events);
    let named = Predicate::compile(context, &df_schema(&all)?, text)?.columns;
    let mut columns =
        named.iter().map(|name| Ok(all.index_of(name)?)).collect::<Result<Vec<usize>>>()?;
    columns.sort_unstable();
    columns.dedup();
    let schema = df_schema(&all.project(&columns)?)?;
    Ok(CompiledGuard { predicate: Predicate::compile(context, &schema, text)?, columns })
}

fn df_schema(schema: &Schema) -> Result<DFSchema> {
    DFSchema::try_from(schema.clone())
}

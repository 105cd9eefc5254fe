//! The conditions of a machine, as predicates over events.

use std::path::PathBuf;

use arrow::array::BooleanArray;
use arrow::datatypes::Schema;
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::prelude::SessionContext;

use crate::config::Fault;
use crate::flow::EventBatch;
use crate::flow::coded::plain_rows;
use crate::lifecycle::machine::StateMachine;
use crate::relate::{Relation, event_rows, relation_schema};
use crate::sql::plan::predicate::Predicate;

/// The guards of one machine.
pub struct MachineGuards(Vec<CompiledGuard>);

/// A guard over the event's columns that it names.
struct CompiledGuard {
    predicate: Predicate,
    /// Their places among the event's columns.
    columns: Vec<usize>,
}

impl MachineGuards {
    /// Of a machine; every fault of its conditions.
    pub(super) fn of(
        context: &SessionContext,
        machine: &StateMachine,
    ) -> std::result::Result<MachineGuards, Vec<Fault>> {
        let told = |text: &str, error: DataFusionError| {
            let what = format!("the guard `{text}` cannot be planned: {}", error.strip_backtrace());
            machine_fault(machine, what, "write a condition over the event's columns")
        };
        let (mut guards, mut faults) = (Vec::new(), Vec::new());
        for text in &machine.guards {
            match CompiledGuard::of(context, text) {
                Ok(guard) => guards.push(guard),
                Err(error) => faults.push(told(text, error)),
            }
        }
        if faults.is_empty() { Ok(MachineGuards(guards)) } else { Err(faults) }
    }

    /// Of each guard, whether it holds for each event. One that cannot be evaluated on an event does not
    /// hold for it.
    ///
    /// # Errors
    /// When a column of the events is not of its type.
    pub fn hold(&self, events: &EventBatch) -> Result<Vec<BooleanArray>> {
        let holds = |guard: &CompiledGuard| {
            let rows = plain_rows(&event_rows(events, &guard.columns)?)?;
            Ok(guard.predicate.evaluate(&rows).holds)
        };
        self.0.iter().map(holds).collect()
    }

    /// The event's columns that they name, as places among them.
    pub fn columns(&self) -> impl Iterator<Item = usize> {
        self.0.iter().flat_map(|guard| guard.columns.iter().copied())
    }
}

impl CompiledGuard {
    /// Compiled over the columns alone that it names.
    fn of(context: &SessionContext, text: &str) -> Result<CompiledGuard> {
        let all = relation_schema(Relation::Events);
        let named = Predicate::compile(context, &df_schema(&all)?, text)?.columns;
        let places = named.iter().map(|name| Ok(all.index_of(name)?));
        let mut columns = places.collect::<Result<Vec<usize>>>()?;
        columns.sort_unstable();
        columns.dedup();
        let schema = df_schema(&all.project(&columns)?)?;
        Ok(CompiledGuard { predicate: Predicate::compile(context, &schema, text)?, columns })
    }
}

fn df_schema(schema: &Schema) -> Result<DFSchema> {
    DFSchema::try_from(schema.clone())
}

/// A fault of a machine's file.
pub(super) fn machine_fault(machine: &StateMachine, what: String, remedy: &str) -> Fault {
    let path: PathBuf = ["pipelines", "lifecycles", &machine.spec.name].iter().collect();
    Fault::of(&format!("{}.yaml", path.display()), what, remedy)
}

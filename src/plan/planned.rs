//! What planning makes: a run's plan, its pipelines, their windows by family. What is decided is
//! `build`'s part.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::RecordBatch;
use chrono_tz::Tz;
use datafusion::common::Result;

use super::follow::FollowPlan;
use crate::alert::judging::Rule;
use crate::config::{Fault, PipelineSpec};
use crate::decode::DecodeOptions;
use crate::relate::Relation;
use crate::sql::collect::family::Family;
use crate::sql::fire::Engine;
use crate::sql::fire::expect::Expected;
use crate::sql::fire::output::OutputShape;
use crate::sql::plan::execute::Executor;
use crate::sql::plan::query::{Query, Way};

/// Everything that is planned before the first record.
pub struct Plan {
    /// The pipelines.
    pub pipelines: Vec<PipelinePlan>,
    /// How records are decoded: only the columns that something reads, unless all are archived.
    pub decode: DecodeOptions,
    /// The relations that are always there and that some query reads, with the columns to make.
    pub relations: Vec<(Relation, Vec<usize>)>,
    /// How tests and other entities are followed; none where no query asks for it.
    pub follow: Option<FollowPlan>,
    /// Whether a calendar asks for each row's lab.
    pub by_lab: bool,
    /// Runs the parts of plans that are not row-wise.
    pub executor: Executor,
    /// The zones of the labs that are listed.
    pub labs: BTreeMap<String, Tz>,
    /// What can go wrong although nothing is wrong with the project itself.
    pub warnings: Vec<Fault>,
}

/// Why a project cannot be planned.
#[derive(Debug, Default)]
pub struct Unplanned {
    /// Every fault of every pipeline.
    pub faults: Vec<Fault>,
    /// As [`Plan::warnings`].
    pub warnings: Vec<Fault>,
}

/// One pipeline, planned.
pub struct PipelinePlan {
    /// As declared.
    pub spec: PipelineSpec,
    /// The planned query.
    pub query: Arc<Query>,
    /// Its windows by family.
    pub families: Vec<FamilyPlan>,
    /// Rules, by table.
    pub rules: BTreeMap<String, Vec<Rule>>,
    /// What the tables' rows were computed with.
    pub fingerprint: String,
    /// Whether it has been stopped, so that nothing is computed for it any more.
    pub stopped: AtomicBool,
    /// The groups to expect, for engines.
    pub(super) expected: Option<RecordBatch>,
}

/// Windows that are collected together.
#[derive(Clone)]
pub struct FamilyPlan {
    /// Where rows go in time.
    pub family: Arc<Family>,
    /// The tables' rows.
    pub outputs: Vec<OutputShape>,
}

impl PipelinePlan {
    /// Whether an alert rule judges one of its tables.
    pub fn has_rules(&self) -> bool {
        self.rules.values().any(|rules| !rules.is_empty())
    }

    /// Engines that hold nothing yet, one per family.
    pub fn engines(&self, executor: &Executor) -> Result<Vec<Engine>> {
        let engines = self.families.iter().map(|plan| {
            let expected = match (&self.expected, &self.query.way) {
                (Some(rows), Way::Incremental(incremental)) => Some(Expected::new(
                    rows,
                    &incremental.aggregate_schema,
                    incremental.group_exprs.len(),
                )?),
                (Some(_) | None, _) => None,
            };
            let (query, family) = (Arc::clone(&self.query), Arc::clone(&plan.family));
            Ok(Engine::new(query, family, plan.outputs.clone(), expected, executor.clone()))
        });
        engines.collect()
    }
}

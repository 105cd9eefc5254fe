//! The DataFusion session in which pipelines are planned: relations, reference tables and staging
//! views, our functions, and only those rules under which an aggregate can be split.

use std::sync::Arc;

use datafusion::common::{Result, ScalarValue, TableReference};
use datafusion::datasource::{MemTable, ViewTable};
use datafusion::execution::SessionStateBuilder;
use datafusion::optimizer::{Analyzer, AnalyzerRule, Optimizer};
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::relation::{RelationDef, RelationTable};
use crate::flow::ReferenceRows;
use crate::sql::aggregate::functions::sketch::rewrite::ReadInAggregate;
use crate::sql::aggregate::registry;

/// Physical rules that fuse or shortcut aggregates, so that it could no longer be split into
/// partial states and final results.
const FUSING_RULES: &[&str] = &[
    "CombinePartialFinalAggregate",
    "aggregate_statistics",
    "TopKAggregation",
    "LimitedDistinctAggregation",
    "coalesce_batches",
    "OutputRequirements",
];

/// A view of the project: its name and SQL.
#[derive(Clone, Debug)]
pub struct ViewText {
    /// The name in SQL.
    pub name: String,
    /// A SELECT.
    pub sql: String,
}

/// A session with our functions, without tables.
pub fn bare() -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .with_collect_statistics(false)
        .with_information_schema(false)
        .set(
            "datafusion.execution.skip_partial_aggregation_probe_ratio_threshold",
            &ScalarValue::Float64(Some(1.0)),
        )
        .set_bool("datafusion.sql_parser.collect_spans", true)
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false)
        .set_bool("datafusion.execution.parquet.schema_force_view_types", false);
    let logical: Vec<_> = Optimizer::new()
        .rules
        .into_iter()
        .filter(|rule| rule.name() != "single_distinct_aggregation_to_group_by")
        .collect();
    let physical: Vec<_> = PhysicalOptimizer::new()
        .rules
        .into_iter()
        .filter(|rule| !FUSING_RULES.iter().any(|name| rule.name().eq_ignore_ascii_case(name)))
        .collect();
    // Before types are coerced, so that the readings' types are too.
    let first: Arc<dyn AnalyzerRule + Send + Sync> = Arc::new(ReadInAggregate);
    let analysis = std::iter::once(first).chain(Analyzer::new().rules).collect();
    let state = SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_analyzer_rules(analysis)
        .with_optimizer_rules(logical)
        .with_physical_optimizer_rules(physical)
        .build();
    let context = SessionContext::new_with_state(state);
    registry::register(&context);
    context
}

/// A session over relations, reference tables and staging views. A view may read those before it;
/// a view that cannot be planned yet is tried again after the others, and `Err` names those that
/// remain with what is wrong.
pub async fn over(
    relations: &[RelationDef],
    references: &[ReferenceRows],
    views: &[ViewText],
) -> std::result::Result<SessionContext, Vec<(String, datafusion::error::DataFusionError)>> {
    let context = bare();
    register_tables(&context, relations, references)
        .map_err(|error| vec![("ref".into(), error)])?;
    let mut waiting: Vec<&ViewText> = views.iter().collect();
    loop {
        let mut failed = Vec::new();
        let before = waiting.len();
        let mut still = Vec::new();
        for view in waiting {
            if let Err(error) = register_view(&context, view).await {
                failed.push((view.name.clone(), error));
                still.push(view);
            }
        }
        if failed.is_empty() {
            return Ok(context);
        }
        if still.len() == before {
            return Err(failed);
        }
        waiting = still;
    }
}

fn register_tables(
    context: &SessionContext,
    relations: &[RelationDef],
    references: &[ReferenceRows],
) -> Result<()> {
    for relation in relations {
        let table = RelationTable::new(&relation.name, Arc::clone(&relation.schema));
        context.register_table(relation.name.as_ref(), Arc::new(table))?;
    }
    context.sql_schema("ref")?;
    for reference in references {
        let table = MemTable::try_new(reference.rows.schema(), vec![vec![reference.rows.clone()]])?;
        let name = TableReference::partial("ref", reference.name.as_str());
        context.register_table(name, Arc::new(table))?;
    }
    Ok(())
}

/// Runs one query, as `SessionContext::sql` does.
#[cfg(test)]
pub(crate) async fn query(
    context: &SessionContext,
    sql: &str,
) -> Result<datafusion::prelude::DataFrame> {
    let plan = turnaround_planner::plan(&context.state(), sql).await?;
    Ok(datafusion::prelude::DataFrame::new(context.state(), plan))
}

async fn register_view(context: &SessionContext, view: &ViewText) -> Result<()> {
    super::refuse::refuse_statement(&context.state(), &view.sql)?;
    let plan = turnaround_planner::plan(&context.state(), &view.sql).await?;
    super::refuse::refuse_unrepeatable(&plan)?;
    let table = ViewTable::new(plan, Some(view.sql.clone()));
    context.register_table(view.name.as_str(), Arc::new(table))?;
    Ok(())
}

/// Making schemas by name.
trait SqlSchema {
    fn sql_schema(&self, name: &str) -> Result<()>;
}

impl SqlSchema for SessionContext {
    fn sql_schema(&self, name: &str) -> Result<()> {
        use datafusion::catalog::MemorySchemaProvider;
        if let Some(catalog) = self.catalog("datafusion") {
            catalog.register_schema(name, Arc::new(MemorySchemaProvider::new()))?;
        }
        Ok(())
    }
}

//! From a project and its settings to what the loop runs: planned queries, their windows, what has
//! to be decoded for them, and the alert rules over their tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::RecordBatch;
use chrono_tz::Tz;
use datafusion::common::{DataFusionError, Result};
use datafusion::prelude::SessionContext;
use tokio::runtime::Handle;

use super::families::families_of;
use super::faults::{PlanFault, ReadableNames, SpecPart, sql_faults, yaml_fault};
use super::fingerprint::fingerprint_of;
use super::follow::follow;
use super::needs::{columns_read, decoded_columns, relations_of};
use super::planned::{PipelinePlan, Plan, Unplanned};
use super::reference::labs_of;
use super::refusals::{
    refuse_row_level_beside_windows, refuse_rules_of_no_entity, refuse_unstorable,
    refuse_wrong_grain, with_groups_to_expect,
};
use super::relations::{readable, relation_defs};
use super::rules::rules_of;
use super::sessions;
use crate::config::{Fault, PipelineSpec, Project, Settings};
use crate::decode::DecodeOptions;
use crate::flow::ReferenceRows;
use crate::reference::Reference;
use crate::sql::fire::expect::Expected;
use crate::sql::plan::execute::Executor;
use crate::sql::plan::planner;
use crate::sql::plan::planner::ViewText;
use crate::sql::plan::query;
use crate::sql::plan::query::Query;

/// Plans a project. Every fault of every pipeline at once.
pub async fn plan(
    project: &Project,
    settings: &Settings,
    chosen: Option<&BTreeSet<String>>,
    archive: bool,
) -> std::result::Result<Plan, Unplanned> {
    let planner = planner(project).await;
    let context = planner.map_err(|faults| Unplanned { faults, ..Unplanned::default() })?;
    let labs = labs_of(project);
    let mut faults = unknown_pipelines(project, chosen);
    let mut warnings = Vec::new();
    let readable = readable(project);
    let mut pipelines = Vec::new();
    let specs = project.pipelines.iter();
    for spec in specs.filter(|spec| chosen.is_none_or(|chosen| chosen.contains(&spec.name))) {
        let mut warned = Vec::new();
        match plan_pipeline(&context, project, spec, &labs, &mut warned).await {
            Ok(pipeline) => pipelines.push(pipeline),
            Err(found) => {
                faults.extend(found.into_iter().flat_map(|fault| located(&readable, spec, fault)));
            }
        }
        warnings.extend(warned.into_iter().flat_map(|warning| located(&readable, spec, warning)));
    }
    warnings.sort();
    warnings.dedup();
    if !faults.is_empty() {
        return Err(Unplanned { faults, warnings });
    }
    let relations = relations_of(&pipelines);
    let mut families = pipelines.iter().flat_map(|pipeline| &pipeline.families);
    let by_lab = families.any(|family| family.family.kind().needs_labs());
    let reference = Arc::new(Reference::new(&project.reference_rows, settings.sla_hours));
    let read = columns_read(&pipelines);
    let follow = match follow(&context, (project, settings), &reference, &read) {
        Ok(follow) => follow,
        Err(faults) => return Err(Unplanned { faults, warnings }),
    };
    let columns = (!archive).then(|| decoded_columns(&relations, follow.as_ref()));
    Ok(Plan {
        pipelines,
        decode: DecodeOptions {
            default_lab: settings.default_lab.clone(),
            max_future: settings.time.max_future,
            columns,
        },
        relations,
        follow,
        by_lab,
        executor: Executor::new(context.task_ctx(), Handle::current()),
        labs,
        warnings,
    })
}

/// A session that knows the project's relations, reference tables and views.
pub async fn planner(project: &Project) -> std::result::Result<SessionContext, Vec<Fault>> {
    let references: Vec<ReferenceRows> = project
        .reference
        .iter()
        .map(|table| ReferenceRows { name: table.name.clone(), rows: table.rows.clone() })
        .collect();
    let views: Vec<ViewText> = project
        .staging
        .iter()
        .map(|view| ViewText { name: view.name.clone(), sql: view.sql.clone() })
        .collect();
    let relations = relation_defs(project)?;
    let readable = readable(project);
    planner::over(&relations, &references, &views).await.map_err(|failed| {
        let fault = |(name, error): (String, DataFusionError)| {
            let view = project.staging.iter().find(|view| view.name == name);
            let path = view.map_or_else(|| name.clone().into(), |view| view.path.clone());
            sql_faults(&path, view.map_or("", |view| &view.sql), &error, &readable)
        };
        failed.into_iter().flat_map(fault).collect()
    })
}

fn unknown_pipelines(project: &Project, chosen: Option<&BTreeSet<String>>) -> Vec<Fault> {
    let names: Vec<&str> = project.pipelines.iter().map(|spec| spec.name.as_str()).collect();
    chosen
        .into_iter()
        .flatten()
        .filter(|name| !names.contains(&name.as_str()))
        .map(|name| {
            let what = format!("there is no pipeline `{name}`");
            Fault::of("--pipelines", what, format!("choose among {}", names.join(", ")))
        })
        .collect()
}

fn located(readable: &ReadableNames, spec: &PipelineSpec, fault: PlanFault) -> Vec<Fault> {
    match fault.place {
        SpecPart::Sql => sql_faults(&spec.sql_path, &spec.sql, &fault.error, readable),
        SpecPart::Yaml(key) => vec![yaml_fault(spec, &key, &fault.error)],
    }
}

async fn plan_pipeline(
    context: &SessionContext,
    project: &Project,
    spec: &PipelineSpec,
    labs: &BTreeMap<String, Tz>,
    warnings: &mut Vec<PlanFault>,
) -> std::result::Result<PipelinePlan, Vec<PlanFault>> {
    let in_sql = |error| vec![PlanFault { place: SpecPart::Sql, error }];
    let row_level = spec.windows.iter().all(|window| window.kind.passes_rows());
    refuse_row_level_beside_windows(spec).map_err(|error| in_yaml("windows", error))?;
    if row_level {
        refuse_rules_of_no_entity(spec)?;
    }
    let mut query = query::plan(context, &spec.sql, row_level).await.map_err(in_sql)?;
    refuse_wrong_grain(spec, &query)?;
    refuse_unstorable(&query).map_err(in_sql)?;
    sessions::prepare(spec, &mut query)?;
    let query = Arc::new(query);
    let expected = expected_rows(project, spec, &query).map_err(|e| in_yaml("expect", e))?;
    let families = families_of(spec, &query, labs).map_err(|error| in_yaml("windows", error))?;
    let mut rules = BTreeMap::new();
    for output in families.iter().flat_map(|family| &family.outputs) {
        let found = rules_of(context, spec, output, warnings)?;
        rules.insert(output.table.to_string(), found);
    }
    let fingerprint = fingerprint_of(project, spec, &query);
    let (spec, stopped) = (spec.clone(), AtomicBool::new(false));
    Ok(PipelinePlan { spec, query, families, rules, stopped, fingerprint, expected })
}

fn in_yaml(key: &str, error: DataFusionError) -> Vec<PlanFault> {
    vec![PlanFault { place: SpecPart::Yaml(key.to_owned()), error }]
}

/// The rows of the reference table that `expect` names, checked against the query.
fn expected_rows(
    project: &Project,
    spec: &PipelineSpec,
    query: &Query,
) -> Result<Option<RecordBatch>> {
    let Some(name) = &spec.expect else { return Ok(None) };
    let name = name.strip_prefix("ref.").unwrap_or(name);
    let Some(table) = project.reference.iter().find(|table| table.name == name) else {
        return datafusion::common::plan_err!("there is no reference table `{name}`");
    };
    let incremental = with_groups_to_expect(query)?;
    let groups = incremental.group_exprs.len();
    Expected::new(&table.rows, &incremental.aggregate_schema, groups)?;
    Ok(Some(table.rows.clone()))
}

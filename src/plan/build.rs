//! From a project and its settings to what the loop runs: planned queries, their windows, what has
//! to be decoded for them, and the alert rules over their tables.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::RecordBatch;
use chrono_tz::Tz;
use datafusion::common::{DataFusionError, Result};
use datafusion::prelude::SessionContext;
use tokio::runtime::Handle;

use super::faults::{PlanFault, SpecPart, sql_faults, yaml_fault};
use super::fingerprint::fingerprint_of;
use super::follow::follow;
use super::needs::{decoded_columns, relations_of};
use super::planned::{FamilyPlan, PipelinePlan, Plan, Unplanned};
use super::reference::labs_of;
use super::refusals::{
    refuse_narrow_panes, refuse_row_level_beside_windows, refuse_unstorable, refuse_wrong_grain,
    with_groups_to_expect,
};
use super::rules::rules_of;
use super::sessions;
use crate::config::{Fault, PipelineSpec, Project, Settings};
use crate::decode::DecodeOptions;
use crate::flow::ReferenceRows;
use crate::flow::Span;
use crate::reference::Reference;
use crate::relate::{Relation, relation_schema};
use crate::sql::collect::family::{Family, LabCalendars};
use crate::sql::fire::expect::Expected;
use crate::sql::fire::output::OutputShape;
use crate::sql::plan::execute::Executor;
use crate::sql::plan::planner;
use crate::sql::plan::planner::ViewText;
use crate::sql::plan::query;
use crate::sql::plan::query::{Query, Way};
use crate::sql::plan::refuse_recompute::refuse_long_recompute;
use crate::sql::plan::relation::RelationDef;
use crate::window::{Calendar, CalendarUnit, Lateness, PaneGrid, Shape, WindowKind, Zone};

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
    let mut pipelines = Vec::new();
    let specs = project.pipelines.iter();
    for spec in specs.filter(|spec| chosen.is_none_or(|chosen| chosen.contains(&spec.name))) {
        let mut warned = Vec::new();
        match plan_pipeline(&context, project, spec, &labs, &mut warned).await {
            Ok(pipeline) => pipelines.push(pipeline),
            Err(found) => faults.extend(found.into_iter().flat_map(|fault| located(spec, fault))),
        }
        warnings.extend(warned.into_iter().flat_map(|warning| located(spec, warning)));
    }
    warnings.sort();
    warnings.dedup();
    if !faults.is_empty() {
        return Err(Unplanned { faults, warnings });
    }
    let relations = relations_of(&pipelines);
    let by_lab = pipelines.iter().flat_map(|pipeline| &pipeline.families).any(|family| {
        matches!(family.family.as_ref(), Family::Calendar(zones) if zones.calendars().len() > 1)
    });
    let reference = Arc::new(Reference::new(&project.reference_rows, settings.sla_hours));
    let follow = match follow(&context, (project, settings), &reference, &relations) {
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
    planner::over(&relation_defs(), &references, &views).await.map_err(|failed| {
        let fault = |(name, error): (String, DataFusionError)| {
            let view = project.staging.iter().find(|view| view.name == name);
            let path = view.map_or_else(|| name.clone().into(), |view| view.path.clone());
            sql_faults(&path, view.map_or("", |view| &view.sql), &error)
        };
        failed.into_iter().flat_map(fault).collect()
    })
}

/// The relations that SQL can read.
pub fn relation_defs() -> Vec<RelationDef> {
    Relation::all()
        .map(|relation| RelationDef {
            name: relation.name(),
            schema: relation_schema(relation),
            event_time: relation.event_time_column(),
        })
        .collect()
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

fn located(spec: &PipelineSpec, fault: PlanFault) -> Vec<Fault> {
    match fault.place {
        SpecPart::Sql => sql_faults(&spec.sql_path, &spec.sql, &fault.error),
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
    let row_level = spec.windows.iter().all(|window| window.kind == WindowKind::RowLevel);
    refuse_row_level_beside_windows(spec).map_err(|error| in_yaml("windows", error))?;
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

fn families_of(
    spec: &PipelineSpec,
    query: &Query,
    labs: &BTreeMap<String, Tz>,
) -> Result<Vec<FamilyPlan>> {
    let mut fixed: Vec<(String, Span, Span)> = Vec::new();
    let mut families = Vec::new();
    for window in &spec.windows {
        let table = spec.table_name(window);
        match &window.kind {
            WindowKind::RowLevel => {}
            WindowKind::Tumbling { size } => fixed.push((table, *size, *size)),
            WindowKind::Hopping { size, slide } => {
                refuse_long_recompute(&query.way, &table, *size, *slide)?;
                fixed.push((table, *size, *slide));
            }
            WindowKind::Session { gap, by, wait } => {
                let mut output = shape(spec, query, &table, true, false)?;
                // Sessions of several keys may share their bounds and stand in any order.
                (output.presorted, output.interleaved) = (false, true);
                let family = Arc::new(Family::Session(sessions::family(*gap, *wait, by, query)?));
                families.push(FamilyPlan { family, outputs: vec![output] });
            }
            WindowKind::Calendar { unit, zone } => {
                let zones = zones_of(unit, zone, labs).revised(lateness_of(spec));
                let output = shape(spec, query, &table, true, true)?;
                let family = Arc::new(Family::Calendar(zones));
                families.push(FamilyPlan { family, outputs: vec![output] });
            }
        }
    }
    if !fixed.is_empty() {
        families.insert(0, fixed_family(spec, query, &fixed)?);
    }
    Ok(families)
}

fn lateness_of(spec: &PipelineSpec) -> Lateness {
    Lateness::new(spec.allowed_lateness, spec.late_step)
}

fn fixed_family(
    spec: &PipelineSpec,
    query: &Query,
    fixed: &[(String, Span, Span)],
) -> Result<FamilyPlan> {
    let grid = PaneGrid::over(fixed.iter().flat_map(|(_, size, slide)| [*size, *slide]));
    let grid = grid.revised(lateness_of(spec));
    let shapes: Vec<Shape> =
        fixed.iter().map(|(_, size, slide)| grid.shape(*size, *slide)).collect();
    let tables: Vec<String> = fixed.iter().map(|(table, ..)| table.clone()).collect();
    refuse_narrow_panes(&tables, &shapes, grid)?;
    let outputs: Result<Vec<OutputShape>> = fixed
        .iter()
        .map(|(table, size, slide)| shape(spec, query, table, size == slide, false))
        .collect();
    Ok(FamilyPlan { family: Arc::new(Family::Fixed { grid, shapes }), outputs: outputs? })
}

fn shape(
    spec: &PipelineSpec,
    query: &Query,
    table: &str,
    is_tile: bool,
    calendar: bool,
) -> Result<OutputShape> {
    let mut shape = OutputShape::new(table, &query.schema, &spec.grain, is_tile, calendar)?;
    shape.presorted = match &query.way {
        Way::Incremental(incremental) => incremental.keeps_order(&shape.grain),
        Way::Recompute(_) | Way::RowLevel(_) => false,
    };
    Ok(shape)
}

/// The calendars of a window declaration; with the lab's own zone, UTC comes first, for labs that
/// are not listed.
fn zones_of(unit: &CalendarUnit, zone: &Zone, labs: &BTreeMap<String, Tz>) -> LabCalendars {
    match zone {
        Zone::Fixed(zone) => LabCalendars::fixed(Calendar::new(unit.clone(), *zone)),
        Zone::Lab => {
            let mut zones = vec![Tz::UTC];
            let mut by_lab = HashMap::new();
            for (lab, zone) in labs {
                let place = zones.iter().position(|held| held == zone).unwrap_or_else(|| {
                    zones.push(*zone);
                    zones.len() - 1
                });
                by_lab.insert(lab.clone(), place);
            }
            let calendars = zones.into_iter().map(|zone| Calendar::new(unit.clone(), zone));
            LabCalendars::by_lab(calendars.collect(), by_lab)
        }
    }
}

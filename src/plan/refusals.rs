//! What a pipeline may not ask for although its SQL is sound: found before the first record, since
//! it would stop the run, or a table of it, later.

use std::collections::BTreeSet;

use datafusion::common::{DataFusionError, Result, plan_err};

use super::faults::{PlanFault, SpecPart};
use crate::config::PipelineSpec;
use crate::flow::Span;
use crate::lake::encode::stored_type;
use crate::sql::collect::window_family::WindowFamily;
use crate::sql::plan::query::{Incremental, Query, Way};

/// The most panes that a window may have, of its own slide or of what it shares with others.
const MOST_PANES: i64 = crate::config::MAX_PANES;

/// Refuses a row-level table beside windows: its SQL would have to be both.
pub(crate) fn refuse_row_level_beside_windows(spec: &PipelineSpec) -> Result<()> {
    if spec.windows.len() > 1 && spec.windows.iter().any(|window| window.kind.passes_rows()) {
        return plan_err!(
            "`none` stands beside other windows, and a row-level table stands alone; give it a \
             pipeline of its own, whose `sql:` may name the same file"
        );
    }
    Ok(())
}

/// Refuses rules over the rows of a row-level table that could not be judged: rows speak of whatever the
/// grain names, each by itself. With the key of the YAML at fault.
pub(crate) fn refuse_rules_of_no_entity(
    spec: &PipelineSpec,
) -> std::result::Result<(), Vec<PlanFault>> {
    let fault = |key: String, text: &str| PlanFault {
        place: SpecPart::Yaml(key),
        error: DataFusionError::Plan(text.to_owned()),
    };
    let mut faults = Vec::new();
    for (number, rule) in spec.alerts.iter().enumerate() {
        if rule.by.as_ref().unwrap_or(&spec.grain).is_empty() {
            faults.push(fault(
                format!("alerts[{number}]"),
                "a rule over the rows of a row-level table needs `by`: the columns that name what a row \
                 speaks of, as [lab_id, specimen_id, assay]",
            ));
        }
        if rule.hold > Span(0) {
            faults.push(fault(
                format!("alerts[{number}].for"),
                "`for` waits for later rows of the same group, and those of a row-level table come when \
                 they come; take it out",
            ));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Refuses a grain that does not tell the query's rows apart: a column that it does not have, one
/// that it does not group by, or not all that it groups by. With the key of the YAML at fault.
pub(crate) fn refuse_wrong_grain(
    spec: &PipelineSpec,
    query: &Query,
) -> std::result::Result<(), Vec<PlanFault>> {
    let faults = wrong_grain(spec, query);
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn wrong_grain(spec: &PipelineSpec, query: &Query) -> Vec<PlanFault> {
    let fault = |key: String, text: String| PlanFault {
        place: SpecPart::Yaml(key),
        error: DataFusionError::Plan(text),
    };
    let names: Vec<&str> =
        query.schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut faults = Vec::new();
    let mut told: BTreeSet<usize> = BTreeSet::new();
    for (number, column) in spec.grain.iter().enumerate() {
        let key = format!("grain[{number}]");
        let Some(at) = names.iter().position(|name| name == column) else {
            faults.push(fault(
                key,
                format!(
                    "`grain` names the column `{column}`, which the query does not have; it has {}",
                    names.join(", ")
                ),
            ));
            continue;
        };
        let Some(grouped) = &query.grouped else { continue };
        match &grouped.columns[at] {
            Some(groups) => told.extend(groups),
            None => faults.push(fault(key, format!(
                "`grain` names `{column}`, by which the query does not group; take it out: the grain \
                 is what GROUP BY names"
            ))),
        }
    }
    let Some(grouped) = query.grouped.as_ref().filter(|_| faults.is_empty()) else { return faults };
    let missing: Vec<usize> = grouped.needed().filter(|group| !told.contains(group)).collect();
    let Some(first) = missing.first() else { return faults };
    let text = |groups: &[usize]| {
        groups.iter().map(|group| grouped.groups[*group].as_str()).collect::<Vec<_>>().join(", ")
    };
    let alone = BTreeSet::from([*first]);
    let shown = grouped.columns.iter().position(|from| from.as_ref() == Some(&alone));
    let remedy = match shown {
        Some(column) => format!("add `{}` to it", names[column]),
        None => format!("select {} and add it, or take it out of GROUP BY", text(&[*first])),
    };
    let what = format!(
        "`grain` does not tell rows apart: the query groups by {} too; {remedy}",
        text(&missing)
    );
    faults.push(fault("grain".to_owned(), what));
    faults
}

/// Refuses columns of types that the lake does not store.
pub(crate) fn refuse_unstorable(query: &Query) -> Result<()> {
    let stored = query.schema.fields().iter().try_for_each(|field| stored_type(field).map(|_| ()));
    stored.map_err(|refused| DataFusionError::Plan(refused.to_string()))
}

/// Refuses windows that share panes so narrow that one has more than [`MOST_PANES`].
pub(crate) fn refuse_narrow_panes(tables: &[&str], family: &dyn WindowFamily) -> Result<()> {
    let Some(width) = family.pane_width() else { return Ok(()) };
    let widest = tables.iter().zip(family.panes()).max_by_key(|(_, panes)| *panes);
    match widest.filter(|(_, panes)| *panes > MOST_PANES) {
        None => Ok(()),
        Some((table, panes)) => plan_err!(
            "the windows of this pipeline share panes of {width}, of which {table} has {panes}, and \
             at most {MOST_PANES} are kept; choose sizes and slides that are multiples of one another, or \
             give the shorter windows a pipeline of their own, whose `sql:` may name the same file"
        ),
    }
}

/// The query with the groups that `expect` adds to; refused where these are not known.
pub(crate) fn with_groups_to_expect(query: &Query) -> Result<&Incremental> {
    match &query.way {
        Way::Incremental(incremental) => Ok(incremental),
        Way::Recompute(reason) => plan_err!(
            "`expect` needs a query that is computed incrementally, and here {reason}; take that \
             out, or take `expect` out"
        ),
        Way::RowLevel(_) => {
            plan_err!("`expect` needs groups, and a row-level table has none; take `expect` out")
        }
    }
}

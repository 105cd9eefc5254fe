//! The windows of a pipeline as families, each with its tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono_tz::Tz;
use datafusion::common::Result;

use super::planned::FamilyPlan;
use super::refusals::refuse_narrow_panes;
use crate::config::PipelineSpec;
use crate::sql::collect::family::Family;
use crate::sql::collect::window_family::FamilyGround;
use crate::sql::fire::output::OutputShape;
use crate::sql::plan::query::Query;
use crate::window::{Lateness, WindowKind};

/// The families of a pipeline's windows.
pub(crate) fn families_of(
    spec: &PipelineSpec,
    query: &Query,
    labs: &BTreeMap<String, Tz>,
) -> Result<Vec<FamilyPlan>> {
    let lateness = Lateness::new(spec.allowed_lateness, spec.late_step);
    let windows = spec.windows.iter().map(|window| (spec.table_name(window), window.kind.clone()));
    let windows: Vec<(String, WindowKind)> = windows.collect();
    let families = Family::of(&windows, FamilyGround { query, lateness, labs })?;
    let planned = families.into_iter().map(|(family, places)| {
        let tables: Vec<&str> = places.iter().map(|place| windows[*place].0.as_str()).collect();
        refuse_narrow_panes(&tables, family.kind())?;
        let forms = family.kind().forms();
        let outputs = tables
            .iter()
            .zip(forms)
            .map(|(table, form)| OutputShape::new(table, query, &spec.grain, form))
            .collect::<Result<_>>()?;
        Ok(FamilyPlan { family: Arc::new(family), outputs })
    });
    planned.collect()
}

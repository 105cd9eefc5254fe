//! What the pipelines take from a project's reference tables: the labs' zones.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use crate::config::Project;

/// The zones of `ref.labs`; a project without that table lists none.
pub fn labs_of(project: &Project) -> BTreeMap<String, Tz> {
    let labs = &project.reference_rows.labs;
    labs.iter().filter_map(|lab| Some((lab.lab_id.clone(), lab.zone?))).collect()
}

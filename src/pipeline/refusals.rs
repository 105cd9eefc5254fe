//! What a pipeline may not ask for although its SQL is sound: found before the first record, since
//! it would stop the run, or a table of it, later.

use datafusion::common::{DataFusionError, Result, plan_err};

use crate::config::PipelineSpec;
use crate::sink::lake::encode::stored_type;
use crate::sql::query::{Incremental, Query, Way};
use crate::window::{PaneGrid, Shape, WindowKind};

/// The most panes that a window may have, of its own slide or of what it shares with others.
const MOST_PANES: i64 = crate::config::MAX_PANES;

/// Refuses a row-level table beside windows: its SQL would have to be both.
pub(super) fn refuse_row_level_beside_windows(spec: &PipelineSpec) -> Result<()> {
    let is_row_level = |window: &crate::config::WindowSpec| window.kind == WindowKind::RowLevel;
    if spec.windows.len() > 1 && spec.windows.iter().any(is_row_level) {
        return plan_err!(
            "`none` stands beside other windows, and a row-level table stands alone; give it a \
             pipeline of its own, whose `sql:` may name the same file"
        );
    }
    Ok(())
}

/// Refuses a grain of columns that the query does not have.
pub(super) fn refuse_wrong_grain(spec: &PipelineSpec, query: &Query) -> Result<()> {
    for column in &spec.grain {
        if query.schema.index_of(column).is_err() {
            let names: Vec<&str> =
                query.schema.fields().iter().map(|field| field.name().as_str()).collect();
            return plan_err!(
                "`grain` names the column `{column}`, which the query does not have; it has {}",
                names.join(", ")
            );
        }
    }
    Ok(())
}

/// Refuses columns of types that the lake does not store.
pub(super) fn refuse_unstorable(query: &Query) -> Result<()> {
    let stored = query.schema.fields().iter().try_for_each(|field| stored_type(field).map(|_| ()));
    stored.map_err(|refused| DataFusionError::Plan(refused.to_string()))
}

/// Refuses windows that share panes so narrow that one has more than [`MOST_PANES`].
pub(super) fn refuse_narrow_panes(
    tables: &[String],
    shapes: &[Shape],
    grid: PaneGrid,
) -> Result<()> {
    let widest = tables.iter().zip(shapes).max_by_key(|(_, shape)| shape.size);
    match widest.filter(|(_, shape)| shape.size > MOST_PANES) {
        None => Ok(()),
        Some((table, shape)) => plan_err!(
            "the windows of this pipeline share panes of {}, of which {table} has {}, and at most \
             {MOST_PANES} are kept; choose sizes and slides that are multiples of one another, or \
             give the shorter windows a pipeline of their own, whose `sql:` may name the same file",
            grid.width(),
            shape.size
        ),
    }
}

/// The query with the groups that `expect` adds to; refused where these are not known.
pub(super) fn with_groups_to_expect(query: &Query) -> Result<&Incremental> {
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

//! A lake as the commands that read one open it: `query`, `report` and `demo`.

use std::sync::Arc;

use super::WrongInput;
use crate::config::Project;
use crate::flow::{ReferenceRows, layout};
use crate::lake::read::{Beside, LakeView, LakeViewError};
use crate::lake::{LakeError, Store};
use crate::sql::aggregate::registry;

/// Opens a lake's tables, with the reference tables of a project and our functions beside them.
///
/// # Errors
/// Where it cannot be read, or nothing was ever written to it.
pub async fn open(store: &Store, project: &Project) -> anyhow::Result<LakeView> {
    let view = open_any(store, project).await?;
    if view.is_empty() {
        let text = format!(
            "the lake `{}` is empty; check the path or URL, or fill it with `turnaround demo` or \
             `turnaround run`",
            store.name
        );
        return Err(WrongInput(text).into());
    }
    Ok(view)
}

/// As [`open`], of a lake to which nothing was written yet too.
///
/// # Errors
/// Where it cannot be read.
pub async fn open_any(store: &Store, project: &Project) -> anyhow::Result<LakeView> {
    let references = project.reference.iter();
    let references = references
        .map(|table| ReferenceRows { name: table.name.clone(), rows: table.rows.clone() });
    let beside = Beside { references: references.collect(), functions: registry::register };
    let opened = LakeView::open(Arc::clone(&store.objects), &store.prefix, beside).await;
    let view = match opened {
        Err(LakeViewError::List(error)) => {
            return Err(wrong_lake(store.failed("list the tables".to_owned(), error)));
        }
        Err(LakeViewError::OtherLayout(found)) => {
            let (store, remedy) = (store.name.clone(), layout::REMEDY);
            return Err(wrong_lake(LakeError::OtherLayout { store, found, remedy }));
        }
        opened => opened?,
    };
    Ok(view)
}

/// A lake that is not there, or a location that is none, is wrong input.
pub fn wrong_lake(error: LakeError) -> anyhow::Error {
    if error.is_of_location() || matches!(error, LakeError::Missing { .. }) {
        return WrongInput(error.to_string()).into();
    }
    error.into()
}

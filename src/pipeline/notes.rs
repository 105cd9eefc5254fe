//! What the plan knows of each table → what its objects say of themselves.

use std::collections::BTreeMap;

use crate::flow::lake_key::Fingerprint;
use crate::lake::write::TableNotes;
use crate::lake::{ColumnNote, ObjectNotes};
use crate::plan::planned::PipelinePlan;

/// The notes of every table of these pipelines.
pub(super) fn table_notes(pipelines: &[PipelinePlan]) -> BTreeMap<String, TableNotes> {
    let mut tables = BTreeMap::new();
    for pipeline in pipelines {
        for table in pipeline.spec.tables() {
            let notes = notes_of(pipeline, &table);
            tables.insert(table, notes);
        }
    }
    tables
}

fn notes_of(pipeline: &PipelinePlan, table: &str) -> TableNotes {
    let columns = pipeline.spec.columns.iter().map(|(name, doc)| {
        let note = ColumnNote {
            description: doc.description.clone(),
            unit: doc.unit.clone(),
            additive: doc.additive,
        };
        (name.clone(), note)
    });
    let live_notes = ObjectNotes {
        table: table.to_owned(),
        sql_fingerprint: pipeline.fingerprint.clone(),
        ..ObjectNotes::default()
    };
    TableNotes {
        live_notes,
        pipeline: pipeline.spec.name.clone(),
        fingerprint: Fingerprint::of(&pipeline.fingerprint),
        notes: ObjectNotes {
            table: table.to_owned(),
            description: pipeline.spec.description.clone(),
            sql_fingerprint: pipeline.fingerprint.clone(),
            columns: columns.collect(),
            ..ObjectNotes::default()
        },
    }
}

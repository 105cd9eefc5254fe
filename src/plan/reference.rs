//! What the pipelines take from a project's reference tables: the labs' zones and the targets.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, TimestampMicrosecondType};
use chrono_tz::Tz;

use crate::config::Project;
use crate::flow::Timestamp;
use crate::flow::event::timestamp_type;
use crate::relate::Target;

/// The zones of `ref.labs`; a project without that table lists none.
pub fn labs_of(project: &Project) -> BTreeMap<String, Tz> {
    let Some(table) = project.reference.iter().find(|table| table.name == "labs") else {
        return BTreeMap::new();
    };
    let (Some(labs), Some(zones)) = (text(&table.rows, "lab_id"), text(&table.rows, "tz")) else {
        return BTreeMap::new();
    };
    let pairs = labs.into_iter().zip(zones);
    pairs.filter_map(|(lab, zone)| Some((lab?, zone?.parse().ok()?))).collect()
}

/// A column's texts, if the table has the column.
fn text(rows: &RecordBatch, column: &str) -> Option<Vec<Option<String>>> {
    let column = cast(rows.column_by_name(column)?, &DataType::Utf8).ok()?;
    Some(column.as_string::<i32>().iter().map(|value| value.map(str::to_owned)).collect())
}

/// The rows of `ref.targets`; a project without that table has none.
pub fn targets_of(project: &Project) -> Vec<Target> {
    let Some(table) = project.reference.iter().find(|table| table.name == "targets") else {
        return Vec::new();
    };
    let rows = &table.rows;
    let minutes = rows
        .column_by_name("target_minutes")
        .and_then(|column| cast(column, &DataType::Float64).ok());
    let Some(minutes) = minutes else { return Vec::new() };
    let valid = rows.column_by_name("valid_from").and_then(|c| cast(c, &timestamp_type()).ok());
    let columns = ["lab_id", "assay", "priority", "patient_class"];
    let names = columns.map(|name| text(rows, name).unwrap_or(vec![None; rows.num_rows()]));
    (0..rows.num_rows())
        .map(|row| Target {
            lab_id: names[0][row].clone(),
            assay: names[1][row].clone(),
            priority: names[2][row].clone(),
            patient_class: names[3][row].clone(),
            target_minutes: minutes
                .is_valid(row)
                .then(|| minutes.as_primitive::<Float64Type>().value(row)),
            valid_from: valid.as_ref().filter(|column| column.is_valid(row)).map(|column| {
                Timestamp(column.as_primitive::<TimestampMicrosecondType>().value(row))
            }),
        })
        .collect()
}

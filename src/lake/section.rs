//! The columns of the parts of the lake that are not tables of pipelines.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::flow::event::{EVENT_SCHEMA, timestamp_type};
use crate::flow::lake_key::Section;

/// The columns of a section that has no objects yet, as a lake that has some holds them.
pub fn section_schema(section: Section) -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let time = |name: &str| Field::new(name, timestamp_type(), true);
    let number = |name: &str| Field::new(name, DataType::Float64, true);
    let date = Field::new("date", DataType::Date32, true);
    let position = vec![
        text("topic"),
        Field::new("partition", DataType::Int32, true),
        Field::new("offset", DataType::Int64, true),
        time("record_time"),
    ];
    let event = EVENT_SCHEMA.fields().iter().map(|field| field.as_ref().clone());
    let mut fields: Vec<Field> = Vec::new();
    match section {
        Section::Events => {
            fields.extend(position);
            fields.extend(event);
            fields.push(text("disposition"));
        }
        Section::Late => {
            fields.push(text("table_name"));
            fields.extend(position);
            fields.extend(["watermark", "missed_from", "missed_to"].map(time));
            fields.extend(event);
        }
        Section::DeadLetters => {
            fields.extend(position);
            fields.extend([text("reason"), text("detail")]);
            fields.push(Field::new("bytes", DataType::Binary, true));
        }
        Section::Alerts => {
            fields.extend(["window_start", "window_end"].map(time));
            fields.extend(["rule", "severity", "kind", "table", "lab_id", "group"].map(text));
            fields.extend([text("figure"), number("figure_value"), number("target")]);
            fields.push(Field::new("n", DataType::Int64, true));
            fields.extend(["since", "begun_at"].map(time));
            fields.extend(["owner", "runbook", "notice_id", "card_id"].map(text));
            fields.extend([date, text("disposition")]);
            return Arc::new(Schema::new(fields));
        }
        Section::Quality => {
            fields.extend([text("kind"), text("topic")]);
            fields.push(Field::new("partition", DataType::Int32, true));
            let offset = |name: &str| Field::new(name, DataType::Int64, true);
            fields.extend([offset("offset"), offset("noticed_offset")]);
            fields.extend([text("lab_id"), text("machine_id")]);
            fields.extend([time("event_time"), time("line"), number("ahead_minutes")]);
        }
        Section::Audit => {
            fields.push(time("at"));
            fields.extend(["who", "tenant", "what", "subject", "before", "after"].map(text));
        }
    }
    fields.push(date);
    Arc::new(Schema::new(fields))
}

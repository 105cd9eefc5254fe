//! `relations`: what SQL can read, with columns, types and meaning.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use serde_json::{Value, json};

use super::check::{counted, wrong_project};
use crate::config::Project;
use crate::flow::sql_type::sql_type;
use crate::plan::relations::shapes;

/// The command's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The project's folder. Without it: the current folder if it has `pipelines/`, else the
    /// shipped project.
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A relation that the stream fills.
#[derive(Clone, Debug)]
pub struct FilledRelation<'r> {
    /// The name in SQL.
    pub name: &'r str,
    /// The column that is the rows' event time.
    pub event_time: &'r str,
    /// The columns.
    pub schema: SchemaRef,
    /// What columns mean, by name.
    pub docs: &'r [(&'r str, &'r str)],
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let project = Project::load(args.project.as_deref());
    let project = project.map_err(|faults| wrong_project(&faults))?;
    let shapes = shapes(&project);
    let docs: Vec<Vec<(&str, &str)>> = shapes
        .iter()
        .map(|shape| shape.columns.iter().map(|column| (column.name, column.doc)).collect())
        .collect();
    let relations: Vec<FilledRelation<'_>> = shapes
        .iter()
        .zip(&docs)
        .map(|(shape, docs)| FilledRelation {
            name: &shape.name,
            event_time: shape.event_time,
            schema: Arc::clone(&shape.schema),
            docs,
        })
        .collect();
    if args.json {
        writeln!(std::io::stdout(), "{:#}", to_json(&relations, &project))?;
    } else {
        write!(std::io::stdout(), "{}", to_text(&relations, &project))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Relations, reference tables and views as text, one block each.
pub fn to_text(relations: &[FilledRelation<'_>], project: &Project) -> String {
    let mut text = String::new();
    for relation in relations {
        block(&mut text, relation.name, &columns(relation));
    }
    for table in &project.reference {
        let rows = counted(table.rows.num_rows(), "row");
        let title = format!("ref.{} ({rows}, {})", table.name, table.path.display());
        block(&mut text, &title, &plain_columns(&table.rows.schema()));
    }
    for view in &project.staging {
        let title = format!("{} (view, {})", view.name, view.path.display());
        block(&mut text, &title, &[]);
    }
    text
}

/// The same as one JSON object.
pub fn to_json(relations: &[FilledRelation<'_>], project: &Project) -> Value {
    let column = |[name, kind, meaning]: &[String; 3]| {
        let meaning = if meaning.is_empty() { Value::Null } else { json!(meaning) };
        json!({ "name": name, "type": kind, "description": meaning })
    };
    let streamed: Vec<Value> = relations
        .iter()
        .map(|relation| {
            let columns: Vec<Value> = described(relation).iter().map(column).collect();
            json!({ "name": relation.name, "event_time": relation.event_time, "columns": columns })
        })
        .collect();
    let reference: Vec<Value> = project
        .reference
        .iter()
        .map(|table| {
            let columns: Vec<Value> =
                plain_columns(&table.rows.schema()).iter().map(column).collect();
            json!({
                "name": format!("ref.{}", table.name),
                "file": table.path.to_string_lossy(),
                "rows": table.rows.num_rows(),
                "content_hash": table.content_hash,
                "columns": columns,
            })
        })
        .collect();
    let view = |view: &crate::config::StagingView| json!({ "name": view.name, "file": view.path.to_string_lossy() });
    let views: Vec<Value> = project.staging.iter().map(view).collect();
    json!({ "relations": streamed, "reference": reference, "views": views })
}

/// Name, type and meaning of each column.
fn described(relation: &FilledRelation<'_>) -> Vec<[String; 3]> {
    let meaning = |name: &str| {
        let doc = relation.docs.iter().find(|(column, _)| *column == name);
        doc.map_or_else(String::new, |(_, doc)| (*doc).to_owned())
    };
    let fields = relation.schema.fields().iter();
    fields
        .map(|field| [field.name().clone(), sql_type(field.data_type()), meaning(field.name())])
        .collect()
}

/// As [`described`], with the event time marked.
fn columns(relation: &FilledRelation<'_>) -> Vec<[String; 3]> {
    let mut columns = described(relation);
    for [name, _, meaning] in &mut columns {
        if name == relation.event_time {
            *meaning = format!("event time. {meaning}").trim_end().to_owned();
        }
    }
    columns
}

fn plain_columns(schema: &SchemaRef) -> Vec<[String; 3]> {
    let column = |field: &arrow::datatypes::FieldRef| {
        [field.name().clone(), sql_type(field.data_type()), String::new()]
    };
    schema.fields().iter().map(column).collect()
}

/// A title and a table of columns, aligned, with a blank line behind.
fn block(text: &mut String, title: &str, columns: &[[String; 3]]) {
    let width = |i: usize| columns.iter().map(|column| column[i].len()).max().unwrap_or(0);
    let (names, kinds) = (width(0), width(1));
    text.push_str(title);
    text.push('\n');
    for [name, kind, meaning] in columns {
        let line = format!("  {name:names$}  {kind:kinds$}  {meaning}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

    use super::*;

    #[test]
    fn columns_are_aligned_and_the_event_time_is_marked() {
        let at = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Arc::new(Schema::new(vec![
            Field::new("lab_id", DataType::Utf8, false),
            Field::new("completed_at", at, false),
            Field::new("tat_us", DataType::Int64, true),
        ]));
        let docs =
            [("completed_at", "when it was verified"), ("tat_us", "receipt to verification")];
        let relation =
            FilledRelation { name: "completions", event_time: "completed_at", schema, docs: &docs };
        let expected = "completions\n  \
                        lab_id        VARCHAR\n  \
                        completed_at  TIMESTAMP (UTC)  event time. when it was verified\n  \
                        tat_us        BIGINT           receipt to verification\n\n";
        let relations = [relation];
        assert_eq!(to_text(&relations, &Project::default()), expected);
        let json = to_json(&relations, &Project::default());
        assert_eq!(json["relations"][0]["event_time"], "completed_at");
        assert_eq!(json["relations"][0]["columns"][0]["description"], Value::Null);
        assert_eq!(json["relations"][0]["columns"][2]["type"], "BIGINT");
    }
}

//! `pipelines/<name>.yaml` as a [`PipelineSpec`].
//!
//! Reads everything that can be read: a faulty alert or column is left out, a faulty span takes its
//! default, and the specification is still given as long as its SQL, windows and grain stand, so
//! that the SQL can be checked in the same run. What concerns several pipelines is `project`'s
//! part, what the SQL says `sql`'s.

use std::collections::BTreeMap;

use crate::alert::rule::{AlertRule, Severity};
use crate::flow::Span;

use super::decode::{Fields, NamedNode, is_name, is_suffix, name_like};
use super::fault::{Faults, Position, nearest, quoted};
use super::files::{self, ProjectFiles};
use super::pipeline::{ColumnDoc, KeyPositions, PipelineSpec, WindowSpec};
use super::values::{names, severity};
use super::window_yaml;
use super::yaml::{Document, Node, YamlValue};

/// `allowed_lateness` when the file says nothing.
pub(crate) const ALLOWED_LATENESS: Span = Span(2 * Span::HOUR.0);
/// `late_step` when the file says nothing.
pub(crate) const LATE_STEP: Span = Span(15 * Span::MINUTE.0);
/// The most revisions that a window can have: each is a file to write and to keep apart.
pub(crate) const MAX_REVISIONS: i64 = 10_000;

/// Reads the pipeline `name` of a project. `None` when too little of it could be read to check its
/// SQL; the reasons are in `faults` then.
pub(crate) fn read(
    name: &str,
    document: &Document,
    files: &ProjectFiles,
    faults: &mut Faults,
) -> Option<PipelineSpec> {
    let root = NamedNode::root(document);
    let mut fields = root.fields(faults, "description, windows and grain")?;
    let description = fields
        .require("description", faults, "What one row of the table is.")
        .and_then(|value| value.text(faults, "a sentence"));
    let sql = sql(name, fields.take("sql"), files, faults);
    let windows = fields
        .require("windows", faults, "{ 1h: { tumbling: { size: 1h } } }")
        .and_then(|value| windows(&value, faults));
    let (allowed_lateness, late_step) = lateness(&mut fields, faults);
    let grain = fields
        .require("grain", faults, "[lab_id]")
        .and_then(|value| names(&value, faults, "[lab_id, assay], or [] for one row per window"));
    let expect = fields.take("expect").and_then(|value| expect(&value, faults));
    let columns = fields.take("columns").map(|value| columns(&value, faults)).unwrap_or_default();
    let alerts = fields.take("alerts");
    let alerts = alerts.map(|value| alert_rules(&value, windows.as_deref(), faults));
    fields.finish(faults);
    let (sql_path, sql) = sql?;
    Some(PipelineSpec {
        name: name.to_owned(),
        description: description.unwrap_or_default().trim().to_owned(),
        yaml_path: document.file.clone(),
        sql_path: files.path(&sql_path),
        sql,
        windows: windows?,
        allowed_lateness,
        late_step,
        grain: grain?,
        expect,
        columns,
        alerts: alerts.unwrap_or_default(),
        positions: positions(document),
    })
}

/// The SQL file's path in the project and its text.
fn sql(
    name: &str,
    named: Option<NamedNode<'_>>,
    files: &ProjectFiles,
    faults: &mut Faults,
) -> Option<(String, String)> {
    let (at, path) = match named {
        Some(value) => {
            let path = value.text(faults, "sql/marts/a_name.sql")?;
            if !path.starts_with("sql/") || !path.ends_with(".sql") || path.contains("..") {
                value.wrong(
                    faults,
                    "must be a path from the project's folder",
                    "write it as sql/marts/a_name.sql",
                );
                return None;
            }
            (value.at(), path.to_owned())
        }
        None => (Position::START, format!("sql/marts/{name}.sql")),
    };
    let Some(bytes) = files.bytes(&path) else {
        let shown = files.path(&path);
        let others: Vec<&str> = files.below("sql", "sql").map(|(path, ..)| path).collect();
        let remedy = match nearest(&path, others) {
            Some(near) => format!("did you mean {near}? set it with `sql: {near}`"),
            None => "write the query there, or name its file with `sql:`".to_owned(),
        };
        faults.push(at, format!("the SQL file {} does not exist", shown.display()), remedy);
        return None;
    };
    let mut of_sql = Faults::of(&files.path(&path));
    let text = files::text(bytes, &mut of_sql).map(str::to_owned);
    faults.extend(of_sql.into_vec());
    Some((path, text?))
}

fn windows(value: &NamedNode<'_>, faults: &mut Faults) -> Option<Vec<WindowSpec>> {
    let entries = value.map(faults, "{ 1h: { tumbling: { size: 1h } } }")?;
    if entries.is_empty() {
        value.wrong(faults, "is empty", "write { 1h: { tumbling: { size: 1h } } }, or none: {}");
        return None;
    }
    let before = faults.count();
    let mut windows = Vec::new();
    for entry in entries {
        if !is_suffix(&entry.key) {
            faults.push(
                entry.key_at,
                format!("the window's name {} cannot end a table's name", quoted(&entry.key)),
                "use lower-case letters, digits and underscores, as 1h or day",
            );
        }
        if let Some(kind) = window_yaml::kind(&entry.key, &value.entry(entry), faults) {
            windows.push(WindowSpec { name: entry.key.clone(), kind });
        }
    }
    (faults.count() == before).then_some(windows)
}

fn lateness(fields: &mut Fields<'_>, faults: &mut Faults) -> (Span, Span) {
    let allowed = fields.take("allowed_lateness");
    let step = fields.take("late_step");
    let at = step.as_ref().or(allowed.as_ref()).map(NamedNode::at);
    let allowed = allowed.map_or(Some(ALLOWED_LATENESS), |value| value.span(faults));
    let step = step.map_or(Some(LATE_STEP), |value| value.positive_span(faults));
    let (Some(allowed), Some(step)) = (allowed, step) else {
        return (ALLOWED_LATENESS, LATE_STEP);
    };
    let revisions = allowed.0 / step.0;
    if revisions > MAX_REVISIONS {
        faults.push(
            at.unwrap_or(Position::START),
            format!("{allowed} of lateness in steps of {step} are {revisions} revisions"),
            format!("lengthen late_step: at most {MAX_REVISIONS} are kept apart"),
        );
    }
    (allowed, step)
}

fn expect(value: &NamedNode<'_>, faults: &mut Faults) -> Option<String> {
    const EXAMPLE: &str = "the name of one reference table, as ref.labs";
    let text = value.text(faults, EXAMPLE)?;
    let name = text.strip_prefix("ref.").filter(|name| is_name(name));
    if name.is_none() {
        let what = format!("must name a reference table, not {}", quoted(text));
        value.wrong(faults, &what, format!("write {EXAMPLE}"));
    }
    name.map(str::to_owned)
}

fn columns(value: &NamedNode<'_>, faults: &mut Faults) -> BTreeMap<String, ColumnDoc> {
    const EXAMPLE: &str = "{ description: Tests completed, unit: tests, additive: true }";
    let mut columns = BTreeMap::new();
    for entry in value.map(faults, "a map of column names").unwrap_or_default() {
        let column = value.entry(entry);
        if !is_name(&entry.key) {
            faults.push(
                entry.key_at,
                format!("no output column can be called {}", quoted(&entry.key)),
                format!("did you mean `{}`?", name_like(&entry.key)),
            );
        }
        let Some(mut fields) = column.fields(faults, EXAMPLE) else { continue };
        let description = fields
            .require("description", faults, "What the figure says.")
            .and_then(|value| value.text(faults, "a sentence"));
        let unit = fields.take("unit").and_then(|value| value.text(faults, "a unit, as min"));
        let additive = fields.take("additive").and_then(|value| value.boolean(faults));
        fields.finish(faults);
        let doc = ColumnDoc {
            description: description.unwrap_or_default().trim().to_owned(),
            unit: unit.map(str::to_owned),
            additive,
        };
        columns.insert(entry.key.clone(), doc);
    }
    columns
}

fn alert_rules(
    value: &NamedNode<'_>,
    windows: Option<&[WindowSpec]>,
    faults: &mut Faults,
) -> Vec<AlertRule> {
    let example = "a list of { name, when, severity }";
    let items = value.list(faults, example).unwrap_or_default();
    items.iter().filter_map(|item| alert(item, windows, faults)).collect()
}

fn alert(
    value: &NamedNode<'_>,
    windows: Option<&[WindowSpec]>,
    faults: &mut Faults,
) -> Option<AlertRule> {
    let mut fields = value.fields(faults, "{ name, when, severity }")?;
    let name = fields.require("name", faults, "tat_over_target");
    let name = name.and_then(|value| alert_name(&value, faults));
    let when = fields
        .require("when", faults, "p90_minutes > 60 AND n >= 20")
        .and_then(|value| value.text(faults, "a condition in SQL"));
    let hold = fields.take("for").and_then(|value| value.span(faults)).unwrap_or_default();
    let until = fields.take("until").and_then(|value| value.text(faults, "a condition in SQL"));
    let by =
        fields.take("by").and_then(|value| names(&value, faults, "[lab_id, specimen_id, assay]"));
    let severity = match fields.take("severity") {
        Some(value) => severity(&value, faults),
        None => Some(Severity::Medium),
    };
    let owner = fields.take("owner").and_then(|value| value.text(faults, "a team or a person"));
    let runbook = fields.take("runbook").and_then(|value| value.text(faults, "a path or a URL"));
    let only = fields.take("windows").map(|value| alert_windows(&value, windows, faults));
    fields.finish(faults);
    Some(AlertRule {
        name: name?,
        when: when?.to_owned(),
        hold,
        until: until.map(str::to_owned),
        by,
        severity: severity?,
        owner: owner.map(str::to_owned),
        runbook: runbook.map(str::to_owned),
        windows: only.unwrap_or_default(),
    })
}

fn alert_name(value: &NamedNode<'_>, faults: &mut Faults) -> Option<String> {
    let name = value.text(faults, "a name, as tat_over_target")?;
    if is_name(name) {
        return Some(name.to_owned());
    }
    let what = format!("is no name: {}", quoted(name));
    value.wrong(faults, &what, format!("did you mean `{}`?", name_like(name)));
    None
}

fn alert_windows(
    value: &NamedNode<'_>,
    windows: Option<&[WindowSpec]>,
    faults: &mut Faults,
) -> Vec<String> {
    let mut only = Vec::new();
    for item in value.list(faults, "a list of this pipeline's windows").unwrap_or_default() {
        let Some(name) = item.text(faults, "a window's name") else { continue };
        let known = windows.unwrap_or_default().iter().map(|window| window.name.as_str());
        if windows.is_some() && !known.clone().any(|known| known == name) {
            let names: Vec<&str> = known.collect();
            let what = format!("names no window of this pipeline: {}", quoted(name));
            item.wrong(faults, &what, format!("the windows here are: {}", names.join(", ")));
        }
        only.push(name.to_owned());
    }
    only
}

/// Every key path of a document with its place.
fn positions(document: &Document) -> KeyPositions {
    let mut positions = KeyPositions::default();
    place(&document.root, "", &mut positions);
    positions
}

fn place(node: &Node, path: &str, positions: &mut KeyPositions) {
    match &node.value {
        YamlValue::Null | YamlValue::Scalar { .. } => {}
        YamlValue::List(items) => {
            for (i, item) in items.iter().enumerate() {
                let below = format!("{path}[{i}]");
                positions.0.insert(below.clone(), item.at);
                place(item, &below, positions);
                if let Some(name) = name_of(item) {
                    let below = format!("{path}.{name}");
                    positions.0.insert(below.clone(), item.at);
                    place(item, &below, positions);
                }
            }
        }
        YamlValue::Map(entries) => {
            for entry in entries {
                let dot = if path.is_empty() { "" } else { "." };
                let below = format!("{path}{dot}{}", entry.key);
                let at = match entry.node.value {
                    YamlValue::Null | YamlValue::Map(_) => entry.key_at,
                    YamlValue::Scalar { .. } | YamlValue::List(_) => entry.node.at,
                };
                positions.0.insert(below.clone(), at);
                place(&entry.node, &below, positions);
            }
        }
    }
}

/// The `name` of a list's item.
fn name_of(item: &Node) -> Option<&str> {
    let YamlValue::Map(entries) = &item.value else { return None };
    let entry = entries.iter().find(|entry| entry.key == "name")?;
    match &entry.node.value {
        YamlValue::Scalar { text, .. } => Some(text),
        YamlValue::Null | YamlValue::List(_) | YamlValue::Map(_) => None,
    }
}

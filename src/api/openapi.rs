//! What the routes say of themselves → the API's description, OpenAPI 3.1.

use serde_json::{Map, Value, json};

use super::form::RowForm;
use super::problem::ProblemDetails;
use super::question::{ParameterKind, ParameterTold, RouteTold};
use super::told::{Described, Schemas};

/// Below what path the routes are.
pub const BASE: &str = "/api/v1";

/// The description of an API with these routes.
pub fn document(routes: &[RouteTold]) -> Value {
    let mut schemas = Schemas::default();
    let problem = ProblemDetails::schema(&mut schemas);
    let mut paths = Map::new();
    for route in routes {
        paths.insert(
            format!("{BASE}{}", route.path),
            json!({ "get": operation(route, &problem, &mut schemas) }),
        );
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Turnaround",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What a lake of laboratory indicators holds. It is read, never written. \
                            Times are UTC and RFC 3339; a figure without data is null, never 0.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": { "schemas": schemas.definitions() },
    })
}

fn operation(route: &RouteTold, problem: &Value, schemas: &mut Schemas) -> Value {
    let named = route.path.contains("{name}").then(|| {
        json!({
            "name": "name", "in": "path", "required": true, "schema": { "type": "string" },
            "description": "the table, as `tables` names it",
        })
    });
    let parameters: Vec<Value> =
        named.into_iter().chain(route.parameters.iter().map(parameter)).collect();
    let content = match route.answer {
        Some(answer) => json!({ "application/json": { "schema": answer(schemas) } }),
        None => rows(),
    };
    let problem = |description: &str| {
        json!({
            "description": description,
            "content": { "application/problem+json": { "schema": problem } },
        })
    };
    json!({
        "operationId": operation_id(route.path),
        "summary": route.summary,
        "parameters": parameters,
        "responses": {
            "200": {
                "description": "The answer.",
                "headers": { "ETag": {
                    "description": "the same while no object changed that decides the answer",
                    "schema": { "type": "string" },
                } },
                "content": content,
            },
            "304": { "description": "The answer is still the one that `If-None-Match` names." },
            "400": problem("A parameter is wrong; the problem names it and what is allowed."),
            "404": problem("There is no such table."),
            "406": problem("Rows are not given in a form that `Accept` names."),
            "422": problem("The answer is larger than one may be."),
            "500": problem("Our own fault, or an object that cannot be read."),
            "503": problem("The lake is away, with since when."),
            "504": problem("The answer takes longer than one may take."),
        },
    })
}

fn parameter(told: &ParameterTold) -> Value {
    let one = match told.kind {
        ParameterKind::Text => json!({ "type": "string", "minLength": 1 }),
        ParameterKind::Time => json!({ "type": "string", "anyOf": [
            { "format": "date-time" }, { "format": "date" },
        ] }),
        ParameterKind::UpTo(most) => json!({ "type": "integer", "minimum": 1, "maximum": most }),
        ParameterKind::OneOf(allowed) => json!({ "type": "string", "enum": allowed }),
    };
    let schema = if told.many { json!({ "type": "array", "items": one }) } else { one };
    json!({
        "name": told.name, "in": "query", "required": false, "schema": schema,
        "description": told.description, "explode": true,
    })
}

/// A page of rows, in each form.
fn rows() -> Value {
    let content = RowForm::ALL.map(|form| {
        let schema = match form {
            RowForm::Json => json!({
                "type": "object",
                "required": ["table", "count", "next", "rows"],
                "properties": {
                    "table": { "type": "string" },
                    "count": { "type": "integer", "description": "rows of this page" },
                    "next": {
                        "type": ["string", "null"],
                        "description": "the next page's `cursor`; null behind the last page",
                    },
                    "rows": { "type": "array", "items": { "type": "object" } },
                },
            }),
            RowForm::Ndjson | RowForm::Csv => json!({ "type": "string" }),
            RowForm::Arrow | RowForm::Parquet => json!({}),
        };
        (form.media_type().to_owned(), json!({ "schema": schema }))
    });
    Value::Object(content.into_iter().collect())
}

/// `/tables/{name}/rows` as `tables_name_rows`.
fn operation_id(path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}

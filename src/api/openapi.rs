//! What the routes say of themselves → the API's description, OpenAPI 3.1.

use serde_json::{Map, Value, json};

use super::door::COOKIE;
use super::form::RowForm;
use super::problem::ProblemDetails;
use super::question::{AnswerTold, ParameterKind, ParameterTold, RouteTold};
use super::told::{Described, Schemas};

/// Below what path the routes are.
pub const BASE: &str = "/api/v1";

/// What stands in braces in a path, and what it is.
const PATH_NAMES: [(&str, &str); 3] = [
    ("name", "the table, as `tables` names it"),
    ("lab", "the laboratory"),
    ("id", "the specimen, as its laboratory calls it; of an alert its id, or its card's"),
];

/// What the API's description says of a command.
#[derive(Clone, Debug)]
pub struct CommandTold {
    /// The path, with names in braces.
    pub path: &'static str,
    /// One line.
    pub summary: &'static str,
    /// The parameters.
    pub parameters: Vec<ParameterTold>,
    /// The schema of its answer.
    pub answer: fn(&mut Schemas) -> Value,
}

/// The description of an API with these routes and commands.
pub fn document(routes: &[RouteTold], commands: &[CommandTold]) -> Value {
    let mut schemas = Schemas::default();
    let problem = ProblemDetails::schema(&mut schemas);
    let mut paths = Map::new();
    for route in routes {
        let mut operation = operation(route, &problem, &mut schemas);
        if route.is_open {
            operation["security"] = json!([]);
        }
        paths.insert(format!("{BASE}{}", route.path), json!({ "get": operation }));
    }
    for command in commands {
        let operation = command_operation(command, &problem, &mut schemas);
        paths.insert(format!("{BASE}{}", command.path), json!({ "post": operation }));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Turnaround",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What a lake of laboratory indicators holds. Its rows are read, never written. \
                            Times are UTC and RFC 3339; a figure without data is null, never 0.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }, { "cookie": [] }, {}],
        "paths": paths,
        "components": {
            "schemas": schemas.definitions(),
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "a token of `turnaround token create`; none is asked for where the \
                                    lake keeps none",
                },
                "cookie": {
                    "type": "apiKey", "in": "cookie", "name": COOKIE,
                    "description": "the same token, of a person who signed in at /login",
                },
            },
        },
    })
}

fn operation(route: &RouteTold, problem: &Value, schemas: &mut Schemas) -> Value {
    let parameters = parameters(route.path, &route.parameters);
    let content = match route.answer {
        AnswerTold::Object(answer) => json!({ "application/json": { "schema": answer(schemas) } }),
        AnswerTold::Rows => rows(),
        AnswerTold::Events => json!({ "text/event-stream": { "schema": { "type": "string" } } }),
    };
    let problem = |description: &str| told_problem(description, problem);
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
            "401": problem("There is no token, or it is not taken; the problem says why."),
            "403": problem("The token's role does not allow it."),
            "404": problem("There is no such table or specimen."),
            "406": problem("Rows are not given in a form that `Accept` names."),
            "422": problem("The answer is larger than one may be."),
            "429": problem("The token asks too often, with when to ask again."),
            "500": problem("Our own fault, or an object that cannot be read."),
            "503": problem("The lake is away, with since when."),
            "504": problem("The answer takes longer than one may take."),
        },
    })
}

fn command_operation(command: &CommandTold, problem: &Value, schemas: &mut Schemas) -> Value {
    let problem = |description: &str| told_problem(description, problem);
    json!({
        "operationId": operation_id(command.path),
        "summary": command.summary,
        "parameters": parameters(command.path, &command.parameters),
        "responses": {
            "200": {
                "description": "What was done.",
                "content": { "application/json": { "schema": (command.answer)(schemas) } },
            },
            "400": problem("A parameter is wrong; the problem names it and what is allowed."),
            "401": problem("There is no token, or it is not taken; the problem says why."),
            "403": problem("The token's role does not allow it."),
            "404": problem("There is nothing of this id."),
            "429": problem("The token asks too often, with when to ask again."),
            "500": problem("Our own fault."),
            "503": problem("The lake is away, with since when."),
            "504": problem("It takes longer than it may take."),
        },
    })
}

/// The parameters of a path, and of what stands behind it.
fn parameters(path: &str, told: &[ParameterTold]) -> Vec<Value> {
    let named = PATH_NAMES.iter().filter(|(name, _)| path.contains(&format!("{{{name}}}")));
    let named = named.map(|(name, description)| {
        json!({
            "name": name, "in": "path", "required": true, "schema": { "type": "string" },
            "description": description,
        })
    });
    named.chain(told.iter().map(parameter)).collect()
}

fn told_problem(description: &str, problem: &Value) -> Value {
    json!({
        "description": description,
        "content": { "application/problem+json": { "schema": problem } },
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

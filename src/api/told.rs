//! The types of answers → what the API's description says of them (JSON Schema).
//!
//! `answer!` declares a struct, and the comments on its fields are their descriptions: what is said of
//! an answer cannot differ from what it is.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The schemas that the description defines by name.
#[derive(Clone, Debug, Default)]
pub struct Schemas(BTreeMap<&'static str, Value>);

/// A type that the description can tell of.
pub trait Described {
    /// The schema, or a reference to it.
    fn schema(schemas: &mut Schemas) -> Value;
}

/// A field of an answer: its name, its description, its schema, and whether it is always there.
pub type ToldField = (&'static str, String, Value, bool);

impl Schemas {
    /// Defines a schema by name, unless it is defined, and refers to it.
    pub fn define(
        &mut self,
        name: &'static str,
        description: &str,
        fields: impl FnOnce(&mut Schemas) -> Vec<ToldField>,
    ) -> Value {
        if !self.0.contains_key(name) {
            self.0.insert(name, Value::Null);
            let mut properties = Map::new();
            let mut required = Vec::new();
            for (field, said, mut schema, always) in fields(self) {
                let field = field.trim_start_matches("r#");
                schema["description"] = json!(said.trim());
                properties.insert(field.to_owned(), schema);
                required.extend(always.then(|| field.to_owned()));
            }
            let schema = json!({
                "type": "object",
                "description": description.trim(),
                "required": required,
                "properties": properties,
            });
            self.0.insert(name, schema);
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// All that was defined.
    pub fn definitions(self) -> Value {
        json!(self.0)
    }
}

impl Described for String {
    fn schema(_: &mut Schemas) -> Value {
        json!({ "type": "string" })
    }
}

impl Described for bool {
    fn schema(_: &mut Schemas) -> Value {
        json!({ "type": "boolean" })
    }
}

impl Described for f64 {
    fn schema(_: &mut Schemas) -> Value {
        json!({ "type": "number" })
    }
}

impl Described for u64 {
    fn schema(_: &mut Schemas) -> Value {
        json!({ "type": "integer", "minimum": 0 })
    }
}

impl Described for u16 {
    fn schema(schemas: &mut Schemas) -> Value {
        u64::schema(schemas)
    }
}

impl<T: Described> Described for Option<T> {
    fn schema(schemas: &mut Schemas) -> Value {
        let mut schema = T::schema(schemas);
        match schema.get("type").cloned() {
            Some(kind) => {
                schema["type"] = json!([kind, "null"]);
                schema
            }
            None => json!({ "anyOf": [schema, { "type": "null" }] }),
        }
    }
}

impl<T: Described> Described for Vec<T> {
    fn schema(schemas: &mut Schemas) -> Value {
        json!({ "type": "array", "items": T::schema(schemas) })
    }
}

/// Declares an answer, and what the API's description says of it.
macro_rules! answer {
    (
        $(#[doc = $said:literal])+
        $seen:vis struct $name:ident {
            $(
                $(#[doc = $told:literal])+
                $(#[serde($($rule:tt)*)])?
                $read:vis $field:ident: $kind:ty,
            )+
        }
    ) => {
        $(#[doc = $said])+
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        $seen struct $name {
            $(
                $(#[doc = $told])+
                $(#[serde($($rule)*)])?
                $read $field: $kind,
            )+
        }

        impl $crate::api::told::Described for $name {
            fn schema(schemas: &mut $crate::api::told::Schemas) -> serde_json::Value {
                schemas.define(stringify!($name), concat!($($said),+), |schemas| vec![$((
                    stringify!($field),
                    concat!($($told),+).to_owned(),
                    <$kind as $crate::api::told::Described>::schema(schemas),
                    // What a rule leaves out may be missing.
                    <[&str]>::is_empty(&[$(stringify!($($rule)*)),*]),
                )),+])
            }
        }
    };
}

pub(crate) use answer;

#[cfg(test)]
mod tests {
    use super::*;

    answer! {
        /// One thing
        /// of two lines.
        struct Thing {
            /// How it is called.
            r#type: String,
            /// How many.
            #[serde(skip_serializing_if = "Option::is_none")]
            n: Option<u64>,
            /// Those within.
            parts: Vec<Part>,
            /// The first.
            first: Option<Part>,
        }
    }

    answer! {
        /// A part.
        struct Part {
            /// Its share.
            share: Option<f64>,
        }
    }

    #[test]
    fn a_type_is_told_of_as_it_is_written() {
        let mut schemas = Schemas::default();
        assert_eq!(Thing::schema(&mut schemas), json!({ "$ref": "#/components/schemas/Thing" }));
        let part = json!({ "$ref": "#/components/schemas/Part" });
        assert_eq!(
            schemas.definitions(),
            json!({
                "Thing": {
                    "type": "object",
                    "description": "One thing of two lines.",
                    "required": ["type", "parts", "first"],
                    "properties": {
                        "type": { "type": "string", "description": "How it is called." },
                        "n": { "type": ["integer", "null"], "minimum": 0, "description": "How many." },
                        "parts": { "type": "array", "items": part, "description": "Those within." },
                        "first": {
                            "anyOf": [part, { "type": "null" }],
                            "description": "The first.",
                        },
                    },
                },
                "Part": {
                    "type": "object",
                    "description": "A part.",
                    "required": ["share"],
                    "properties": {
                        "share": { "type": ["number", "null"], "description": "Its share." },
                    },
                },
            })
        );
        let thing = Thing { r#type: "t".to_owned(), n: None, parts: Vec::new(), first: None };
        let written = serde_json::to_value(&thing).unwrap();
        assert_eq!(written, json!({ "type": "t", "parts": [], "first": null }));
    }
}

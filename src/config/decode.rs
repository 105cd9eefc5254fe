//! Nodes of a YAML tree as values: texts, numbers, spans, lists and maps of known keys.
//!
//! Each function returns what could be read and pushes a fault with key path, place and an example
//! for what could not; none stops the reading of the rest.

use std::str::FromStr;

use crate::flow::Span;

use super::fault::{Faults, Position, nearest, quoted};
use super::yaml::{Document, Node, YamlEntry, YamlValue};

/// A node under its key path, as `alerts[0].for`.
#[derive(Clone, Debug)]
pub(crate) struct NamedNode<'n> {
    pub(crate) path: String,
    pub(crate) node: &'n Node,
}

/// A map whose keys are taken one by one; those left over are unknown.
pub(crate) struct Fields<'n> {
    path: String,
    at: Position,
    entries: &'n [YamlEntry],
    known: Vec<&'static str>,
}

impl<'n> NamedNode<'n> {
    /// The document's root, with an empty path.
    pub(crate) fn root(document: &'n Document) -> NamedNode<'n> {
        NamedNode { path: String::new(), node: &document.root }
    }

    /// Where the value stands.
    pub(crate) fn at(&self) -> Position {
        self.node.at
    }

    /// The path in backticks; the root is "the file".
    pub(crate) fn title(&self) -> String {
        if self.path.is_empty() { "the file".to_owned() } else { quoted(&self.path) }
    }

    fn below(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A fault at this value.
    pub(crate) fn wrong(&self, faults: &mut Faults, what: &str, remedy: impl Into<String>) {
        faults.push(self.at(), format!("{} {what}", self.title()), remedy);
    }

    fn wrong_kind(&self, faults: &mut Faults, wanted: &str, example: &str) {
        let what = match self.node.value {
            YamlValue::Null => "has no value".to_owned(),
            YamlValue::Scalar { .. } | YamlValue::List(_) | YamlValue::Map(_) => {
                format!("must be {wanted}, not {}", self.node.value.kind())
            }
        };
        self.wrong(faults, &what, format!("write {example}"));
    }

    /// Whether nothing stands after the colon.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.node.value, YamlValue::Null)
    }

    /// A map of known keys.
    pub(crate) fn fields(&self, faults: &mut Faults, example: &str) -> Option<Fields<'n>> {
        if self.path.is_empty() && self.is_null() {
            faults.push(self.at(), "the file is empty", format!("write {example}"));
            return None;
        }
        let entries = self.map(faults, example)?;
        Some(Fields { path: self.path.clone(), at: self.at(), entries, known: Vec::new() })
    }

    /// A map of names that the user chooses.
    pub(crate) fn map(&self, faults: &mut Faults, example: &str) -> Option<&'n [YamlEntry]> {
        match &self.node.value {
            YamlValue::Map(entries) => Some(entries),
            YamlValue::Null | YamlValue::Scalar { .. } | YamlValue::List(_) => {
                self.wrong_kind(faults, "a map", example);
                None
            }
        }
    }

    /// The value of one of the map's own entries.
    pub(crate) fn entry(&self, entry: &'n YamlEntry) -> NamedNode<'n> {
        NamedNode { path: self.below(&entry.key), node: &entry.node }
    }

    /// The items of a list.
    pub(crate) fn list(&self, faults: &mut Faults, example: &str) -> Option<Vec<NamedNode<'n>>> {
        match &self.node.value {
            YamlValue::List(items) => Some(self.items(items)),
            YamlValue::Null | YamlValue::Scalar { .. } | YamlValue::Map(_) => {
                self.wrong_kind(faults, "a list", example);
                None
            }
        }
    }

    /// The items of a list, or a single value as a list of one.
    pub(crate) fn one_or_more(
        &self,
        faults: &mut Faults,
        example: &str,
    ) -> Option<Vec<NamedNode<'n>>> {
        match &self.node.value {
            YamlValue::List(items) => Some(self.items(items)),
            YamlValue::Scalar { .. } => Some(vec![self.clone()]),
            YamlValue::Null | YamlValue::Map(_) => {
                self.wrong_kind(faults, "a list", example);
                None
            }
        }
    }

    fn items(&self, items: &'n [Node]) -> Vec<NamedNode<'n>> {
        let named = |(i, node)| NamedNode { path: format!("{}[{i}]", self.path), node };
        items.iter().enumerate().map(named).collect()
    }

    /// A text that is not blank.
    pub(crate) fn text(&self, faults: &mut Faults, example: &str) -> Option<&'n str> {
        match &self.node.value {
            YamlValue::Scalar { text, .. } if text.trim().is_empty() => {
                self.wrong(faults, "is empty", format!("write {example}"));
                None
            }
            YamlValue::Scalar { text, .. } => Some(text),
            YamlValue::Null | YamlValue::List(_) | YamlValue::Map(_) => {
                self.wrong_kind(faults, "a text", example);
                None
            }
        }
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, faults: &mut Faults) -> Option<bool> {
        match &self.node.value {
            YamlValue::Scalar { text, plain: true } if text == "true" => Some(true),
            YamlValue::Scalar { text, plain: true } if text == "false" => Some(false),
            YamlValue::Null | YamlValue::Scalar { .. } | YamlValue::List(_) | YamlValue::Map(_) => {
                self.wrong_kind_of_scalar(faults, "true or false", "true or false, without quotes");
                None
            }
        }
    }

    /// A number without quotes, of a type that reads itself.
    pub(crate) fn number<T: FromStr>(&self, faults: &mut Faults, wanted: &str) -> Option<T> {
        let number = match &self.node.value {
            YamlValue::Scalar { text, plain: true } => text.parse().ok(),
            YamlValue::Null | YamlValue::Scalar { .. } | YamlValue::List(_) | YamlValue::Map(_) => {
                None
            }
        };
        if number.is_none() {
            self.wrong_kind_of_scalar(faults, wanted, &format!("{wanted}, without quotes"));
        }
        number
    }

    fn wrong_kind_of_scalar(&self, faults: &mut Faults, wanted: &str, example: &str) {
        match &self.node.value {
            YamlValue::Scalar { text, .. } => {
                let what = format!("must be {wanted}, not {}", quoted(text));
                self.wrong(faults, &what, format!("write {example}"));
            }
            YamlValue::Null | YamlValue::List(_) | YamlValue::Map(_) => {
                self.wrong_kind(faults, wanted, example);
            }
        }
    }

    /// A duration, zero included.
    pub(crate) fn span(&self, faults: &mut Faults) -> Option<Span> {
        const EXAMPLE: &str = "a whole number and a unit, as 90s, 5m, 2h or 7d";
        let text = self.text(faults, EXAMPLE)?;
        let span = text.parse().ok();
        if span.is_none() {
            let what = format!("must be a duration, not {}", quoted(text));
            self.wrong(faults, &what, format!("write {EXAMPLE}"));
        }
        span
    }

    /// A duration greater than zero.
    pub(crate) fn positive_span(&self, faults: &mut Faults) -> Option<Span> {
        let span = self.span(faults)?;
        if span > Span(0) {
            return Some(span);
        }
        self.wrong(faults, "must be longer than zero", "write a duration, as 5m");
        None
    }
}

impl<'n> Fields<'n> {
    /// The value of a key; `None` when the key does not stand there.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<NamedNode<'n>> {
        self.known.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        let path =
            if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Some(NamedNode { path, node: &entry.node })
    }

    /// The value of a key that must stand there.
    pub(crate) fn require(
        &mut self,
        key: &'static str,
        faults: &mut Faults,
        example: &str,
    ) -> Option<NamedNode<'n>> {
        let found = self.take(key);
        if found.is_none() {
            let place = if self.path.is_empty() {
                String::new()
            } else {
                format!(" in {}", quoted(&self.path))
            };
            let what = format!("the key `{key}` is missing{place}");
            faults.push(self.at, what, format!("add `{key}: {example}`"));
        }
        found
    }

    /// Reports the keys that nobody took.
    pub(crate) fn finish(self, faults: &mut Faults) {
        for entry in self.entries {
            if self.known.contains(&entry.key.as_str()) {
                continue;
            }
            let remedy = match nearest(&entry.key, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys here: {}", self.known.join(", ")),
            };
            faults.push(entry.key_at, format!("unknown key {}", quoted(&entry.key)), remedy);
        }
    }
}

/// Whether SQL can read the name without quotes and tables can be named after it.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase()) && is_suffix(text)
}

/// Whether the text can follow a name and an underscore: as a name, digits may stand first.
pub(crate) fn is_suffix(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// A name of at most 64 characters made from a text, for remedies.
pub(crate) fn name_like(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().take(64) {
        let c = c.to_ascii_lowercase();
        if c.is_ascii_lowercase() || (c.is_ascii_digit() && !name.is_empty()) {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    let name = name.trim_end_matches('_');
    if name.is_empty() { "a_name".to_owned() } else { name.to_owned() }
}

//! YAML text as a tree of nodes that know their line and column.
//!
//! A text that is not YAML gives one fault, at the place where the reading stopped; duplicate
//! keys, anchors, aliases, tags and second documents give a fault each, and the tree goes on
//! without them. Bounded: 1 MiB of text, 32 levels. Meaning is `decode`'s part: here every scalar
//! is its text.
//!
//! `Debug` prints places and kinds, not contents: settings hold passwords.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::fault::{Faults, Position, quoted};

/// The longest text read: a hand-written file is a hundred times shorter.
pub const MAX_BYTES: usize = 1 << 20;
/// The deepest nesting read: the deepest known key stands at level six.
pub const MAX_DEPTH: usize = 32;

/// A YAML file and what it holds.
#[derive(Clone)]
pub struct Document {
    /// The file.
    pub file: PathBuf,
    /// Its root.
    pub(crate) root: Node,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("file", &self.file).finish_non_exhaustive()
    }
}

/// A value and where it begins.
#[derive(Clone)]
pub(crate) struct Node {
    /// Of the value; of its key where the value is empty.
    pub(crate) at: Position,
    pub(crate) value: YamlValue,
}

/// What a node holds.
#[derive(Clone)]
pub(crate) enum YamlValue {
    /// Nothing, `~` or `null`.
    Null,
    /// A text. Plain (unquoted) ones may also be read as a number or truth value.
    Scalar { text: String, plain: bool },
    /// Values in order.
    List(Vec<Node>),
    /// Keys, each once, in order.
    Map(Vec<YamlEntry>),
}

/// A key with its value.
#[derive(Clone)]
pub(crate) struct YamlEntry {
    pub(crate) key: String,
    pub(crate) key_at: Position,
    pub(crate) node: Node,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}:{}", self.value.kind(), self.at.line, self.at.column)
    }
}

impl YamlValue {
    /// For messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            YamlValue::Null => "nothing",
            YamlValue::Scalar { .. } => "a single value",
            YamlValue::List(_) => "a list",
            YamlValue::Map(_) => "a map",
        }
    }
}

impl Document {
    /// Reads a text; what is wrong with it goes to `faults`. `None` when nothing could be read.
    pub fn parse(text: &str, faults: &mut Faults) -> Option<Document> {
        if text.len() > MAX_BYTES {
            faults.push(
                Position::START,
                format!("the file has {} bytes; {MAX_BYTES} are read", text.len()),
                "split it, or check that it is the file you meant",
            );
            return None;
        }
        let mut tree = Tree { text, parser: Parser::new_from_str(text), faults };
        let root = tree.stream().ok().flatten()?;
        Some(Document { file: faults.file().to_owned(), root })
    }

    /// Reads a file of the disk; what is wrong with it goes to `faults`.
    pub fn read(path: &Path, faults: &mut Faults) -> Option<Document> {
        let bytes = super::files::read_bounded(path, MAX_BYTES, faults)?;
        Document::parse(super::files::text(&bytes, faults)?, faults)
    }
}

/// Reading stopped; the fault is recorded.
struct Stopped;

struct Tree<'t, 'f> {
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    faults: &'f mut Faults,
}

impl<'t> Tree<'t, '_> {
    /// The stream's one document; `None` for an empty file.
    fn stream(&mut self) -> Result<Option<Node>, Stopped> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root.or(Some(Node::empty(Position::START)))),
                Event::Nothing
                | Event::StreamStart
                | Event::DocumentStart(_)
                | Event::DocumentEnd => {}
                Event::Alias(_)
                | Event::Scalar(..)
                | Event::SequenceStart(..)
                | Event::SequenceEnd
                | Event::MappingStart(..)
                | Event::MappingEnd => {
                    if root.is_some() {
                        self.faults.push(
                            position(span.start),
                            "a second document begins here",
                            "keep one document per file: remove the line `---` above",
                        );
                        return Ok(root);
                    }
                    root = Some(self.node(event, span, Position::START, 0)?);
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Stopped> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(self.stop(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn stop(&mut self, error: &ScanError) -> Stopped {
        let info = error.info();
        let line = self.text.lines().nth(error.marker().line().saturating_sub(1));
        let indent = line.map_or("", |line| &line[..line.len() - line.trim_start().len()]);
        let remedy = if indent.contains('\t') || info.contains("tab") {
            "indent with spaces, not with tabs"
        } else if info.contains("mapping values are not allowed") {
            "quote the text if it contains a colon and a space, or mend the indentation"
        } else if info.contains("unknown anchor") {
            "quote the text if it begins with an asterisk; aliases are not read"
        } else {
            "mend it here; the rest of this file was not read"
        };
        self.faults.push(position(*error.marker()), format!("not YAML: {info}"), remedy);
        Stopped
    }

    /// The node that begins with `event`. `key_at` places it when its text is empty.
    fn node(
        &mut self,
        event: Event<'t>,
        span: Span,
        key_at: Position,
        depth: usize,
    ) -> Result<Node, Stopped> {
        let at = position(span.start);
        if depth > MAX_DEPTH {
            self.faults.push(at, format!("nested deeper than {MAX_DEPTH} levels"), "flatten it");
            return Err(Stopped);
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_extras(at, anchor, tag.as_ref());
                Ok(scalar(&text, style, at, key_at))
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_extras(at, anchor, tag.as_ref());
                Ok(Node { at, value: YamlValue::List(self.list(at, depth)?) })
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_extras(at, anchor, tag.as_ref());
                Ok(Node { at, value: YamlValue::Map(self.map(depth)?) })
            }
            Event::Alias(_) => {
                self.faults.push(at, "aliases are not read", "write the value out");
                Ok(Node::empty(at))
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => {
                self.faults.push(at, "not YAML: a value is missing", "write a value here");
                Err(Stopped)
            }
        }
    }

    fn refuse_extras(&mut self, at: Position, anchor: usize, tag: Option<&Cow<'_, Tag>>) {
        if anchor != 0 {
            self.faults.push(at, "anchors are not read", "remove the word with the ampersand");
        }
        if let Some(tag) = tag {
            self.faults.push(
                at,
                format!("the tag {} is not read", quoted(&tag.to_string())),
                "remove it, or quote the text if it begins with an exclamation mark",
            );
        }
    }

    fn list(&mut self, at: Position, depth: usize) -> Result<Vec<Node>, Stopped> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(items);
            }
            items.push(self.node(event, span, at, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<YamlEntry>, Stopped> {
        let mut entries: Vec<YamlEntry> = Vec::new();
        let mut seen = BTreeSet::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(entries);
            }
            let key = self.node(event, span, position(span.start), depth + 1)?;
            let (event, span) = self.next()?;
            let node = self.node(event, span, key.at, depth + 1)?;
            let key_at = key.at;
            let YamlValue::Scalar { text: key, .. } = key.value else {
                let what = format!("a key must be a single word, this is {}", key.value.kind());
                self.faults.push(key_at, what, "write a word before the colon");
                continue;
            };
            if seen.insert(key.clone()) {
                entries.push(YamlEntry { key, key_at, node });
            } else {
                let first = entries.iter().find(|entry| entry.key == key);
                let line = first.map_or(0, |entry| entry.key_at.line);
                self.faults.push(
                    key_at,
                    format!("{} stands twice, first in line {line}", quoted(&key)),
                    "keep one of them",
                );
            }
        }
    }
}

impl Node {
    fn empty(at: Position) -> Node {
        Node { at, value: YamlValue::Null }
    }
}

fn scalar(text: &str, style: ScalarStyle, at: Position, key_at: Position) -> Node {
    let plain = style == ScalarStyle::Plain;
    match text {
        "" if plain => Node::empty(key_at),
        "~" | "null" | "Null" | "NULL" if plain => Node::empty(at),
        _ => Node { at, value: YamlValue::Scalar { text: text.to_owned(), plain } },
    }
}

fn position(marker: Marker) -> Position {
    let whole = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position { line: whole(marker.line()).max(1), column: whole(marker.col()).saturating_add(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let mut faults = Faults::of(Path::new("f.yaml"));
        Document::parse(text, &mut faults);
        faults.into_vec().iter().map(ToString::to_string).collect()
    }

    fn entries(node: &Node) -> &[YamlEntry] {
        match &node.value {
            YamlValue::Map(entries) => entries,
            other => panic!("a map, not {}", other.kind()),
        }
    }

    #[test]
    fn every_value_knows_its_place() {
        let text = "a: 1\nb:\n  - x\n  -  \"y: z\"\nc: { d: [é, f], g: h }\ne:\n";
        let mut found = Faults::of(Path::new("f.yaml"));
        let document = Document::parse(text, &mut found).expect("yaml");
        assert_eq!(found.count(), 0);
        let root = entries(&document.root);
        let at = |node: &Node| (node.at.line, node.at.column);
        assert_eq!(at(&root[0].node), (1, 4));
        let YamlValue::List(items) = &root[1].node.value else { panic!("a list") };
        assert_eq!(items.iter().map(at).collect::<Vec<_>>(), [(3, 5), (4, 6)]);
        let inner = entries(&root[2].node);
        assert_eq!((inner[0].key_at.line, inner[0].key_at.column), (5, 6));
        let YamlValue::List(items) = &inner[0].node.value else { panic!("a list") };
        assert_eq!(items.iter().map(at).collect::<Vec<_>>(), [(5, 10), (5, 13)]);
        assert_eq!(at(&inner[1].node), (5, 20));
        assert!(matches!(root[3].node.value, YamlValue::Null));
        assert_eq!(at(&root[3].node), (6, 1), "an empty value stands at its key");
    }

    #[test]
    fn what_is_refused_is_placed() {
        let cases: &[(&str, &[&str])] = &[
            ("a: 1\nb: 2\na: 3\n", &["f.yaml:3:1: `a` stands twice, first in line 1"]),
            ("a: &x 1\nb: *x\n", &["f.yaml:1:4: anchors are", "f.yaml:2:4: aliases are not read"]),
            ("a: !!int 1\n", &["f.yaml:1:4: the tag"]),
            ("a: b: c\n", &["f.yaml:1:5: not YAML: mapping values are not allowed"]),
            ("[a]: 1\n", &["f.yaml:1:1: a key must be a single word, this is a list"]),
            ("a: 1\n---\nb: 2\n", &["f.yaml:3:1: a second document"]),
            ("a: [1, 2\n", &["f.yaml:2:1: not YAML:"]),
            ("a: {b: c}\n\tx: 1\n", &["f.yaml:2:2: not YAML:"]),
        ];
        for (text, expected) in cases {
            let found = faults(text);
            assert_eq!(found.len(), expected.len(), "{text}: {found:?}");
            for (found, expected) in found.iter().zip(*expected) {
                assert!(found.starts_with(expected), "{text}: {found}");
            }
        }
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = format!("a: {}1{}", "[".repeat(40), "]".repeat(40));
        // `a: ` and 32 brackets stand before the one that is too many.
        let told = faults(&deep);
        assert!(
            told[0].starts_with("f.yaml:1:36: ") && told[0].contains("deeper than 32"),
            "{told:?}"
        );
        let held = format!("a: {}1{}", "[".repeat(31), "]".repeat(31));
        assert_eq!(faults(&held), Vec::<String>::new());
        let long = "#".repeat(MAX_BYTES + 1);
        assert!(faults(&long)[0].contains("1048577 bytes"), "{:?}", faults(&long));
    }

    #[test]
    fn contents_stay_out_of_debug() {
        let mut found = Faults::of(Path::new("f.yaml"));
        let document = Document::parse("password: hunter2", &mut found).expect("yaml");
        assert!(!format!("{document:?} {:?}", document.root).contains("hunter2"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[ \\-a-c:{}\\[\\]&*!|>'\"#%@,?\n\t]{0,60}") {
            let lines = text.lines().count() as u32 + 1;
            let mut found = Faults::of(Path::new("f.yaml"));
            let document = Document::parse(&text, &mut found);
            let found = found.into_vec();
            proptest::prop_assert!(document.is_some() || !found.is_empty(), "it is read, or told why");
            for fault in &found {
                proptest::prop_assert!((1..=lines).contains(&fault.line) && fault.column > 0, "{fault}");
            }
        }
    }
}

//! DataFusion's planning errors as faults of a project's files.

use std::path::Path;

use datafusion::common::DataFusionError;

use crate::config::{Fault, PipelineSpec, Position};

/// A fault of an SQL file, placed where the error's own span, or the name it complains of, stands.
pub fn sql_fault(path: &Path, sql: &str, error: &DataFusionError) -> Fault {
    let message = plain(error);
    let position = span_of(error).or_else(|| parser_position(&message)).unwrap_or_else(|| {
        quoted(&message).and_then(|name| position_of(sql, &name)).unwrap_or(Position::START)
    });
    let (what, remedy) = divide(&message);
    Fault::at(path, position, what, remedy)
}

/// A fault of a key of a pipeline's YAML.
pub fn yaml_fault(spec: &PipelineSpec, key: &str, error: &DataFusionError) -> Fault {
    let (what, remedy) = divide(&plain(error));
    Fault::at(&spec.yaml_path, spec.positions.at(key), what, remedy)
}

/// The error's own words, without DataFusion's prefixes and in one line.
fn plain(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let mut text = text.as_str();
    let prefixes = [
        "Error during planning: ",
        "Schema error: ",
        "SQL error: ",
        "ParserError(",
        "type_coercion\ncaused by\n",
        "Execution error: ",
    ];
    let mut is_in_brackets = false;
    while let Some((prefix, rest)) =
        prefixes.iter().find_map(|prefix| Some((prefix, text.strip_prefix(prefix)?)))
    {
        is_in_brackets |= prefix.ends_with('(');
        text = rest;
    }
    if is_in_brackets {
        text = text.strip_suffix(')').unwrap_or(text);
    }
    text.trim_matches('"').split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is wrong, and how to mend it, when the message says so after a semicolon or a question.
fn divide(message: &str) -> (String, String) {
    for separator in ["; ", ". Did you mean "] {
        if let Some((what, remedy)) = message.split_once(separator) {
            let remedy = if separator.starts_with('.') {
                format!("write {}", remedy.trim_end_matches(['?', '.']))
            } else {
                remedy.to_owned()
            };
            return (what.to_owned(), remedy);
        }
    }
    let remedy = if message.contains("No field named") || message.contains("not found") {
        "`turnaround relations` lists what can be read"
    } else {
        "mend the SQL"
    };
    (message.trim_end_matches('.').to_owned(), remedy.to_owned())
}

fn span_of(error: &DataFusionError) -> Option<Position> {
    let DataFusionError::Diagnostic(diagnostic, _) = error else {
        return match error {
            DataFusionError::Context(_, inner) => span_of(inner),
            _ => None,
        };
    };
    let span = diagnostic.span?;
    let (line, column) = (u32::try_from(span.start.line), u32::try_from(span.start.column));
    Some(Position { line: line.ok()?, column: column.ok()? })
}

/// The place that the SQL parser names: `at Line: 3, Column: 7`.
fn parser_position(message: &str) -> Option<Position> {
    let rest = message.split_once("Line: ")?.1;
    let (line, rest) = rest.split_once(", Column: ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(Position { line: line.parse().ok()?, column: digits.parse().ok()? })
}

/// The first name that the message puts in quotes, without its table.
fn quoted(message: &str) -> Option<String> {
    let marks: &[char] = &['\'', '"', '`'];
    let rest = match message.split_once("named ") {
        Some((_, rest)) => rest,
        None => message.split_once(marks)?.1,
    };
    let name = rest.split(marks).find(|part| !part.trim().is_empty())?;
    let name = name.split([' ', ',']).next()?.trim_end_matches('.');
    Some(name.rsplit('.').next()?.trim_matches(marks).to_owned())
}

/// Where a word first stands in a text, lines and columns from 1.
fn position_of(text: &str, word: &str) -> Option<Position> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut from = 0;
    while let Some(found) = text[from..].find(word) {
        let at = from + found;
        let before = text[..at].chars().next_back().is_some_and(is_name);
        let after = text[at + word.len()..].chars().next().is_some_and(is_name);
        if !before && !after {
            let line = text[..at].matches('\n').count() + 1;
            let column =
                text[..at].rsplit('\n').next().map_or(0, |start| start.chars().count()) + 1;
            return Some(Position {
                line: u32::try_from(line).ok()?,
                column: u32::try_from(column).ok()?,
            });
        }
        from = at + word.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_whole() {
        let sql = "SELECT labs,\n  lab\nFROM x";
        assert_eq!(position_of(sql, "lab"), Some(Position { line: 2, column: 3 }));
        assert_eq!(position_of(sql, "nothing"), None);
    }

    #[test]
    fn the_name_complained_of_is_found_in_the_message() {
        let name = |message| quoted(message).unwrap();
        assert_eq!(
            name("No field named c.tat_minuts. Did you mean 'c.tat_minutes'?"),
            "tat_minuts"
        );
        assert_eq!(name("table 'turnaround.public.completion' not found"), "completion");
        assert_eq!(name("Invalid function 'percentil'"), "percentil");
    }

    #[test]
    fn only_the_brackets_of_the_parser_are_taken_off() {
        let plain = |text: &str| plain(&DataFusionError::Plan(text.to_owned()));
        assert_eq!(plain("write f(x ORDER BY x)"), "write f(x ORDER BY x)");
        assert_eq!(plain("ParserError(\"no table (x)\")"), "no table (x)");
    }

    #[test]
    fn the_parser_names_its_place() {
        let message = "Expected: an expression, found: FROM at Line: 2, Column: 11";
        assert_eq!(parser_position(message), Some(Position { line: 2, column: 11 }));
    }
}

//! DataFusion's planning errors as faults of a project's files: where, what, and how to mend it.
//!
//! Where is the place that the error itself names, else that of the word that it complains of
//! ([`place`]). What and how are plain words for the kinds of mistakes that authors make
//! ([`remedy`]); of any other kind the engine's own words are told.

mod kinds;
mod known;
mod place;
mod remedy;

use std::path::Path;

use datafusion::common::DataFusionError;

use crate::config::{Fault, PipelineSpec, Position};
use crate::sql::plan::refuse::Refusal;
pub use place::ReadableNames;
use place::Words;
use remedy::ToldMistake;

/// The faults of an SQL file; the planner sometimes finds several at once.
pub fn sql_faults(
    path: &Path,
    sql: &str,
    error: &DataFusionError,
    readable: &ReadableNames,
) -> Vec<Fault> {
    let words = Words::of(sql).reading(readable);
    error.iter().map(|error| sql_fault(path, &words, error)).collect()
}

fn sql_fault(path: &Path, words: &Words, error: &DataFusionError) -> Fault {
    if let Some(refusal) = refusal_in(error) {
        let place = refusal.words.iter().find_map(|word| words.find(word));
        let place = place.unwrap_or_else(|| words.start());
        return Fault::at(path, place, &refusal.what, &refusal.remedy);
    }
    let message = plain(error);
    let (message, parser_place) = remedy::without_place(&message);
    let told = remedy::told(message, words);
    // A span that begins where the query does says nothing of where in it.
    let span = span_of(error).filter(|place| *place != words.start());
    let place = parser_place.or(span).or(told.place).unwrap_or_else(|| words.start());
    Fault::at(path, place, told.what, told.remedy)
}

/// A fault of a key of a pipeline's YAML.
pub fn yaml_fault(spec: &PipelineSpec, key: &str, error: &DataFusionError) -> Fault {
    let place = spec.positions.at(key);
    if let Some(refusal) = refusal_in(error) {
        return Fault::at(&spec.yaml_path, place, &refusal.what, &refusal.remedy);
    }
    let message = plain(error);
    let (message, _) = remedy::without_place(&message);
    let ToldMistake { what, remedy, .. } = remedy::told(message, &Words::of(""));
    Fault::at(&spec.yaml_path, place, what, remedy)
}

/// What we ourselves refuse, within whatever the planner has put around it.
fn refusal_in(error: &DataFusionError) -> Option<&Refusal> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return Some(refusal);
        }
        cause = error.source();
    }
    None
}

/// The error's own words, without DataFusion's prefixes and in one line.
fn plain(error: &DataFusionError) -> String {
    const PREFIXES: &[&str] = &[
        "Error during planning: ",
        "Schema error: ",
        "SQL error: ",
        "ParserError(",
        "TokenizerError(",
        "Execution error: ",
        "Arrow error: ",
        "Cast error: ",
        "This feature is not implemented: ",
        "type_coercion\ncaused by\n",
    ];
    let text = error.strip_backtrace();
    let mut text = text.as_str();
    if let Some((rule, rest)) = text.split_once("\ncaused by\n")
        && rule.starts_with("Optimizer rule ")
    {
        text = rest;
    }
    let mut is_in_brackets = false;
    while let Some((prefix, rest)) =
        PREFIXES.iter().find_map(|prefix| Some((prefix, text.strip_prefix(prefix)?)))
    {
        is_in_brackets |= prefix.ends_with('(');
        text = rest;
    }
    if is_in_brackets {
        text = text.strip_suffix(')').unwrap_or(text);
    }
    text.trim_matches('"').split_whitespace().collect::<Vec<_>>().join(" ")
}

fn span_of(error: &DataFusionError) -> Option<Position> {
    let start = error.diagnostic()?.span?.start;
    let (line, column) = (u32::try_from(start.line).ok()?, u32::try_from(start.column).ok()?);
    (line > 0).then_some(Position { line, column })
}

/// Which part of a pipeline's files a planning error is about.
#[derive(Debug)]
pub enum SpecPart {
    /// The SQL text.
    Sql,
    /// A key of the YAML.
    Yaml(String),
}

/// Why a pipeline cannot be planned, or what it should be warned of.
#[derive(Debug)]
pub struct PlanFault {
    /// Where.
    pub place: SpecPart,
    /// What.
    pub error: DataFusionError,
}

#[cfg(test)]
mod tests;

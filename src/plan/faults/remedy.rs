//! What the planner says, in plain words, and how to mend it.
//!
//! DataFusion's errors are texts; the kinds that authors make are told apart by their wording, which
//! `tests/it/mistakes.rs` holds to the version in use. What is of no known kind is told as it came.

use super::kinds::{kind_of, kinds_of, split_types};
use super::known::{ELSEWHERE, KNOWN};
use super::place::{ReadableNames, Words, last_part};
use crate::config::{Position, nearest};

/// A mistake in plain words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ToldMistake {
    pub(crate) what: String,
    pub(crate) remedy: String,
    /// Where what it is about stands in the text.
    pub(crate) place: Option<Position>,
}

impl ToldMistake {
    fn new(what: impl Into<String>, remedy: impl Into<String>) -> ToldMistake {
        ToldMistake { what: what.into(), remedy: remedy.into(), place: None }
    }

    fn at(self, place: Option<Position>) -> ToldMistake {
        ToldMistake { place, ..self }
    }
}

/// How many columns are listed.
const LISTED: usize = 12;

type MistakeKind = fn(&str, &Words) -> Option<ToldMistake>;

const KINDS: &[MistakeKind] = &[
    unknown_column,
    unknown_function,
    unknown_table,
    ambiguous_column,
    twice_named,
    not_grouped,
    nested_aggregate,
    own_coercion,
    wrong_arguments,
    unlike_operands,
    unreadable_value,
    unknown_type,
    unknown_position,
    no_condition,
    syntax,
    known,
    ours,
];

/// A message in plain words.
pub(crate) fn told(message: &str, words: &Words) -> ToldMistake {
    let told = KINDS.iter().find_map(|kind| kind(message, words));
    told.unwrap_or_else(|| {
        ToldMistake::new(
            message.trim_end_matches('.'),
            "the SQL engine (DataFusion) does not take this; its SQL is described at \
             https://datafusion.apache.org/user-guide/sql, ours in docs/pipelines.md",
        )
    })
}

/// The message without the place that the SQL parser names (`at Line: 3, Column: 7`), and the place.
pub(crate) fn without_place(message: &str) -> (&str, Option<Position>) {
    let found = || {
        let (before, rest) = message.rsplit_once(" at Line: ")?;
        let (line, rest) = rest.split_once(", Column: ")?;
        let digits = rest.trim_end_matches(|c: char| !c.is_ascii_digit());
        let place = Position { line: line.parse().ok()?, column: digits.parse().ok()? };
        // Behind the text's end the parser names line 0.
        Some((before, (place.line > 0).then_some(place)))
    };
    found().unwrap_or((message, None))
}

/// What stands between two marks.
fn between<'m>(message: &'m str, before: &str, after: &str) -> Option<&'m str> {
    let (_, rest) = message.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

/// A name without quotes and without the catalog that nobody writes.
fn name_of(text: &str) -> String {
    let text = text.replace('"', "");
    let text = text.strip_prefix("datafusion.").unwrap_or(&text);
    text.strip_prefix("public.").unwrap_or(text).to_owned()
}

fn unknown_column(message: &str, words: &Words) -> Option<ToldMistake> {
    let (_, rest) = message.split_once("No field named ")?;
    let ends = [". Did you mean ", ". Column names", ". Valid fields"];
    let end = ends.iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
    let name = name_of(rest[..end].trim_end_matches('.'));
    let column = last_part(&name);
    let told = |remedy: String| {
        Some(
            ToldMistake::new(format!("there is no column {name} here"), remedy)
                .at(words.find(&name)),
        )
    };
    if words.has_in_double_quotes(column) {
        let remedy = format!("write '{column}' if it is a text: double quotes name a column");
        return told(remedy);
    }
    if words.names(column) {
        return told(format!(
            "{column} is named by this SELECT itself: write what it stands for, or make it in a \
             sub-query: FROM (SELECT … ) AS t"
        ));
    }
    if let Some(meant) = between(rest, "Did you mean '", "'?") {
        let meant = name_of(meant);
        let meant = if name.contains('.') { meant.as_str() } else { last_part(&meant) };
        return told(format!("did you mean {meant}?"));
    }
    let Some((_, valid)) = rest.split_once("Valid fields are ") else {
        return told("`turnaround relations` lists what can be read".to_owned());
    };
    let shown = |valid: &str| {
        let valid = name_of(valid);
        if name.contains('.') { valid } else { last_part(&valid).to_owned() }
    };
    let valid: Vec<String> = valid.trim_end_matches('.').split(", ").map(shown).collect();
    let more =
        if valid.len() > LISTED { " …; `turnaround relations` lists them all" } else { "" };
    let listed = valid[..valid.len().min(LISTED)].join(", ");
    told(format!("the columns here are {listed}{more}"))
}

fn unknown_function(message: &str, words: &Words) -> Option<ToldMistake> {
    let name = between(message, "Invalid function '", "'")?;
    let lower = name.to_ascii_lowercase();
    let remedy = match ELSEWHERE.iter().find(|(known, _)| *known == lower) {
        Some((_, instead)) => format!("write {instead}"),
        None => match between(message, "Did you mean '", "'?") {
            Some(meant) if nearest(&lower, [meant]).is_some() => format!("did you mean {meant}?"),
            Some(_) | None => "the functions are those of \
                 https://datafusion.apache.org/user-guide/sql and of docs/pipelines.md"
                .to_owned(),
        },
    };
    Some(
        ToldMistake::new(format!("there is no function {name}"), remedy)
            .at(words.find(&format!("{name}("))),
    )
}

fn unknown_table(message: &str, words: &Words) -> Option<ToldMistake> {
    let name = name_of(between(message, "table '", "' not found")?);
    if let Some(reference) = name.strip_prefix("ref.") {
        let what = format!("there is no reference table {name}");
        let remedy = format!("add data/reference/{reference}.csv, or correct the name");
        return Some(ToldMistake::new(what, remedy).at(words.find(&name)));
    }
    let ReadableNames { relations, views } = &words.readable;
    let remedy = match nearest(&name, relations.iter().chain(views).map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None => format!(
            "read one of {}, a view of sql/staging or a ref.<name> of data/reference",
            relations.join(", ")
        ),
    };
    Some(ToldMistake::new(format!("there is no relation {name}"), remedy).at(words.find(&name)))
}

fn ambiguous_column(message: &str, words: &Words) -> Option<ToldMistake> {
    let (_, name) = message.split_once("Ambiguous reference to unqualified field ")?;
    let name = name_of(name.split(' ').next()?.trim_end_matches('.'));
    let what = format!("more than one of the tables has a column {name}");
    Some(ToldMistake::new(what, format!("say whose it is, as c.{name}")).at(words.find(&name)))
}

fn twice_named(message: &str, words: &Words) -> Option<ToldMistake> {
    let name = match message.split_once("unique expression names but ") {
        Some((_, rest)) => {
            let second = rest.split("and \"").nth(1)?.split("\" at position").next()?;
            let written = second.rsplit_once(" AS ").map_or(second, |(_, alias)| alias);
            name_of(last_part(written))
        }
        None => {
            let (_, name) = message.split_once("Schema contains duplicate ")?;
            name_of(last_part(name.split("field name ").nth(1)?.split(' ').next()?))
        }
    };
    let what = format!("two columns are called {name}");
    Some(ToldMistake::new(what, "give one of them another name with AS").at(words.find(&name)))
}

fn not_grouped(message: &str, words: &Words) -> Option<ToldMistake> {
    if !message.contains("must appear in the GROUP BY clause") {
        return None;
    }
    let (before, _) = message.split_once(" must appear in the GROUP BY clause")?;
    let column = match before.rsplit_once("column \"") {
        Some((_, column)) => column.trim_end_matches('"'),
        None => before.rsplit_once("references: ")?.1,
    };
    let name = name_of(column);
    let name = words.as_written(&name);
    let what = format!("{name} is neither grouped by nor aggregated");
    let remedy =
        format!("add it to GROUP BY (and to `grain`), or say which of its values, as max({name})");
    Some(ToldMistake::new(what, remedy).at(words.find(name)))
}

fn nested_aggregate(message: &str, words: &Words) -> Option<ToldMistake> {
    let inner = between(message, "Aggregate function calls cannot be nested: '", "' is nested")?;
    let what =
        format!("an aggregate stands within another one: {}", inner.replace("(Int64(1))", "(*)"));
    let remedy = "compute the inner one in a sub-query: FROM (SELECT … GROUP BY …) AS t";
    let called = inner.split('(').next()?;
    Some(ToldMistake::new(what, remedy).at(words.find(&format!("{called}("))))
}

/// What one of our own aggregates says of its arguments: what it takes, a colon, how it is written.
fn own_coercion(message: &str, words: &Words) -> Option<ToldMistake> {
    let said = between(message, "coercion failed with: Error during planning: ", ". No function")?;
    let (what, written) = said.split_once(": ")?;
    let called = written.split('(').next()?;
    Some(ToldMistake::new(what, format!("write {written}")).at(words.find(&format!("{called}("))))
}

fn wrong_arguments(message: &str, words: &Words) -> Option<ToldMistake> {
    let function = between(message, "satisfy a call to '", "' function")
        .or_else(|| between(message, "unction '", "'"))
        .or_else(|| between(message, "argument types '", "("))
        .or_else(|| between(message, "The function ", " expects"))
        .or_else(|| {
            message.strip_suffix("' does not support zero arguments")?.strip_prefix('\'')
        })?;
    let given = between(message, "coercion from ", " to the signature").or_else(|| {
        between(message, "argument types '", "'. You")?.split_once('(')?.1.strip_suffix(')')
    });
    let (what, remedy) = match (given, message.split_once(" expects ")) {
        (Some(types), _) if !types.trim().is_empty() => {
            let kinds = kinds_of(types);
            let remedy = if kinds.contains("an instant") {
                "take a column in minutes, or to_unixtime(x), which is a number"
            } else {
                "give it what it takes; CAST(x AS DOUBLE) makes a number of a text, CAST(x AS \
                 VARCHAR) a text of a number"
            };
            (format!("{function} does not take {kinds}"), remedy.to_owned())
        }
        (_, Some((_, expected))) if expected.contains("arguments") => {
            let number: String = expected.chars().take_while(char::is_ascii_digit).collect();
            (
                format!("{function} has the wrong number of arguments"),
                format!("give it {number}, with commas between"),
            )
        }
        (_, Some(_)) => (
            message.trim_end_matches('.').to_owned(),
            "make it so with CAST, as CAST(x AS DOUBLE) or CAST(x AS VARCHAR)".to_owned(),
        ),
        _ if message.contains("zero arguments") || given.is_some() => {
            (format!("{function} has no arguments"), format!("say of what, as {function}(x)"))
        }
        _ => return None,
    };
    Some(ToldMistake::new(what, remedy).at(words.find(&format!("{function}("))))
}

fn unlike_operands(message: &str, words: &Words) -> Option<ToldMistake> {
    let marks = [
        ("Cannot infer common argument type for comparison operation ", "compared"),
        ("Cannot infer common argument type for logical boolean operation ", "joined"),
        ("Cannot infer common argument type for regex operation ", "matched"),
        ("Cannot coerce arithmetic expression ", "calculated"),
        ("There isn't a common type to coerce ", "matched"),
    ];
    let (operands, verb) =
        marks.iter().find_map(|(mark, verb)| Some((message.split_once(mark)?.1, *verb)))?;
    let operands = operands.split(" to valid types").next()?.split(" in ").next()?;
    let parts = split_types(operands, ' ');
    let (left, right) = (parts.first()?, parts.last()?);
    let like = message.rsplit_once(" in ").and_then(|(_, rest)| rest.strip_suffix(" expression"));
    let sign = match parts.get(1) {
        Some(sign) if *sign != "and" => sign,
        Some(_) | None => like.unwrap_or_default(),
    };
    let operator = if sign.is_empty() { String::new() } else { format!(" by {sign}") };
    let what = format!("{} and {} cannot be {verb}{operator}", kind_of(left), kind_of(right));
    let has_instant = [left, right].iter().any(|side| kind_of(side) == "an instant");
    let remedy = if verb == "calculated" && has_instant {
        "add a span of time, as x + INTERVAL '5 minutes'"
    } else {
        "make both the same: CAST(x AS DOUBLE) for a number, CAST(x AS VARCHAR) for a text, \
         TIMESTAMP '2026-03-01T00:00:00Z' for an instant"
    };
    Some(ToldMistake::new(what, remedy).at(words.find_only(sign)))
}

fn unreadable_value(message: &str, words: &Words) -> Option<ToldMistake> {
    if let Some(text) = between(message, "Cannot cast string '", "'") {
        let what = format!("'{text}' is not a value of the type that it is compared with or made");
        let remedy = "write a number without quotes, a text against a text";
        return Some(ToldMistake::new(what, remedy).at(words.find_text(text)));
    }
    let text = between(message, "Error parsing timestamp from '", "'")?;
    let remedy = "write it as TIMESTAMP '2026-03-01T00:00:00Z'";
    Some(ToldMistake::new(format!("'{text}' is no instant"), remedy).at(words.find_text(text)))
}

fn unknown_type(message: &str, words: &Words) -> Option<ToldMistake> {
    let name = message.split_once("Unsupported SQL type ")?.1.rsplit(' ').next()?;
    let remedy = "write DOUBLE, BIGINT, VARCHAR, BOOLEAN, DATE, TIMESTAMP or DECIMAL(18, 3)";
    Some(ToldMistake::new(format!("there is no type {name}"), remedy).at(words.find(name)))
}

fn unknown_position(message: &str, words: &Words) -> Option<ToldMistake> {
    let number = between(message, "Cannot find column with position ", " ")?;
    let most = message.rsplit_once("1 to ")?.1.trim_end_matches('.');
    let what = format!("there is no output column {number}");
    Some(
        ToldMistake::new(what, format!("the columns of SELECT are 1 to {most}; or name it"))
            .at(words.find("group")),
    )
}

fn no_condition(message: &str, words: &Words) -> Option<ToldMistake> {
    let kind = message.split_once("non-boolean predicate ")?.1.rsplit_once("returning ")?.1;
    let what = format!("WHERE or HAVING holds {}, not a condition", kind_of(kind));
    Some(
        ToldMistake::new(what, "compare it with something, as n > 0 or x IS NOT NULL")
            .at(words.find("where")),
    )
}

fn syntax(message: &str, words: &Words) -> Option<ToldMistake> {
    let (expected, found) = message.split_once("Expected: ")?.1.split_once(", found: ")?;
    if found == "EOF" {
        let what = format!("the query ends where {} should follow", article(expected));
        let remedy = "write what is missing, or close what is open: a bracket, CASE … END";
        return Some(ToldMistake::new(what, remedy).at(words.end()));
    }
    let what = match expected {
        "end of statement" => format!("the query makes no sense from {found} on"),
        _ => format!("{found} stands where {} should", article(expected)),
    };
    let remedy = match expected {
        "end of statement" if matches!(found, "GROUP" | "ORDER" | "PARTITION") => {
            "write BY behind it"
        }
        "end of statement" => {
            "look at what stands before it: a comma, an operator or a word (AS, AND, FROM, BY) is \
             missing, or a bracket is too many"
        }
        "an expression" => "take out the comma or the operator before it, or write what is missing",
        ")" => "close the bracket before it, or put a comma there",
        "an SQL statement" => "begin with SELECT, or WITH … SELECT",
        _ => "write it there, or take out what stands before",
    };
    Some(ToldMistake::new(what, remedy))
}

/// What the parser expects, as one would say it.
fn article(expected: &str) -> String {
    if expected.starts_with("an ") || expected.starts_with("a ") {
        return expected.to_owned();
    }
    if expected.starts_with(|c: char| c.is_ascii_lowercase()) {
        let vowel = expected.starts_with(['a', 'e', 'i', 'o', 'u']);
        return format!("{} {expected}", if vowel { "an" } else { "a" });
    }
    expected.to_owned()
}

fn known(message: &str, words: &Words) -> Option<ToldMistake> {
    let (_, what, remedy, word) = KNOWN.iter().find(|(mark, ..)| message.contains(mark))?;
    let told = ToldMistake::new(what.unwrap_or(message.trim_end_matches('.')), *remedy);
    Some(told.at(words.find(word)))
}

/// Our own refusals: what, a semicolon, how to mend it.
fn ours(message: &str, words: &Words) -> Option<ToldMistake> {
    let (what, remedy) = message.split_once("; ")?;
    let place = what.split('`').nth(1).and_then(|name| words.find(name));
    Some(ToldMistake::new(what, remedy).at(place))
}

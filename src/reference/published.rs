//! What a centre publishes: its own targets as the text of an event's `settings`, both ways.
//!
//! `{"targets":[{"assay":"K","priority":"S","patient_class":"ED","minutes":45}]}`: each names some of assay,
//! priority and patient class, and the longest allowable minutes (0 or null: no deadline); `clock` and `from`
//! as in `targets.csv`. They are the whole of what the centre says; `[]` takes all back.

use serde_json::{Map, Value, json};

use super::resolved::{TargetClock, TargetStart};
use super::targets::Target;

/// The most bytes that an event's settings have room for.
pub const MOST_BYTES: usize = 4096;

/// The targets of a text.
///
/// # Errors
/// What is wrong with it, and what to write.
pub fn targets(text: &str) -> Result<Vec<Target>, String> {
    let value: Value =
        serde_json::from_str(text).map_err(|_| format!("it is no JSON; write {EXAMPLE}"))?;
    let mut said = object(&value)?;
    let Some(Value::Array(all)) = said.remove("targets") else {
        return Err(format!("it has no list `targets`; write {EXAMPLE}"));
    };
    nothing_else(&said, "targets")?;
    let number = |(at, one): (usize, &Value)| {
        target(one).map_err(|wrong| format!("target {}: {wrong}", at + 1))
    };
    all.iter().enumerate().map(number).collect()
}

/// The text of targets.
pub fn text(targets: &[Target]) -> String {
    let of = |target: &Target| {
        let mut said = Map::new();
        let names = [
            ("assay", &target.assay),
            ("priority", &target.priority),
            ("patient_class", &target.patient_class),
        ];
        for (name, value) in names {
            if let Some(value) = value {
                said.insert(name.to_owned(), json!(value));
            }
        }
        said.insert("minutes".to_owned(), json!(target.target_minutes));
        if target.clock != TargetClock::default() {
            said.insert("clock".to_owned(), json!(target.clock.as_str()));
        }
        if target.from != TargetStart::default() {
            said.insert("from".to_owned(), json!(target.from.as_str()));
        }
        Value::Object(said)
    };
    json!({ "targets": targets.iter().map(of).collect::<Vec<Value>>() }).to_string()
}

/// A priority as it is stored; none of a word that is none.
pub fn priority(word: &str) -> Option<&'static str> {
    match word {
        "S" | "STAT" => Some("S"),
        "A" | "ASAP" => Some("A"),
        "R" | "ROUTINE" => Some("R"),
        _ => None,
    }
}

const EXAMPLE: &str = r#"{"targets":[{"assay":"K","priority":"S","minutes":45}]}"#;

fn target(value: &Value) -> Result<Target, String> {
    let mut said = object(value)?;
    let minutes = match said.remove("minutes") {
        Some(Value::Null) => None,
        Some(Value::Number(number)) => number.as_f64(),
        Some(_) => return Err("`minutes` is no number".to_owned()),
        None => return Err("it has no `minutes`; 0 means no deadline".to_owned()),
    };
    let word = word_of(&mut said, "priority")?;
    let stored = word.as_deref().map(|word| {
        priority(word).ok_or_else(|| format!("the priority `{word}` is none of S, A, R"))
    });
    let clocks = TargetClock::ALL.map(|clock| (clock.as_str(), clock));
    let starts = TargetStart::ALL.map(|start| (start.as_str(), start));
    let target = Target {
        lab_id: None,
        assay: word_of(&mut said, "assay")?,
        priority: stored.transpose()?.map(str::to_owned),
        patient_class: word_of(&mut said, "patient_class")?,
        target_minutes: minutes,
        clock: one_of(&mut said, "clock", &clocks)?,
        from: one_of(&mut said, "from", &starts)?,
        valid_from: None,
    };
    nothing_else(&said, "assay, priority, patient_class, minutes, clock and from")?;
    Ok(target)
}

fn object(value: &Value) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(said) => Ok(said.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(format!("it is no object; write {EXAMPLE}"))
        }
    }
}

fn nothing_else(left: &Map<String, Value>, known: &str) -> Result<(), String> {
    match left.keys().next() {
        None => Ok(()),
        Some(other) => Err(format!("`{other}` is not known; there are {known}")),
    }
}

fn word_of(said: &mut Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match said.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("`{name}` is no text")),
    }
}

fn one_of<T: Copy + Default>(
    said: &mut Map<String, Value>,
    name: &str,
    known: &[(&'static str, T)],
) -> Result<T, String> {
    let Some(word) = word_of(said, name)? else { return Ok(T::default()) };
    let found = known.iter().find(|(text, _)| *text == word);
    let words: Vec<&str> = known.iter().map(|(text, _)| *text).collect();
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| format!("`{name}` is `{word}`; write {}", words.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let said = r#"{"targets":[
            {"assay":"K","priority":"STAT","patient_class":"ED","minutes":45.5},
            {"minutes":0},
            {"assay":"PCR \"b\"; c=d","minutes":null,"clock":"working","from":"collected"}]}"#;
        let some = |text: &str| Some(text.to_owned());
        let expected = [
            Target {
                assay: some("K"),
                priority: some("S"),
                patient_class: some("ED"),
                target_minutes: Some(45.5),
                ..Target::default()
            },
            Target { target_minutes: Some(0.0), ..Target::default() },
            Target {
                assay: some("PCR \"b\"; c=d"),
                clock: TargetClock::Working,
                from: TargetStart::Collected,
                ..Target::default()
            },
        ];
        assert_eq!(targets(said).unwrap(), expected);
        assert_eq!(targets(&text(&expected)).unwrap(), expected);
        assert_eq!(targets(r#"{"targets":[]}"#), Ok(Vec::new()));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let told = |text: &str| targets(text).unwrap_err();
        assert!(told("assay=K minutes=4").starts_with("it is no JSON"), "{}", told("a"));
        assert!(told("[]").starts_with("it is no object"));
        assert!(told("{}").starts_with("it has no list `targets`"));
        assert_eq!(told(r#"{"targets":[],"more":1}"#), "`more` is not known; there are targets");
        let of = |inner: &str| told(&format!("{{\"targets\":[{{\"minutes\":1}},{inner}]}}"));
        assert_eq!(of(r#"{"assay":"K"}"#), "target 2: it has no `minutes`; 0 means no deadline");
        assert_eq!(of(r#"{"minutes":"4"}"#), "target 2: `minutes` is no number");
        let priority = "target 2: the priority `X` is none of S, A, R";
        assert_eq!(of(r#"{"minutes":4,"priority":"X"}"#), priority);
        let clock = "target 2: `clock` is `moon`; write wall or working";
        assert_eq!(of(r#"{"minutes":4,"clock":"moon"}"#), clock);
        assert!(of(r#"{"minutes":4,"lab_id":"b"}"#).starts_with("target 2: `lab_id` is not known"));
        assert_eq!(of(r#"{"minutes":4,"assay":1}"#), "target 2: `assay` is no text");
    }
}

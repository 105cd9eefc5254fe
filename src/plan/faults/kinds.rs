//! Arrow's types in plain words.

/// Types in a list, in plain words.
pub(crate) fn kinds_of(types: &str) -> String {
    split_types(types, ',').iter().map(|text| kind_of(text)).collect::<Vec<_>>().join(" and ")
}

/// Parts between separators that stand in no brackets.
pub(crate) fn split_types(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ if character == separator && depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + character.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

/// A type in plain words.
pub(crate) fn kind_of(data_type: &str) -> &str {
    const KINDS: &[(&str, &str)] = &[
        ("Utf8", "a text"),
        ("LargeUtf8", "a text"),
        ("String", "a text"),
        ("Int", "a whole number"),
        ("UInt", "a whole number"),
        ("Float", "a number"),
        ("Decimal", "a number"),
        ("Boolean", "a truth"),
        ("Date", "a date"),
        ("Timestamp", "an instant"),
        ("Interval", "a span of time"),
        ("Duration", "a span of time"),
        ("Null", "NULL"),
        ("Binary", "bytes"),
        ("List", "a list"),
    ];
    // `Interval` begins with `Int`, so the longest start counts.
    let known = KINDS.iter().filter(|(start, _)| data_type.starts_with(start));
    known.max_by_key(|(start, _)| start.len()).map_or(data_type, |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_in_words() {
        assert_eq!(kinds_of("Utf8, Timestamp(µs, \"UTC\")"), "a text and an instant");
        assert_eq!(kind_of("Interval(MonthDayNano)"), "a span of time");
        assert_eq!(kind_of("Int64"), "a whole number");
        assert_eq!(kind_of("Map"), "Map");
    }
}

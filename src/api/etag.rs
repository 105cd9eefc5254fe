//! Which objects decide an answer → its entity tag: objects never change, so the same names are the
//! same answer.

use xxhash_rust::xxh3::Xxh3;

use super::known::KnownTables;
use super::reading::Reading;
use super::span::FiledDays;

/// The tag of an answer: of what is asked, by whom, and of the names of the objects that decide it.
pub fn tag(reading: &Reading, asked: &[&str], tables: &[(String, FiledDays)]) -> String {
    let mut hash = Xxh3::new();
    let mut say = |text: &str| {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    say(env!("CARGO_PKG_VERSION"));
    asked.iter().for_each(|text| say(text));
    say(&format!("{:?}", reading.scope()));
    say(&known(reading.known(), tables));
    for (table, days) in tables {
        say(table);
        for object in reading.objects(table, *days) {
            say(object.meta.location.as_ref());
        }
    }
    format!("\"{:032x}\"", hash.digest128())
}

/// What is known of the tables beside the lake, which decides columns and their meanings.
fn known(known: &KnownTables, tables: &[(String, FiledDays)]) -> String {
    let known = tables.iter().map(|(table, _)| known.tables.get(table));
    format!("{:?}", known.collect::<Vec<_>>())
}

/// Whether `If-None-Match` names a tag.
pub fn matches(if_none_match: &str, tag: &str) -> bool {
    let mut named = if_none_match.split(',').map(str::trim);
    named.any(|named| named == "*" || named.strip_prefix("W/").unwrap_or(named) == tag)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn any_of_the_named_tags_matches() {
        let tag = "\"ab\"";
        for named in ["\"ab\"", "W/\"ab\"", "\"x\", \"ab\"", "*"] {
            assert!(matches(named, tag), "{named}");
        }
        for named in ["", "ab", "\"abc\"", "\"a\",\"b\""] {
            assert!(!matches(named, tag), "{named}");
        }
    }
}

//! An entity's id as the feed writes it, in a record of fixed size.

/// As many bytes as fit beside the length; longer ones are kept beside.
const SHORT: usize = 22;

/// A text of at most a few dozen bytes. Ids of laboratories are short; a longer one is kept on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityId(Kept);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kept {
    Short(u8, [u8; SHORT]),
    Long(Box<str>),
}

impl EntityId {
    /// The id of a text.
    pub fn new(text: &str) -> EntityId {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..text.len()) {
            Some(room) => {
                room.copy_from_slice(text.as_bytes());
                EntityId(Kept::Short(text.len() as u8, bytes))
            }
            None => EntityId(Kept::Long(text.into())),
        }
    }

    /// The text.
    pub fn text(&self) -> &str {
        match &self.0 {
            // Made from a whole text, so it is one.
            Kept::Short(length, bytes) => {
                std::str::from_utf8(&bytes[..*length as usize]).unwrap_or_default()
            }
            Kept::Long(text) => text,
        }
    }
}

impl Default for EntityId {
    fn default() -> EntityId {
        EntityId(Kept::Short(0, [0; SHORT]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_as_they_were() {
        for text in
            ["", "S-1", "röhrchen-000000000000", &"x".repeat(22), &"y".repeat(23), &"z".repeat(64)]
        {
            assert_eq!(EntityId::new(text).text(), text);
        }
        assert_eq!(size_of::<EntityId>(), 24);
    }
}

//! The formats of cards that a route can name.

/// What takes a route's cards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// Teams Workflows: Adaptive Card 1.4.
    #[default]
    Teams,
    /// The retired connectors of Teams: MessageCard.
    MessageCard,
    /// Slack's incoming webhooks: Block Kit.
    Slack,
    /// Plain JSON, for whatever reads it: `text` and the card's parts.
    Json,
}

/// The names that `format:` takes.
pub const FORMATS: [(&str, Channel); 3] =
    [("teams", Channel::Teams), ("slack", Channel::Slack), ("json", Channel::Json)];

impl Channel {
    /// The channel of a name in `format:`.
    pub fn named(name: &str) -> Option<Channel> {
        FORMATS.iter().find(|(format, _)| *format == name).map(|(_, channel)| *channel)
    }
}

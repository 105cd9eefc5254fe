//! A breach rule as a pipeline's YAML declares it.

use crate::flow::Span;

use super::format::Channel;

/// How serious a breach is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Severity {
    /// For the record.
    Low,
    /// Worth a look today.
    Medium,
    /// Worth a look now; never held back by quiet hours.
    High,
}

/// One alert rule over the rows of a table.
#[derive(Clone, Debug)]
pub struct AlertRule {
    /// Unique within the project.
    pub name: String,
    /// SQL predicate over the table's columns: breached while true.
    pub when: String,
    /// How long, in event time, the predicate must hold before the first card. Zero: at once.
    pub hold: Span,
    /// SQL predicate that ends the breach (hysteresis). None: ends when `when` is no longer true.
    pub until: Option<String>,
    /// The columns that name what a breach is of. None: those of the table's grain.
    pub by: Option<Vec<String>>,
    /// How serious.
    pub severity: Severity,
    /// Who looks after it.
    pub owner: Option<String>,
    /// A path or URL of what to do about it.
    pub runbook: Option<String>,
    /// Windows of the pipeline it applies to, by name; empty means all.
    pub windows: Vec<String>,
}

/// Which cards go where.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// Lab ids this route takes; empty means all.
    pub labs: Vec<String>,
    /// Severities this route takes; empty means all.
    pub severities: Vec<Severity>,
    /// Name of the environment variable that holds the webhook's URL.
    pub webhook_env: String,
    /// What the webhook takes.
    pub format: Channel,
    /// Local times of day `[from, to)` in minutes after midnight, of the lab's zone, when cards
    /// below high severity are held back. May wrap past midnight.
    pub quiet_hours: Option<(u16, u16)>,
}

/// `alerts:` of `turnaround.yaml`.
#[derive(Clone, Debug)]
pub struct AlertSettings {
    /// The routes, the first that matches takes the card.
    pub routes: Vec<Route>,
    /// A reminder after so much event time while a breach lasts.
    pub repeat: Span,
    /// What is older than this when its card is made is recorded, not posted.
    pub max_age: Span,
    /// Render and record cards, post none. Also in force while no webhook is set.
    pub dry_run: bool,
    /// Post the retired MessageCard form to Teams instead of an Adaptive Card.
    pub legacy_message_card: bool,
    /// Where the cards' button leads.
    pub link: Option<String>,
}

impl AlertSettings {
    /// What the cards of a webhook are made for, by the variable that holds it.
    pub fn channel(&self, webhook: &str) -> Channel {
        let route = self.routes.iter().find(|route| route.webhook_env == webhook);
        match route.map(|route| route.format).unwrap_or_default() {
            Channel::Teams if self.legacy_message_card => Channel::MessageCard,
            channel => channel,
        }
    }
}

impl Default for AlertSettings {
    fn default() -> AlertSettings {
        AlertSettings {
            routes: Vec::new(),
            repeat: Span(4 * Span::HOUR.0),
            max_age: Span::HOUR,
            dry_run: false,
            legacy_message_card: false,
            link: None,
        }
    }
}

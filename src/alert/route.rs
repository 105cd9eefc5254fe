//! Which webhook a card goes to, and whether it goes at all. Pure.
//!
//! The first route whose labs and severities match takes the card; without routes, one route for
//! all takes [`DEFAULT_WEBHOOK_ENV`]. Quiet hours are judged by event time (the window's end) in
//! the laboratory's zone and never hold back high severity. What they hold back is told in one
//! digest per route and laboratory once they are over; every line of it stands in `alerts/` with the
//! disposition `quiet_hours`.

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::Timestamp;

use super::card::Card;
use super::compose::{ComposedCard, digest};
use super::log::Disposition;
use super::notice::NoticeAge;
use super::rule::{AlertSettings, Route, Severity};
use super::zones::{LabZones, quiet_until};

/// The variable that holds the webhook's URL when no route names another.
pub const DEFAULT_WEBHOOK_ENV: &str = "TEAMS_WEBHOOK_URL";

/// Cards held back for one route and laboratory; beyond it they are merged into a digest early.
const HELD_LIMIT: usize = 500;

/// Chooses a route for each card and keeps what quiet hours hold back.
#[derive(Debug)]
pub struct Router {
    routes: Vec<Route>,
    dry_run: bool,
    set: BTreeSet<String>,
    zones: LabZones,
    held: BTreeMap<(String, Option<String>), HeldCards>,
}

#[derive(Debug)]
struct HeldCards {
    until: Timestamp,
    cards: Vec<Card>,
}

/// Where a card goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of it.
    pub disposition: Disposition,
    /// The webhook of its route, when it has one.
    pub webhook: Option<String>,
    /// The end of the quiet hours that hold it back.
    pub until: Option<Timestamp>,
}

impl Router {
    /// A router over the settings' routes; `set` names the webhooks whose URL is known.
    pub fn new(settings: &AlertSettings, set: BTreeSet<String>, zones: LabZones) -> Router {
        let mut routes = settings.routes.clone();
        if routes.is_empty() {
            routes.push(Route { webhook_env: DEFAULT_WEBHOOK_ENV.to_owned(), ..Route::default() });
        }
        Router { routes, dry_run: settings.dry_run, set, zones, held: BTreeMap::new() }
    }

    /// Decides about one card. What quiet hours hold back that are not over at `now` is never too old:
    /// it would have waited anyway.
    pub fn decide(&self, grouped: &ComposedCard, now: Timestamp) -> Decision {
        let unrouted = Decision { disposition: Disposition::Unrouted, webhook: None, until: None };
        let Some(first) = grouped.notices.first() else { return unrouted };
        let lab = first.group.lab();
        let severity = grouped.card.severity;
        let Some(route) = self.routes.iter().find(|route| takes(route, lab, severity)) else {
            return unrouted;
        };
        let webhook = route.webhook_env.clone();
        let until = route
            .quiet_hours
            .filter(|_| severity < Severity::High)
            .and_then(|hours| quiet_until(first.window.end, self.zones.of(lab), hours));
        let (disposition, until) = if self.dry_run || !self.set.contains(&webhook) {
            (Disposition::DryRun, None)
        } else {
            match (stale(grouped), until) {
                (None | Some(Disposition::TooOld), Some(until)) if until > now => {
                    (Disposition::QuietHours, Some(until))
                }
                (Some(stale), _) => (stale, None),
                (None, Some(until)) => (Disposition::QuietHours, Some(until)),
                (None, None) => (Disposition::Posted, None),
            }
        };
        Decision { disposition, webhook: Some(webhook), until }
    }

    /// Whether cards can be posted to this webhook.
    pub fn knows(&self, webhook: &str) -> bool {
        self.set.contains(webhook)
    }

    /// Keeps a card until quiet hours are over.
    pub fn hold(&mut self, webhook: &str, lab: Option<&str>, until: Timestamp, card: Card) {
        let place = (webhook.to_owned(), lab.map(str::to_owned));
        let held = self.held.entry(place).or_insert(HeldCards { until, cards: Vec::new() });
        held.until = held.until.max(until);
        held.cards.push(card);
        if held.cards.len() >= HELD_LIMIT {
            let cards = std::mem::take(&mut held.cards);
            held.cards.extend(digest(cards, "During quiet hours"));
        }
    }

    /// Cards that are held back, those that were merged counted as one.
    pub fn held(&self) -> usize {
        self.held.values().map(|held| held.cards.len()).sum()
    }

    /// The digests of quiet hours that are over at `at`, with their webhooks.
    pub fn release(&mut self, at: Timestamp) -> Vec<(String, Card)> {
        let over: Vec<_> = self
            .held
            .iter()
            .filter(|(_, held)| held.until <= at)
            .map(|(place, _)| place.clone())
            .collect();
        let mut digests = Vec::new();
        for place in over {
            let Some(held) = self.held.remove(&place) else { continue };
            let lab = place.1.as_deref().unwrap_or("all laboratories");
            let card = digest(held.cards, &format!("During quiet hours · {lab}"));
            digests.extend(card.map(|card| (place.0, card)));
        }
        digests
    }
}

fn takes(route: &Route, lab: Option<&str>, severity: Severity) -> bool {
    let lab_matches =
        route.labs.is_empty() || lab.is_some_and(|lab| route.labs.iter().any(|one| one == lab));
    lab_matches && (route.severities.is_empty() || route.severities.contains(&severity))
}

/// Why a card is not to be posted although a webhook is set; one fresh notice is enough to post.
fn stale(grouped: &ComposedCard) -> Option<Disposition> {
    let all = |standing| grouped.notices.iter().all(|notice| notice.standing == standing);
    let fresh = grouped.notices.iter().any(|notice| notice.standing == NoticeAge::Fresh);
    if fresh {
        None
    } else if all(NoticeAge::Unannounced) {
        Some(Disposition::Unannounced)
    } else {
        Some(Disposition::TooOld)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::compose::compose;
    use crate::alert::format::Channel;
    use crate::alert::notice::NoticeKind;
    use crate::alert::rule::AlertRule;
    use crate::alert::samples::{at, notice, rule, zones};

    use std::sync::Arc;

    fn grouped(lab: &str, severity: Severity, standing: NoticeAge) -> ComposedCard {
        let mut notice = notice(NoticeKind::Begin, [Some(lab), Some("K"), Some("S")], 90.0);
        notice.rule = Arc::new(AlertRule { severity, ..rule("r") });
        notice.standing = standing;
        compose(vec![notice], &zones(), None).remove(0)
    }

    fn router(routes: Vec<Route>, set: &[&str]) -> Router {
        let settings = AlertSettings { routes, ..AlertSettings::default() };
        Router::new(&settings, set.iter().map(|name| (*name).to_owned()).collect(), zones())
    }

    fn route(labs: &[&str], severities: &[Severity], webhook_env: &str) -> Route {
        Route {
            labs: labs.iter().map(|lab| (*lab).to_owned()).collect(),
            severities: severities.to_vec(),
            webhook_env: webhook_env.to_owned(),
            format: Channel::Teams,
            quiet_hours: None,
        }
    }

    #[test]
    fn the_first_route_that_matches_takes_the_card() {
        let routes = vec![
            route(&["LAB-1"], &[Severity::High], "A"),
            route(&["LAB-1"], &[], "B"),
            route(&["LAB-2"], &[], "C"),
        ];
        let router = router(routes, &["A", "B"]);
        let decide = |lab, severity| {
            let decision = router.decide(&grouped(lab, severity, NoticeAge::Fresh), at(0));
            (decision.disposition, decision.webhook)
        };
        let to = |name: &str| Some(name.to_owned());
        assert_eq!(decide("LAB-1", Severity::High), (Disposition::Posted, to("A")));
        assert_eq!(decide("LAB-1", Severity::Low), (Disposition::Posted, to("B")));
        assert_eq!(decide("LAB-2", Severity::Low), (Disposition::DryRun, to("C")));
        assert_eq!(decide("LAB-3", Severity::Low), (Disposition::Unrouted, None));
    }

    #[test]
    fn without_routes_the_default_webhook_takes_all_or_it_is_a_dry_run() {
        let card = grouped("LAB-1", Severity::Low, NoticeAge::Fresh);
        let posted = router(Vec::new(), &[DEFAULT_WEBHOOK_ENV]).decide(&card, at(0));
        assert_eq!(posted.disposition, Disposition::Posted);
        let dry = router(Vec::new(), &[]).decide(&card, at(0));
        assert_eq!(dry.disposition, Disposition::DryRun);
    }

    #[test]
    fn stale_cards_are_not_posted_but_shown_in_dry_run() {
        let live = router(Vec::new(), &[DEFAULT_WEBHOOK_ENV]);
        for (standing, expected) in [
            (NoticeAge::TooOld, Disposition::TooOld),
            (NoticeAge::Unannounced, Disposition::Unannounced),
        ] {
            let card = grouped("LAB-1", Severity::High, standing);
            assert_eq!(live.decide(&card, at(0)).disposition, expected);
            let dry = router(Vec::new(), &[]).decide(&card, at(0));
            assert_eq!(dry.disposition, Disposition::DryRun);
        }
    }

    #[test]
    fn quiet_hours_hold_back_all_but_high_severity_and_end_in_one_digest() {
        // The window of the samples ends at 12:00 UTC, 13:00 in Berlin (LAB-1).
        let lunch = Route { quiet_hours: Some((780, 840)), ..route(&[], &[], "A") };
        let mut router = router(vec![lunch], &["A"]);
        let mut decide = |lab, severity, standing, now| {
            let grouped = grouped(lab, severity, standing);
            let decision = router.decide(&grouped, at(now));
            if let (Some(webhook), Some(until)) = (&decision.webhook, decision.until) {
                router.hold(webhook, Some(lab), until, grouped.card);
            }
            decision.disposition
        };
        let fresh = NoticeAge::Fresh;
        assert_eq!(decide("LAB-1", Severity::Low, fresh, 0), Disposition::QuietHours);
        // Seen late, after a stop: it is held while the quiet hours last, and else too old.
        assert_eq!(decide("LAB-1", Severity::Low, NoticeAge::TooOld, 59), Disposition::QuietHours);
        assert_eq!(decide("LAB-1", Severity::Low, NoticeAge::TooOld, 60), Disposition::TooOld);
        let unannounced = NoticeAge::Unannounced;
        assert_eq!(decide("LAB-1", Severity::Low, unannounced, 0), Disposition::Unannounced);
        assert_eq!(decide("LAB-1", Severity::High, fresh, 0), Disposition::Posted);
        assert_eq!(decide("LAB-2", Severity::Low, fresh, 0), Disposition::Posted);
        assert_eq!(router.held(), 2);
        assert!(router.release(at(59)).is_empty());
        let released = router.release(at(60));
        assert_eq!(released.len(), 1);
        assert_eq!(released[0].0, "A");
        assert_eq!(released[0].1.title, "During quiet hours · LAB-1: 2 alerts");
        assert!(router.release(at(600)).is_empty());
    }
}

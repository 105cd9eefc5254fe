//! Delivery against a webhook on this machine.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;

use crate::clock::{Clock, ManualClock};

use super::card::{Card, CardItem};
use super::catcher::{Catcher, SECRET, Scripted, says};
use super::delivery::{CardDelivery, DeliveryReport};
use super::format::Channel;
use super::pace::Tempo;
use super::samples::{at, numbered};
use super::webhook::{Poster, Webhook, WebhookReach};

/// A tempo for tests: no wait but those under test.
fn quick() -> Tempo {
    Tempo {
        gap: Duration::from_millis(10),
        slow_gap: Duration::from_millis(10),
        burst: 1000,
        most: 1000,
        backoff: Duration::from_millis(20),
        timeout: Duration::from_millis(500),
        ..Tempo::default()
    }
}

fn delivery_to(url: &SecretString, tempo: Tempo, channel: Channel) -> CardDelivery {
    let webhook = Webhook::new("HOOK", url, channel, WebhookReach::Private).unwrap();
    let poster = Poster::new(WebhookReach::Private, tempo.timeout).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(at(0)));
    CardDelivery::start(vec![webhook], &poster, tempo, &clock, None)
}

async fn deliver(catcher: &Catcher, cards: Vec<Card>, tempo: Tempo) -> DeliveryReport {
    let delivery = delivery_to(&catcher.url(), tempo, Channel::Teams);
    for card in cards {
        assert!(delivery.push("HOOK", card));
    }
    delivery.drain(Duration::from_secs(20)).await
}

fn delivered(cards: u64, retries: u64) -> DeliveryReport {
    DeliveryReport { delivered: cards, retries, ..DeliveryReport::default() }
}

#[tokio::test]
async fn after_429_and_500_a_card_is_delivered_once_and_before_the_next() {
    let later = Scripted::Says(429, Some("1".to_owned()), String::new());
    let catcher = Catcher::start([later, says(500), says(202)]).await;
    let report = deliver(&catcher, vec![numbered(1), numbered(2)], quick()).await;
    assert_eq!(report, delivered(2, 2));
    assert_eq!(catcher.titles(), ["card 1", "card 1", "card 1", "card 2"]);
    let times: Vec<Instant> = catcher.caught().iter().map(|one| one.at).collect();
    assert!(times[1] - times[0] >= Duration::from_secs(1), "Retry-After was not honoured");
    assert!(times[2] - times[1] < Duration::from_secs(1), "a 500 waits for the back-off only");
    assert!(times[2] - times[1] >= Duration::from_millis(40), "the second back-off is doubled");
}

#[tokio::test]
async fn retry_after_as_a_date_is_seen_from_the_clock_and_capped() {
    // The clock stands at 2026-03-01T12:00:00Z.
    let date = Some("Sun, 01 Mar 2026 12:00:01 GMT".to_owned());
    let far = Some("86400".to_owned());
    let catcher = Catcher::start([
        Scripted::Says(503, date, String::new()),
        Scripted::Says(429, far, String::new()),
    ])
    .await;
    let tempo = Tempo { longest_asked: Duration::from_millis(1500), ..quick() };
    let report = deliver(&catcher, vec![numbered(1)], tempo).await;
    assert_eq!(report, delivered(1, 2));
    let times: Vec<Instant> = catcher.caught().iter().map(|one| one.at).collect();
    assert!(times[1] - times[0] >= Duration::from_secs(1));
    assert!(times[2] - times[1] >= Duration::from_millis(1500));
    assert!(times[2] - times[1] < Duration::from_secs(5));
}

#[tokio::test]
async fn a_400_is_not_tried_again_and_the_next_card_goes_on() {
    let catcher = Catcher::start([says(400)]).await;
    let report = deliver(&catcher, vec![numbered(1), numbered(2)], quick()).await;
    assert_eq!(report, DeliveryReport { refused: 1, ..delivered(1, 0) });
    assert_eq!(catcher.titles(), ["card 1", "card 2"]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let catcher = Catcher::start([says(307)]).await;
    let report = deliver(&catcher, vec![numbered(1)], quick()).await;
    assert_eq!(report, DeliveryReport { refused: 1, ..DeliveryReport::default() });
    assert_eq!(catcher.caught().len(), 1);
}

#[tokio::test]
async fn no_answer_times_out_and_is_tried_again() {
    let catcher = Catcher::start([Scripted::Hangs(Duration::from_secs(30))]).await;
    let tempo = Tempo { timeout: Duration::from_millis(200), ..quick() };
    let report = deliver(&catcher, vec![numbered(1)], tempo).await;
    assert_eq!(report, delivered(1, 1));
    let times: Vec<Instant> = catcher.caught().iter().map(|one| one.at).collect();
    assert!(times[1] - times[0] >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_413_shrinks_the_card_once() {
    let items = vec![CardItem { rank: 0, text: "a line of a list".to_owned() }; 1_000];
    let large = Card { items, ..numbered(1) };
    let catcher = Catcher::start([says(413), says(202), says(413), says(413)]).await;
    let cards = vec![large.clone(), Card { title: "second".to_owned(), ..large }];
    let report = deliver(&catcher, cards, quick()).await;
    assert_eq!(report, DeliveryReport { refused: 1, ..delivered(1, 0) });
    let lengths: Vec<usize> = catcher.caught().iter().map(|one| one.len).collect();
    assert_eq!(lengths.len(), 4);
    assert!(lengths[0] > 19_000 && lengths[0] <= 20_000);
    assert!(lengths[1] <= lengths[0] / 2 && lengths[1] > lengths[0] / 2 - 200);
}

#[tokio::test]
async fn an_error_under_200_is_tried_again_and_a_legacy_card_is_taken_by_1() {
    let hidden = "Microsoft Teams endpoint returned HTTP error 429 with ContextId 1".to_owned();
    let catcher = Catcher::start([
        Scripted::Says(200, None, hidden),
        Scripted::Says(200, None, "1".to_owned()),
    ])
    .await;
    let delivery = delivery_to(&catcher.url(), quick(), Channel::MessageCard);
    delivery.push("HOOK", numbered(1));
    let report = delivery.drain(Duration::from_secs(20)).await;
    assert_eq!(report, delivered(1, 1));
    assert_eq!(catcher.titles(), ["card 1", "card 1"]);
    assert_eq!(catcher.caught()[0].json["@type"], "MessageCard");
}

#[tokio::test]
async fn beyond_the_burst_what_waits_becomes_one_digest() {
    let catcher = Catcher::start([]).await;
    let tempo = Tempo { burst: 3, slow_gap: Duration::from_millis(300), ..quick() };
    let delivery = delivery_to(&catcher.url(), tempo, Channel::Teams);
    for number in 0..20 {
        delivery.push("HOOK", numbered(number));
    }
    while delivery.waiting() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let report = delivery.drain(Duration::from_secs(1)).await;
    assert_eq!(report, DeliveryReport { merged: 17, ..delivered(4, 0) });
    assert_eq!(catcher.titles(), ["card 0", "card 1", "card 2", "Several at once: 17 alerts"]);
    let times: Vec<Instant> = catcher.caught().iter().map(|one| one.at).collect();
    assert!(times[3] - times[2] >= Duration::from_millis(300));
}

#[tokio::test]
async fn after_ten_failed_attempts_what_waits_is_merged() {
    let catcher = Catcher::start(vec![says(500); 10]).await;
    let tempo = Tempo { longest_backoff: Duration::from_millis(20), ..quick() };
    let report = deliver(&catcher, vec![numbered(1), numbered(2)], tempo).await;
    assert_eq!(report, DeliveryReport { merged: 2, ..delivered(1, 10) });
    assert_eq!(catcher.titles().last().unwrap(), "Several at once: 2 alerts");
}

#[tokio::test]
async fn what_is_not_delivered_at_the_deadline_is_reported() {
    let later = Scripted::Says(429, Some("60".to_owned()), String::new());
    let catcher = Catcher::start([later]).await;
    let delivery = delivery_to(&catcher.url(), quick(), Channel::Teams);
    delivery.push("HOOK", numbered(1));
    let started = Instant::now();
    let report = delivery.drain(Duration::from_secs(5)).await;
    assert_eq!(report.undelivered, [format!("card 1 [{}]", numbered(1).id)]);
    assert_eq!(report.delivered, 0);
    assert!(started.elapsed() < Duration::from_secs(4), "it does not sit out a wait in vain");
}

/// A place that log lines are written to.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_address_is_in_no_log_line_whatever_goes_wrong() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // On the runtime of one thread every task logs to the subscriber of this thread.
    let guard = tracing::subscriber::set_default(subscriber);
    let echo = format!("no flow {SECRET} at /workflows/{SECRET}/run?sig={SECRET}");
    let catcher = Catcher::start([
        Scripted::Says(500, None, echo.clone()),
        Scripted::Hangs(Duration::from_secs(30)),
        Scripted::Says(400, None, echo),
    ])
    .await;
    let report = deliver(&catcher, vec![numbered(1), numbered(2)], quick()).await;
    let gone = "http://127.0.0.1:9/workflows/sig-0f1e2d3c4b5a".into();
    let delivery = delivery_to(&gone, quick(), Channel::Teams);
    delivery.push("HOOK", numbered(3));
    let shown = format!("{delivery:?}");
    let unreached = delivery.drain(Duration::from_millis(300)).await;
    drop(guard);
    assert_eq!((report.refused, report.delivered, report.retries), (1, 1, 2));
    assert_eq!(unreached.undelivered.len(), 1);
    let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    // Not each of them: whether a line is logged at all is cached for the whole process, and tests
    // beside this one may have asked first.
    let sentences = ["it will be tried again", "card refused", "card delivered", "not delivered"];
    assert!(sentences.iter().any(|sentence| logged.contains(sentence)), "nothing was logged");
    for line in logged.lines() {
        assert!(!line.contains(SECRET) && !line.contains("/workflows"), "{line}");
    }
    assert!(!shown.contains(SECRET), "{shown}");
}

#[tokio::test]
async fn slack_and_plain_json_are_delivered_as_their_readers_want_them() {
    for (channel, headline) in [(Channel::Slack, "/blocks/0/text/text"), (Channel::Json, "/title")]
    {
        let catcher = Catcher::start(vec![says(503), says(200)]).await;
        let delivery = delivery_to(&catcher.url(), quick(), channel);
        let card = numbered(1);
        let title = card.title.clone();
        assert!(delivery.push("HOOK", card));
        let report = delivery.drain(Duration::from_secs(5)).await;
        assert_eq!((report.delivered, report.retries), (1, 1), "{channel:?}");
        let caught = catcher.caught();
        assert_eq!(caught.len(), 2);
        assert_eq!(caught[1].json.pointer(headline).unwrap(), title.as_str());
        assert!(caught[1].json["text"].is_string());
    }
}

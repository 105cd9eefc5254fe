//! A webhook: its secret address, and one POST to it.
//!
//! Invariant: the URL appears in no error, no log line and no Debug print; what a webhook said is
//! scrubbed of it. Only https and public addresses are reached, unless private ones are allowed.
//! Redirects are not followed, no proxy is taken from the environment, the answer is read up to
//! a limit.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::answer::{Answer, AttemptVerdict};
use super::format::Channel;

/// What is read of an answer; Teams says what it has to say in the first line.
const ANSWER_LIMIT: usize = 16 * 1024;
/// What is shown of an answer.
const SAID_CHARS: usize = 300;
/// Parts of the address at least this long are taken out of what is shown.
const SECRET_PART_LEN: usize = 8;

/// Which addresses a webhook may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WebhookReach {
    /// https to public addresses.
    #[default]
    Public,
    /// Also http, loopback, private and link-local ones: a catcher on this machine, a relay within
    /// the company (`TURNAROUND_WEBHOOK_ALLOW_PRIVATE`).
    Private,
}

/// Why an address cannot be a webhook. Never holds the address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// Not a URL.
    #[error(
        "`{name}` does not hold a URL: write the whole address of the webhook, from https:// on"
    )]
    NotAUrl {
        /// The variable that holds it.
        name: String,
    },
    /// Not https.
    #[error(
        "the webhook in `{name}` is not https; for a catcher on this machine set TURNAROUND_WEBHOOK_ALLOW_PRIVATE=1"
    )]
    NotHttps {
        /// The variable that holds it.
        name: String,
    },
    /// A loopback, private or link-local address.
    #[error(
        "the webhook in `{name}` is a loopback, private or link-local address; if that is meant set TURNAROUND_WEBHOOK_ALLOW_PRIVATE=1"
    )]
    Private {
        /// The variable that holds it.
        name: String,
    },
    /// The HTTP client could not be made.
    #[error("could not make the HTTP client for webhooks: {0}")]
    Client(String),
}

/// A webhook that cards can be posted to.
#[derive(Clone, Debug)]
pub struct Webhook {
    name: Arc<str>,
    url: SecretString,
    channel: Channel,
}

impl Webhook {
    /// Checks the address that the variable `name` holds, of a webhook that takes what `channel` makes.
    pub fn new(
        name: &str,
        url: &SecretString,
        channel: Channel,
        reach: WebhookReach,
    ) -> Result<Webhook, WebhookError> {
        let text = url.expose_secret().trim();
        let name = || name.to_owned();
        let parsed = Url::parse(text).map_err(|_| WebhookError::NotAUrl { name: name() })?;
        let Some(host) = parsed.host() else {
            return Err(WebhookError::NotAUrl { name: name() });
        };
        match (parsed.scheme(), reach) {
            ("https", _) | ("http", WebhookReach::Private) => {}
            (_, WebhookReach::Public | WebhookReach::Private) => {
                return Err(WebhookError::NotHttps { name: name() });
            }
        }
        if reach == WebhookReach::Public && is_private_host(&host) {
            return Err(WebhookError::Private { name: name() });
        }
        Ok(Webhook { name: name().into(), url: text.into(), channel })
    }

    /// The name of the variable that holds the address: all that is ever shown of a webhook.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its cards are made for.
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// `text` without the address and its longer parts.
    fn scrub(&self, text: &str) -> String {
        let url = self.url.expose_secret();
        let mut clean = text.replace(url, "[webhook]");
        let mut parts: Vec<String> =
            url.split(['/', '?', '&', '=', '#']).map(str::to_owned).collect();
        if let Ok(parsed) = Url::parse(url) {
            parts.extend(parsed.query_pairs().map(|(_, value)| value.into_owned()));
        }
        parts.retain(|part| part.len() >= SECRET_PART_LEN);
        parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
        for part in parts {
            clean = clean.replace(&part, "[…]");
        }
        clean.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID_CHARS).collect()
    }
}

/// Posts cards.
#[derive(Clone, Debug)]
pub struct Poster {
    client: reqwest::Client,
}

/// What came of one POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What is to be done.
    pub verdict: AttemptVerdict,
    /// Status and what the webhook said, or what went wrong; without the address.
    pub said: String,
}

impl Poster {
    /// A client that gives up an attempt after `timeout`.
    pub fn new(reach: WebhookReach, timeout: Duration) -> Result<Poster, WebhookError> {
        // HTTP/1 alone: the HTTP/2 client traces frames with what is in them.
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .referer(false)
            .timeout(timeout)
            .user_agent(concat!("turnaround/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(AddressResolver { reach }))
            .build()
            .map_err(|error| WebhookError::Client(error.without_url().to_string()))?;
        Ok(Poster { client })
    }

    /// Posts `body` once and judges the answer.
    pub async fn post(&self, webhook: &Webhook, body: String) -> Reply {
        match self.exchange(webhook, body).await {
            Ok(answer) => {
                let said = format!("{} {}", answer.status, answer.body.trim());
                Reply {
                    verdict: webhook.channel.judge(&answer),
                    said: webhook.scrub(said.trim_end()),
                }
            }
            // A name that cannot be looked up, or that stands for private addresses alone, may stand
            // for others in a minute; nothing is sent to these meanwhile.
            Err(error) => {
                let verdict = match error.is_builder() {
                    true => AttemptVerdict::Refused,
                    false => AttemptVerdict::Again { after: None },
                };
                let said: Vec<String> =
                    causes(&error.without_url()).map(ToString::to_string).collect();
                Reply { verdict, said: webhook.scrub(&said.join(": ")) }
            }
        }
    }

    async fn exchange(&self, webhook: &Webhook, body: String) -> Result<Answer, reqwest::Error> {
        let mut response = self
            .client
            .post(webhook.url.expose_secret())
            .header(CONTENT_TYPE, "application/json")
            .body(body)
            .send()
            .await?;
        let status = response.status().as_u16();
        let header = response.headers().get(RETRY_AFTER);
        let retry_after = header.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut bytes: Vec<u8> = Vec::new();
        while bytes.len() < ANSWER_LIMIT {
            let Some(chunk) = response.chunk().await? else { break };
            let room = ANSWER_LIMIT - bytes.len();
            bytes.extend(chunk.iter().take(room));
        }
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Answer { status, retry_after, body })
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// A name that stands for an address that may not be reached.
#[derive(Debug, thiserror::Error)]
#[error("the webhook's name stands for a loopback, private or link-local address only")]
struct PrivateAddress;

/// Looks names up and leaves out the addresses that may not be reached.
struct AddressResolver {
    reach: WebhookReach,
}

impl Resolve for AddressResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.reach;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found
                .filter(|address| reach == WebhookReach::Private || !is_private(address.ip()))
                .collect();
            if allowed.is_empty() {
                return Err(PrivateAddress.into());
            }
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

fn is_private_host(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(address) => is_private(IpAddr::V4(*address)),
        Host::Ipv6(address) => is_private(IpAddr::V6(*address)),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

/// Whether an address is not one of the public Internet.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
        || address.is_documentation()
        || matches!((a, b, c), (0, ..) | (100, 64..=127, _) | (192, 0, 0) | (198, 18..=19, _))
        || a >= 240
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, .., high, low] = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([p, q], [r, s]) = (high.to_be_bytes(), low.to_be_bytes());
        is_private_v4(Ipv4Addr::new(p, q, r, s))
    };
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || address.to_ipv4_mapped().is_some_and(is_private_v4)
        || (a == 0x64 && b == 0xff9b && embedded(high, low))
        || (a == 0x2002 && embedded(b, c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, reach: WebhookReach) -> Result<Webhook, WebhookError> {
        Webhook::new("HOOK", &SecretString::from(url), Channel::Teams, reach)
    }

    #[test]
    fn only_https_to_public_addresses_unless_private_ones_are_allowed() {
        assert!(
            check("https://prod-1.logic.azure.com:443/workflows/x?sig=y", WebhookReach::Public)
                .is_ok()
        );
        let not_https = WebhookError::NotHttps { name: "HOOK".to_owned() };
        for url in ["http://example.com/x", "ftp://example.com/x", "file:///etc/passwd"] {
            assert!(check(url, WebhookReach::Public).is_err(), "{url}");
        }
        assert_eq!(check("http://example.com/x", WebhookReach::Public).unwrap_err(), not_https);
        assert!(check("ftp://127.0.0.1/x", WebhookReach::Private).is_err());
        for host in [
            "127.0.0.1",
            "localhost",
            "a.localhost",
            "localhost.",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "2130706433",
            "0x7f.1",
            "[::1]",
            "[fe80::1]",
            "[fd00::1]",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[::]",
        ] {
            let url = format!("https://{host}/x");
            let private = WebhookError::Private { name: "HOOK".to_owned() };
            assert_eq!(check(&url, WebhookReach::Public).unwrap_err(), private, "{host}");
            assert!(check(&url, WebhookReach::Private).is_ok(), "{host}");
        }
        assert!(check("https://[2606:4700::1111]/x", WebhookReach::Public).is_ok());
        assert!(check("https://8.8.8.8/x", WebhookReach::Public).is_ok());
        assert!(check("http://127.0.0.1:9/x", WebhookReach::Private).is_ok());
    }

    #[test]
    fn neither_debug_nor_errors_nor_what_was_said_show_the_address() {
        let url =
            "https://hooks.example/workflows/abcdefghijkl/run?api-version=1&sig=S3cr%20etValue";
        let webhook = check(url, WebhookReach::Public).unwrap();
        let shown = format!("{webhook:?}");
        assert!(shown.contains("HOOK"), "{shown}");
        for secret in ["S3cr", "abcdefghijkl", "hooks.example"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        let said = format!("no flow at {url}, sig S3cr etValue, workflow abcdefghijkl");
        let clean = webhook.scrub(&said);
        assert_eq!(clean, "no flow at [webhook], sig […], workflow […]");
        for wrong in ["not a url with-S3cret", "https://", "http://S3cret.example/"] {
            let error = check(wrong, WebhookReach::Public).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("S3cret"));
        }
    }

    #[tokio::test]
    async fn a_name_that_stands_for_a_private_address_is_refused_when_it_is_looked_up() {
        let name = || "localhost".parse::<Name>().unwrap();
        let refused =
            AddressResolver { reach: WebhookReach::Public }.resolve(name()).await.err().unwrap();
        assert!(refused.is::<PrivateAddress>());
        assert!(AddressResolver { reach: WebhookReach::Private }.resolve(name()).await.is_ok());
    }

    #[tokio::test]
    async fn a_name_that_for_a_moment_stands_for_private_addresses_alone_is_tried_again() {
        let webhook = check("https://localhost:9/hook", WebhookReach::Private).unwrap();
        let poster = Poster::new(WebhookReach::Public, Duration::from_secs(5)).unwrap();
        let reply = poster.post(&webhook, "{}".to_owned()).await;
        assert_eq!(reply.verdict, AttemptVerdict::Again { after: None });
        assert!(reply.said.contains("private"), "{}", reply.said);
    }
}

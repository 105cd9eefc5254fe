//! `test-alert`: posts one card that says that it is a trial, and tells what the webhook said.
//!
//! Posts once: no retry hides what the webhook answers. The address is never printed.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;

use crate::alert::answer::AttemptVerdict;
use crate::alert::card::BODY_LIMIT;
use crate::alert::compose::test_card;
use crate::alert::format::{Channel, FORMATS};
use crate::alert::pace::Tempo;
use crate::alert::webhook::{Poster, Webhook, WebhookReach};
use crate::clock::{Clock, SystemClock};
use crate::config::env::{Env, WEBHOOK};

use super::WrongInput;

/// The command's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The environment variable that holds the webhook's URL (or, with `_FILE` behind its name, a
    /// file that does).
    #[arg(long, value_name = "NAME", default_value = WEBHOOK)]
    webhook_env: String,
    /// Print the card's JSON and post nothing.
    #[arg(long)]
    dry_run: bool,
    /// What the webhook takes, as `format` of a route has it.
    #[arg(long, value_name = "FORMAT", default_value = "teams", value_parser = format_of)]
    format: Channel,
    /// Post the retired MessageCard form of Teams.
    #[arg(long)]
    legacy: bool,
}

fn format_of(name: &str) -> Result<Channel, String> {
    let known: Vec<&str> = FORMATS.iter().map(|(format, _)| *format).collect();
    Channel::named(name)
        .ok_or_else(|| format!("there is no format `{name}`; write one of {}", known.join(", ")))
}

/// Runs the command.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    trial(&args, &Env::from_process(), &SystemClock, &mut std::io::stdout()).await?;
    Ok(ExitCode::SUCCESS)
}

async fn trial(
    args: &Args,
    env: &Env,
    clock: &dyn Clock,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let channel = if args.legacy { Channel::MessageCard } else { args.format };
    let card = test_card(clock.now(), None);
    let json = channel.render(&card, BODY_LIMIT);
    if args.dry_run {
        return writeln!(out, "{json}").context("could not print the card");
    }
    let name = args.webhook_env.as_str();
    let webhook = webhook(name, channel, env)?;
    let reach = reach(env);
    let poster = Poster::new(reach, Tempo::default().timeout)?;
    let reply = poster.post(&webhook, json).await;
    let id = &card.id;
    match reply.verdict {
        AttemptVerdict::Taken => writeln!(
            out,
            "the webhook in `{name}` has taken card {id} ({}); 202 means queued: look for the card in \
             the channel",
            reply.said
        )
        .context("could not print the outcome"),
        AttemptVerdict::Again { .. } => anyhow::bail!(
            "the webhook in `{name}` did not take the card: {}; it may be a passing trouble, try \
             again in a few minutes",
            reply.said
        ),
        AttemptVerdict::TooLarge | AttemptVerdict::Refused => anyhow::bail!(
            "the webhook in `{name}` refused the card: {}; compare its URL with the one that the \
             channel shows, see that its flow is on, and that the format is the channel's",
            reply.said
        ),
    }
}

fn reach(env: &Env) -> WebhookReach {
    if env.webhook_allow_private { WebhookReach::Private } else { WebhookReach::Public }
}

fn webhook(name: &str, channel: Channel, env: &Env) -> Result<Webhook, WrongInput> {
    let url = env.webhook(name).map_err(|fault| WrongInput(fault.to_string()))?;
    let url = url.ok_or_else(|| {
        WrongInput(format!(
            "no webhook is set: put the URL into the environment variable `{name}`, or its file's \
             path into `{name}_FILE`, or see the card with --dry-run"
        ))
    })?;
    Webhook::new(name, &url, channel, reach(env)).map_err(|error| WrongInput(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    use secrecy::ExposeSecret;
    use serde_json::Value;

    use crate::alert::catcher::{Catcher, SECRET, Scripted, says};
    use crate::clock::ManualClock;
    use crate::flow::Timestamp;

    fn args(dry_run: bool, legacy: bool) -> Args {
        Args { webhook_env: "HOOK".to_owned(), dry_run, legacy, format: Channel::Teams }
    }

    fn env(url: &str, allow_private: &str) -> Env {
        let pairs = [("HOOK", url), ("TURNAROUND_WEBHOOK_ALLOW_PRIVATE", allow_private)];
        Env::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())))
    }

    async fn attempt(args: &Args, env: &Env) -> (anyhow::Result<()>, String) {
        let clock = ManualClock::at(Timestamp(1_772_366_400_000_000));
        let mut out = Vec::new();
        let outcome = trial(args, env, &clock, &mut out).await;
        (outcome, String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn dry_run_prints_the_card_and_needs_no_webhook() {
        let (outcome, out) = attempt(&args(true, false), &env("", "")).await;
        outcome.unwrap();
        let card: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(card["attachments"][0]["content"]["version"], "1.4");
        let (_, out) = attempt(&args(true, true), &env("", "")).await;
        let card: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(card["@type"], "MessageCard");
        assert!(card["title"].as_str().unwrap().starts_with("TEST"));
    }

    #[tokio::test]
    async fn without_a_webhook_or_with_a_forbidden_one_the_input_is_wrong() {
        let catcher = Catcher::start([]).await;
        for url in ["", catcher.url().expose_secret()] {
            let (outcome, out) = attempt(&args(false, false), &env(url, "")).await;
            let error = outcome.unwrap_err();
            assert!(error.is::<WrongInput>(), "{error:#}");
            assert!(!format!("{error:#} {error:?} {out}").contains(SECRET));
        }
        assert!(catcher.caught().is_empty());
    }

    #[tokio::test]
    async fn a_taken_card_is_reported_and_a_refused_one_fails_with_what_was_said() {
        let echo = format!("no such flow: {SECRET}");
        let catcher = Catcher::start([says(202), Scripted::Says(404, None, echo), says(503)]).await;
        let env = env(catcher.url().expose_secret(), "1");
        let (outcome, out) = attempt(&args(false, false), &env).await;
        outcome.unwrap();
        assert!(out.contains("has taken card") && out.contains("202"), "{out}");
        for said in ["404 no such flow", "503"] {
            let (outcome, out) = attempt(&args(false, false), &env).await;
            let error = outcome.unwrap_err();
            assert!(!error.is::<WrongInput>());
            assert!(error.to_string().contains(said), "{error:#}");
            assert!(!format!("{error:#} {error:?} {out}").contains(SECRET));
        }
        assert_eq!(catcher.caught().len(), 3);
    }
}

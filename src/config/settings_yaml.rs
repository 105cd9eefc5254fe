//! `turnaround.yaml` into [`Settings`]: every key of `docs/operations.md`, each optional.

use std::net::SocketAddr;

use secrecy::SecretString;

use crate::alert::format::{Channel, FORMATS};
use crate::alert::rule::Route;

use super::decode::{Fields, NamedNode};
use super::env::{Env, HOURS_REMEDY, valid_hours};
use super::fault::{Fault, Faults, quoted};
use super::settings::{Settings, SourceSpec, Wrong, address, lab_id, location};
use super::values::{byte_count, hours_range, severity};
use super::yaml::{Document, YamlValue};

/// The lake's prefixes that can have a retention.
const PREFIXES: &[&str] =
    &["tables", "live", "events", "late", "dead_letters", "quality", "alerts"];

/// Settings of librdkafka that would break the book of offsets or have a key of their own.
const KAFKA_REFUSED: &[(&str, &str)] = &[
    ("bootstrap.servers", "write it as `kafka.brokers`"),
    ("metadata.broker.list", "write it as `kafka.brokers`"),
    ("group.id", "write it as `kafka.group`"),
    ("enable.auto.commit", "remove it: offsets are committed after what they stand for is stored"),
    ("enable.auto.offset.store", "remove it: offsets are stored by the stream itself"),
];

/// Keys that are read and checked, and that no stage acts on yet.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("checkpoint", "state lives in memory until checkpoints exist"),
    ("retention", "nothing is deleted until retention exists"),
];

/// Reads a document over the defaults in `settings`.
pub(crate) fn read(document: &Document, env: &Env, settings: &mut Settings, faults: &mut Faults) {
    let root = NamedNode::root(document);
    if root.is_null() {
        return;
    }
    let Some(mut fields) = root.fields(faults, "settings, as `lake: turnaround-lake`") else {
        return;
    };
    places(&mut fields, settings, faults);
    if let Some(value) = fields.take("sla_hours") {
        match value.number::<f64>(faults, "a number of hours") {
            Some(hours) if valid_hours(hours) => settings.sla_hours = hours,
            Some(_) => value.wrong(faults, "is out of range", HOURS_REMEDY),
            None => {}
        }
    }
    if let Some(value) = fields.take("kafka") {
        kafka(&value, env, settings, faults);
    }
    if let Some(value) = fields.take("time") {
        time(&value, settings, faults);
    }
    if let Some(value) = fields.take("alerts") {
        alerts(&value, env, settings, faults);
    }
    for (key, reason) in WITHOUT_EFFECT {
        let Some(value) = fields.take(key) else { continue };
        let what = format!("`{key}` has no effect yet");
        settings.notes.push(Fault::at(&document.file, value.at(), what, *reason));
        match *key {
            "checkpoint" => checkpoint(&value, settings, faults),
            _ => retention(&value, settings, faults),
        }
    }
    fields.finish(faults);
}

/// Where things come from and go to.
fn places(fields: &mut Fields<'_>, settings: &mut Settings, faults: &mut Faults) {
    if let Some(source) = checked(fields.take("source"), SourceSpec::parse, faults) {
        settings.source = Some(source);
    }
    let place = |text: &str| location(text).map(|()| text.to_owned());
    if let Some(lake) = checked(fields.take("lake"), place, faults) {
        settings.lake = lake;
    }
    let patience = fields.take("lake_patience");
    if let Some(span) = patience.and_then(|value| value.positive_span(faults)) {
        settings.lake_patience = span;
    }
    settings.dead_letters = checked(fields.take("dead_letters"), place, faults);
    let lab = |text: &str| lab_id(text).map(|()| text.to_owned());
    settings.default_lab = checked(fields.take("default_lab"), lab, faults);
    settings.memory = checked(fields.take("memory"), |text| size(text, "2GB"), faults);
    settings.listen = checked::<SocketAddr>(fields.take("listen"), address, faults);
}

/// A text that `read` accepts.
fn checked<T>(
    value: Option<NamedNode<'_>>,
    read: impl Fn(&str) -> Result<T, Wrong>,
    faults: &mut Faults,
) -> Option<T> {
    let value = value?;
    match read(value.text(faults, "a text, or remove the key")?) {
        Ok(read) => Some(read),
        Err((what, remedy)) => {
            value.wrong(faults, &what, remedy);
            None
        }
    }
}

fn kafka(value: &NamedNode<'_>, env: &Env, settings: &mut Settings, faults: &mut Faults) {
    let Some(mut fields) = value.fields(faults, "{ brokers, group, options }") else { return };
    if let Some(value) = fields.take("brokers") {
        let items = value.one_or_more(faults, "broker:9092").unwrap_or_default();
        let brokers: Vec<&str> =
            items.iter().filter_map(|item| item.text(faults, "broker:9092")).collect();
        settings.kafka.brokers = Some(brokers.join(",")).filter(|brokers| !brokers.is_empty());
    }
    if let Some(group) = fields.take("group").and_then(|value| value.text(faults, "turnaround")) {
        settings.kafka.group = group.to_owned();
    }
    if let Some(value) = fields.take("options") {
        for entry in value.map(faults, "{ security.protocol: SASL_SSL }").unwrap_or_default() {
            let option = value.entry(entry);
            let refused = KAFKA_REFUSED.iter().find(|(name, _)| *name == entry.key);
            if let Some((name, remedy)) = refused {
                faults.push(entry.key_at, format!("`{name}` cannot be set here"), *remedy);
                continue;
            }
            if let Some(secret) = kafka_option(&option, env, faults) {
                settings.kafka.options.insert(entry.key.clone(), secret);
            }
        }
    }
    fields.finish(faults);
}

/// A librdkafka setting: its text, or `{ env: NAME }` for what an environment variable holds.
fn kafka_option(value: &NamedNode<'_>, env: &Env, faults: &mut Faults) -> Option<SecretString> {
    match &value.node.value {
        YamlValue::Map(_) => {}
        YamlValue::Scalar { text, .. } => return Some(SecretString::from(text.as_str())),
        YamlValue::Null | YamlValue::List(_) => {
            value.text(faults, "its value, or { env: NAME } to take it from the environment");
            return None;
        }
    }
    let mut fields = value.fields(faults, "{ env: NAME }")?;
    let named = fields.require("env", faults, "KAFKA_PASSWORD");
    fields.finish(faults);
    let named = named?;
    let name = variable_name(&named, faults)?;
    match env.secret(&name) {
        Ok(Some(secret)) => Some(secret),
        Ok(None) => {
            let what = format!("names {}, which is not set", quoted(&name));
            named.wrong(faults, &what, "set it, or write another variable's name");
            None
        }
        Err(fault) => {
            faults.extend([fault]);
            None
        }
    }
}

/// The name of an environment variable. What is not one is not quoted: it may be the secret itself.
fn variable_name(value: &NamedNode<'_>, faults: &mut Faults) -> Option<String> {
    let name = value.text(faults, "the name of an environment variable")?;
    let fits = name.len() <= 128
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !fits {
        let remedy = "write the variable's name here, as TEAMS_WEBHOOK_URL, and its value there";
        value.wrong(faults, "does not hold the name of an environment variable", remedy);
    }
    fits.then(|| name.to_owned())
}

fn time(value: &NamedNode<'_>, settings: &mut Settings, faults: &mut Faults) {
    let Some(mut fields) = value.fields(faults, "{ max_disorder: 1m }") else { return };
    if let Some(span) = fields.take("max_disorder").and_then(|value| value.span(faults)) {
        settings.time.max_disorder = span;
    }
    if let Some(span) = fields.take("max_future").and_then(|value| value.span(faults)) {
        settings.time.max_future = span;
    }
    if let Some(span) = fields.take("max_leap").and_then(|value| value.positive_span(faults)) {
        settings.time.max_leap = span;
    }
    if let Some(span) = fields.take("idle_after").and_then(|value| value.positive_span(faults)) {
        settings.time.idle_after = span;
    }
    if let Some(span) = fields.take("keep_finished").and_then(|value| value.positive_span(faults)) {
        settings.time.keep_finished = span;
    }
    fields.finish(faults);
}

fn alerts(value: &NamedNode<'_>, env: &Env, settings: &mut Settings, faults: &mut Faults) {
    let Some(mut fields) = value.fields(faults, "{ routes: [], dry_run: true }") else { return };
    if let Some(value) = fields.take("routes") {
        for item in value.list(faults, "a list of { match, webhook_env }").unwrap_or_default() {
            let Some(route) = route(&item, env, &mut settings.notes, faults) else { continue };
            let other = settings
                .alerts
                .routes
                .iter()
                .find(|one| one.webhook_env == route.webhook_env && one.format != route.format);
            if other.is_some() {
                faults.extend([Fault::at(
                    faults.file(),
                    item.at(),
                    format!("`{}` takes another `format` in a route above", route.webhook_env),
                    "write the same format in each route of a webhook",
                )]);
            }
            settings.alerts.routes.push(route);
        }
    }
    if let Some(span) = fields.take("repeat").and_then(|value| value.positive_span(faults)) {
        settings.alerts.repeat = span;
    }
    if let Some(span) = fields.take("max_age").and_then(|value| value.positive_span(faults)) {
        settings.alerts.max_age = span;
    }
    if let Some(on) = fields.take("dry_run").and_then(|value| value.boolean(faults)) {
        settings.alerts.dry_run = on;
    }
    if let Some(on) = fields.take("legacy_message_card").and_then(|value| value.boolean(faults)) {
        settings.alerts.legacy_message_card = on;
    }
    let link = |text: &str| {
        let known = url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "https" | "http"));
        let remedy = "write where the card's button leads, as https://dashboard.example.org";
        let wrong = || (format!("is no web address: {}", quoted(text)), remedy.to_owned());
        known.then(|| text.to_owned()).ok_or_else(wrong)
    };
    settings.alerts.link = checked(fields.take("link"), link, faults);
    fields.finish(faults);
}

fn route(
    value: &NamedNode<'_>,
    env: &Env,
    notes: &mut Vec<Fault>,
    faults: &mut Faults,
) -> Option<Route> {
    let mut fields =
        value.fields(faults, "{ match: { lab: north }, webhook_env: NORTH_WEBHOOK }")?;
    let mut route = Route::default();
    if let Some(value) = fields.take("match") {
        matching(&value, &mut route, faults);
    }
    let format = |text: &str| {
        let known: Vec<&str> = FORMATS.iter().map(|(format, _)| *format).collect();
        let wrong = || {
            let what = format!("names no format of cards: {}", quoted(text));
            (what, format!("write one of {}", known.join(", ")))
        };
        Channel::named(text).ok_or_else(wrong)
    };
    route.format = checked(fields.take("format"), format, faults).unwrap_or_default();
    let named = fields.require("webhook_env", faults, "TEAMS_WEBHOOK_URL");
    let name = named.as_ref().and_then(|value| variable_name(value, faults));
    let hours = |text: &str| {
        let wrong = || {
            let remedy = "write two different times of day, as \"22:00-06:00\"";
            (format!("must be a range of hours, not {}", quoted(text)), remedy.to_owned())
        };
        hours_range(text).ok_or_else(wrong)
    };
    route.quiet_hours = checked(fields.take("quiet_hours"), hours, faults);
    fields.finish(faults);
    let (named, name) = (named?, name?);
    match env.webhook(&name) {
        Ok(Some(_)) => {}
        Ok(None) => notes.push(Fault::at(
            faults.file(),
            named.at(),
            format!("the environment variable `{name}` is not set"),
            "cards of this route are rendered and recorded, not posted, until it is",
        )),
        Err(fault) => faults.extend([fault]),
    }
    route.webhook_env = name;
    Some(route)
}

fn matching(value: &NamedNode<'_>, route: &mut Route, faults: &mut Faults) {
    let Some(mut fields) = value.fields(faults, "{ lab: [north], severity: [high] }") else {
        return;
    };
    if let Some(value) = fields.take("lab") {
        for item in value.one_or_more(faults, "[north, south]").unwrap_or_default() {
            route.labs.extend(item.text(faults, "a lab's id").map(str::to_owned));
        }
    }
    if let Some(value) = fields.take("severity") {
        for item in value.one_or_more(faults, "[high, medium]").unwrap_or_default() {
            route.severities.extend(severity(&item, faults));
        }
    }
    fields.finish(faults);
}

fn checkpoint(value: &NamedNode<'_>, settings: &mut Settings, faults: &mut Faults) {
    let Some(mut fields) = value.fields(faults, "{ every: 10s, bytes: 64 MiB }") else { return };
    if let Some(span) = fields.take("every").and_then(|value| value.positive_span(faults)) {
        settings.checkpoint.every = span;
    }
    let size = |text: &str| size(text, "64 MiB");
    if let Some(bytes) = checked(fields.take("bytes"), size, faults) {
        settings.checkpoint.bytes = bytes;
    }
    fields.finish(faults);
}

/// A number of bytes above zero.
fn size(text: &str, example: &str) -> Result<u64, Wrong> {
    let wrong = || {
        let remedy = format!("write a whole number and MB, GB, MiB or GiB, as {example}");
        (format!("must be a number of bytes, not {}", quoted(text)), remedy)
    };
    byte_count(text).filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

fn retention(value: &NamedNode<'_>, settings: &mut Settings, faults: &mut Faults) {
    let Some(mut fields) = value.fields(faults, "{ events: 90 }") else { return };
    for prefix in PREFIXES {
        let Some(value) = fields.take(prefix) else { continue };
        match value.number::<u32>(faults, "a whole number of days") {
            Some(0) => value.wrong(faults, "must be at least 1", "write 1 or more days"),
            Some(days) => {
                settings.retention.insert((*prefix).to_owned(), days);
            }
            None => {}
        }
    }
    fields.finish(faults);
}

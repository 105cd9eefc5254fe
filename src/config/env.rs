//! The environment: the only place that reads it.
//!
//! Collects what is known by name, and answers for the variables that settings name
//! (`webhook_env`, `{ env: NAME }`). An empty variable is an unset one. Contents of secrets never
//! reach `Debug`, a fault or a log.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::fault::{Fault, Faults, quoted};
use super::files::read_bounded;

/// The longest secret read from a file.
const MAX_SECRET_BYTES: usize = 64 << 10;
/// The beginnings of the object stores' own variables.
const STORE_PREFIXES: &[&str] = &["AWS_", "AZURE_", "GOOGLE_"];
/// The variable that holds the webhook of the cards that no route takes.
pub const WEBHOOK: &str = "TEAMS_WEBHOOK_URL";

/// The variables that are known by name.
const KNOWN: &[&str] = &[
    "KAFKA_BROKERS",
    "LAKE_URL",
    "RUST_LOG",
    "SLA_HOURS",
    WEBHOOK,
    "TEAMS_WEBHOOK_URL_FILE",
    "TURNAROUND_WEBHOOK_ALLOW_PRIVATE",
];

/// What the environment says.
#[derive(Default)]
pub struct Env {
    variables: BTreeMap<String, SecretString>,
    /// Names of variables whose values are not valid UTF-8.
    unreadable: BTreeSet<String>,
    faults: Vec<Fault>,
    /// `KAFKA_BROKERS`: host and port pairs with commas between.
    pub kafka_brokers: Option<String>,
    /// `LAKE_URL`: where the Parquet goes.
    pub lake_url: Option<String>,
    /// `SLA_HOURS`: the target of tests that have none of their own, in hours.
    pub sla_hours: Option<f64>,
    /// `TEAMS_WEBHOOK_URL`, or the contents of the file that `TEAMS_WEBHOOK_URL_FILE` names.
    pub webhook_url: Option<SecretString>,
    /// `TURNAROUND_WEBHOOK_ALLOW_PRIVATE`: post to addresses of this machine and network too.
    pub webhook_allow_private: bool,
    /// `RUST_LOG`: which log lines are written.
    pub rust_log: Option<String>,
    /// `USER`: who has a command done.
    pub user: Option<String>,
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env")
            .field("kafka_brokers", &self.kafka_brokers)
            .field("lake_url", &self.lake_url.is_some())
            .field("sla_hours", &self.sla_hours)
            .field("webhook_url", &self.webhook_url.is_some())
            .field("webhook_allow_private", &self.webhook_allow_private)
            .field("rust_log", &self.rust_log)
            .finish_non_exhaustive()
    }
}

impl Env {
    /// The environment of this process.
    pub fn from_process() -> Env {
        Env::from_os_pairs(std::env::vars_os())
    }

    /// A value that is not valid UTF-8 is a fault where somebody asks for it, and not an unset one.
    fn from_os_pairs(pairs: impl IntoIterator<Item = (OsString, OsString)>) -> Env {
        let (mut readable, mut unreadable) = (Vec::new(), BTreeSet::new());
        for (name, value) in pairs {
            // Nobody asks for a name that is no text.
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => readable.push((name, value)),
                Err(_) => {
                    unreadable.insert(name);
                }
            }
        }
        let mut env = Env::from_pairs(readable);
        let known = |name: &&String| {
            KNOWN.contains(&name.as_str()) || STORE_PREFIXES.iter().any(|of| name.starts_with(of))
        };
        env.faults.extend(unreadable.iter().filter(known).map(|name| not_text(name)));
        env.unreadable = unreadable;
        env
    }

    /// An environment of these variables.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Env {
        let set = pairs.into_iter().filter(|(_, value)| !value.trim().is_empty());
        let variables = set.map(|(name, value)| (name, SecretString::from(value)));
        let mut env = Env { variables: variables.collect(), ..Env::default() };
        env.kafka_brokers = env.plain("KAFKA_BROKERS");
        env.lake_url = env.plain("LAKE_URL");
        env.rust_log = env.plain("RUST_LOG");
        env.user = env.plain("USER");
        env.sla_hours = env.hours("SLA_HOURS");
        env.webhook_allow_private = env.switch("TURNAROUND_WEBHOOK_ALLOW_PRIVATE");
        match env.webhook(WEBHOOK) {
            Ok(url) => env.webhook_url = url,
            Err(fault) => env.faults.push(fault),
        }
        env
    }

    /// What is wrong with the known variables.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The object stores' own variables (`AWS_*`, `AZURE_*`, `GOOGLE_*`) in the order of their
    /// names.
    pub fn store_options(&self) -> impl Iterator<Item = (&str, &SecretString)> {
        self.variables
            .iter()
            .filter(|(name, _)| STORE_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
            .map(|(name, value)| (name.as_str(), value))
    }

    /// A variable by its name, or the trimmed contents of the file that `<name>_FILE` names.
    /// `None` when neither is set; an error when both are, or the file cannot be read.
    pub fn secret(&self, name: &str) -> Result<Option<SecretString>, Fault> {
        let from_file = format!("{name}_FILE");
        if let Some(name) = self.unreadable.get(name).or(self.unreadable.get(&from_file)) {
            return Err(not_text(name));
        }
        let Some(path) = self.plain(&from_file) else {
            return Ok(self.plain(name).map(SecretString::from));
        };
        if self.variables.contains_key(name) {
            let what = format!("`{name}` is set as well");
            return Err(fault(&from_file, what, "unset one of the two"));
        }
        let mut faults = Faults::of(Path::new(&path));
        let bytes = read_bounded(Path::new(&path), MAX_SECRET_BYTES, &mut faults);
        if let Some(unreadable) = faults.into_vec().pop() {
            let what = format!("could not use the file {}: {}", quoted(&path), unreadable.what);
            return Err(fault(&from_file, what, unreadable.remedy));
        }
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        if text.trim().is_empty() {
            let what = format!("the file {} holds no text", quoted(&path));
            return Err(fault(&from_file, what, "write the value into it, or unset the variable"));
        }
        Ok(Some(SecretString::from(text.trim())))
    }

    /// A webhook's URL by the name of its variable (or `<name>_FILE`); `None` when it is not set.
    /// The error never holds the URL.
    pub fn webhook(&self, name: &str) -> Result<Option<SecretString>, Fault> {
        let Some(secret) = self.secret(name)? else { return Ok(None) };
        let valid = url::Url::parse(secret.expose_secret())
            .is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.host_str().is_some());
        if valid {
            return Ok(Some(secret));
        }
        let remedy = "copy the whole address that Teams shows for the workflow, from https:// on";
        Err(fault(name, "it does not hold a web address", remedy))
    }

    /// A variable that is no secret, trimmed.
    fn plain(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|value| value.expose_secret().trim().to_owned())
    }

    fn hours(&mut self, name: &str) -> Option<f64> {
        let text = self.plain(name)?;
        let hours = text.parse().ok().filter(|hours| valid_hours(*hours));
        if hours.is_none() {
            let what = format!("must be a number of hours, not {}", quoted(&text));
            self.faults.push(fault(name, what, HOURS_REMEDY));
        }
        hours
    }

    fn switch(&mut self, name: &str) -> bool {
        match self.plain(name).as_deref() {
            None | Some("0" | "false" | "no") => false,
            Some("1" | "true" | "yes") => true,
            Some(other) => {
                let what = format!("must be true or false, not {}", quoted(other));
                self.faults.push(fault(name, what, "write true or false, or unset it"));
                false
            }
        }
    }
}

/// How a faulty number of hours is mended.
pub(crate) const HOURS_REMEDY: &str = "write hours greater than 0 and at most 8760, as 4 or 0.5";

/// Whether a target of so many hours makes sense: positive, at most a year.
pub(crate) fn valid_hours(hours: f64) -> bool {
    hours > 0.0 && hours <= 8760.0
}

fn fault(name: &str, what: impl Into<String>, remedy: impl Into<String>) -> Fault {
    Fault::of(&format!("environment variable {name}"), what, remedy)
}

fn not_text(name: &str) -> Fault {
    fault(name, "its value is not valid UTF-8", "write it as text, or unset it")
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_value_that_is_no_text_is_not_taken_for_an_unset_one() {
        let names = ["KAFKA_BROKERS", "NIGHT_WEBHOOK", "LS_COLORS", "AWS_REGION"];
        let pairs = names.map(|name| (name.into(), OsString::from_vec(vec![b'a', 0xff])));
        let env = Env::from_os_pairs(pairs);
        let told: Vec<String> = env.faults().iter().map(ToString::to_string).collect();
        let said = "its value is not valid UTF-8. write it as text, or unset it";
        assert_eq!(
            told,
            ["AWS_REGION", "KAFKA_BROKERS"].map(|n| format!("environment variable {n}: {said}"))
        );
        let night = env.webhook("NIGHT_WEBHOOK").expect_err("it is set");
        assert_eq!(night.to_string(), format!("environment variable NIGHT_WEBHOOK: {said}"));
        assert!(env.webhook("OTHER_WEBHOOK").is_ok_and(|url| url.is_none()));
    }

    fn env(pairs: &[(&str, &str)]) -> Env {
        Env::from_pairs(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())))
    }

    #[test]
    fn empty_is_unset_and_numbers_are_checked() {
        let empty = env(&[("KAFKA_BROKERS", ""), ("SLA_HOURS", " "), ("LAKE_URL", "")]);
        assert_eq!(empty.kafka_brokers, None);
        assert_eq!((empty.sla_hours, empty.faults().len()), (None, 0));
        assert_eq!(env(&[("SLA_HOURS", "1.5")]).sla_hours, Some(1.5));
        for wrong in ["four", "-1", "0", "NaN", "inf", "9000"] {
            let env = env(&[("SLA_HOURS", wrong)]);
            assert_eq!(env.sla_hours, None);
            let expected = format!(
                "environment variable SLA_HOURS: must be a number of hours, not `{wrong}`. \
                 write hours greater than 0 and at most 8760, as 4 or 0.5"
            );
            assert_eq!(env.faults()[0].to_string(), expected);
        }
    }

    #[test]
    fn a_secret_comes_from_a_file_too_and_never_shows() {
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), " https://hooks.test/s3cret\n").expect("write");
        let path = file.path().to_str().expect("path");
        let env = env(&[("TEAMS_WEBHOOK_URL_FILE", path), ("AWS_SECRET_ACCESS_KEY", "s3cret")]);
        let url = env.webhook_url.as_ref().expect("url");
        assert_eq!(url.expose_secret(), "https://hooks.test/s3cret");
        assert_eq!(
            env.store_options().map(|(name, _)| name).collect::<Vec<_>>(),
            ["AWS_SECRET_ACCESS_KEY"]
        );
        assert!(!format!("{env:?}").contains("s3cret"), "{env:?}");
    }

    #[test]
    fn a_bad_webhook_is_named_without_its_contents() {
        let both =
            env(&[("TEAMS_WEBHOOK_URL", "https://a.test/x"), ("TEAMS_WEBHOOK_URL_FILE", "f")]);
        assert!(both.faults()[0].what.contains("`TEAMS_WEBHOOK_URL` is set as well"));
        let bad = env(&[("TEAMS_WEBHOOK_URL", "hooks.test/s3cret")]);
        assert_eq!(bad.faults().len(), 1);
        assert!(!format!("{:?} {bad:?}", bad.faults()).contains("s3cret"));
        let missing = env(&[("TEAMS_WEBHOOK_URL_FILE", "/nonexistent/url")]);
        assert!(missing.faults()[0].what.contains("`/nonexistent/url`"), "{:?}", missing.faults());
    }
}

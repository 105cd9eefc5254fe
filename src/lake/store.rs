//! A lake's location → the object store behind it.
//!
//! `file://…` or a path, `s3://bucket/prefix`, `az://container/prefix`, `gs://bucket/prefix`.
//! Settings come from the environment's pairs that are handed in, never from the process itself.
//! Requests to cloud stores are tried again with back-off and then fail; conditional put is always on.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use super::error::{LakeError, StoreKind, classify};

/// What the lake is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To read: a folder that is not there is an error; gives up after [`READ_PATIENCE`].
    Read,
    /// To write: a folder is created; gives up soon, since a lake tries again by itself.
    Write,
}

/// How long a person waits for an answer.
pub const READ_PATIENCE: Duration = Duration::from_secs(10);
/// How long a store that is away is waited for where a run does not wait without end: long enough
/// for a store's restart.
pub const WRITE_PATIENCE: Duration = Duration::from_secs(60);
/// How long one request for writing is tried again by the store's client: short, so that an outage is
/// told soon.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);

impl Purpose {
    /// How long one request is tried again.
    pub fn patience(self) -> Duration {
        match self {
            Purpose::Read => READ_PATIENCE,
            Purpose::Write => REQUEST_PATIENCE,
        }
    }
}

/// An opened location.
#[derive(Clone, Debug)]
pub struct Store {
    /// The store.
    pub objects: Arc<dyn ObjectStore>,
    /// The same store for what is large: a request may take as long as whoever makes it allows.
    pub uploads: Arc<dyn ObjectStore>,
    /// Where in the store the lake begins.
    pub prefix: Path,
    /// The location, fit for messages: without user or password.
    pub name: String,
    /// What kind of store it is.
    pub kind: StoreKind,
}

impl Store {
    /// How long an object may stay out of sight that was put before one that is in sight: puts overlap,
    /// and buckets tell their instants in whole seconds.
    pub fn sights_within(&self) -> Duration {
        match self.kind {
            StoreKind::Local | StoreKind::Memory => Duration::from_millis(300),
            StoreKind::S3 | StoreKind::Azure | StoreKind::Google => Duration::from_millis(1500),
        }
    }

    /// What a failure of this store means; `action` is what was attempted, as "list the tables".
    pub fn failed(&self, action: String, error: object_store::Error) -> LakeError {
        classify(self.kind, &self.name, action, error)
    }
}

/// Opens a location. Makes no request to a cloud store.
pub fn open(
    location: &str,
    environment: impl IntoIterator<Item = (String, String)>,
    purpose: Purpose,
) -> Result<Store, LakeError> {
    let environment: Vec<(String, String)> = environment.into_iter().collect();
    let Some((scheme, _)) = location.split_once("://") else {
        return open_folder(location, PathBuf::from(location), purpose);
    };
    let bad = |problem: String| LakeError::BadLocation { location: redact(location), problem };
    let url = Url::parse(location).map_err(|error| bad(format!("{error}; {FORMS}")))?;
    match scheme {
        "file" => {
            let path = url
                .to_file_path()
                .map_err(|()| bad("a file URL has three slashes, as file:///data/lake".into()))?;
            open_folder(location, path, purpose)
        }
        "s3" | "s3a" | "gs" | "az" | "abfs" | "abfss" => {
            if url.host_str().is_none_or(str::is_empty) {
                return Err(bad(format!("the bucket's name is missing; {FORMS}")));
            }
            let prefix = Path::from_url_path(url.path()).map_err(|error| bad(error.to_string()))?;
            let built = |limit| {
                let built = build(scheme, &url, &environment, (purpose.patience(), limit));
                built.map_err(|error| bad(error.to_string()))
            };
            let (kind, objects) = built(Limit::Request)?;
            let uploads = match purpose {
                Purpose::Read => Arc::clone(&objects),
                Purpose::Write => built(Limit::None)?.1,
            };
            Ok(Store { objects, uploads, prefix, name: redact(location), kind })
        }
        other => Err(bad(format!("the scheme `{other}` is unknown; {FORMS}"))),
    }
}

const FORMS: &str = "write a path, file:///path, s3://bucket/prefix, az://container/prefix or \
                     gs://bucket/prefix";

/// The location without user information and query.
fn redact(location: &str) -> String {
    let Ok(mut url) = Url::parse(location) else {
        return location.split('?').next().unwrap_or_default().to_owned();
    };
    url.set_query(None);
    url.set_fragment(None);
    // Azure writes container@account; only a password is a secret.
    if url.password().is_some() && url.set_password(None).is_err() {
        return format!("{}://…", url.scheme());
    }
    url.to_string()
}

fn open_folder(location: &str, path: PathBuf, purpose: Purpose) -> Result<Store, LakeError> {
    let name = location.to_owned();
    let kind = StoreKind::Local;
    let bad = |problem: String| LakeError::BadLocation { location: name.clone(), problem };
    if location.trim().is_empty() {
        return Err(bad(format!("it is empty; {FORMS}")));
    }
    match purpose {
        Purpose::Write => create_folder(&path).map_err(&bad)?,
        Purpose::Read if path.is_dir() => {}
        Purpose::Read if path.exists() => {
            return Err(bad("it is a file; name the folder that holds `tables/`".into()));
        }
        Purpose::Read => {
            let action = "look for tables".to_owned();
            let remedy = kind.missing_remedy();
            return Err(LakeError::Missing { store: name, action, remedy, source: None });
        }
    }
    let folder = LocalFileSystem::new_with_prefix(&path)
        .map_err(|error| bad(error.to_string()))?
        .with_automatic_cleanup(true);
    let objects: Arc<dyn ObjectStore> = Arc::new(folder);
    let uploads = Arc::clone(&objects);
    Ok(Store { objects, uploads, prefix: Path::default(), name, kind })
}

fn create_folder(path: &FilePath) -> Result<(), String> {
    std::fs::create_dir_all(path).map_err(|error| {
        format!("could not create the folder ({error}); name one that this user may write to")
    })
}

/// How long one request may take where the environment says nothing else (`AWS_TIMEOUT` and the like).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// As the client has it: 30 s, of which 5 s to connect.
    Request,
    /// Only connecting has a limit: how long an upload takes follows from its size.
    None,
}

impl Limit {
    fn options(self) -> ClientOptions {
        match self {
            Limit::Request => ClientOptions::new(),
            Limit::None => ClientOptions::new().with_timeout_disabled(),
        }
    }
}

type Built = (StoreKind, Arc<dyn ObjectStore>);

fn build(
    scheme: &str,
    url: &Url,
    environment: &[(String, String)],
    (patience, limit): (Duration, Limit),
) -> object_store::Result<Built> {
    let retry = retry(patience);
    match scheme {
        "s3" | "s3a" => {
            let builder = s3(url, environment, limit).with_retry(retry);
            Ok((StoreKind::S3, Arc::new(builder.build()?)))
        }
        "gs" => {
            let builder = GoogleCloudStorageBuilder::new()
                .with_url(url.as_str())
                .with_client_options(limit.options())
                .with_retry(retry);
            let builder = options("google_", environment)
                .fold(builder, |builder, (key, value)| builder.with_config(key, value));
            Ok((StoreKind::Google, Arc::new(builder.build()?)))
        }
        _ => {
            let builder = MicrosoftAzureBuilder::new()
                .with_url(url.as_str())
                .with_client_options(limit.options())
                .with_retry(retry);
            let builder = options("azure_", environment)
                .fold(builder, |builder, (key, value)| builder.with_config(key, value));
            Ok((StoreKind::Azure, Arc::new(builder.build()?)))
        }
    }
}

fn s3(url: &Url, environment: &[(String, String)], limit: Limit) -> AmazonS3Builder {
    let builder = AmazonS3Builder::new()
        .with_url(url.as_str())
        .with_client_options(limit.options())
        .with_conditional_put(S3ConditionalPut::ETagMatch);
    let builder = options("aws_", environment)
        .fold(builder, |builder, (key, value)| builder.with_config(key, value));
    let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
    match endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
        true => builder.with_allow_http(true),
        false => builder,
    }
}

/// The environment's pairs that set up one kind of store. Names without the store's own prefix
/// (`TOKEN`, `REGION`) mean something else to somebody else and are left alone.
fn options<'a, K>(
    prefix: &'static str,
    environment: &'a [(String, String)],
) -> impl Iterator<Item = (K, String)> + 'a
where
    K: std::str::FromStr + 'a,
{
    environment.iter().filter_map(move |(name, value)| {
        let name = name.to_ascii_lowercase();
        if !name.starts_with(prefix) || value.is_empty() {
            return None;
        }
        Some((name.parse().ok()?, value.clone()))
    })
}

/// Back-off from 100 ms, doubling up to 5 s with jitter, for as long as `patience`.
fn retry(patience: Duration) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: usize::MAX,
        retry_timeout: patience,
    }
}

#[cfg(test)]
mod tests {
    use object_store::ClientConfigKey;

    use super::*;

    #[test]
    fn a_request_has_a_limit_an_upload_only_the_users() {
        let url = Url::parse("s3://bucket/lake").unwrap();
        let timeout = |environment: &[(&str, &str)], limit, key| {
            let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let environment: Vec<_> = environment.iter().map(pair).collect();
            s3(&url, &environment, limit).get_config_value(&AmazonS3ConfigKey::Client(key))
        };
        let (whole, connect) = (ClientConfigKey::Timeout, ClientConfigKey::ConnectTimeout);
        assert_eq!(timeout(&[], Limit::Request, whole).as_deref(), Some("30s"));
        assert_eq!(timeout(&[], Limit::None, whole), None);
        assert_eq!(timeout(&[], Limit::None, connect).as_deref(), Some("5s"));
        let set = [("AWS_TIMEOUT", "90s"), ("AWS_CONNECT_TIMEOUT", "9s")];
        for limit in [Limit::Request, Limit::None] {
            assert_eq!(timeout(&set, limit, whole).as_deref(), Some("90s"));
            assert_eq!(timeout(&set, limit, connect).as_deref(), Some("9s"));
        }
    }
}

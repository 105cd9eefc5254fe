//! What can go wrong with a lake, one variant per reaction of the caller.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use super::encode::EncodeError;
use crate::flow::layout::OtherLayout;

/// Why the lake could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The location is wrong: nothing was tried. Reaction: exit 2.
    #[error("`{location}` is not a place for a lake: {problem}")]
    BadLocation {
        /// As given, without secrets.
        location: String,
        /// What is wrong and what to write.
        problem: String,
    },
    /// The store does not answer, or answers that it cannot now. Reaction: try again later.
    #[error("could not {action} in `{store}`; {remedy}")]
    Unreachable {
        /// The lake.
        store: String,
        /// What was attempted.
        action: String,
        /// What to do.
        remedy: &'static str,
        /// What the store said.
        source: StoreSaid,
    },
    /// The store knows us and says no. Reaction: stop at the start, later wait for the rights.
    #[error("could not {action} in `{store}`: access denied; {remedy}")]
    Denied {
        /// The lake.
        store: String,
        /// What was attempted.
        action: String,
        /// What to do.
        remedy: &'static str,
        /// What the store said.
        source: StoreSaid,
    },
    /// The bucket, container or folder does not exist. Reaction: stop at the start, later wait for it.
    #[error("could not {action} in `{store}`: it does not exist; {remedy}")]
    Missing {
        /// The lake.
        store: String,
        /// What was attempted.
        action: String,
        /// What to do.
        remedy: &'static str,
        /// What the store said.
        source: Option<StoreSaid>,
    },
    /// The disk or quota is full. Nothing stands under the object's name. Reaction: stop at the
    /// start, later wait for space.
    #[error(
        "could not {action} in `{store}`: no space left; nothing partial was left behind; free \
         some space or move the lake"
    )]
    NoSpace {
        /// The lake.
        store: String,
        /// What was attempted.
        action: String,
        /// What the store said.
        source: StoreSaid,
    },
    /// The lake was written by another version, under other names. Reaction: exit 2.
    #[error(
        "the lake `{store}` has {found}, this version reads and writes layout {ours}; {remedy}",
        ours = crate::flow::layout::LAYOUT
    )]
    OtherLayout {
        /// The lake.
        store: String,
        /// What it has.
        found: OtherLayout,
        /// What to do.
        remedy: &'static str,
    },
    /// An object of that name holds other rows. Reaction: stop this pipeline.
    #[error(
        "`{key}` in `{store}` already holds other rows than were computed now, and objects are \
         never overwritten; if SQL, reference data or input changed on purpose, write to an empty \
         lake or delete that object, then start again"
    )]
    Conflict {
        /// The lake.
        store: String,
        /// The object.
        key: String,
    },
    /// An object of that name is not a whole Parquet file of ours. Reaction: stop this pipeline.
    #[error(
        "`{key}` in `{store}` exists but is not an object that turnaround wrote, or not all of \
         it; delete it, then start again"
    )]
    Unreadable {
        /// The lake.
        store: String,
        /// The object.
        key: String,
        /// What is wrong with it.
        source: parquet::errors::ParquetError,
    },
    /// The rows cannot be stored. Reaction: stop this pipeline.
    #[error("could not encode `{key}`")]
    Encode {
        /// The object.
        key: String,
        /// Why not.
        source: EncodeError,
    },
    /// The run was asked to stop while the store was away. Reaction: exit 1; what is due is computed
    /// again from the input.
    #[error("stopped while `{store}` was away, before {due}: {reason}")]
    Stopped {
        /// The lake.
        store: String,
        /// What is still to be done, as "`x` was put".
        due: String,
        /// What the store said.
        reason: String,
    },
    /// The process is shutting down. Reaction: none.
    #[error("encoding `{key}` was interrupted by the shutdown")]
    Interrupted {
        /// The object.
        key: String,
    },
}

/// What an error is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Concern {
    /// The store, and it passes by itself.
    Passing,
    /// The store, and somebody has to see to it.
    Store,
    /// One object.
    Object,
    /// The run.
    Run,
}

impl LakeError {
    /// Whether the same call may succeed later without anybody doing anything.
    pub fn is_retryable(&self) -> bool {
        self.concern() == Concern::Passing
    }

    /// Whether the store, not what was to be put, is the reason: it may pass when somebody sees to
    /// it.
    pub fn is_outage(&self) -> bool {
        matches!(self.concern(), Concern::Passing | Concern::Store)
    }

    /// Whether it concerns one object alone: the others can be put.
    pub fn is_of_object(&self) -> bool {
        self.concern() == Concern::Object
    }

    /// Whether the lake was named wrongly: no call will ever succeed there.
    pub fn is_of_location(&self) -> bool {
        matches!(self, LakeError::BadLocation { .. } | LakeError::OtherLayout { .. })
    }

    fn concern(&self) -> Concern {
        match self {
            LakeError::Unreachable { .. } => Concern::Passing,
            LakeError::Denied { .. } | LakeError::Missing { .. } | LakeError::NoSpace { .. } => {
                Concern::Store
            }
            LakeError::Conflict { .. }
            | LakeError::Unreadable { .. }
            | LakeError::Encode { .. } => Concern::Object,
            LakeError::BadLocation { .. }
            | LakeError::OtherLayout { .. }
            | LakeError::Stopped { .. }
            | LakeError::Interrupted { .. } => Concern::Run,
        }
    }

    /// The error and what the store said, in one line.
    pub fn with_cause(&self) -> String {
        match self.source() {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }
}

/// What a store said, in one short line: libraries repeat themselves at every level and quote
/// whole XML documents.
#[derive(Debug)]
pub struct StoreSaid(Box<object_store::Error>);

impl From<object_store::Error> for StoreSaid {
    fn from(error: object_store::Error) -> StoreSaid {
        StoreSaid(Box::new(error))
    }
}

impl StdError for StoreSaid {}

impl fmt::Display for StoreSaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut root: &(dyn StdError + 'static) = self.0.as_ref();
        while let Some(cause) = root.source() {
            root = cause;
        }
        let text = root.to_string();
        let element = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            Some(rest.split_once('<')?.0.lines().next().unwrap_or_default().trim())
        };
        if let Some(code) = element("Code") {
            let message = element("Message").unwrap_or_default();
            return write!(f, "{code}: {message}");
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        f.write_str(words.join(" ").chars().take(LONGEST_QUOTE).collect::<String>().as_str())
    }
}

/// Characters of a store's own words that are quoted.
const LONGEST_QUOTE: usize = 300;

/// The kinds of store, for what to do about their errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// A folder of this machine.
    Local,
    /// Amazon S3 or what speaks like it.
    S3,
    /// Azure Blob Storage or Data Lake.
    Azure,
    /// Google Cloud Storage.
    Google,
    /// Main memory, for tests.
    Memory,
}

impl StoreKind {
    fn remedy(self) -> &'static str {
        match self {
            StoreKind::Local => "check that the folder's disk is mounted and the path right",
            StoreKind::S3 => {
                "check that the store is up, AWS_REGION or AWS_ENDPOINT, and that \
                 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set (profiles are not read)"
            }
            StoreKind::Azure => {
                "check that the store is up, AZURE_STORAGE_ACCOUNT_NAME and \
                 AZURE_STORAGE_ACCOUNT_KEY (or the credentials of a service principal)"
            }
            StoreKind::Google => {
                "check that the store is up and that GOOGLE_APPLICATION_CREDENTIALS or \
                 GOOGLE_SERVICE_ACCOUNT names the key's file"
            }
            StoreKind::Memory => "this cannot happen in memory",
        }
    }

    fn denied_remedy(self) -> &'static str {
        match self {
            StoreKind::Local => "give this user the right to read and write the folder",
            StoreKind::S3 => {
                "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that they may list, get, \
                 put and delete"
            }
            StoreKind::Azure => {
                "check AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, and the role \
                 Storage Blob Data Contributor"
            }
            StoreKind::Google => "check GOOGLE_APPLICATION_CREDENTIALS and the role Object Admin",
            StoreKind::Memory => "this cannot happen in memory",
        }
    }

    /// What to do when the lake does not exist.
    pub(super) fn missing_remedy(self) -> &'static str {
        match self {
            StoreKind::Local => "check the path, or run `turnaround demo` to make a lake",
            StoreKind::S3 | StoreKind::Google => "create the bucket, or check its name",
            StoreKind::Azure => "create the container, or check its name",
            StoreKind::Memory => "this cannot happen in memory",
        }
    }
}

/// Sorts a store's error by what the caller can do about it.
pub(super) fn classify(
    kind: StoreKind,
    store: &str,
    action: String,
    source: object_store::Error,
) -> LakeError {
    let store = store.to_owned();
    let denied = |kind| matches!(kind, io::ErrorKind::PermissionDenied | READ_ONLY);
    let full = io_kinds(&source).any(is_full);
    let denied = io_kinds(&source).any(denied);
    let no_rights = matches!(
        source,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. }
    );
    let not_found = matches!(source, object_store::Error::NotFound { .. });
    let source = StoreSaid::from(source);
    if full {
        LakeError::NoSpace { store, action, source }
    } else if denied || no_rights {
        LakeError::Denied { store, action, remedy: kind.denied_remedy(), source }
    } else if not_found {
        let remedy = kind.missing_remedy();
        LakeError::Missing { store, action, remedy, source: Some(source) }
    } else {
        LakeError::Unreachable { store, action, remedy: kind.remedy(), source }
    }
}

const READ_ONLY: io::ErrorKind = io::ErrorKind::ReadOnlyFilesystem;

fn is_full(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(kind, StorageFull | QuotaExceeded | FileTooLarge)
}

/// The kinds of the operating system's errors in a chain of causes.
fn io_kinds(error: &object_store::Error) -> impl Iterator<Item = io::ErrorKind> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    std::iter::from_fn(move || {
        let here = next?;
        next = here.source();
        Some(here.downcast_ref::<io::Error>().map(io::Error::kind))
    })
    .flatten()
}

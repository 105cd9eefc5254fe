//! What the lake keeps of a token and of a tenant, as JSON.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::role::Role;
use crate::flow::Timestamp;
use crate::lake::read::LabScope;

/// What stands for every laboratory.
pub const EVERY_LAB: &str = "*";

/// A token, without the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Its id.
    pub id: String,
    /// SHA-256 of its text, in hexadecimal digits.
    pub hash: String,
    /// Whose it is.
    pub tenant: String,
    /// Who of them uses it: a person or a program.
    pub user: String,
    /// What it may; nothing where there is none.
    pub role: Option<Role>,
    /// The laboratories to which it is narrowed; those of its tenant where there are none.
    pub labs: Option<Vec<String>>,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// When it ends (RFC 3339); never where it does not say.
    pub expires_at: Option<String>,
    /// The token whose place it took.
    pub replaces: Option<String>,
}

/// A tenant at one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRecord {
    /// Its name.
    pub name: String,
    /// Its laboratories; `*` is every one.
    pub labs: Vec<String>,
}

impl TokenRecord {
    /// When it ends; nothing where it never does. An instant that is none is long past: what cannot be
    /// understood lets nobody in.
    pub fn ends_at(&self) -> Option<Timestamp> {
        let text = self.expires_at.as_deref()?;
        Some(Timestamp::parse_rfc3339(text).unwrap_or(Timestamp(i64::MIN)))
    }

    /// What is told of it, without its hash.
    pub fn told(&self) -> serde_json::Value {
        serde_json::json!({
            "id": self.id,
            "tenant": self.tenant,
            "user": self.user,
            "role": self.role,
            "labs": self.labs,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "replaces": self.replaces,
        })
    }
}

/// Laboratories by their ids, or every one.
pub fn lab_scope(labs: &[String]) -> LabScope {
    if labs.iter().any(|lab| lab == EVERY_LAB) {
        return LabScope::All;
    }
    LabScope::Labs(labs.iter().cloned().collect::<BTreeSet<String>>())
}

/// An entry's bytes: one line of JSON.
///
/// # Errors
/// Where it cannot be written, which is our own fault.
pub fn bytes<T: Serialize>(record: &T) -> Result<Bytes, serde_json::Error> {
    let mut bytes = serde_json::to_vec(record)?;
    bytes.push(b'\n');
    Ok(Bytes::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back_and_what_is_told_is_no_secret() {
        let record = TokenRecord {
            id: "0f1e2d3c4b5a".to_owned(),
            hash: "ab".repeat(32),
            tenant: "north".to_owned(),
            user: "dashboard".to_owned(),
            role: Some(Role::Viewer),
            labs: None,
            created_at: "2026-03-01T12:00:00Z".to_owned(),
            expires_at: Some("2026-05-30T12:00:00Z".to_owned()),
            replaces: None,
        };
        let written = bytes(&record).unwrap();
        assert_eq!(serde_json::from_slice::<TokenRecord>(&written).unwrap(), record);
        assert!(!record.told().to_string().contains("abab"));
        // `date -u -d 2026-05-30T12:00:00Z +%s`.
        assert_eq!(record.ends_at(), Some(Timestamp(1_780_142_400_000_000)));
        let odd = TokenRecord { expires_at: Some("soon".to_owned()), ..record.clone() };
        assert_eq!(odd.ends_at(), Some(Timestamp(i64::MIN)));
        assert_eq!(TokenRecord { expires_at: None, ..record }.ends_at(), None);
        assert_eq!(lab_scope(&["a".to_owned(), "*".to_owned()]), LabScope::All);
    }
}

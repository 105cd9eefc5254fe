//! Reads and writes what a lake keeps of those who may ask it. Every change is in the audit table first.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::audit::{AuditEntry, AuditError};
use super::book::AccessBook;
use super::record::{TenantRecord, TokenRecord, bytes, lab_scope};
use super::role::Role;
use super::secret::{NoRandomness, TokenText};
use crate::flow::access_key::{AccessKey, is_tenant_name};
use crate::flow::{Span, Timestamp};
use crate::lake::read::LabScope;
use crate::lake::{Lake, LakeError};

/// Entries read at once.
const READS: usize = 16;

/// Why something could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// What was asked for cannot be.
    #[error("{0}")]
    Wrong(String),
    /// The lake did not answer.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The audit table did not take the entry.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// No random bytes.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// Our own fault.
    #[error("could not write an entry as JSON")]
    Json(#[from] serde_json::Error),
}

/// Who does something, and when.
#[derive(Clone, Debug)]
pub struct Doer {
    /// Who.
    pub who: String,
    /// Of which tenant; nothing at the machine.
    pub tenant: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A token that is wanted.
#[derive(Clone, Debug)]
pub struct WantedToken {
    /// Whose.
    pub tenant: String,
    /// Who of them uses it.
    pub user: String,
    /// What it may.
    pub role: Option<Role>,
    /// The laboratories it is narrowed to; of a tenant that is not known yet, its laboratories.
    pub labs: Option<Vec<String>>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// The place where tokens are made and ended.
#[derive(Clone, Debug)]
pub struct AccessDesk {
    lake: Lake,
}

impl AccessDesk {
    /// The desk of a lake.
    pub fn new(lake: Lake) -> AccessDesk {
        AccessDesk { lake }
    }

    /// Reads everything; what an earlier book has of it, and never changes, is taken from there.
    ///
    /// # Errors
    /// Where the lake does not answer. An entry that cannot be understood is none.
    pub async fn read(&self, earlier: &AccessBook) -> Result<AccessBook, AccessError> {
        let mut book = AccessBook::default();
        let mut tenants: BTreeMap<String, u32> = BTreeMap::new();
        let mut unread = Vec::new();
        for key in self.lake.access_keys().await? {
            book.note(&key);
            match key {
                AccessKey::Token { ref id } => match earlier.tokens.get(id) {
                    Some(record) => drop(book.tokens.insert(id.clone(), record.clone())),
                    None => unread.push(key),
                },
                AccessKey::Tenant { name, revision } => {
                    let highest = tenants.get(&name).map_or(revision, |other| revision.max(*other));
                    tenants.insert(name, highest);
                }
                AccessKey::Revoked { .. } | AccessKey::Used { .. } => {}
            }
        }
        for (name, revision) in tenants {
            match earlier.tenants.get(&name).filter(|(known, _)| *known == revision) {
                Some(known) => drop(book.tenants.insert(name, known.clone())),
                None => unread.push(AccessKey::Tenant { name, revision }),
            }
        }
        self.fill(&mut book, unread).await?;
        Ok(book)
    }

    /// Reads the entries that are not known yet.
    async fn fill(&self, book: &mut AccessBook, unread: Vec<AccessKey>) -> Result<(), AccessError> {
        let reads = futures::stream::iter(unread).map(|key| async move {
            let bytes = self.lake.read_access(&key).await?;
            Ok::<_, LakeError>((key, bytes))
        });
        let read: Vec<_> = reads.buffer_unordered(READS).try_collect().await?;
        for (key, bytes) in read {
            let bytes = bytes.unwrap_or_default();
            match key {
                AccessKey::Token { ref id } => {
                    let record: Option<TokenRecord> = understood(&key, &bytes);
                    let record = record.filter(|record| record.id == *id);
                    book.tokens.insert(id.clone(), record);
                }
                AccessKey::Tenant { ref name, revision } => {
                    let record: Option<TenantRecord> = understood(&key, &bytes);
                    book.tenants.insert(name.clone(), (revision, record));
                }
                AccessKey::Revoked { .. } | AccessKey::Used { .. } => {}
            }
        }
        Ok(())
    }

    /// Makes a token, and its tenant where it is not known yet.
    ///
    /// # Errors
    /// Where what is wanted cannot be, or the lake does not take it.
    pub async fn create(
        &self,
        wanted: WantedToken,
        doer: &Doer,
    ) -> Result<(TokenText, TokenRecord), AccessError> {
        let book = self.read(&AccessBook::default()).await?;
        match (book.tenants.contains_key(&wanted.tenant), &wanted.labs) {
            (true, Some(labs)) => within(&book, &wanted.tenant, labs)?,
            (true, None) => {}
            (false, Some(labs)) => {
                self.set_tenant(&wanted.tenant, labs.clone(), doer).await?;
            }
            (false, None) => {
                return Err(AccessError::Wrong(format!(
                    "there is no tenant `{}`; add --labs with its laboratories, or `*` for every one",
                    wanted.tenant
                )));
            }
        }
        let (token, mut record) = blank(doer)?;
        record.tenant = wanted.tenant;
        record.user = wanted.user;
        record.role = wanted.role;
        // The first token of a tenant has whatever the tenant has, later too.
        record.labs = wanted.labs.filter(|_| book.tenants.contains_key(&record.tenant));
        record.expires_at = wanted.expires_at.map(Timestamp::to_rfc3339);
        self.audit("token.create", &record.id, (None, Some(record.told())), doer).await?;
        self.keep(&AccessKey::Token { id: record.id.clone() }, &record).await?;
        Ok((token, record))
    }

    /// Ends a token at an instant.
    ///
    /// # Errors
    /// Where there is none, or it has ended already.
    pub async fn revoke(&self, id: &str, at: Timestamp, doer: &Doer) -> Result<(), AccessError> {
        let book = self.read(&AccessBook::default()).await?;
        let record = known(&book, id)?;
        if let Some(earlier) = book.revoked.get(id).filter(|earlier| **earlier <= at) {
            return Err(AccessError::Wrong(format!(
                "token `{id}` was revoked at {earlier} already"
            )));
        }
        let after = json!({ "revoked_at": at.to_rfc3339() });
        self.audit("token.revoke", id, (Some(record.told()), Some(after.clone())), doer).await?;
        self.keep(&AccessKey::Revoked { id: id.to_owned(), at }, &after).await
    }

    /// Makes another token like one, which ends after a while.
    ///
    /// # Errors
    /// Where there is none, or it was revoked.
    pub async fn rotate(
        &self,
        id: &str,
        (expires_at, keep_old): (Option<Timestamp>, Span),
        doer: &Doer,
    ) -> Result<(TokenText, TokenRecord), AccessError> {
        let book = self.read(&AccessBook::default()).await?;
        let old = known(&book, id)?;
        if let Some(at) = book.revoked.get(id) {
            let text =
                format!("token `{id}` was revoked at {at}; make another with `token create`");
            return Err(AccessError::Wrong(text));
        }
        let (token, blank) = blank(doer)?;
        let record = TokenRecord {
            id: blank.id,
            hash: blank.hash,
            created_at: blank.created_at,
            expires_at: expires_at.map(Timestamp::to_rfc3339),
            replaces: Some(old.id.clone()),
            ..old.clone()
        };
        let change = (Some(old.told()), Some(record.told()));
        self.audit("token.rotate", id, change, doer).await?;
        self.keep(&AccessKey::Token { id: record.id.clone() }, &record).await?;
        let at = doer.at.plus(keep_old);
        let after = json!({ "revoked_at": at.to_rfc3339(), "replaced_by": record.id });
        self.keep(&AccessKey::Revoked { id: id.to_owned(), at }, &after).await?;
        Ok((token, record))
    }

    /// Makes a tenant, or gives it other laboratories.
    ///
    /// # Errors
    /// Where the name is none, or another changes it at the same time.
    pub async fn set_tenant(
        &self,
        name: &str,
        mut labs: Vec<String>,
        doer: &Doer,
    ) -> Result<TenantRecord, AccessError> {
        if !is_tenant_name(name) {
            return Err(AccessError::Wrong(format!(
                "`{name}` cannot name a tenant; write up to 64 of a-z, 0-9, - and _, with a letter or \
                 digit first"
            )));
        }
        labs.sort();
        labs.dedup();
        let book = self.read(&AccessBook::default()).await?;
        let before = book.tenants.get(name);
        let record = TenantRecord { name: name.to_owned(), labs };
        let told = |record: &TenantRecord| json!({ "labs": record.labs });
        let earlier = before.and_then(|(_, record)| record.as_ref()).map(told);
        self.audit("tenant.set", name, (earlier, Some(told(&record))), doer).await?;
        let revision = before.map_or(0, |(revision, _)| revision.saturating_add(1));
        self.keep(&AccessKey::Tenant { name: name.to_owned(), revision }, &record).await?;
        Ok(record)
    }

    /// Writes down when a token was used last, in the place of what was written before.
    ///
    /// # Errors
    /// Where the lake does not take it.
    pub async fn note_use(
        &self,
        id: &str,
        at: Timestamp,
        before: Option<Timestamp>,
    ) -> Result<(), AccessError> {
        let key = |at: Timestamp| AccessKey::Used { id: id.to_owned(), at };
        let body = bytes(&json!({ "used_at": at.to_rfc3339() }))?;
        self.lake.put_access(&key(at), body).await?;
        if let Some(before) = before.filter(|before| *before != at) {
            self.lake.delete_access(&[key(before)]).await?;
        }
        Ok(())
    }

    async fn keep<T: serde::Serialize>(
        &self,
        key: &AccessKey,
        record: &T,
    ) -> Result<(), AccessError> {
        if self.lake.put_access(key, bytes(record)?).await? {
            return Ok(());
        }
        Err(AccessError::Wrong(format!("`{key}` was written by another meanwhile; try again")))
    }

    async fn audit(
        &self,
        what: &str,
        subject: &str,
        (before, after): (Option<Value>, Option<Value>),
        doer: &Doer,
    ) -> Result<(), AccessError> {
        let (what, subject) = (what.to_owned(), subject.to_owned());
        let Doer { who, tenant, at } = doer.clone();
        let entry = AuditEntry { at, who, tenant, what, subject, before, after };
        Ok(entry.write(&self.lake).await?)
    }
}

/// An entry's contents; nothing where they cannot be understood, which is told.
fn understood<T: DeserializeOwned>(key: &AccessKey, bytes: &[u8]) -> Option<T> {
    match serde_json::from_slice(bytes) {
        Ok(record) => Some(record),
        Err(error) => {
            tracing::warn!(%key, %error, "an entry cannot be understood and lets nobody in");
            None
        }
    }
}

/// A new token, and a record that says nothing but what is its own.
fn blank(doer: &Doer) -> Result<(TokenText, TokenRecord), AccessError> {
    let token = TokenText::new()?;
    let record = TokenRecord {
        id: token.id().to_owned(),
        hash: token.hash(),
        tenant: String::new(),
        user: String::new(),
        role: None,
        labs: None,
        created_at: doer.at.to_rfc3339(),
        expires_at: None,
        replaces: None,
    };
    Ok((token, record))
}

fn known<'a>(book: &'a AccessBook, id: &str) -> Result<&'a TokenRecord, AccessError> {
    let found = book.tokens.get(id).and_then(Option::as_ref);
    let wrong =
        || format!("there is no token `{id}`; `turnaround token list` tells those that are");
    found.ok_or_else(|| AccessError::Wrong(wrong()))
}

/// Refuses laboratories that are not the tenant's.
fn within(book: &AccessBook, tenant: &str, labs: &[String]) -> Result<(), AccessError> {
    let has = book.tenant_labs(tenant);
    let outside = match (&has, lab_scope(labs)) {
        (LabScope::All, _) => None,
        (LabScope::Labs(_), LabScope::All) => Some("*".to_owned()),
        (LabScope::Labs(has), LabScope::Labs(labs)) => labs.difference(has).next().cloned(),
    };
    match outside {
        None => Ok(()),
        Some(lab) => Err(AccessError::Wrong(format!(
            "tenant `{tenant}` does not have `{lab}`; `turnaround tenant set {tenant} --labs …` gives \
             it other laboratories"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_772_366_400_000_000);

    fn doer(at: Timestamp) -> Doer {
        Doer { who: "anna".to_owned(), tenant: None, at }
    }

    fn wanted(labs: Option<&[&str]>) -> WantedToken {
        WantedToken {
            tenant: "group".to_owned(),
            user: "board".to_owned(),
            role: Some(Role::Viewer),
            labs: labs.map(|labs| labs.iter().map(|lab| (*lab).to_owned()).collect()),
            expires_at: Some(NOW.plus(Span::DAY)),
        }
    }

    #[tokio::test]
    async fn a_token_is_made_taken_rotated_and_revoked() {
        let desk = AccessDesk::new(Lake::in_memory());
        let none = AccessBook::default();
        let refused = desk.create(wanted(None), &doer(NOW)).await.unwrap_err();
        assert!(refused.to_string().contains("there is no tenant `group`; add --labs"));
        let (first, _) = desk.create(wanted(Some(&["b", "a"])), &doer(NOW)).await.unwrap();
        let (narrow, _) = desk.create(wanted(Some(&["a"])), &doer(NOW)).await.unwrap();
        assert!(desk.create(wanted(Some(&["c"])), &doer(NOW)).await.is_err());
        desk.set_tenant("group", vec!["a".to_owned(), "c".to_owned()], &doer(NOW)).await.unwrap();
        let book = desk.read(&none).await.unwrap();
        let labs = |text: &TokenText| book.admit(text, NOW).unwrap().labs;
        // The first follows its tenant, the second was narrowed.
        assert_eq!(labs(&first), lab_scope(&["a".to_owned(), "c".to_owned()]));
        assert_eq!(labs(&narrow), lab_scope(&["a".to_owned()]));

        let later = NOW.plus(Span::MINUTE);
        let keep = (None, Span::HOUR);
        let (second, record) = desk.rotate(first.id(), keep, &doer(later)).await.unwrap();
        assert_eq!(record.replaces.as_deref(), Some(first.id()));
        desk.revoke(second.id(), later, &doer(later)).await.unwrap();
        let again = desk.revoke(second.id(), later, &doer(later)).await.unwrap_err();
        assert!(again.to_string().contains("was revoked at"));
        let book = desk.read(&book).await.unwrap();
        assert!(book.admit(&first, later).is_ok() && book.admit(&second, later).is_err());
        assert!(book.admit(&first, later.plus(Span::HOUR)).is_err());
        assert_eq!(book, desk.read(&none).await.unwrap());

        let audited = desk.lake.list("audit").await.unwrap();
        // Two tenants' revisions, two tokens, a rotation, a revocation.
        assert_eq!(audited.len(), 6);
    }

    #[tokio::test]
    async fn only_the_last_use_stays() {
        let desk = AccessDesk::new(Lake::in_memory());
        let id = "0f1e2d3c4b5a";
        desk.note_use(id, NOW, None).await.unwrap();
        let later = NOW.plus(Span::MINUTE);
        desk.note_use(id, later, Some(NOW)).await.unwrap();
        let book = desk.read(&AccessBook::default()).await.unwrap();
        assert_eq!(book.used, BTreeMap::from([(id.to_owned(), later)]));
        assert_eq!(desk.lake.access_keys().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_cannot_be_understood_lets_nobody_in_and_still_asks() {
        let desk = AccessDesk::new(Lake::in_memory());
        let key = AccessKey::Token { id: "0f1e2d3c4b5a".to_owned() };
        desk.lake.put_access(&key, ::bytes::Bytes::from_static(b"{")).await.unwrap();
        let book = desk.read(&AccessBook::default()).await.unwrap();
        assert!(book.asks());
        assert_eq!(book.tokens.values().next(), Some(&None));
    }
}

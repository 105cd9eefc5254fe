//! What a lake keeps of those who may ask → whether a token is taken, purely.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{TenantRecord, TokenRecord, lab_scope};
use super::role::Role;
use super::secret::TokenText;
use crate::flow::Timestamp;
use crate::flow::access_key::AccessKey;
use crate::lake::read::{LabScope, Scope};

/// Everything that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessBook {
    /// The tokens by id; nothing stands for one that cannot be read, which lets nobody in.
    pub tokens: BTreeMap<String, Option<TokenRecord>>,
    /// From when on tokens are not taken any more.
    pub revoked: BTreeMap<String, Timestamp>,
    /// When tokens were used last.
    pub used: BTreeMap<String, Timestamp>,
    /// The tenants at their last revisions.
    pub tenants: BTreeMap<String, (u32, Option<TenantRecord>)>,
}

/// Someone who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's id; nothing where nobody is asked for one.
    pub token: Option<String>,
    /// Whose it is.
    pub tenant: String,
    /// Who uses it.
    pub user: String,
    /// What they may.
    pub role: Role,
    /// Whose rows they may see.
    pub labs: LabScope,
}

/// Why a token is not taken. What a token that is known has become is told to whoever has its secret alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// No such token.
    #[error("the token is not known here; `turnaround token list` tells those that are")]
    Unknown,
    /// It has ended.
    #[error("token `{id}` ended at {at}; `turnaround token rotate {id}` makes another")]
    Expired {
        /// Its id.
        id: String,
        /// When.
        at: Timestamp,
    },
    /// It was revoked.
    #[error("token `{id}` was revoked at {at}; ask for another")]
    Revoked {
        /// Its id.
        id: String,
        /// When.
        at: Timestamp,
    },
    /// It has no role.
    #[error("token `{id}` has no role; `turnaround token create --role viewer` makes one that has")]
    NoRole {
        /// Its id.
        id: String,
    },
}

/// What a token is at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// It is taken.
    Good,
    /// It has ended.
    Expired(Timestamp),
    /// It was revoked.
    Revoked(Timestamp),
}

impl AccessBook {
    /// Whether anyone was ever given a token: then nobody is let in without.
    pub fn asks(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// What a token is at an instant.
    pub fn state(&self, record: &TokenRecord, now: Timestamp) -> TokenState {
        let revoked = self.revoked.get(&record.id).copied().filter(|at| *at <= now);
        let expired = record.ends_at().filter(|at| *at <= now);
        match (revoked, expired) {
            (Some(at), _) => TokenState::Revoked(at),
            (None, Some(at)) => TokenState::Expired(at),
            (None, None) => TokenState::Good,
        }
    }

    /// Lets in who has a token, or says why not.
    ///
    /// # Errors
    /// Where it is unknown, has ended, was revoked or has no role.
    pub fn admit(&self, token: &TokenText, now: Timestamp) -> Result<Caller, NotAdmitted> {
        let record = self.tokens.get(token.id()).and_then(Option::as_ref);
        let record = record.filter(|record| token.is_of(&record.hash));
        let record = record.ok_or(NotAdmitted::Unknown)?;
        let id = record.id.clone();
        match self.state(record, now) {
            TokenState::Revoked(at) => return Err(NotAdmitted::Revoked { id, at }),
            TokenState::Expired(at) => return Err(NotAdmitted::Expired { id, at }),
            TokenState::Good => {}
        }
        let role = record.role.ok_or_else(|| NotAdmitted::NoRole { id: id.clone() })?;
        Ok(Caller {
            token: Some(id),
            tenant: record.tenant.clone(),
            user: record.user.clone(),
            role,
            labs: self.labs(record),
        })
    }

    /// Whether someone who was let in would be let in again, and see the same.
    pub fn still_admits(&self, caller: &Caller, now: Timestamp) -> bool {
        let Some(id) = &caller.token else { return false };
        let record = self.tokens.get(id).and_then(Option::as_ref);
        record.is_some_and(|record| {
            self.state(record, now) == TokenState::Good
                && record.role == Some(caller.role)
                && self.labs(record) == caller.labs
        })
    }

    /// A tenant's laboratories; none where it is not known, or cannot be read.
    pub fn tenant_labs(&self, tenant: &str) -> LabScope {
        let known = self.tenants.get(tenant).and_then(|(_, record)| record.as_ref());
        known.map_or(LabScope::Labs(BTreeSet::new()), |record| lab_scope(&record.labs))
    }

    /// The laboratories of a token: those of its tenant as it is now, narrowed to its own.
    pub fn labs(&self, record: &TokenRecord) -> LabScope {
        let tenant = self.tenant_labs(&record.tenant);
        record.labs.as_ref().map_or(tenant.clone(), |labs| tenant.and(&lab_scope(labs)))
    }

    /// Notes what the name of an entry says by itself.
    pub fn note(&mut self, key: &AccessKey) {
        match key {
            AccessKey::Revoked { id, at } => {
                let first = self.revoked.get(id).map_or(*at, |other| *other.min(at));
                self.revoked.insert(id.clone(), first);
            }
            AccessKey::Used { id, at } => {
                let last = self.used.get(id).map_or(*at, |other| *other.max(at));
                self.used.insert(id.clone(), last);
            }
            AccessKey::Token { .. } | AccessKey::Tenant { .. } => {}
        }
    }
}

impl Caller {
    /// Whoever reaches a server that asks for no token: everyone is the machine's own user.
    pub fn of_this_machine() -> Caller {
        Caller {
            token: None,
            tenant: "local".to_owned(),
            user: "local".to_owned(),
            role: Role::Admin,
            labs: LabScope::All,
        }
    }

    /// What they may see.
    pub fn scope(&self) -> Scope {
        Scope::of(self.labs.clone()).closing(self.role.closed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_772_366_400_000_000);

    fn labs(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn book(change: impl FnOnce(&mut TokenRecord)) -> (AccessBook, TokenText) {
        let token = TokenText::new().unwrap();
        let mut record = TokenRecord {
            id: token.id().to_owned(),
            hash: token.hash(),
            tenant: "group".to_owned(),
            user: "anna".to_owned(),
            role: Some(Role::Viewer),
            labs: None,
            created_at: "2026-02-01T00:00:00Z".to_owned(),
            expires_at: Some("2026-04-01T00:00:00Z".to_owned()),
            replaces: None,
        };
        change(&mut record);
        let tenant = TenantRecord { name: "group".to_owned(), labs: labs(&["a", "b"]) };
        let book = AccessBook {
            tokens: BTreeMap::from([(record.id.clone(), Some(record))]),
            tenants: BTreeMap::from([("group".to_owned(), (0, Some(tenant)))]),
            ..AccessBook::default()
        };
        (book, token)
    }

    #[test]
    fn a_token_sees_its_tenants_laboratories_or_some_of_them() {
        let (whole, token) = book(|_| {});
        let caller = whole.admit(&token, NOW).unwrap();
        assert_eq!(caller.labs, lab_scope(&labs(&["a", "b"])));
        assert!(caller.scope().closes("dead_letters") && !caller.scope().holds("c"));
        assert!(whole.still_admits(&caller, NOW));
        assert!(!whole.still_admits(&caller, Timestamp(i64::MAX)));
        assert!(!whole.still_admits(&Caller::of_this_machine(), NOW));
        let mut fewer = whole.clone();
        fewer.tenants.clear();
        assert!(!fewer.still_admits(&caller, NOW));
        // What the tenant does not have, no token of it has.
        let (narrow, token) = book(|record| record.labs = Some(labs(&["b", "c"])));
        assert_eq!(narrow.admit(&token, NOW).unwrap().labs, lab_scope(&labs(&["b"])));
        let (every, token) = book(|record| record.labs = Some(labs(&["*"])));
        assert_eq!(every.admit(&token, NOW).unwrap().labs, lab_scope(&labs(&["a", "b"])));
        let (lost, token) = book(|record| record.tenant = "gone".to_owned());
        assert_eq!(lost.admit(&token, NOW).unwrap().labs, lab_scope(&[]));
    }

    #[test]
    fn what_has_ended_was_revoked_or_has_no_role_is_not_taken() {
        let (mut good, token) = book(|_| {});
        let id = token.id().to_owned();
        let later = NOW.plus(crate::flow::Span::HOUR);
        good.note(&AccessKey::Revoked { id: id.clone(), at: later });
        assert!(good.admit(&token, NOW).is_ok());
        good.note(&AccessKey::Revoked { id: id.clone(), at: NOW });
        good.note(&AccessKey::Revoked { id: id.clone(), at: later });
        let revoked = NotAdmitted::Revoked { id: id.clone(), at: NOW };
        assert_eq!(good.admit(&token, NOW), Err(revoked));
        let (old, token) = book(|record| record.expires_at = Some(NOW.to_rfc3339()));
        assert!(matches!(old.admit(&token, NOW), Err(NotAdmitted::Expired { .. })));
        let (bare, token) = book(|record| record.role = None);
        assert!(matches!(bare.admit(&token, NOW), Err(NotAdmitted::NoRole { .. })));
        // Another secret of the same id is not told what became of it.
        let (other, token) = book(|record| record.hash = "0".repeat(64));
        assert_eq!(other.admit(&token, NOW), Err(NotAdmitted::Unknown));
        let mut unread = other.clone();
        unread.tokens.insert(token.id().to_owned(), None);
        assert_eq!(unread.admit(&token, NOW), Err(NotAdmitted::Unknown));
        assert!(unread.asks() && !AccessBook::default().asks());
    }
}

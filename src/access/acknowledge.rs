//! Who sees to a breach: written down once, after the audit table has it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::audit::AuditEntry;
use super::desk::{AccessError, Doer};
use super::record::bytes;
use crate::flow::card_key::CardKey;
use crate::lake::{Lake, LakeError, Store};

/// Who sees to a breach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Who.
    pub by: String,
    /// When (RFC 3339).
    pub at: String,
    /// What they say to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Where acknowledgements are read and written.
#[derive(Clone, Debug)]
pub struct AckDesk {
    lake: Lake,
}

impl AckDesk {
    /// The desk of a store's lake.
    pub fn new(store: Store) -> AckDesk {
        AckDesk { lake: Lake::new(store) }
    }

    /// The desk of an empty lake in memory.
    #[cfg(test)]
    pub(crate) fn in_memory() -> AckDesk {
        AckDesk { lake: Lake::in_memory() }
    }

    /// Who sees to a breach; nothing where nobody does yet.
    ///
    /// # Errors
    /// Where the lake does not answer. What cannot be understood is none.
    pub async fn of(&self, breach: &str) -> Result<Option<Acknowledgement>, LakeError> {
        let key = CardKey::Acknowledged { id: breach.to_owned() };
        let read: Option<Bytes> = self.lake.read_card(&key).await?;
        Ok(read.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// The ids of all breaches that somebody sees to.
    ///
    /// # Errors
    /// Where the lake does not answer.
    pub async fn all(&self) -> Result<std::collections::BTreeSet<String>, LakeError> {
        self.lake.acknowledged().await
    }

    /// Writes down that someone sees to a breach; who did so first stays.
    ///
    /// # Errors
    /// Where the lake does not take it.
    pub async fn acknowledge(
        &self,
        breach: &str,
        note: Option<String>,
        doer: &Doer,
    ) -> Result<Acknowledgement, AccessError> {
        if let Some(earlier) = self.of(breach).await? {
            return Ok(earlier);
        }
        let Doer { who, tenant, at } = doer.clone();
        let told = Acknowledgement { by: who.clone(), at: at.to_rfc3339(), note };
        let entry = AuditEntry {
            at,
            who,
            tenant,
            what: "alert.acknowledge".to_owned(),
            subject: breach.to_owned(),
            before: None,
            after: Some(json!(told)),
        };
        entry.write(&self.lake).await?;
        let key = CardKey::Acknowledged { id: breach.to_owned() };
        self.lake.put_card(&key, bytes(&told)?).await?;
        // Another may have been first.
        Ok(self.of(breach).await?.unwrap_or(told))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Timestamp;

    #[tokio::test]
    async fn who_was_first_stays_and_the_audit_table_has_it() {
        let lake = Lake::in_memory();
        let desk = AckDesk { lake: lake.clone() };
        let breach = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
        assert_eq!(desk.of(breach).await.unwrap(), None);
        let at = Timestamp(1_772_366_400_000_000);
        let doer = |who: &str| Doer { who: who.to_owned(), tenant: None, at };
        let note = Some("analyser M1 is being repaired".to_owned());
        let told = desk.acknowledge(breach, note.clone(), &doer("anna")).await.unwrap();
        let expected =
            Acknowledgement { by: "anna".to_owned(), at: "2026-03-01T12:00:00Z".to_owned(), note };
        assert_eq!(told, expected);
        assert_eq!(desk.acknowledge(breach, None, &doer("bert")).await.unwrap(), expected);
        assert_eq!(desk.all().await.unwrap().into_iter().collect::<Vec<_>>(), [breach]);
        assert_eq!(lake.acknowledged().await.unwrap().len(), 1);
    }
}

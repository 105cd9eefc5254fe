//! What is kept of alert cards: small JSON objects, put if absent. What is in them, and when they
//! are written and deleted, is the caller's business.

use std::collections::BTreeSet;

use bytes::Bytes;
use object_store::{PutMode, PutOptions, PutPayload};

use super::{Lake, LakeError};
use crate::flow::card_key::{ACKNOWLEDGED, CARDS, CardKey};

impl Lake {
    /// Writes an entry down, unless one of its name is there already. Durable when this returns. The
    /// caller tries again.
    pub async fn put_card(&self, key: &CardKey, body: Bytes) -> Result<(), LakeError> {
        let path = self.path(&key.to_string())?;
        let payload = PutPayload::from_bytes(body);
        let options = PutOptions::from(PutMode::Create);
        match self.store.objects.put_opts(&path, payload, options).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(self.failed(format!("write `{key}`"), error)),
        }
    }

    /// The names of all entries, in order. Others' files are passed over.
    pub async fn card_keys(&self) -> Result<Vec<CardKey>, LakeError> {
        let listed = self.list_names(CARDS).await?;
        let mut keys: Vec<CardKey> =
            listed.iter().filter_map(|(name, _)| CardKey::parse(name)).collect();
        keys.sort();
        Ok(keys)
    }

    /// The ids of the breaches that somebody sees to.
    pub async fn acknowledged(&self) -> Result<BTreeSet<String>, LakeError> {
        let listed = self.list_names(ACKNOWLEDGED).await?;
        let id = |(name, _): &(String, _)| match CardKey::parse(name)? {
            CardKey::Acknowledged { id } => Some(id),
            CardKey::Waiting { .. } | CardKey::Taken { .. } => None,
        };
        Ok(listed.iter().filter_map(id).collect())
    }

    /// Reads an entry; `None` when it is gone.
    pub async fn read_card(&self, key: &CardKey) -> Result<Option<Bytes>, LakeError> {
        self.get(&key.to_string()).await
    }

    /// Deletes entries; one that is gone already is no error.
    pub async fn delete_cards(&self, keys: &[CardKey]) -> Result<usize, LakeError> {
        self.delete(keys).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_to_be_written_stands_and_what_is_gone_is_no_error() {
        let lake = Lake::in_memory();
        let key = |id: &str| CardKey::Waiting { id: id.repeat(32) };
        lake.put_card(&key("a"), Bytes::from_static(b"1")).await.unwrap();
        lake.put_card(&key("a"), Bytes::from_static(b"2")).await.unwrap();
        lake.put_card(&key("b"), Bytes::from_static(b"3")).await.unwrap();
        assert_eq!(lake.card_keys().await.unwrap(), [key("a"), key("b")]);
        let read = lake.read_card(&key("a")).await.unwrap();
        assert_eq!(read.as_deref(), Some(&b"1"[..]));
        lake.delete_cards(&[key("a"), key("c")]).await.unwrap();
        assert_eq!(lake.read_card(&key("a")).await.unwrap(), None);
    }
}

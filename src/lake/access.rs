//! What is kept of those who may ask a lake: small JSON objects, put if absent. What is in them is the
//! caller's business.

use bytes::Bytes;
use object_store::{PutMode, PutOptions, PutPayload};

use super::{Lake, LakeError};
use crate::flow::access_key::{ACCESS, AccessKey};

impl Lake {
    /// Writes an entry down, unless one of its name is there already; says whether it was written.
    /// Durable when this returns. Not tried again: whoever asks is told.
    pub async fn put_access(&self, key: &AccessKey, body: Bytes) -> Result<bool, LakeError> {
        let path = self.path(&key.to_string())?;
        let options = PutOptions::from(PutMode::Create);
        match self.store.objects.put_opts(&path, PutPayload::from_bytes(body), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.failed(format!("write `{key}`"), error)),
        }
    }

    /// The names of all entries, in order. Others' files are passed over.
    pub async fn access_keys(&self) -> Result<Vec<AccessKey>, LakeError> {
        let listed = self.try_list(ACCESS).await?;
        let mut keys: Vec<AccessKey> =
            listed.iter().filter_map(|(name, _)| AccessKey::parse(name)).collect();
        keys.sort();
        Ok(keys)
    }

    /// Reads an entry; `None` when it is gone.
    pub async fn read_access(&self, key: &AccessKey) -> Result<Option<Bytes>, LakeError> {
        self.get(&key.to_string()).await
    }

    /// Deletes entries; one that is gone already is no error.
    pub async fn delete_access(&self, keys: &[AccessKey]) -> Result<usize, LakeError> {
        self.delete(keys).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_to_be_written_stands_and_says_so() {
        let lake = Lake::in_memory();
        let key = |id: &str| AccessKey::Token { id: id.repeat(12) };
        assert!(lake.put_access(&key("a"), Bytes::from_static(b"1")).await.unwrap());
        assert!(!lake.put_access(&key("a"), Bytes::from_static(b"2")).await.unwrap());
        assert!(lake.put_access(&key("b"), Bytes::from_static(b"3")).await.unwrap());
        assert_eq!(lake.access_keys().await.unwrap(), [key("a"), key("b")]);
        let read = lake.read_access(&key("a")).await.unwrap();
        assert_eq!(read.as_deref(), Some(&b"1"[..]));
        lake.delete_access(&[key("a"), key("c")]).await.unwrap();
        assert_eq!(lake.read_access(&key("a")).await.unwrap(), None);
    }
}

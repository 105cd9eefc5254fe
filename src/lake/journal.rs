//! The journal of idle advances: one small JSON object each, put if absent.
//!
//! An object's name is a function of the advance and says all of it, so an object that is there
//! already is the same one, and the journal is read by listing it. When an advance is written or
//! superseded is the caller's business.

use bytes::Bytes;
use object_store::{PutMode, PutOptions, PutPayload};

use super::{Lake, LakeError};
use crate::flow::IdleAdvance;
use crate::flow::journal::{JOURNAL, JournalKey};

impl Lake {
    /// Writes an advance down, unless it is there already. Durable when this returns.
    pub async fn put_journal(&self, advance: &IdleAdvance) -> Result<(), LakeError> {
        let key = JournalKey::of(advance);
        let path = self.path(&key.to_string())?;
        let body = body(advance);
        let put = || async {
            let payload = PutPayload::from_bytes(body.clone());
            let options = PutOptions::from(PutMode::Create);
            match self.store.objects.put_opts(&path, payload, options).await {
                Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
                Err(error) => Err(self.failed(format!("write `{key}`"), error)),
            }
        };
        self.persist(&key.to_string(), put).await
    }

    /// Every advance that is written down, in order. Others' files are passed over.
    pub async fn journal(&self) -> Result<Vec<JournalKey>, LakeError> {
        let listed = self.list_names(JOURNAL).await?;
        let mut keys: Vec<JournalKey> =
            listed.iter().filter_map(|(name, _)| JournalKey::parse(name)).collect();
        keys.sort();
        Ok(keys)
    }
}

/// The advance as JSON, for people: the name says the same.
fn body(advance: &IdleAdvance) -> Bytes {
    let object = serde_json::json!({
        "topic": &*advance.partition.topic,
        "partition": advance.partition.index,
        "next_offset": advance.next.0,
        "watermark": advance.watermark.to_rfc3339(),
    });
    Bytes::from(format!("{object}\n"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::flow::{Offset, Partition, Timestamp};

    #[tokio::test]
    async fn what_is_written_down_is_read_back() {
        let lake = Lake::in_memory();
        let partition = Arc::new(Partition { topic: "lab".into(), index: 1 });
        // 2026-03-01T12:00:00Z, by `date -u -d 2026-03-01T12:00:00Z +%s`.
        let noon = Timestamp(1_772_366_400_000_000);
        let advance = |next, watermark| IdleAdvance {
            partition: Arc::clone(&partition),
            next: Offset(next),
            watermark,
        };
        lake.put_journal(&advance(7, noon)).await.unwrap();
        lake.put_journal(&advance(7, noon)).await.unwrap();
        lake.put_journal(&advance(3, noon)).await.unwrap();
        let keys = lake.journal().await.unwrap();
        let read: Vec<_> = keys.iter().filter_map(|key| key.advance_of(&partition)).collect();
        assert_eq!(read, [advance(3, noon), advance(7, noon)]);
        assert_eq!(lake.delete(&keys[..1]).await.unwrap(), 1);
        assert_eq!(lake.journal().await.unwrap(), keys[1..]);
        let expected = "{\"next_offset\":7,\"partition\":1,\"topic\":\"lab\",\
                        \"watermark\":\"2026-03-01T12:00:00Z\"}\n";
        assert_eq!(body(&advance(7, noon)), expected);
    }
}

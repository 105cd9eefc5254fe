//! The generator as a source: one partition, records with their arrival as their own time.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Generator, GeneratorOptions};
use crate::flow::record::RecordFrame;
use crate::flow::{Framing, Partition, RawBatch};
use crate::source::{Source, SourceError, SourceEvent};

/// A batch ends beyond so many bytes: large enough to decode in bulk, small against memory.
const BATCH_BYTES: usize = 1 << 20;

/// Delivers a generated feed, then ends. Records are parted by line feeds that belong to none.
#[derive(Debug)]
pub struct GeneratorSource {
    generator: Generator,
    partitions: Vec<Arc<Partition>>,
    next_offset: i64,
}

impl GeneratorSource {
    /// A source of the feed that `options` describe; its partition is `generator:PROFILE-0`.
    pub fn new(options: GeneratorOptions) -> Result<GeneratorSource, SourceError> {
        let topic = format!("generator:{}", options.profile);
        let generator =
            Generator::new(options).map_err(|fault| SourceError::Wrong(fault.to_string()))?;
        let partition = Arc::new(Partition { topic: topic.into(), index: 0 });
        Ok(GeneratorSource { generator, partitions: vec![partition], next_offset: 0 })
    }

    /// The generator behind it: its counters, laboratories and expected number of records.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    /// The next batch; `None` when the feed has ended.
    fn batch(&mut self) -> Option<RawBatch> {
        let partition = Arc::clone(self.partitions.first()?);
        let mut bytes = Vec::with_capacity(BATCH_BYTES + 4096);
        let mut frames = Vec::new();
        while bytes.len() < BATCH_BYTES {
            let start = bytes.len();
            let Some(record_time) = self.generator.write_next(&mut bytes, None) else { break };
            frames.push(RecordFrame {
                offset: self.next_offset,
                record_time,
                appended: false,
                start,
                end: bytes.len(),
            });
            bytes.push(b'\n');
            self.next_offset += 1;
        }
        if frames.is_empty() {
            return None;
        }
        Some(RawBatch { partition, bytes: Bytes::from(bytes), framing: Framing::Records(frames) })
    }
}

#[async_trait]
impl Source for GeneratorSource {
    fn partitions(&self) -> &[Arc<Partition>] {
        &self.partitions
    }

    async fn next(&mut self) -> Result<SourceEvent, SourceError> {
        Ok(self.batch().map_or(SourceEvent::End, SourceEvent::Batch))
    }
}

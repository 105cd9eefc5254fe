//! When, in the order of a partition's records, a row was made: what row-level objects are cut by.

pub use crate::flow::RowCut;

/// A record's offset and the watermark that stood before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stood {
    offset: i64,
    watermark_before: i64,
}

impl Stood {
    pub(super) fn new(offset: i64, watermark_before: i64) -> Stood {
        Stood { offset, watermark_before }
    }
}

/// Which record brought the watermark beyond a time: rows that wait for the watermark are made then.
pub(super) struct RowCuts {
    /// Watermarks that stood before records, rising, each with the offset of the record before.
    rises: Vec<RowCut>,
    end: RowCut,
}

impl RowCuts {
    /// Of records in their order, the first of which follows the one at `last` and found `reached`.
    pub(super) fn of(
        records: impl Iterator<Item = Stood>,
        last: i64,
        reached: i64,
        watermark: i64,
    ) -> RowCuts {
        let (mut stood, mut before) = (reached, last);
        let mut rises = Vec::new();
        for record in records {
            if record.watermark_before > stood {
                stood = record.watermark_before;
                rises.push(RowCut { offset: before, watermark: stood });
            }
            before = record.offset;
        }
        RowCuts { rises, end: RowCut { offset: before, watermark } }
    }

    /// When something that waited for the watermark to pass `at` was made.
    pub(super) fn of_time(&self, at: i64) -> RowCut {
        let rise = self.rises.partition_point(|rise| rise.watermark <= at);
        self.rises.get(rise).copied().unwrap_or(self.end)
    }

    /// When a step was applied, whose turn was at `turn`: a late one at once.
    pub(super) fn of_step(&self, turn: i64, stood: Stood, at: i64) -> RowCut {
        if at < stood.watermark_before {
            return RowCut { offset: stood.offset, watermark: stood.watermark_before };
        }
        self.of_time(turn)
    }
}

//! Several streams of rows, each in order, as one.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::row::Rows;
use datafusion::common::Result;

use super::order::{RowOrder, RowStream};

/// Rows that are given out at once.
const BATCH_ROWS: usize = 8192;

/// The rows of several streams in their order.
pub(crate) struct Merge {
    order: RowOrder,
    heads: BinaryHeap<Box<Head>>,
    /// The batches that the rows to give out next are taken from.
    batches: Vec<RecordBatch>,
    failed: bool,
}

/// The next row of a stream.
struct Head {
    stream: RowStream,
    order: RowOrder,
    rows: RecordBatch,
    keys: Rows,
    row: usize,
    /// The place of `rows` among the batches.
    batch: usize,
}

impl Merge {
    /// The rows of streams, each of which is in order.
    pub(crate) fn of(order: RowOrder, streams: Vec<RowStream>) -> Result<Merge> {
        let mut heads = BinaryHeap::with_capacity(streams.len());
        let mut batches = Vec::with_capacity(streams.len());
        for mut stream in streams {
            let Some(rows) = next_rows(&mut stream)? else { continue };
            let (keys, order) = (order.keys(&rows)?, order.clone());
            batches.push(rows.clone());
            let batch = batches.len() - 1;
            heads.push(Box::new(Head { stream, order, rows, keys, row: 0, batch }));
        }
        Ok(Merge { order, heads, batches, failed: false })
    }

    fn take(&mut self) -> Result<Option<RecordBatch>> {
        let mut places: Vec<(usize, usize)> = Vec::with_capacity(BATCH_ROWS);
        while places.len() < BATCH_ROWS {
            let Some(mut head) = self.heads.peek_mut() else { break };
            places.push((head.batch, head.row));
            head.row += 1;
            if head.row < head.rows.num_rows() {
                continue;
            }
            let next = next_rows(&mut head.stream);
            let next = next
                .and_then(|rows| rows.map(|rows| Ok((self.order.keys(&rows)?, rows))).transpose());
            // A stream without a next row must not be compared with the others any more.
            match next {
                Ok(Some((keys, rows))) => {
                    self.batches.push(rows.clone());
                    (head.keys, head.row) = (keys, 0);
                    (head.rows, head.batch) = (rows, self.batches.len() - 1);
                }
                Ok(None) => drop(PeekMut::pop(head)),
                Err(error) => {
                    drop(PeekMut::pop(head));
                    return Err(error);
                }
            }
        }
        if places.is_empty() {
            return Ok(None);
        }
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let merged = interleave_record_batch(&batches, &places)?;
        self.forget();
        Ok(Some(merged))
    }

    /// Forgets the batches that have been given out.
    fn forget(&mut self) {
        let mut heads = std::mem::take(&mut self.heads).into_vec();
        self.batches.clear();
        for head in &mut heads {
            head.batch = self.batches.len();
            self.batches.push(head.rows.clone());
        }
        self.heads = BinaryHeap::from(heads);
    }
}

impl Iterator for Merge {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        if self.failed {
            return None;
        }
        let taken = self.take();
        self.failed = taken.is_err();
        taken.transpose()
    }
}

/// The next batch that holds rows.
fn next_rows(stream: &mut RowStream) -> Result<Option<RecordBatch>> {
    stream.find(|rows| rows.as_ref().map_or(true, |rows| rows.num_rows() > 0)).transpose()
}

/// The largest of a heap is given out first, so what comes first is the largest.
impl Ord for Head {
    fn cmp(&self, other: &Head) -> Ordering {
        let (mine, theirs) = (self.keys.row(self.row), other.keys.row(other.row));
        let rest = || self.order.compare_rest((&self.rows, self.row), (&other.rows, other.row));
        mine.cmp(&theirs).then_with(rest).reverse()
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

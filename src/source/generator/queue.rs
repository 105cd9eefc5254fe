//! What happens next: pending items in the order of their arrival, equal arrivals in the order
//! in which they were queued.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::faults::Counters;
use super::tube::ShelvedTube;

/// Something that is pending.
#[derive(Debug)]
pub(super) enum QueueItem {
    /// A collection of this flow is to be planned.
    Flow(usize),
    /// The next step of the tube in this slot.
    Tube(u32),
    /// The next state of an instrument: laboratory, instrument.
    Instrument(u32, u32),
    /// The next event of a laboratory's settings.
    Center(u32),
    /// The storage of a tube, then its disposal.
    Shelved(ShelvedTube),
    /// A record that was held up, or comes again.
    Held(Box<HeldRecord>),
}

/// A record that has been written and not yet told.
#[derive(Debug)]
pub(super) struct HeldRecord {
    pub(super) line: Vec<u8>,
    pub(super) key: String,
    /// What is to be counted when it arrives.
    pub(super) marks: Counters,
}

/// Pending items.
#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: BinaryHeap<QueueEntry>,
    /// How many have been queued: decides between equal arrivals.
    queued: u64,
}

impl Queue {
    /// Adds an item that arrives at `arrival_us`, in microseconds.
    pub(super) fn push(&mut self, arrival_us: i64, item: QueueItem) {
        self.queued += 1;
        self.entries.push(QueueEntry { arrival_us, order: self.queued, item });
    }

    /// Takes the earliest item.
    pub(super) fn pop(&mut self) -> Option<(i64, QueueItem)> {
        self.entries.pop().map(|entry| (entry.arrival_us, entry.item))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// The earliest is the greatest.
#[derive(Debug)]
struct QueueEntry {
    arrival_us: i64,
    order: u64,
    item: QueueItem,
}

impl PartialEq for QueueEntry {
    fn eq(&self, other: &QueueEntry) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for QueueEntry {}

impl PartialOrd for QueueEntry {
    fn partial_cmp(&self, other: &QueueEntry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for QueueEntry {
    fn cmp(&self, other: &QueueEntry) -> Ordering {
        (other.arrival_us, other.order).cmp(&(self.arrival_us, self.order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_equals_in_the_order_of_queueing() {
        let mut queue = Queue::default();
        for (arrival_us, flow) in [(5, 0), (3, 1), (5, 2), (3, 3), (4, 4)] {
            queue.push(arrival_us, QueueItem::Flow(flow));
        }
        let mut order = Vec::new();
        while let Some((arrival_us, QueueItem::Flow(flow))) = queue.pop() {
            order.push((arrival_us, flow));
        }
        assert_eq!(order, [(3, 1), (3, 3), (4, 4), (5, 0), (5, 2)]);
    }
}

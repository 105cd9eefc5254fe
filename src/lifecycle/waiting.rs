//! Steps that wait for the watermark, in the order of work.
//!
//! A late step is applied at once, after everything earlier than the watermark that stood before it.
//! That is: it takes its place at that watermark, before whatever happened then. So one order serves
//! all steps, and how batches are cut does not matter.

use std::collections::VecDeque;
use std::sync::Arc;

/// A step's place in the order of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StepTurn {
    /// The step's time; of a late one the watermark before it.
    pub(super) at: i64,
    /// Late ones come first.
    on_time: bool,
    offset: i64,
    batch: u32,
    row: u32,
}

/// Steps of one partition. They lie where they came, and only their turns are moved.
#[derive(Debug)]
pub(super) struct Waiting<S> {
    batches: VecDeque<WaitingBatch<S>>,
    /// The number of the first of them.
    first: u32,
    turns: Vec<StepTurn>,
}

/// Steps that came together.
#[derive(Debug)]
struct WaitingBatch<S> {
    steps: Arc<Vec<S>>,
    /// How many of them are still waiting.
    left: usize,
}

impl<S> Default for Waiting<S> {
    fn default() -> Waiting<S> {
        Waiting { batches: VecDeque::new(), first: 0, turns: Vec::new() }
    }
}

/// When a step happened, and what stood before it.
pub trait Timed {
    /// Event time, microseconds.
    fn at(&self) -> i64;
    /// The offset of its record.
    fn offset(&self) -> i64;
    /// The partition's watermark before it.
    fn watermark_before(&self) -> i64;
}

impl<S: Timed> Waiting<S> {
    /// Takes in steps in the order of their offsets.
    pub(super) fn add(&mut self, steps: Vec<S>) {
        if steps.is_empty() {
            return;
        }
        let batch = self.first.wrapping_add(self.batches.len() as u32);
        let turn = |(row, step): (usize, &S)| {
            let on_time = step.at() >= step.watermark_before();
            let at = if on_time { step.at() } else { step.watermark_before() };
            StepTurn { at, on_time, offset: step.offset(), batch, row: row as u32 }
        };
        self.turns.extend(steps.iter().enumerate().map(turn));
        self.batches.push_back(WaitingBatch { left: steps.len(), steps: Arc::new(steps) });
        // Nearly sorted, in two runs at most where the feed is in order.
        self.turns.sort();
    }

    /// Takes out the steps whose turn comes before `watermark`, in their order.
    pub(super) fn release(&mut self, watermark: i64) -> Released<S> {
        let due = self
            .turns
            .partition_point(|turn| turn.at < watermark || turn.at == watermark && !turn.on_time);
        let rest = self.turns.split_off(due);
        let turns = std::mem::replace(&mut self.turns, rest);
        let first = self.first;
        let batches = self.batches.iter().map(|batch| Arc::clone(&batch.steps)).collect();
        for turn in &turns {
            self.batches[turn.batch.wrapping_sub(first) as usize].left -= 1;
        }
        while self.batches.front().is_some_and(|batch| batch.left == 0) {
            self.batches.pop_front();
            self.first = self.first.wrapping_add(1);
        }
        Released { turns, batches, first }
    }

    /// The last turn's time.
    pub(super) fn last(&self) -> Option<i64> {
        self.turns.last().map(|turn| turn.at)
    }

    /// Bytes that they take.
    pub(super) fn bytes(&self) -> usize {
        let steps: usize = self.batches.iter().map(|batch| batch.steps.capacity()).sum();
        steps * size_of::<S>() + self.turns.capacity() * size_of::<StepTurn>()
    }
}

/// Steps that are due.
#[derive(Debug)]
pub(super) struct Released<S> {
    turns: Vec<StepTurn>,
    batches: Vec<Arc<Vec<S>>>,
    first: u32,
}

impl<S> Released<S> {
    /// In their order, each with the time of its turn.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, &S)> {
        self.turns.iter().map(|turn| (turn.at, self.step(turn)))
    }

    pub(super) fn len(&self) -> usize {
        self.turns.len()
    }

    /// The step so many places after the first.
    #[inline]
    pub(super) fn get(&self, place: usize) -> Option<&S> {
        self.turns.get(place).map(|turn| self.step(turn))
    }

    #[inline]
    fn step(&self, turn: &StepTurn) -> &S {
        &self.batches[turn.batch.wrapping_sub(self.first) as usize][turn.row as usize]
    }
}

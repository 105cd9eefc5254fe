//! Steps that wait for the watermark, in the order of work.
//!
//! A late step is applied at once, after everything earlier than the watermark that stood before it.
//! That is: it takes its place at that watermark, before whatever happened then. So one order serves
//! all steps, and how batches are cut does not matter.

/// A step's place in the order of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StepTurn {
    /// The step's time; of a late one the watermark before it.
    pub(super) at: i64,
    /// Late ones come first.
    on_time: bool,
    offset: i64,
    place: u32,
}

/// Steps of one partition.
#[derive(Debug)]
pub(super) struct Waiting<S> {
    steps: Vec<S>,
    turns: Vec<StepTurn>,
}

impl<S> Default for Waiting<S> {
    fn default() -> Waiting<S> {
        Waiting { steps: Vec::new(), turns: Vec::new() }
    }
}

/// When a step happened, and what stood before it.
pub(super) trait Timed {
    fn at(&self) -> i64;
    fn offset(&self) -> i64;
    fn watermark_before(&self) -> i64;
}

impl<S: Timed + Default> Waiting<S> {
    /// Takes in steps in the order of their offsets.
    pub(super) fn add(&mut self, steps: Vec<S>) {
        let first = self.steps.len();
        let turn = |(place, step): (usize, &S)| {
            let on_time = step.at() >= step.watermark_before();
            let at = if on_time { step.at() } else { step.watermark_before() };
            StepTurn { at, on_time, offset: step.offset(), place: (first + place) as u32 }
        };
        self.turns.extend(steps.iter().enumerate().map(turn));
        if self.steps.is_empty() {
            self.steps = steps;
        } else {
            self.steps.extend(steps);
        }
        // Nearly sorted, in two runs at most where the feed is in order.
        self.turns.sort();
    }

    /// Takes out the steps whose turn comes before `watermark`, in their order.
    pub(super) fn release(&mut self, watermark: i64) -> Released<S> {
        let due = self
            .turns
            .partition_point(|turn| turn.at < watermark || turn.at == watermark && !turn.on_time);
        if due == self.turns.len() {
            let (turns, steps) = (std::mem::take(&mut self.turns), std::mem::take(&mut self.steps));
            return Released { turns, steps };
        }
        let rest = self.turns.split_off(due);
        let turns = std::mem::replace(&mut self.turns, rest);
        // Those that stay are few: they move to a list of their own.
        let mut steps = std::mem::take(&mut self.steps);
        for (place, turn) in self.turns.iter_mut().enumerate() {
            self.steps.push(std::mem::take(&mut steps[turn.place as usize]));
            turn.place = place as u32;
        }
        Released { turns, steps }
    }

    /// The last turn's time.
    pub(super) fn last(&self) -> Option<i64> {
        self.turns.last().map(|turn| turn.at)
    }

    /// Bytes that they take.
    pub(super) fn bytes(&self) -> usize {
        self.steps.capacity() * size_of::<S>() + self.turns.capacity() * size_of::<StepTurn>()
    }
}

/// Steps that are due.
#[derive(Debug)]
pub(super) struct Released<S> {
    turns: Vec<StepTurn>,
    steps: Vec<S>,
}

impl<S> Released<S> {
    /// In their order, each with the time of its turn.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, &S)> {
        self.turns.iter().map(|turn| (turn.at, &self.steps[turn.place as usize]))
    }

    pub(super) fn len(&self) -> usize {
        self.turns.len()
    }

    /// The step so many places after the first.
    #[inline]
    pub(super) fn get(&self, place: usize) -> Option<&S> {
        self.turns.get(place).map(|turn| &self.steps[turn.place as usize])
    }
}

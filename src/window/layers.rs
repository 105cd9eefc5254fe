//! What has been collected of one thing in many small parts, kept in few: a base, and the delta that
//! has come since it was folded.
//!
//! Small batches bring small parts. Those of the delta are joined when they become many, and the
//! delta is folded into the base once it weighs as much: so what is held is bounded by what the
//! parts say together, and each is joined a number of times that grows as the logarithm of theirs.
//! The delta alone is what a checkpoint has to write.

use std::sync::Arc;

/// Parts of a delta at which some are joined: joining has a cost of its own, whatever it joins.
const PARTS_TO_JOIN: usize = 32;

/// What takes memory.
pub trait Weigh {
    /// How much, in bytes.
    fn weight(&self) -> usize;
}

/// Parts that say together what was collected.
#[derive(Debug)]
pub struct Layers<T> {
    base: Option<LayerPart<T>>,
    delta: Vec<LayerPart<T>>,
}

#[derive(Debug)]
struct LayerPart<T> {
    entry: Arc<T>,
    weight: usize,
}

impl<T> Default for Layers<T> {
    fn default() -> Layers<T> {
        Layers { base: None, delta: Vec::new() }
    }
}

impl<T: Weigh> LayerPart<T> {
    fn of(entry: Arc<T>) -> LayerPart<T> {
        LayerPart { weight: entry.weight(), entry }
    }
}

impl<T: Weigh> Layers<T> {
    /// Adds a part; `join` makes one of several.
    pub fn add<E>(
        &mut self,
        entry: Arc<T>,
        mut join: impl FnMut(&[Arc<T>]) -> Result<T, E>,
    ) -> Result<(), E> {
        self.delta.push(LayerPart::of(entry));
        if self.delta.len() < PARTS_TO_JOIN {
            return Ok(());
        }
        let newest = self.delta.split_off(self.newest());
        self.delta.push(joined(newest, &mut join)?);
        let delta: usize = self.delta.iter().map(|part| part.weight).sum();
        if delta >= self.base.as_ref().map_or(0, |base| base.weight) {
            self.fold(join)?;
        }
        Ok(())
    }

    /// The first of the delta's newest parts that are joined: as many as are not much larger than
    /// those after them, or all where these are few.
    fn newest(&self) -> usize {
        let mut from = self.delta.len() - 1;
        let mut held = self.delta[from].weight;
        while from > 0 && self.delta[from - 1].weight <= 2 * held {
            from -= 1;
            held += self.delta[from].weight;
        }
        if self.delta.len() - from < PARTS_TO_JOIN / 2 { 0 } else { from }
    }

    /// Folds the delta into the base.
    pub fn fold<E>(&mut self, mut join: impl FnMut(&[Arc<T>]) -> Result<T, E>) -> Result<(), E> {
        let parts: Vec<LayerPart<T>> =
            self.base.take().into_iter().chain(self.delta.drain(..)).collect();
        if !parts.is_empty() {
            self.base = Some(joined(parts, &mut join)?);
        }
        Ok(())
    }

    /// Takes in the parts of others.
    pub fn append(&mut self, other: Layers<T>) {
        self.delta.extend(other.base.into_iter().chain(other.delta));
    }

    /// The weight of all parts.
    pub fn weight(&self) -> usize {
        self.base.iter().chain(&self.delta).map(|part| part.weight).sum()
    }
}

impl<T> Layers<T> {
    /// How many parts there are.
    pub fn len(&self) -> usize {
        usize::from(self.base.is_some()) + self.delta.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.base.is_none() && self.delta.is_empty()
    }

    /// The parts, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.base.iter().chain(&self.delta).map(|part| &part.entry)
    }

    /// The parts, to be replaced by others that weigh the same.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Arc<T>> {
        self.base.iter_mut().chain(&mut self.delta).map(|part| &mut part.entry)
    }
}

fn joined<T: Weigh, E>(
    mut parts: Vec<LayerPart<T>>,
    join: &mut impl FnMut(&[Arc<T>]) -> Result<T, E>,
) -> Result<LayerPart<T>, E> {
    if parts.len() == 1 {
        return Ok(parts.remove(0));
    }
    let entries: Vec<Arc<T>> = parts.into_iter().map(|part| part.entry).collect();
    Ok(LayerPart::of(Arc::new(join(&entries)?)))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeSet;

    use super::*;

    impl Weigh for BTreeSet<u32> {
        fn weight(&self) -> usize {
            self.len()
        }
    }

    /// 100,000 parts that say one of so many things, and how often one has been looked at.
    fn collected(things: u32) -> (Layers<BTreeSet<u32>>, usize) {
        let looked_at = Cell::new(0);
        let join = |parts: &[Arc<BTreeSet<u32>>]| {
            looked_at.set(looked_at.get() + parts.iter().map(|part| part.len()).sum::<usize>());
            Ok::<_, ()>(parts.iter().flat_map(|part| part.iter().copied()).collect())
        };
        let mut layers = Layers::default();
        for part in 0..100_000u32 {
            let said = part.wrapping_mul(2_654_435_761) % things;
            layers.add(Arc::new(BTreeSet::from([said])), join).unwrap();
            assert!(layers.len() <= PARTS_TO_JOIN, "{}", layers.len());
        }
        (layers, looked_at.get())
    }

    #[test]
    fn what_is_held_is_bounded_by_what_is_said() {
        for (things, times) in [(1, 3), (500, 12), (100_000, 20)] {
            let (mut layers, looked_at) = collected(things);
            assert!(layers.weight() <= 2 * things as usize + PARTS_TO_JOIN, "{things}");
            assert!(looked_at <= times * 100_000, "{things}: {looked_at}");
            let said: BTreeSet<u32> = layers.iter().flat_map(|part| part.iter().copied()).collect();
            layers
                .fold(|parts| {
                    Ok::<_, ()>(parts.iter().flat_map(|part| part.iter().copied()).collect())
                })
                .unwrap();
            assert_eq!((layers.len(), layers.weight()), (1, said.len()));
        }
    }
}

//! What a run holds in memory, and what is to be done when it becomes too much: what can be goes to
//! disk, then there is a warning, and at last the largest pipeline stops, so that the others go on. What
//! no pipeline holds is not made less by stopping one: then it is said what fills it.

/// Parts of a hundred of what may be held at which rows that wait go to disk.
const SPILL_AT: usize = 80;
/// Parts of a hundred at which there is a warning.
const WARN_AT: usize = 90;
/// Parts of a hundred below which a warning is given anew when it comes to that.
const CALM_BELOW: usize = 75;

/// How much may be held, and what has been done about it.
#[derive(Debug)]
pub struct MemoryBound {
    limit: Option<usize>,
    has_spilled: bool,
    has_warned: bool,
    has_cried: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Nothing.
    None,
    /// Bring to disk what can be.
    Spill,
    /// Warn.
    Warn,
    /// Stop the pipeline at this place.
    Stop(usize),
    /// Say what fills it: no pipeline does.
    Cry,
}

/// Why a pipeline was stopped.
#[derive(Debug, thiserror::Error)]
#[error(
    "memory is full: {used} MB are held of the {limit} MB that `memory` allows, of which this \
     pipeline has {mine} MB, the most; allow more, give it a shorter window or fewer groups, or run \
     it in a process of its own with --pipelines"
)]
pub struct MemoryFull {
    used: usize,
    limit: usize,
    mine: usize,
}

impl MemoryBound {
    /// So many bytes may be held; any number where nothing is said.
    pub fn new(limit: Option<u64>) -> MemoryBound {
        let limit = limit.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        MemoryBound { limit, has_spilled: false, has_warned: false, has_cried: false }
    }

    /// How many bytes may be held.
    pub fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// What is to be done, given the bytes that each pipeline holds and those that none does.
    pub fn judge(&mut self, pipelines: &[usize], others: usize) -> Measure {
        let Some(limit) = self.limit else { return Measure::None };
        let used = pipelines.iter().sum::<usize>() + others;
        let is_beyond = |part: usize| used / 100 >= limit / 100 * part / 100;
        if others >= limit && self.has_spilled {
            return match std::mem::replace(&mut self.has_cried, true) {
                true => Measure::None,
                false => Measure::Cry,
            };
        }
        self.has_cried &= is_beyond(CALM_BELOW);
        if used >= limit {
            let largest = pipelines.iter().enumerate().max_by_key(|(_, bytes)| **bytes);
            return match largest.filter(|(_, bytes)| **bytes > 0) {
                Some((place, _)) if self.has_spilled => Measure::Stop(place),
                Some(_) | None => self.spill(),
            };
        }
        if is_beyond(WARN_AT) && self.has_spilled && !self.has_warned {
            self.has_warned = true;
            return Measure::Warn;
        }
        if !is_beyond(CALM_BELOW) {
            self.has_warned = false;
        }
        if is_beyond(SPILL_AT) { self.spill() } else { Measure::None }
    }

    /// What can be goes to disk once, and what comes later goes there by itself.
    fn spill(&mut self) -> Measure {
        match std::mem::replace(&mut self.has_spilled, true) {
            true => Measure::None,
            false => Measure::Spill,
        }
    }

    /// Why the pipeline at a place is stopped.
    pub fn full(&self, pipelines: &[usize], others: usize, place: usize) -> MemoryFull {
        let megabytes = |bytes: usize| bytes / 1_000_000;
        MemoryFull {
            used: megabytes(pipelines.iter().sum::<usize>() + others),
            limit: megabytes(self.limit.unwrap_or(usize::MAX)),
            mine: megabytes(pipelines[place]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_to_disk_then_a_word_then_the_largest_stops() {
        let mut bound = MemoryBound::new(Some(10_000));
        let mut judge = |held: [usize; 3]| bound.judge(&held[..2], held[2]);
        assert_eq!(judge([3_000, 4_000, 500]), Measure::None);
        assert_eq!(judge([3_000, 4_000, 1_000]), Measure::Spill);
        assert_eq!(judge([3_000, 4_000, 1_100]), Measure::None, "it is on disk already");
        assert_eq!(judge([3_000, 5_000, 1_000]), Measure::Warn);
        assert_eq!(judge([3_000, 5_000, 1_100]), Measure::None, "said once");
        assert_eq!(judge([1_000, 1_000, 1_000]), Measure::None);
        assert_eq!(judge([3_000, 5_000, 1_000]), Measure::Warn, "again, after it was less");
        assert_eq!(judge([3_000, 6_000, 1_000]), Measure::Stop(1));
        assert_eq!(judge([3_000, 6_000, 10_000]), Measure::Cry, "stopping would not help");
        assert_eq!(judge([3_000, 6_000, 11_000]), Measure::None, "said once");
        assert_eq!(judge([0, 0, 9_999]), Measure::None, "it went down, but not far");
        assert_eq!(judge([0, 0, 10_000]), Measure::None);
        assert_eq!(judge([0, 0, 1_000]), Measure::None);
        assert_eq!(judge([0, 0, 10_000]), Measure::Cry, "again, after it was less");
        let full = bound.full(&[3_000_000, 6_000_000], 2_000_000, 1).to_string();
        assert!(full.starts_with("memory is full: 11 MB are held of the 0 MB"), "{full}");
        assert_eq!(MemoryBound::new(None).judge(&[usize::MAX / 2], 0), Measure::None);
    }

    /// What comes all at once is given the chance to go to disk before anything stops.
    #[test]
    fn nothing_stops_before_it_went_to_disk() {
        let mut bound = MemoryBound::new(Some(10_000));
        assert_eq!(bound.judge(&[20_000], 0), Measure::Spill);
        assert_eq!(bound.judge(&[20_000], 0), Measure::Stop(0));
    }
}

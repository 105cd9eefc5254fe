//! How long after its end a window is still revised, and in which steps.
//!
//! Revision 0 of a window that ends at `e` holds the rows whose partition's watermark stood before
//! `e`. A row that came while it stood in `[e + (k − 1) × step, e + k × step)` belongs to revision
//! `k`, which holds everything up to it and is due once the job's watermark has reached
//! `e + k × step`; the last step ends with the allowed lateness. So what a revision holds depends
//! on each row's own partition alone, never on how partitions interleave.

use crate::flow::Span;

/// The steps in which a window is revised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lateness {
    step: i64,
    allowed: i64,
}

impl Lateness {
    /// No window is revised.
    pub const NONE: Lateness = Lateness { step: 1, allowed: 0 };

    /// Revised for `allowed` after the end, every `step`.
    pub fn new(allowed: Span, step: Span) -> Lateness {
        Lateness { step: step.0.max(1), allowed: allowed.0.max(0) }
    }

    /// How long after its end a window is revised.
    pub fn allowed(self) -> Span {
        Span(self.allowed)
    }

    /// How many revisions there can be beside revision 0.
    pub fn revisions(self) -> u32 {
        let steps = self.allowed.div_euclid(self.step) + i64::from(self.allowed % self.step != 0);
        u32::try_from(steps).unwrap_or(u32::MAX)
    }

    /// How far beyond the window's end the watermark stands when a revision is due.
    pub fn due_after(self, revision: u32) -> Span {
        Span(self.step.saturating_mul(i64::from(revision)).min(self.allowed))
    }

    /// The revision of a window that ended at `end` that a row belongs to, by the watermark that
    /// stood before it; none when it came too late for every one.
    pub fn revision_of(self, end: i64, watermark_before: i64) -> Option<u32> {
        if watermark_before < end {
            return Some(0);
        }
        let behind = watermark_before.saturating_sub(end);
        let step = u32::try_from(behind / self.step).unwrap_or(u32::MAX);
        (behind < self.allowed).then_some(step.saturating_add(1))
    }

    /// The widest unit in which the steps, their end and `width` are whole numbers.
    pub(super) fn unit_with(self, width: i64) -> i64 {
        if self.allowed == 0 {
            return width;
        }
        let unit = gcd(width, self.allowed);
        if self.allowed > self.step { gcd(unit, self.step) } else { unit }
    }
}

pub(super) fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a.abs() } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn steps_after_the_end() {
        let lateness = Lateness::new(Span(40), Span(15));
        assert_eq!(lateness.revisions(), 3);
        let found: Vec<Option<u32>> =
            [99, 100, 114, 115, 130, 139, 140].map(|w| lateness.revision_of(100, w)).to_vec();
        assert_eq!(found, [Some(0), Some(1), Some(1), Some(2), Some(3), Some(3), None]);
        assert_eq!([1, 2, 3].map(|k| lateness.due_after(k).0), [15, 30, 40]);
        assert_eq!(Lateness::NONE.revision_of(100, 100), None);
        assert_eq!(Lateness::NONE.revisions(), 0);
    }

    proptest! {
        #[test]
        fn a_row_is_there_when_its_revision_is_due_and_not_before(
            allowed in 0i64..500, step in 1i64..90, behind in 0i64..600,
        ) {
            let lateness = Lateness::new(Span(allowed), Span(step));
            match lateness.revision_of(0, behind) {
                None => prop_assert!(behind >= allowed),
                Some(revision) => {
                    prop_assert!(revision >= 1 && revision <= lateness.revisions());
                    prop_assert!(behind < lateness.due_after(revision).0);
                    prop_assert!(behind >= lateness.due_after(revision - 1).0);
                }
            }
        }
    }
}

//! Work on several cores at once: parts that have nothing to do with one another, in whatever order
//! cores get to them, and the results in the order of the parts.
//!
//! For short work in the middle of a stage, that all cores would otherwise wait for.

use std::num::NonZero;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

/// How many cores there are for this process.
pub fn count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get))
}

/// Works on parts, here and on as many other threads as there are cores without one.
pub fn side_by_side<P, R>(parts: Vec<P>, work: impl Fn(P) -> R + Sync) -> Vec<R>
where
    P: Send,
    R: Send,
{
    let helpers = Helpers::at_most(parts.len().saturating_sub(1));
    if helpers.0 == 0 {
        return parts.into_iter().map(work).collect();
    }
    let queue = Mutex::new(parts.into_iter().enumerate());
    let take = || {
        let mut done = Vec::new();
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((place, part)) = next else { return done };
            done.push((place, work(part)));
        }
    };
    let mut done = thread::scope(|scope| {
        // Where the system has no thread left, there are fewer.
        let help = |_| thread::Builder::new().spawn_scoped(scope, take).ok();
        let helping: Vec<_> = (0..helpers.0).filter_map(help).collect();
        let mut done = take();
        for helper in helping {
            match helper.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Threads that help, over all who ask: together with one that asks no more than there are cores.
struct Helpers(usize);

static HELPING: Mutex<usize> = Mutex::new(0);

impl Helpers {
    fn at_most(wanted: usize) -> Helpers {
        let mut helping = HELPING.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = wanted.min((count() - 1).saturating_sub(*helping));
        *helping += taken;
        Helpers(taken)
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        *HELPING.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_have_the_order_of_the_parts() {
        for parts in [0, 1, 2, 1000] {
            let found = side_by_side((0..parts).collect(), |part: u64| part * part);
            assert_eq!(found, (0..parts).map(|part| part * part).collect::<Vec<u64>>());
        }
    }

    /// Also when those who ask ask at once: the threads that help are given back.
    #[test]
    fn parts_may_have_parts() {
        for _ in 0..50 {
            let inner = |part: u64| side_by_side(vec![part; 3], |part| part).iter().sum::<u64>();
            assert_eq!(side_by_side(vec![1, 2, 3, 4], inner), [3, 6, 9, 12]);
        }
    }
}

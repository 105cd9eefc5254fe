//! How often each token may ask: a minute's requests may come at once, then they come back one by one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::flow::{Span, Timestamp};

/// What tokens have left.
#[derive(Debug)]
pub struct Budgets {
    a_minute: u32,
    left: Mutex<BTreeMap<String, Budget>>,
}

#[derive(Clone, Copy, Debug)]
struct Budget {
    left: f64,
    at: Timestamp,
}

impl Budgets {
    /// So many requests a minute for each token.
    pub fn new(a_minute: u32) -> Budgets {
        Budgets { a_minute: a_minute.max(1), left: Mutex::default() }
    }

    /// How many requests a minute each token has.
    pub fn a_minute(&self) -> u32 {
        self.a_minute
    }

    /// Takes one request; else says after how many seconds there is one.
    ///
    /// # Errors
    /// Where none is left.
    pub fn take(&self, id: &str, now: Timestamp) -> Result<(), u64> {
        let most = f64::from(self.a_minute);
        let a_second = most / 60.0;
        let mut budgets = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = budgets.entry(id.to_owned()).or_insert(Budget { left: most, at: now });
        let passed = now.0.saturating_sub(budget.at.0).max(0) as f64 / Span::SECOND.0 as f64;
        budget.left = (budget.left + passed * a_second).min(most);
        budget.at = now;
        if budget.left < 1.0 {
            return Err(((1.0 - budget.left) / a_second).ceil().max(1.0) as u64);
        }
        budget.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_requests_may_come_at_once() {
        let at = |seconds: i64| Timestamp(seconds * Span::SECOND.0);
        let budgets = Budgets::new(6);
        for _ in 0..6 {
            assert_eq!(budgets.take("a", at(0)), Ok(()));
        }
        // One comes back every ten seconds.
        assert_eq!(budgets.take("a", at(0)), Err(10));
        assert_eq!(budgets.take("a", at(4)), Err(6));
        assert_eq!(budgets.take("b", at(4)), Ok(()));
        assert_eq!(budgets.take("a", at(10)), Ok(()));
        assert_eq!(budgets.take("a", at(11)), Err(9));
        // A clock that goes back gives nothing and takes nothing.
        assert_eq!(budgets.take("a", at(5)), Err(9));
    }
}

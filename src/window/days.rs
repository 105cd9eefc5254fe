//! The days of a table that have not settled: result rows that wait for their day's last window.

use std::collections::BTreeMap;

use chrono::NaiveDate;

/// Rows of a table by the day they are filed under.
#[derive(Debug)]
pub struct DayBook<T> {
    days: BTreeMap<NaiveDate, Vec<T>>,
}

impl<T> Default for DayBook<T> {
    fn default() -> DayBook<T> {
        DayBook { days: BTreeMap::new() }
    }
}

impl<T> DayBook<T> {
    /// Adds to a day.
    pub fn add(&mut self, date: NaiveDate, rows: T) {
        self.days.entry(date).or_default().push(rows);
    }

    /// Takes out the days before `date`, in order: nothing more will come for them.
    pub fn settle_before(&mut self, date: NaiveDate) -> Vec<(NaiveDate, Vec<T>)> {
        let open = self.days.split_off(&date);
        std::mem::replace(&mut self.days, open).into_iter().collect()
    }

    /// Takes out every day, in order: the input has ended.
    pub fn settle_all(&mut self) -> Vec<(NaiveDate, Vec<T>)> {
        std::mem::take(&mut self.days).into_iter().collect()
    }

    /// The earliest day that has not settled.
    pub fn first(&self) -> Option<NaiveDate> {
        self.days.keys().next().copied()
    }

    /// What waits, by day.
    pub fn iter(&self) -> impl Iterator<Item = (&NaiveDate, &Vec<T>)> {
        self.days.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_settle_in_order_and_once() {
        let date = |day| NaiveDate::from_ymd_opt(2026, 3, day).unwrap();
        let mut book = DayBook::default();
        book.add(date(2), "b");
        book.add(date(1), "a");
        book.add(date(2), "c");
        assert_eq!(book.settle_before(date(2)), vec![(date(1), vec!["a"])]);
        assert_eq!(book.settle_before(date(2)), vec![]);
        assert_eq!(book.first(), Some(date(2)));
        assert_eq!(book.settle_all(), vec![(date(2), vec!["b", "c"])]);
    }
}

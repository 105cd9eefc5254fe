//! Rows of a table in a stable order, a page at a time: the SQL of a page, pure.
//!
//! The order is the day, the time, the columns that tell rows apart, then whatever is given: so a page
//! ends at the values of its last row, and rows that are alike in all that are interchangeable.

use arrow::datatypes::{DataType, SchemaRef};
use chrono::{NaiveDate, TimeDelta};

use super::ask::{Ask, Conditions, name};
use super::cursor::{KeyValue, PageEnd, is_key};
use super::span::{Between, FiledDays};
use crate::flow::{Span, Timestamp};
use crate::lake::read::days::DATE;

/// Rows of a table that are wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct PageQuestion {
    /// The table.
    pub table: String,
    /// The columns that are given.
    pub columns: Vec<String>,
    /// The columns that rows are sorted by first, with their types.
    pub keys: Vec<(String, DataType)>,
    /// The columns that decide between rows with the same keys.
    pub rest: Vec<String>,
    /// The column that `between` is about; without one it is about days.
    pub time: Option<String>,
    /// The period.
    pub between: Between,
    /// Columns that have one of some values.
    pub equal: Vec<(String, Vec<String>)>,
}

impl PageQuestion {
    /// Sets the order: by the time and the grain, where these are columns of the table.
    pub fn order(&mut self, schema: &SchemaRef, grain: &[String]) {
        let texts = || {
            let fields = schema.fields().iter();
            let texts = fields.filter(|field| *field.data_type() == DataType::Utf8);
            texts.map(|field| field.name().clone()).collect()
        };
        let grain = if grain.is_empty() { texts() } else { grain.to_vec() };
        let first = std::iter::once(DATE.to_owned()).chain(self.time.clone());
        for column in first.chain(grain) {
            let Some((_, field)) = schema.column_with_name(&column) else { continue };
            let new = self.keys.iter().all(|(key, _)| *key != column);
            if new && is_key(field.data_type()) {
                self.keys.push((column, field.data_type().clone()));
            }
        }
        let others = self.columns.iter();
        let others = others.filter(|column| self.keys.iter().all(|(key, _)| key != *column));
        self.rest = others.cloned().collect();
    }

    /// Whether rows are sorted by their day first, so that days may be read one after the other.
    pub fn is_by_day(&self) -> bool {
        self.keys.first().is_some_and(|(key, kind)| key == DATE && *kind == DataType::Date32)
    }

    /// The question as a text, for cursors: without limit and cursor.
    pub fn identity(&self) -> String {
        format!("{self:?}")
    }

    /// What is selected: the columns that are given, then the keys among the others.
    fn selected(&self) -> Vec<String> {
        let keys = self.keys.iter().map(|(key, _)| key);
        let more = keys.filter(|key| !self.columns.contains(key));
        self.columns.iter().chain(more).map(|column| name(column)).collect()
    }

    /// The SELECT of up to `most` rows from where a page ended, of the days from one to another.
    pub fn ask(
        &self,
        from: Option<&PageEnd>,
        days: Option<(NaiveDate, NaiveDate)>,
        most: u64,
    ) -> Ask {
        let mut conditions = Conditions::default();
        // What leaves fewest rows comes first: the columns of later conditions are read for these alone.
        for (column, values) in &self.equal {
            conditions.one_of(column, values);
        }
        match &self.time {
            Some(time) => {
                conditions.between(time, self.between);
                conditions.days(self.between.days());
            }
            None => conditions.days(whole_days(self.between)),
        }
        if let Some((first, last)) = days {
            conditions.days(FiledDays { first: Some(first), last: Some(last) });
        }
        if let Some(end) = from {
            self.behind(&mut conditions, end);
        }
        let keys = self.keys.iter().map(|(key, _)| key);
        let order = keys.chain(&self.rest).map(|column| format!("{} NULLS FIRST", name(column)));
        let order: Vec<String> = order.collect();
        let order =
            if order.is_empty() { String::new() } else { format!("ORDER BY {}", order.join(", ")) };
        let sql = format!(
            "SELECT {} FROM {} {} {order} LIMIT {most}",
            self.selected().join(", "),
            name(&self.table),
            conditions.clause(),
        );
        conditions.ask(sql)
    }

    /// Rows from the last one's keys on.
    fn behind(&self, conditions: &mut Conditions, end: &PageEnd) {
        let mut text = String::from("TRUE");
        for (place, ((key, kind), value)) in self.keys.iter().zip(&end.keys).enumerate().rev() {
            let key = name(key);
            match value.as_ref().and_then(|value| value.scalar(kind)) {
                Some(value) => {
                    let (more, same) =
                        (conditions.value(value.clone()), conditions.value(value.clone()));
                    text = format!("({key} > {more} OR ({key} = {same} AND {text}))");
                    if place == 0 {
                        // Said once more by itself: it decides which objects are opened.
                        let least = conditions.value(value);
                        conditions.and(format!("{key} >= {least}"));
                    }
                }
                None => text = format!("({key} IS NOT NULL OR {text})"),
            }
        }
        conditions.and(text);
    }
}

/// The days that a period names, for a table whose time nobody knows.
fn whole_days(Between { from, to }: Between) -> FiledDays {
    let last = to.map(|to| to.minus(Span(1)).date());
    FiledDays { first: from.map(Timestamp::date), last }
}

/// How many days are read at once, one after the other until a page is full.
const DAYS_AT_ONCE: [usize; 3] = [16, 64, 256];

/// Days in order → runs of them that grow, each by its first and last.
pub fn runs(days: &[NaiveDate]) -> Vec<(NaiveDate, NaiveDate)> {
    let mut runs = Vec::new();
    let mut rest = days;
    for size in DAYS_AT_ONCE.into_iter().chain(std::iter::repeat(usize::MAX)) {
        let (run, behind) = rest.split_at(size.min(rest.len()));
        let (Some(first), Some(last)) = (run.first(), run.last()) else { break };
        runs.push((*first, *last));
        rest = behind;
    }
    runs
}

/// The day at which a page ended, where rows are sorted by it first.
pub fn day_of(end: &PageEnd) -> Option<NaiveDate> {
    let Some(KeyValue::Whole(days)) = end.keys.first()?.as_ref() else { return None };
    NaiveDate::default().checked_add_signed(TimeDelta::try_days(*days)?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, Schema, TimeUnit};

    use super::*;

    fn wanted() -> PageQuestion {
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Arc::new(Schema::new(vec![
            Field::new("window_start", instant, true),
            Field::new("lab_id", DataType::Utf8, true),
            Field::new("n", DataType::Int64, true),
            Field::new("sketch", DataType::Binary, true),
            Field::new("date", DataType::Date32, true),
        ]));
        let mut wanted = PageQuestion {
            table: "t\"1h".to_owned(),
            columns: vec!["n".to_owned(), "lab_id".to_owned()],
            keys: Vec::new(),
            rest: Vec::new(),
            time: Some("window_start".to_owned()),
            between: Between { from: Some(Timestamp(0)), to: None },
            equal: vec![("lab_id".to_owned(), vec!["a".to_owned()])],
        };
        wanted.order(&schema, &["lab_id".to_owned(), "gone".to_owned()]);
        wanted
    }

    #[test]
    fn a_first_page_is_asked_for_in_the_order_of_day_time_and_grain() {
        let ask = wanted().ask(None, None, 11);
        assert_eq!(
            ask.sql,
            "SELECT \"n\", \"lab_id\", \"date\", \"window_start\" FROM \"t\"\"1h\" \
             WHERE \"lab_id\" IN ($1) AND \"window_start\" >= $2 AND \"date\" >= $3 \
             ORDER BY \"date\" NULLS FIRST, \"window_start\" NULLS FIRST, \"lab_id\" NULLS FIRST, \
             \"n\" NULLS FIRST LIMIT 11"
        );
        assert_eq!(ask.values.len(), 3);
        // Without a grain texts tell rows apart.
        let schema = Arc::new(Schema::new(vec![Field::new("reason", DataType::Utf8, true)]));
        let mut other = PageQuestion { keys: Vec::new(), time: None, ..wanted() };
        other.order(&schema, &[]);
        assert_eq!(other.keys, [("reason".to_owned(), DataType::Utf8)]);
        assert!(wanted().is_by_day() && !other.is_by_day());
    }

    #[test]
    fn the_next_page_begins_at_the_last_rows_keys() {
        let keys = vec![Some(KeyValue::Whole(2)), Some(KeyValue::Whole(7)), None];
        let end = PageEnd::new("q", keys, 1);
        let ask = wanted().ask(Some(&end), None, 5);
        let behind = "(\"date\" > $6 OR (\"date\" = $7 AND (\"window_start\" > $4 OR \
                      (\"window_start\" = $5 AND (\"lab_id\" IS NOT NULL OR TRUE)))))";
        assert!(ask.sql.contains(behind), "{}", ask.sql);
        assert!(ask.sql.contains("AND \"date\" >= $8 AND ("), "{}", ask.sql);
        assert_eq!(day_of(&end), NaiveDate::from_ymd_opt(1970, 1, 3));
    }

    #[test]
    fn days_are_read_in_runs_that_grow() {
        let day = |number: u64| NaiveDate::default() + chrono::Days::new(number);
        let days: Vec<NaiveDate> = (0..400).map(day).collect();
        let expected =
            [(day(0), day(15)), (day(16), day(79)), (day(80), day(335)), (day(336), day(399))];
        assert_eq!(runs(&days), expected);
        assert_eq!(runs(&days[..3]), [(day(0), day(2))]);
        assert_eq!(runs(&[]), []);
    }
}

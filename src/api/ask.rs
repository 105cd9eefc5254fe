//! What is asked of a lake: one SELECT, and the values for its placeholders.
//!
//! Nothing of a caller's text becomes part of the SQL: values are values, names are those of columns
//! that are there, quoted.

use chrono::NaiveDate;
use datafusion::common::ScalarValue;

use super::span::{Between, FiledDays};
use crate::flow::{Timestamp, epoch_day};
use crate::lake::read::days::DATE;

/// One SELECT, and the values of `$1`, `$2` and so on.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The text.
    pub sql: String,
    /// The values.
    pub values: Vec<ScalarValue>,
}

/// The conditions of a question, joined by AND.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    texts: Vec<String>,
    values: Vec<ScalarValue>,
}

/// A name as SQL takes it whatever it holds.
pub fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// An instant as a value.
pub fn instant(at: Timestamp) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(at.0), Some("UTC".into()))
}

/// A day as a value.
pub fn day(day: NaiveDate) -> ScalarValue {
    ScalarValue::Date32(Some(epoch_day(day)))
}

impl Conditions {
    /// A placeholder for a value.
    pub fn value(&mut self, value: ScalarValue) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    /// One more condition.
    pub fn and(&mut self, text: String) {
        self.texts.push(text);
    }

    /// A column has one of some values; any where there are none.
    pub fn one_of(&mut self, column: &str, values: &[String]) {
        if values.is_empty() {
            return;
        }
        let places: Vec<String> =
            values.iter().map(|value| self.value(ScalarValue::from(value.as_str()))).collect();
        self.and(format!("{} IN ({})", name(column), places.join(", ")));
    }

    /// A column of instants lies within.
    pub fn between(&mut self, column: &str, Between { from, to }: Between) {
        for (at, sign) in [(from, ">="), (to, "<")] {
            if let Some(at) = at {
                let place = self.value(instant(at));
                self.and(format!("{} {sign} {place}", name(column)));
            }
        }
    }

    /// The rows' objects are of some days.
    pub fn days(&mut self, FiledDays { first, last }: FiledDays) {
        for (bound, sign) in [(first, ">="), (last, "<=")] {
            if let Some(bound) = bound {
                let place = self.value(day(bound));
                self.and(format!("{} {sign} {place}", name(DATE)));
            }
        }
    }

    /// `WHERE …`, or nothing.
    pub fn clause(&self) -> String {
        if self.texts.is_empty() {
            String::new()
        } else {
            format!("WHERE {}", self.texts.join(" AND "))
        }
    }

    /// The question of a text that holds the clause.
    pub fn ask(self, sql: String) -> Ask {
        Ask { sql, values: self.values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_values_and_names_are_quoted() {
        let mut conditions = Conditions::default();
        conditions.one_of("lab_id", &["a' OR 1=1".to_owned(), "b".to_owned()]);
        conditions.one_of("assay", &[]);
        let from = Some(Timestamp(5));
        conditions.between("completed\"at", Between { from, to: None });
        conditions.days(FiledDays { first: None, last: NaiveDate::from_ymd_opt(1970, 1, 3) });
        let clause = conditions.clause();
        assert_eq!(
            clause,
            "WHERE \"lab_id\" IN ($1, $2) AND \"completed\"\"at\" >= $3 AND \"date\" <= $4"
        );
        let ask = conditions.ask(clause.clone());
        assert_eq!(ask.values.len(), 4);
        assert_eq!(ask.values[0], ScalarValue::from("a' OR 1=1"));
        assert_eq!(ask.values[3], ScalarValue::Date32(Some(2)));
        assert_eq!(Conditions::default().clause(), "");
    }
}

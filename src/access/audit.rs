//! What people had done → rows of `audit`: who, when, what, on what, before and after.
//!
//! An entry is written before the deed: one that failed is told of twice, by the entry and by the
//! command; a deed without an entry there is none.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::error::ArrowError;
use serde_json::Value;

use crate::flow::lake_key::{Fingerprint, FiringKey, LakeKey, SafeName, Section};
use crate::flow::{Span, Timestamp, Window, epoch_day};
use crate::lake::section::section_schema;
use crate::lake::{Lake, LakeError, ObjectNotes};

/// One thing that someone had done.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// Of which tenant; nothing where it was done at the machine.
    pub tenant: Option<String>,
    /// What, as `token.create`.
    pub what: String,
    /// On what, as a token's id.
    pub subject: String,
    /// How it was; nothing where it was not there.
    pub before: Option<Value>,
    /// How it is.
    pub after: Option<Value>,
}

/// Why an entry could not be written.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The lake did not take it.
    #[error("could not write the entry of the audit table; nothing was changed")]
    Lake(#[from] LakeError),
    /// Our own fault.
    #[error("could not make the entry of the audit table; nothing was changed")]
    Rows(#[from] ArrowError),
}

impl AuditEntry {
    /// The entry as a row of `audit`.
    ///
    /// # Errors
    /// Where the row does not fit the table, which is our own fault.
    pub fn row(&self) -> Result<RecordBatch, ArrowError> {
        let json = |value: &Option<Value>| value.as_ref().map(Value::to_string);
        let text = |text: Option<String>| Arc::new(StringArray::from(vec![text])) as ArrayRef;
        let at = TimestampMicrosecondArray::from(vec![self.at.0]).with_timezone("UTC");
        let columns: Vec<ArrayRef> = vec![
            Arc::new(at),
            text(Some(self.who.clone())),
            text(self.tenant.clone()),
            text(Some(self.what.clone())),
            text(Some(self.subject.clone())),
            text(json(&self.before)),
            text(json(&self.after)),
            Arc::new(Date32Array::from(vec![epoch_day(self.at.date())])),
        ];
        RecordBatch::try_new(section_schema(Section::Audit), columns)
    }

    /// Where it is filed: by its instant, and what it says.
    pub fn key(&self) -> LakeKey {
        let window = Window { start: self.at, end: self.at.plus(Span(1)) };
        let (table, fingerprint) =
            (SafeName::of(&self.what), Fingerprint::of(&format!("{self:?}")));
        let firing = FiringKey { table, window, revision: 0, fingerprint };
        LakeKey::Aside { section: Section::Audit, date: self.at.date(), firing }
    }

    /// Writes it down. Durable when this returns.
    ///
    /// # Errors
    /// Where the lake does not take it.
    pub async fn write(&self, lake: &Lake) -> Result<(), AuditError> {
        let table = Section::Audit.as_str().to_owned();
        let notes = ObjectNotes { table, ..ObjectNotes::default() };
        lake.put(&self.key(), vec![self.row()?], notes).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_entry_is_a_row_of_its_day() {
        let lake = Lake::in_memory();
        let entry = AuditEntry {
            at: Timestamp(1_772_366_400_000_000),
            who: "anna".to_owned(),
            tenant: None,
            what: "token.revoke".to_owned(),
            subject: "0f1e2d3c4b5a".to_owned(),
            before: None,
            after: Some(serde_json::json!({ "revoked": true })),
        };
        entry.write(&lake).await.unwrap();
        let name = entry.key().to_string();
        assert!(name.starts_with("audit/day=2026-03-01/token.revoke-20260301T120000Z-"), "{name}");
        let rows = lake.read(&entry.key()).await.unwrap().unwrap();
        assert_eq!(rows, [entry.row().unwrap()]);
        let other = AuditEntry { who: "bert".to_owned(), ..entry.clone() };
        assert_ne!(other.key(), entry.key());
    }
}

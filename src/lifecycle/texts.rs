//! Codes of texts, for as long as the run lasts: what a record holds in place of a text.
//!
//! Which code a text has depends on who asked first, so codes never decide an order.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use arrow::array::{Array, ArrayRef, StringArray};

use crate::flow::coded::Codes;

/// In the place of a code: no text.
pub const NO_TEXT: u32 = u32::MAX;

/// The columns whose texts are kept as codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodedColumn {
    /// The laboratory.
    Lab,
    /// The test.
    Assay,
    /// The patient's class.
    Class,
    /// The ward or clinic.
    Location,
    /// The instrument.
    Machine,
    /// Who worked on it.
    Operator,
    /// The instrument's error code.
    Error,
    /// Why a tube was rejected.
    Reason,
}

impl CodedColumn {
    /// All of them.
    pub const ALL: [CodedColumn; 8] = [
        CodedColumn::Lab,
        CodedColumn::Assay,
        CodedColumn::Class,
        CodedColumn::Location,
        CodedColumn::Machine,
        CodedColumn::Operator,
        CodedColumn::Error,
        CodedColumn::Reason,
    ];

    /// The event's column.
    pub fn field(self) -> &'static str {
        match self {
            CodedColumn::Lab => "lab_id",
            CodedColumn::Assay => "assay",
            CodedColumn::Class => "patient_class",
            CodedColumn::Location => "location",
            CodedColumn::Machine => "machine_id",
            CodedColumn::Operator => "operator_id",
            CodedColumn::Error => "error_code",
            CodedColumn::Reason => "reject_reason",
        }
    }
}

/// The texts of all columns, shared by all who read and write records.
#[derive(Debug, Default)]
pub struct RunTexts {
    columns: [RwLock<Known>; 8],
}

#[derive(Debug, Default)]
struct Known {
    codes: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
    /// The same as an array, made when it is asked for.
    array: Option<ArrayRef>,
}

impl RunTexts {
    /// The code of each of a batch's texts.
    pub fn codes(&self, column: CodedColumn, batch: &Codes) -> Vec<u32> {
        let texts = batch.texts();
        let known = &self.columns[column as usize];
        let found: Vec<Option<u32>> = {
            let known = known.read().unwrap_or_else(PoisonError::into_inner);
            (0..texts.len()).map(|code| known.codes.get(texts.value(code)).copied()).collect()
        };
        let code = |(at, found): (usize, Option<u32>)| {
            found.unwrap_or_else(|| self.code(column, texts.value(at)))
        };
        found.into_iter().enumerate().map(code).collect()
    }

    /// The code of a text.
    pub fn code(&self, column: CodedColumn, text: &str) -> u32 {
        let mut known =
            self.columns[column as usize].write().unwrap_or_else(PoisonError::into_inner);
        if let Some(code) = known.codes.get(text) {
            return *code;
        }
        let code = known.texts.len() as u32;
        let text: Arc<str> = text.into();
        known.texts.push(Arc::clone(&text));
        known.codes.insert(text, code);
        known.array = None;
        code
    }

    /// The text of a code; none for [`NO_TEXT`].
    pub fn text(&self, column: CodedColumn, code: u32) -> Option<Arc<str>> {
        let known = self.columns[column as usize].read().unwrap_or_else(PoisonError::into_inner);
        known.texts.get(code as usize).cloned()
    }

    /// All texts of a column, by code.
    pub fn array(&self, column: CodedColumn) -> ArrayRef {
        let known = &self.columns[column as usize];
        if let Some(array) = &known.read().unwrap_or_else(PoisonError::into_inner).array {
            return Arc::clone(array);
        }
        let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
        let array: ArrayRef = Arc::new(StringArray::from_iter_values(known.texts.iter()));
        known.array = Some(Arc::clone(&array));
        array
    }
}

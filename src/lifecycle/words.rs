//! The word that each event of a batch says to a machine, looked up once for each text that there is.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

use super::machine::{EventWord, StateMachine};
use super::spec::WordSource;
use super::test::step::ToldBy;
use crate::flow::coded::Codes;

/// The word of each row.
pub(super) struct RowWords {
    types: Option<Codes>,
    /// By the code of a type; of no type the row form's.
    of_type: Vec<Option<OfType>>,
    default: Option<OfType>,
}

#[derive(Clone, Debug)]
struct OfType {
    form: ToldBy,
    says: WordOf,
}

#[derive(Clone, Debug)]
enum WordOf {
    Always(EventWord),
    /// The column's codes, and the word of each.
    ByColumn(Box<Codes>, Vec<Option<EventWord>>),
    /// The batch does not have the column.
    Nothing,
}

impl RowWords {
    pub(super) fn of(machine: &StateMachine, rows: &RecordBatch) -> Result<RowWords, ArrowError> {
        let types = rows.column_by_name("event_type").map(Codes::of).transpose()?;
        let mut of_type = Vec::new();
        if let Some(types) = &types {
            for text in types.texts().iter().flatten() {
                of_type.push(OfType::of(machine, rows, text)?);
            }
        }
        let default = OfType::of(machine, rows, "specimen.snapshot")?;
        Ok(RowWords { types, of_type, default })
    }

    #[inline]
    pub(super) fn of_row(&self, row: usize) -> Option<(EventWord, ToldBy)> {
        let code = self.types.as_ref().and_then(|types| types.code(row));
        let of_type = match code {
            Some(code) => self.of_type[code].as_ref()?,
            None => self.default.as_ref()?,
        };
        let word = match &of_type.says {
            WordOf::Always(word) => Some(*word),
            WordOf::ByColumn(codes, words) => words[codes.code(row)?],
            WordOf::Nothing => None,
        };
        Some((word?, of_type.form))
    }
}

impl OfType {
    fn of(
        machine: &StateMachine,
        rows: &RecordBatch,
        event_type: &str,
    ) -> Result<Option<OfType>, ArrowError> {
        let declared = machine.spec.events.iter().find(|event| event.event_type == event_type);
        let Some(declared) = declared else { return Ok(None) };
        let form = if event_type == "specimen.snapshot" { ToldBy::Row } else { ToldBy::Event };
        let says = match &declared.word {
            WordSource::Says(word) => machine.word(word).map_or(WordOf::Nothing, WordOf::Always),
            WordSource::Column(name) => match rows.column_by_name(name) {
                None => WordOf::Nothing,
                Some(column) => {
                    let codes = Codes::of(column)?;
                    let means = |text: &str| {
                        let renamed = declared.means.iter().find(|(from, _)| from == text);
                        machine.word(renamed.map_or(text, |(_, to)| to.as_str()))
                    };
                    let words = codes.each(means);
                    WordOf::ByColumn(Box::new(codes), words)
                }
            },
        };
        Ok(Some(OfType { form, says }))
    }
}

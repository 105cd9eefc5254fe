//! One batch as families of windows read it.

use datafusion::common::{Result, internal_err};

use crate::flow::RowCut;
use crate::sql::plan::execute::Executor;
use crate::sql::plan::query::Query;
use crate::sql::plan::relation_rows::RelationRows;

/// What the rows of relations came from, by the place that each row names.
#[derive(Clone, Copy, Debug)]
pub struct RowSources<'a> {
    /// The offsets that rows are counted under, ascending.
    pub offsets: &'a [i64],
    /// What rows that pass without a window are cut into runs by; where there are none, the offset
    /// and the watermark that stood before it.
    pub cuts: Option<&'a [RowCut]>,
    /// Which of them are events, where some are not: tables tell how many events they count.
    pub events: Option<&'a [bool]>,
}

impl<'a> RowSources<'a> {
    /// Of events that stood at these ascending offsets.
    pub fn of_events(offsets: &'a [i64]) -> RowSources<'a> {
        RowSources { offsets, cuts: None, events: None }
    }

    /// Whether a source is an event.
    pub(crate) fn is_event(&self, source: usize) -> bool {
        self.events.is_none_or(|events| events[source])
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len()
    }

    /// What a row is cut by that came from `source`, before which the watermark stood so.
    pub(crate) fn cut_of(&self, source: usize, watermark_before: i64) -> RowCut {
        match self.cuts {
            Some(cuts) => cuts[source],
            None => RowCut { offset: self.offsets[source], watermark: watermark_before },
        }
    }

    /// As given, if it is sound.
    ///
    /// # Errors
    /// Where not every source has a cut.
    pub(crate) fn checked(self) -> Result<RowSources<'a>> {
        match self.cuts {
            Some(cuts) if cuts.len() != self.offsets.len() => internal_err!(
                "{} rows' sources have {} cuts; give one for each",
                self.offsets.len(),
                cuts.len()
            ),
            Some(_) | None => Ok(self),
        }
    }
}

/// A batch, and the query that it goes through.
#[derive(Clone, Copy)]
pub struct BatchInput<'a> {
    /// The query.
    pub query: &'a Query,
    /// The rows of the relations that it reads.
    pub inputs: &'a [RelationRows],
    /// What they came from.
    pub sources: RowSources<'a>,
    /// Whether rows are to be seen before their days settle.
    pub live: bool,
    /// Whether alert rules judge the rows.
    pub judged: bool,
    /// Runs the parts of plans that are not row-wise.
    pub executor: &'a Executor,
}

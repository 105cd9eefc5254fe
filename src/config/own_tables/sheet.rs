//! A table's cells by row and column, and their values.

use std::collections::BTreeMap;

use arrow::compute::kernels::cast_utils::string_to_datetime;
use chrono::Utc;

use crate::config::csv_text::{self, CsvCell};
use crate::config::fault::{Faults, Position, nearest, quoted};
use crate::config::files;
use crate::config::reference::ReferenceTable;
use crate::flow::{Span, Timestamp};
use crate::reference::of_minutes;

/// A table whose header and widths are right.
#[derive(Debug)]
pub(super) struct Sheet {
    columns: BTreeMap<String, (usize, Position)>,
    rows: Vec<Vec<CsvCell>>,
    /// The file's name, for messages.
    name: String,
}

/// What is wrong with a file, and what is odd about it.
#[derive(Debug)]
pub(super) struct SheetFaults {
    pub(super) faults: Faults,
    pub(super) notes: Faults,
}

/// One row of a sheet.
#[derive(Clone, Copy, Debug)]
pub(super) struct SheetRow<'s> {
    sheet: &'s Sheet,
    cells: &'s [CsvCell],
}

impl Sheet {
    /// The cells of a table that was read before, so that nothing is wrong with their form.
    pub(super) fn of(table: &ReferenceTable) -> Option<(Sheet, SheetFaults)> {
        let mut said =
            SheetFaults { faults: Faults::of(&table.path), notes: Faults::of(&table.path) };
        let text = files::text(&table.bytes, &mut said.faults)?;
        let mut rows = csv_text::rows(text, &mut said.faults)?.into_iter();
        let header = rows.next()?;
        let columns = header.into_iter().enumerate();
        let columns = columns.map(|(i, cell)| (cell.text, (i, cell.at))).collect();
        let sheet = Sheet { columns, rows: rows.collect(), name: format!("{}.csv", table.name) };
        Some((sheet, said))
    }

    /// Whether all of these columns are there; a fault for each that is not.
    pub(super) fn needs(&self, columns: &[&str], said: &mut SheetFaults) -> bool {
        let before = said.faults.count();
        for column in columns.iter().filter(|column| !self.columns.contains_key(**column)) {
            let what = format!("{} has no column `{column}`", self.name);
            let remedy = match nearest(column, self.columns.keys().map(String::as_str)) {
                Some(near) => format!("rename {near} to {column}"),
                None => format!("add it; docs/reference.md says what {} holds", self.name),
            };
            said.faults.push(Position::START, what, remedy);
        }
        said.faults.count() == before
    }

    /// Finds columns that are nearly called as one that is known and missing: left to SQL, a row would
    /// speak of more than it says.
    pub(super) fn knows(&self, known: &[&str], said: &mut SheetFaults) {
        for (name, (_, at)) in &self.columns {
            let missing = known.iter().filter(|known| !self.columns.contains_key(**known));
            if !known.contains(&name.as_str())
                && let Some(near) = nearest(name, missing.copied())
            {
                let what = format!("the column {} is none of {}'s", quoted(name), self.name);
                said.faults.push(*at, what, format!("did you mean {near}?"));
            }
        }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = SheetRow<'_>> {
        self.rows.iter().map(|cells| SheetRow { sheet: self, cells })
    }
}

impl<'s> SheetRow<'s> {
    /// The cell of a column, also when it is empty; `None` where the column is not there.
    pub(super) fn cell(&self, column: &str) -> Option<&'s CsvCell> {
        let (place, _) = self.sheet.columns.get(column)?;
        self.cells.get(*place)
    }

    /// The cell of a column, unless it is empty.
    pub(super) fn filled(&self, column: &str) -> Option<&'s CsvCell> {
        self.cell(column).filter(|cell| !cell.text.is_empty())
    }

    /// Where a column's cell stands, or the row.
    pub(super) fn at(&self, column: &str) -> Position {
        self.cell(column).or(self.cells.first()).map_or(Position::START, |cell| cell.at)
    }

    /// The cell of a column that must say something.
    pub(super) fn needed(
        &self,
        column: &str,
        what: &str,
        said: &mut SheetFaults,
    ) -> Option<&'s CsvCell> {
        let cell = self.filled(column);
        if cell.is_none() {
            let missing = format!("`{column}` is empty");
            said.faults.push(self.at(column), missing, format!("write {what}, or remove the line"));
        }
        cell
    }

    pub(super) fn text(&self, column: &str) -> Option<String> {
        self.filled(column).map(|cell| cell.text.clone())
    }

    /// A number; what is none is a fault.
    pub(super) fn number(&self, column: &str, said: &mut SheetFaults) -> Option<f64> {
        let cell = self.filled(column)?;
        let number = cell.text.parse().ok().filter(|number: &f64| number.is_finite());
        if number.is_none() {
            let what = format!("`{column}` is no number: {}", quoted(&cell.text));
            said.faults.push(cell.at, what, "write a number with a decimal point, as 90 or 7.5");
        }
        number
    }

    /// A number of minutes above 0; nothing or 0 is none.
    pub(super) fn minutes(&self, column: &str, said: &mut SheetFaults) -> Option<Span> {
        self.positive(column, said).map(of_minutes)
    }

    /// A number above 0; nothing or 0 is none.
    pub(super) fn positive(&self, column: &str, said: &mut SheetFaults) -> Option<f64> {
        let number = self.number(column, said)?;
        if number < 0.0 {
            let what = format!("`{column}` is below 0");
            said.faults.push(self.at(column), what, "write a number above 0, or nothing for none");
        }
        Some(number).filter(|number| *number > 0.0)
    }

    /// An instant, or a date for its first instant in UTC; what is neither is a fault.
    pub(super) fn instant(&self, column: &str, said: &mut SheetFaults) -> Option<Timestamp> {
        let cell = self.filled(column)?;
        // As the column is read in SQL when it is compared with an instant.
        let instant = string_to_datetime(&Utc, &cell.text).ok();
        let instant = instant.map(|instant| Timestamp(instant.timestamp_micros()));
        if instant.is_none() {
            let what = format!("`{column}` is no instant: {}", quoted(&cell.text));
            said.faults.push(cell.at, what, "write it as 2026-03-01T00:00:00Z");
        }
        instant
    }

    /// One of some words; the first one when the cell is empty or wrong.
    pub(super) fn word<T: Copy + Default>(
        &self,
        column: &str,
        known: &[(&'static str, T)],
        said: &mut SheetFaults,
    ) -> T {
        let Some(cell) = self.filled(column) else { return T::default() };
        if let Some((_, value)) = known.iter().find(|(word, _)| *word == cell.text) {
            return *value;
        }
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        let remedy = match nearest(&cell.text, words.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("write {}", words.join(" or ")),
        };
        let what = format!("unknown `{column}` {}", quoted(&cell.text));
        said.faults.push(cell.at, what, remedy);
        T::default()
    }
}

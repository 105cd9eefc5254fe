//! CSV text (RFC 4180) as rows of cells that know their line and column.
//!
//! Blank lines are left out; unquoted cells lose the blanks around them. A quote that is never
//! closed, or has text behind it, is a fault (a lenient reader would swallow the rest of the file
//! as one cell).

use super::fault::{Faults, Position};

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CsvCell {
    pub(crate) text: String,
    pub(crate) at: Position,
}

struct CsvCursor<'t> {
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    at: Position,
}

impl CsvCursor<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest.peek().copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            self.at = Position { line: self.at.line.saturating_add(1), column: 1 };
        } else {
            self.at.column = self.at.column.saturating_add(1);
        }
        Some(c)
    }

    /// Passes the end of a line; true when there was one.
    fn end_of_line(&mut self) -> bool {
        if self.peek() == Some('\r') {
            self.next();
        }
        if self.peek() == Some('\n') {
            self.next();
            return true;
        }
        false
    }
}

/// Splits a text into rows; `None` when a quote is wrong.
pub(crate) fn rows(text: &str, faults: &mut Faults) -> Option<Vec<Vec<CsvCell>>> {
    let mut cursor = CsvCursor { rest: text.chars().peekable(), at: Position::START };
    let mut rows = Vec::new();
    let mut row = Vec::new();
    while cursor.peek().is_some() {
        let (cell, quoted) = if cursor.peek() == Some('"') {
            (quoted_cell(&mut cursor, faults)?, true)
        } else {
            (plain_cell(&mut cursor), false)
        };
        let blank = row.is_empty() && !quoted && cell.text.is_empty();
        row.push(cell);
        if cursor.peek() == Some(',') {
            let comma = cursor.at;
            cursor.next();
            if cursor.peek().is_none() {
                let at = Position { column: comma.column.saturating_add(1), ..comma };
                row.push(CsvCell { text: String::new(), at });
            }
            continue;
        }
        let ended = cursor.end_of_line() || cursor.peek().is_none();
        if !ended {
            continue;
        }
        if blank {
            row.clear();
        } else {
            rows.push(std::mem::take(&mut row));
        }
    }
    if !row.is_empty() {
        rows.push(row);
    }
    Some(rows)
}

fn plain_cell(cursor: &mut CsvCursor<'_>) -> CsvCell {
    let at = cursor.at;
    let mut text = String::new();
    while let Some(c) = cursor.peek() {
        if c == ',' || c == '\n' {
            break;
        }
        text.push(c);
        cursor.next();
    }
    CsvCell { text: text.trim().to_owned(), at }
}

fn quoted_cell(cursor: &mut CsvCursor<'_>, faults: &mut Faults) -> Option<CsvCell> {
    let at = cursor.at;
    let mut text = String::new();
    cursor.next();
    loop {
        match cursor.next() {
            None => {
                faults.push(at, "the quote is never closed", "close it, or double it inside text");
                return None;
            }
            Some('"') if cursor.peek() == Some('"') => {
                cursor.next();
                text.push('"');
            }
            Some('"') => break,
            Some(c) => text.push(c),
        }
    }
    while matches!(cursor.peek(), Some(' ' | '\t' | '\r')) {
        cursor.next();
    }
    match cursor.peek() {
        None | Some(',' | '\n') => Some(CsvCell { text, at }),
        Some(_) => {
            let remedy = "put the whole cell in quotes and double the quotes inside it";
            faults.push(cursor.at, "text follows a closing quote", remedy);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    type Placed = Vec<(String, u32, u32)>;

    fn read(text: &str) -> Result<Vec<Placed>, String> {
        let mut faults = Faults::of(Path::new("f.csv"));
        let rows = rows(text, &mut faults);
        let row = |row: Vec<CsvCell>| {
            row.into_iter().map(|cell| (cell.text, cell.at.line, cell.at.column)).collect()
        };
        match rows {
            Some(rows) => Ok(rows.into_iter().map(row).collect()),
            None => Err(faults.into_vec()[0].to_string()),
        }
    }

    #[test]
    fn cells_know_their_place() {
        let cell = |text: &str, line, column| (text.to_owned(), line, column);
        let read = read("a,b\r\n\r\n\"x, \"\"y\"\"\n2\", é ,\n ,\n1").expect("csv");
        assert_eq!(
            read,
            [
                vec![cell("a", 1, 1), cell("b", 1, 3)],
                vec![cell("x, \"y\"\n2", 3, 1), cell("é", 4, 4), cell("", 4, 8)],
                vec![cell("", 5, 1), cell("", 5, 3)],
                vec![cell("1", 6, 1)],
            ]
        );
        assert_eq!(super::tests::read("a,b\n1,").expect("csv")[1].len(), 2);
    }

    #[test]
    fn a_wrong_quote_is_placed() {
        let open = read("a\n\"x\ny\n").expect_err("open");
        assert!(open.starts_with("f.csv:2:1: the quote is never closed"), "{open}");
        let trailing = read("a,b\n1,\"x\"y\n").expect_err("trailing");
        assert!(trailing.starts_with("f.csv:2:6: text follows a closing quote"), "{trailing}");
    }
}

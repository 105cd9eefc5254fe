//! Bytes into rows: RFC 4180, one row at a time, however broken the file is.
//!
//! A quoted field may span lines, within bounds: when a quote is not closed within
//! [`MAX_ROW_LINES`], only the line that opened it is bad and reading goes on with the next one,
//! so that one stray quote does not swallow the rest of the file. Never holds more than about
//! [`MAX_ROW_BYTES`]. Does not know what the fields mean.

use std::collections::VecDeque;
use std::io::{self, BufRead};

/// A row longer than this is bad: real rows have a few hundred bytes.
pub const MAX_ROW_BYTES: usize = 1 << 20;

/// A quoted field that spans more lines than this has lost its closing quote.
pub const MAX_ROW_LINES: usize = 100;

/// One row of the file.
#[derive(Debug, Default)]
pub struct CsvRow {
    /// The number of its first line, from 1, the header's line included.
    pub line: u64,
    /// The row's bytes as they came, without the line end.
    pub raw: Vec<u8>,
    /// The fields without their quotes, one behind the other.
    text: String,
    /// Where each field ends in `text`.
    ends: Vec<usize>,
}

impl CsvRow {
    /// The number of fields.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the row has no field.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// A field, by its position from 0, without surrounding blanks. Empty beyond the last one.
    pub fn field(&self, index: usize) -> &str {
        let Some(end) = self.ends.get(index) else { return "" };
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text[start..*end].trim()
    }

    /// All fields in order.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.field(index))
    }
}

/// What a read found.
#[derive(Debug, PartialEq, Eq)]
pub enum CsvRead {
    /// A row.
    Row,
    /// A row that cannot be divided into fields, and why. [`CsvRow::raw`] holds what was read of it.
    Bad(String),
    /// The end of the file.
    End,
}

/// Reads rows.
#[derive(Debug)]
pub struct RowReader<R> {
    input: R,
    delimiter: u8,
    line: u64,
    /// Lines that were read ahead in search of a closing quote.
    ahead: VecDeque<CsvLine>,
}

#[derive(Debug, Default)]
struct CsvLine {
    bytes: Vec<u8>,
    cut: bool,
}

impl<R: BufRead> RowReader<R> {
    /// A reader of rows whose fields `delimiter` separates.
    pub fn new(input: R, delimiter: u8) -> RowReader<R> {
        RowReader { input, delimiter, line: 0, ahead: VecDeque::new() }
    }

    /// Reads the next row that is not blank.
    pub fn read(&mut self, row: &mut CsvRow) -> io::Result<CsvRead> {
        loop {
            let Some(first) = self.next_line()? else { return Ok(CsvRead::End) };
            self.line += 1;
            row.line = self.line;
            row.ends.clear();
            row.text.clear();
            row.raw = first.bytes;
            if self.line == 1 && row.raw.starts_with(b"\xef\xbb\xbf") {
                row.raw.drain(..3);
            }
            if first.cut {
                return Ok(CsvRead::Bad(format!(
                    "the row is longer than {MAX_ROW_BYTES} bytes; only its beginning is kept here"
                )));
            }
            if row.raw.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if !self.close_quotes(row)? {
                return Ok(CsvRead::Bad("a quote is opened and not closed".to_owned()));
            }
            return Ok(split(row, self.delimiter));
        }
    }

    /// Appends lines until no quote is open. Puts them back when none closes it in time.
    fn close_quotes(&mut self, row: &mut CsvRow) -> io::Result<bool> {
        let mut open = quote_open_after(&row.raw, false, self.delimiter);
        if !open {
            return Ok(true);
        }
        let first_line_bytes = row.raw.len();
        let mut taken = Vec::new();
        while open && taken.len() < MAX_ROW_LINES && row.raw.len() < MAX_ROW_BYTES {
            let Some(line) = self.next_line()? else { break };
            row.raw.push(b'\n');
            row.raw.extend_from_slice(&line.bytes);
            open = quote_open_after(&line.bytes, true, self.delimiter) && !line.cut;
            let cut = line.cut;
            taken.push(line);
            if cut {
                open = true;
                break;
            }
        }
        if open {
            row.raw.truncate(first_line_bytes);
            for line in taken.into_iter().rev() {
                self.ahead.push_front(line);
            }
            return Ok(false);
        }
        self.line += taken.len() as u64;
        Ok(true)
    }

    /// The next line without its line end; `None` at the end of the file.
    fn next_line(&mut self) -> io::Result<Option<CsvLine>> {
        if let Some(line) = self.ahead.pop_front() {
            return Ok(Some(line));
        }
        let mut line = CsvLine::default();
        let mut any = false;
        loop {
            let chunk = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if chunk.is_empty() {
                break;
            }
            any = true;
            let end = memchr::memchr(b'\n', chunk);
            let piece = &chunk[..end.unwrap_or(chunk.len())];
            let room = MAX_ROW_BYTES - line.bytes.len();
            line.cut |= piece.len() > room;
            line.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
            let used = end.map_or(chunk.len(), |end| end + 1);
            self.input.consume(used);
            if end.is_some() {
                break;
            }
        }
        if line.bytes.last() == Some(&b'\r') {
            line.bytes.pop();
        }
        Ok(any.then_some(line))
    }
}

/// Where the scan of a row stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    FieldStart,
    Plain,
    Quoted,
    /// After a quote within a quoted field: the field's end, or the first half of `""`.
    QuoteInQuoted,
}

fn step(at: At, byte: u8, delimiter: u8) -> At {
    match (at, byte) {
        (At::FieldStart, b'"') | (At::QuoteInQuoted, b'"') => At::Quoted,
        (At::Quoted, b'"') => At::QuoteInQuoted,
        (At::Quoted, _) => At::Quoted,
        (At::FieldStart | At::Plain | At::QuoteInQuoted, byte) if byte == delimiter => {
            At::FieldStart
        }
        (At::FieldStart | At::Plain | At::QuoteInQuoted, _) => At::Plain,
    }
}

fn quote_open_after(line: &[u8], quoted: bool, delimiter: u8) -> bool {
    if !quoted && memchr::memchr(b'"', line).is_none() {
        return false;
    }
    let start = if quoted { At::Quoted } else { At::FieldStart };
    line.iter().fold(start, |at, byte| step(at, *byte, delimiter)) == At::Quoted
}

/// Divides `row.raw` into fields.
fn split(row: &mut CsvRow, delimiter: u8) -> CsvRead {
    let Ok(raw) = std::str::from_utf8(&row.raw) else {
        return CsvRead::Bad("the row is not valid UTF-8".to_owned());
    };
    // Bytes are copied piece by piece; the pieces end at ASCII bytes and so at character bounds.
    let mut at = At::FieldStart;
    let mut copied = 0;
    for (index, byte) in raw.bytes().enumerate() {
        let next = step(at, byte, delimiter);
        let opens = at == At::FieldStart && next == At::Quoted;
        let closes = next == At::QuoteInQuoted;
        let ends_field = next == At::FieldStart;
        if opens || closes || ends_field {
            row.text.push_str(&raw[copied..index]);
            copied = index + 1;
        }
        if ends_field {
            row.ends.push(row.text.len());
        }
        at = next;
    }
    row.text.push_str(&raw[copied..]);
    row.ends.push(row.text.len());
    CsvRead::Row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(input: &[u8]) -> Vec<(u64, Result<Vec<String>, String>)> {
        let mut reader = RowReader::new(input, b',');
        let mut row = CsvRow::default();
        let mut rows = Vec::new();
        loop {
            match reader.read(&mut row).unwrap() {
                CsvRead::Row => {
                    rows.push((row.line, Ok(row.fields().map(str::to_owned).collect())))
                }
                CsvRead::Bad(why) => rows.push((row.line, Err(why))),
                CsvRead::End => return rows,
            }
        }
    }

    fn fields(list: &[&str]) -> Result<Vec<String>, String> {
        Ok(list.iter().map(|field| (*field).to_owned()).collect())
    }

    #[test]
    fn quotes_line_ends_and_the_byte_order_mark_are_taken_off() {
        let rows = read_all(
            b"\xef\xbb\xbfa,b,c\r\n1,\"x, \"\"y\"\"\",3\r\n\r\n4,\"two\nlines\", 6\n7,5\" tube,",
        );
        assert_eq!(
            rows,
            [
                (1, fields(&["a", "b", "c"])),
                (2, fields(&["1", "x, \"y\"", "3"])),
                (4, fields(&["4", "two\nlines", "6"])),
                (6, fields(&["7", "5\" tube", ""])),
            ]
        );
    }

    #[test]
    fn a_stray_quote_costs_its_own_line_only() {
        let mut input = b"a,b\n1,\"open\n".to_vec();
        for number in 0..300 {
            input.extend_from_slice(format!("{number},x\n").as_bytes());
        }
        let rows = read_all(&input);
        assert_eq!(rows.len(), 302);
        assert_eq!(rows[1], (2, Err("a quote is opened and not closed".to_owned())));
        assert_eq!(rows[2], (3, fields(&["0", "x"])));
        assert_eq!(rows[301], (302, fields(&["299", "x"])));
    }

    #[test]
    fn invalid_text_and_endless_lines_are_bad_rows() {
        let mut input = b"a,b\n\xff,1\n".to_vec();
        input.extend(std::iter::repeat_n(b'x', MAX_ROW_BYTES + 5));
        input.extend_from_slice(b"\n2,3");
        let rows = read_all(&input);
        assert_eq!(rows[1], (2, Err("the row is not valid UTF-8".to_owned())));
        assert!(rows[2].1.is_err());
        assert_eq!(rows[3], (4, fields(&["2", "3"])));
        assert_eq!(read_all(b""), []);
    }
}

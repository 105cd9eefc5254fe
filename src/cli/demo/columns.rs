//! Rows of words → aligned lines for a terminal, coloured when there is one.

/// How a cell is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellTone {
    /// As it is.
    Plain,
    /// Of less weight.
    Soft,
    /// A heading.
    Strong,
    /// What should not be missed.
    Bad,
}

/// A word of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    text: String,
    tone: CellTone,
}

impl Word {
    /// A word in a tone.
    pub fn new(text: impl Into<String>, tone: CellTone) -> Word {
        Word { text: text.into(), tone }
    }

    /// A plain word.
    pub fn plain(text: impl Into<String>) -> Word {
        Word::new(text, CellTone::Plain)
    }

    /// A word of less weight.
    pub fn soft(text: impl Into<String>) -> Word {
        Word::new(text, CellTone::Soft)
    }
}

/// Writes text in colour, or as it is.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    /// Whether colours are written.
    pub colour: bool,
}

impl Paint {
    /// The text in a tone.
    pub fn tone(self, text: &str, tone: CellTone) -> String {
        let code = match tone {
            CellTone::Plain => return text.to_owned(),
            CellTone::Soft => "2",
            CellTone::Strong => "1",
            CellTone::Bad => "31",
        };
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Lines of a table, indented by two. `shape` has a letter for each column: `l` is aligned at
    /// the left, anything else at the right. No line ends in blanks.
    pub fn table(self, shape: &str, rows: &[Vec<Word>]) -> Vec<String> {
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|word| word.text.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = shape.chars().enumerate().map(|(at, _)| width(at)).collect();
        let line = |row: &Vec<Word>| {
            let mut line = String::new();
            let cells = row.iter().zip(shape.chars()).zip(&widths);
            for (place, ((word, side), width)) in cells.enumerate() {
                line.push_str("  ");
                let blanks = " ".repeat(width - word.text.chars().count());
                if side != 'l' {
                    line.push_str(&blanks);
                }
                line.push_str(&self.tone(&word.text, word.tone));
                if side == 'l' && place + 1 < row.len() {
                    line.push_str(&blanks);
                }
            }
            line
        };
        rows.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_word() {
        let rows = [
            vec![Word::plain("North"), Word::plain("8,025"), Word::soft("é÷ok")],
            vec![Word::plain("West Coast"), Word::new("7", CellTone::Bad), Word::plain("x")],
        ];
        let plain = Paint { colour: false }.table("lrl", &rows);
        assert_eq!(plain, ["  North       8,025  é÷ok", "  West Coast      7  x"]);
        let coloured = Paint { colour: true }.table("lrl", &rows);
        assert_eq!(coloured[1], "  West Coast      \u{1b}[31m7\u{1b}[0m  x");
    }
}

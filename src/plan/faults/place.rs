//! The words of an SQL text with their places, as its tokenizer sees them: what stands in comments
//! and in texts in quotes is none.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::config::Position;

/// The tokens of an SQL text, without space and comments; none of a text that has no tokens, as one
/// whose last quote is not closed.
pub(crate) struct Words {
    tokens: Vec<TokenWithSpan>,
    /// What may stand behind FROM: relations, then views.
    pub(crate) readable: ReadableNames,
}

/// The names that SQL can read in a project, beside reference tables.
#[derive(Clone, Debug, Default)]
pub struct ReadableNames {
    /// Relations.
    pub relations: Vec<String>,
    /// Views of `sql/staging`.
    pub views: Vec<String>,
}

impl Words {
    /// Of a text.
    pub(crate) fn of(sql: &str) -> Words {
        let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location();
        let mut tokens = tokens.unwrap_or_default();
        tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
        Words { tokens, readable: ReadableNames::default() }
    }

    /// The same where these names can be read.
    pub(crate) fn reading(self, readable: &ReadableNames) -> Words {
        Words { readable: readable.clone(), ..self }
    }

    /// Where the query begins.
    pub(crate) fn start(&self) -> Position {
        self.tokens.first().and_then(position).unwrap_or(Position::START)
    }

    /// Where a word stands, in any case and with or without quotes. `c.tat` is found where both
    /// parts are; `now(` only where a bracket follows, but a word without one otherwise.
    pub(crate) fn find(&self, word: &str) -> Option<Position> {
        let (word, is_call) = match word.strip_suffix('(') {
            Some(word) => (word, true),
            None => (word, false),
        };
        if let Some((qualifier, name)) = word.rsplit_once('.') {
            return match self.qualified(last_part(qualifier), name) {
                Some(at) => position(&self.tokens[at]),
                None => self.find(name),
            };
        }
        let mut places = (0..self.tokens.len()).filter(|at| self.is(*at, word));
        let at = match is_call {
            true => places.find(|at| self.next_is(*at, &Token::LParen)),
            false => places.next(),
        };
        position(self.tokens.get(at?)?)
    }

    /// Where a text in single quotes stands.
    pub(crate) fn find_text(&self, text: &str) -> Option<Position> {
        let is_it = |token: &&TokenWithSpan| matches!(&token.token, Token::SingleQuotedString(found) if found == text);
        self.tokens.iter().find(is_it).and_then(position)
    }

    /// Where the text ends: its last token.
    pub(crate) fn end(&self) -> Option<Position> {
        self.tokens.last().and_then(position)
    }

    /// Where an operator stands, if it stands there once.
    pub(crate) fn find_only(&self, operator: &str) -> Option<Position> {
        let is_it = |token: &&TokenWithSpan| token.token.to_string().eq_ignore_ascii_case(operator);
        let mut found = self.tokens.iter().filter(is_it);
        let first = found.next()?;
        if found.next().is_some() { None } else { position(first) }
    }

    /// A column's name as the text has it: with its table where that is written too.
    pub(crate) fn as_written<'n>(&self, name: &'n str) -> &'n str {
        match name.rsplit_once('.') {
            Some((table, column)) if !self.tokens.is_empty() => {
                match self.qualified(last_part(table), column) {
                    Some(_) => name,
                    None => column,
                }
            }
            Some(_) | None => name,
        }
    }

    /// Whether an output column is given this name by AS.
    pub(crate) fn names(&self, alias: &str) -> bool {
        (1..self.tokens.len()).any(|at| self.is(at, alias) && self.is(at - 1, "as"))
    }

    /// Whether this word stands in double quotes.
    pub(crate) fn has_in_double_quotes(&self, word: &str) -> bool {
        self.tokens.iter().any(|token| {
            matches!(&token.token, Token::Word(w) if w.quote_style == Some('"') && w.value == word)
        })
    }

    /// Where `qualifier.name` begins.
    fn qualified(&self, qualifier: &str, name: &str) -> Option<usize> {
        (0..self.tokens.len().saturating_sub(2)).find(|at| {
            self.is(*at, qualifier)
                && self.tokens[at + 1].token == Token::Period
                && self.is(at + 2, name)
        })
    }

    fn is(&self, at: usize, word: &str) -> bool {
        match &self.tokens[at].token {
            Token::Word(found) => found.value.eq_ignore_ascii_case(word),
            _ => false,
        }
    }

    fn next_is(&self, at: usize, token: &Token) -> bool {
        self.tokens.get(at + 1).is_some_and(|next| next.token == *token)
    }
}

/// The last of the parts of a name.
pub(crate) fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn position(token: &TokenWithSpan) -> Option<Position> {
    let start = token.span.start;
    let (line, column) = (u32::try_from(start.line).ok()?, u32::try_from(start.column).ok()?);
    Some(Position { line, column })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(sql: &str, word: &str) -> Option<(u32, u32)> {
        Words::of(sql).find(word).map(|place| (place.line, place.column))
    }

    #[test]
    fn a_word_is_found_whole_and_not_in_comments_or_texts() {
        assert_eq!(place("SELECT labs,\n  lab\nFROM x", "lab"), Some((2, 3)));
        assert_eq!(place("SELECT labs,\n  lab\nFROM x", "nothing"), None);
        assert_eq!(place("-- lab\nSELECT 'lab', /* lab */ \"lab\"", "lab"), Some((2, 25)));
        assert_eq!(place("SELECT 'é', LAB", "lab"), Some((1, 13)));
    }

    #[test]
    fn a_call_has_a_bracket_and_a_column_its_table() {
        assert_eq!(place("SELECT now, now ()", "now("), Some((1, 13)));
        assert_eq!(place("SELECT now", "now("), None);
        assert_eq!(place("SELECT tat, d.tat, c.tat", "x.c.tat"), Some((1, 20)));
        assert_eq!(place("SELECT tat", "c.tat"), Some((1, 8)));
    }
}

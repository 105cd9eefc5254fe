//! The query of a URL → named values, each taken once; what is left over is a mistake.

use url::form_urlencoded;

use super::problem::{NoAnswer, ProblemDetails, ProblemKind, quoted};

/// More pairs than a question needs.
const MOST_PAIRS: usize = 200;

/// The pairs of a query that were not taken yet.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    pairs: Vec<(String, String)>,
    /// The names that were asked for, for the problem that names them.
    known: Vec<String>,
}

impl Parameters {
    /// Reads the part of a URL behind `?`.
    ///
    /// # Errors
    /// Where there are more pairs than anybody needs, or one has no value.
    pub fn parse(query: &str) -> Result<Parameters, NoAnswer> {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
            .take(MOST_PAIRS + 1)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        if pairs.len() > MOST_PAIRS {
            let text = format!("the query has more than {MOST_PAIRS} parameters");
            return Err(ProblemDetails::new(ProblemKind::Value, text));
        }
        if let Some((name, _)) = pairs.iter().find(|(_, value)| value.is_empty()) {
            let text = format!("{} has no value; leave it out or give it one", quoted(name));
            return Err(ProblemDetails::new(ProblemKind::Value, text).of(name.clone()));
        }
        Ok(Parameters { pairs, known: Vec::new() })
    }

    /// Every value of a parameter, in the order in which they stand.
    pub fn all(&mut self, name: &str) -> Vec<String> {
        self.known.push(name.to_owned());
        let (taken, left) = self.pairs.drain(..).partition(|(found, _)| found == name);
        self.pairs = left;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().map(|(_, value)| value).collect()
    }

    /// The one value of a parameter.
    ///
    /// # Errors
    /// Where it stands more than once.
    pub fn one(&mut self, name: &str) -> Result<Option<String>, NoAnswer> {
        let mut values = self.all(name);
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => {
                let text = format!("`{name}` stands more than once; give it one value");
                Err(ProblemDetails::new(ProblemKind::Value, text).of(name))
            }
        }
    }

    /// How many are wanted at most: from 1 to `most`, or `unsaid`, where nothing is said.
    ///
    /// # Errors
    /// Where it is no such number.
    pub fn limit(&mut self, unsaid: u64, most: u64) -> Result<u64, NoAnswer> {
        let Some(text) = self.one("limit")? else { return Ok(unsaid) };
        let limit = text.parse().ok().filter(|limit| (1..=most).contains(limit));
        limit.ok_or_else(|| {
            let allowed = format!("1 to {most}");
            let text = format!("`limit` is {}; write a whole number from {allowed}", quoted(&text));
            ProblemDetails::new(ProblemKind::Value, text).of("limit").allowing([allowed])
        })
    }

    /// Whether nothing is left.
    ///
    /// # Errors
    /// Names a parameter that the route does not know, and those that it does.
    pub fn end(self) -> Result<(), NoAnswer> {
        let Some((name, _)) = self.pairs.first() else { return Ok(()) };
        let text = format!("the route has no parameter {}", quoted(name));
        Err(ProblemDetails::new(ProblemKind::Parameter, text).of(name.clone()).allowing(self.known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_taken_once() {
        let mut found = Parameters::parse("lab=a%20b&assay=K&lab=c%26").unwrap();
        assert_eq!(found.all("lab"), ["a b", "c&"]);
        assert_eq!(found.one("assay").unwrap().as_deref(), Some("K"));
        assert_eq!(found.one("assay").unwrap(), None);
        assert_eq!(found.end(), Ok(()));
    }

    #[test]
    fn what_is_unknown_twice_or_empty_is_named() {
        let mut found = Parameters::parse("grain=day&grain=hour&labs=a").unwrap();
        assert_eq!(found.one("grain").unwrap_err().parameter.as_deref(), Some("grain"));
        assert!(found.all("lab").is_empty());
        let unknown = found.end().unwrap_err();
        assert_eq!(unknown.parameter.as_deref(), Some("labs"));
        assert_eq!(unknown.allowed, ["grain", "lab"]);
        assert_eq!(Parameters::parse("lab=").unwrap_err().parameter.as_deref(), Some("lab"));
        assert_eq!(Parameters::parse(&"a=1&".repeat(201)).unwrap_err().status, 400);
    }
}

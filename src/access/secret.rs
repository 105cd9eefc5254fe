//! The text of a token, which is shown once, and the hash that is kept of it.
//!
//! `tat_<id>_<secret>`: the id finds the entry, the secret is 256 random bits. So one round of SHA-256 is
//! enough: nobody can try them all.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};

use crate::flow::access_key::{ID_DIGITS, is_token_id};

/// What a token begins with, so that scanners of code and logs know one.
const PREFIX: &str = "tat_";
const SECRET_BYTES: usize = 32;

/// The machine gives no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random bytes for a token; try again")]
pub struct NoRandomness;

/// A token as its owner has it.
#[derive(Clone, Debug)]
pub struct TokenText {
    id: String,
    text: SecretString,
}

impl TokenText {
    /// A new token.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn new() -> Result<TokenText, NoRandomness> {
        let mut bytes = [0; ID_DIGITS / 2 + SECRET_BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
        let (id, secret) = bytes.split_at(ID_DIGITS / 2);
        let id = hex(id);
        let text = SecretString::from(format!("{PREFIX}{id}_{}", hex(secret)));
        Ok(TokenText { id, text })
    }

    /// Reads what someone says is a token.
    pub fn parse(text: &str) -> Option<TokenText> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_hex = secret.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_token_id(id) || secret.len() != SECRET_BYTES * 2 || !is_hex {
            return None;
        }
        Some(TokenText { id: id.to_owned(), text: SecretString::from(text) })
    }

    /// The id, which is no secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The text itself, for its owner.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// What is kept of it.
    pub fn hash(&self) -> String {
        hex(digest(&SHA256, self.expose().as_bytes()).as_ref())
    }

    /// Whether it is the one of which this was kept; takes as long whatever differs.
    pub fn is_of(&self, hash: &str) -> bool {
        let mine = self.hash();
        let differs = mine.bytes().zip(hash.bytes()).fold(0, |found, (a, b)| found | (a ^ b));
        mine.len() == hash.len() && differs == 0
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        if write!(text, "{byte:02x}").is_err() {
            text.clear();
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_alone() {
        let token = TokenText::new().unwrap();
        let read = TokenText::parse(token.expose()).unwrap();
        assert_eq!((read.id(), read.hash()), (token.id(), token.hash()));
        assert!(token.is_of(&read.hash()) && !token.is_of("") && !token.is_of(&"0".repeat(64)));
        assert_ne!(TokenText::new().unwrap().hash(), token.hash());
        // The secret is not printed by mistake.
        assert!(!format!("{token:?}").contains(&token.expose()[17..]));
        // By `printf tat_0f1e2d3c4b5a_000…0 | sha256sum`.
        let text = format!("tat_0f1e2d3c4b5a_{}", "0".repeat(64));
        assert_eq!(
            TokenText::parse(&text).unwrap().hash(),
            "6780547d01a64ab044c2dded49eed70467b60cb18df5ca8700e15de0cdaebed3"
        );
        for wrong in ["", "tat_", "tat_0f1e2d3c4b5a_00", &text[4..], &text.replace("tat", "pat")] {
            assert!(TokenText::parse(wrong).is_none(), "{wrong}");
        }
    }
}

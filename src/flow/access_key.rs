//! The names of what a lake keeps of those who may ask it.
//!
//! ```text
//! _turnaround/access/tokens/<id>.json                     a token: whose it is, and its hash
//! _turnaround/access/revoked/<id>/<instant>.json          from when on it is not taken any more
//! _turnaround/access/used/<id>/<instant>.json             when it was used last
//! _turnaround/access/tenants/<tenant>/r<revision>.json    a tenant's laboratories
//! ```
//!
//! Formatting and parsing are inverse to each other. Nothing in here touches a store.

use std::fmt;

use super::Timestamp;
use super::lake_key::{parse_compact, parse_number};

/// Folder of what is kept of those who may ask.
pub const ACCESS: &str = "_turnaround/access";
const SUFFIX: &str = ".json";
/// Hexadecimal digits of a token's id.
pub const ID_DIGITS: usize = 12;
/// The longest name of a tenant.
const NAME_BYTES: usize = 64;

/// The name of one entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AccessKey {
    /// A token.
    Token {
        /// Its id, 12 hexadecimal digits.
        id: String,
    },
    /// The end of a token.
    Revoked {
        /// Its id.
        id: String,
        /// From when on it is not taken.
        at: Timestamp,
    },
    /// That a token was used.
    Used {
        /// Its id.
        id: String,
        /// When.
        at: Timestamp,
    },
    /// A tenant.
    Tenant {
        /// Its name.
        name: String,
        /// 0, then one more for each change; the highest holds.
        revision: u32,
    },
}

/// Whether a text is a token's id.
pub fn is_token_id(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == ID_DIGITS && text.bytes().all(is_digit)
}

/// Whether a text may name a tenant: small letters, digits, `-` and `_`, with a letter or digit first.
pub fn is_tenant_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= NAME_BYTES
        && text.bytes().next().is_some_and(plain)
        && text.bytes().all(|byte| plain(byte) || matches!(byte, b'-' | b'_'))
}

impl AccessKey {
    /// Reads an object's name, relative to the lake. `None` when it is none of these.
    pub fn parse(name: &str) -> Option<AccessKey> {
        let rest = name.strip_prefix(ACCESS)?.strip_prefix('/')?.strip_suffix(SUFFIX)?;
        let (folder, rest) = rest.split_once('/')?;
        if folder == "tokens" {
            return is_token_id(rest).then(|| AccessKey::Token { id: rest.to_owned() });
        }
        let (whose, last) = rest.split_once('/')?;
        let id = || is_token_id(whose).then(|| whose.to_owned());
        match folder {
            "revoked" => Some(AccessKey::Revoked { id: id()?, at: parse_compact(last)? }),
            "used" => Some(AccessKey::Used { id: id()?, at: parse_compact(last)? }),
            "tenants" if is_tenant_name(whose) => {
                let revision = parse_number(last.strip_prefix('r')?)?;
                Some(AccessKey::Tenant { name: whose.to_owned(), revision })
            }
            _ => None,
        }
    }
}

impl fmt::Display for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccessKey::Token { id } => write!(f, "{ACCESS}/tokens/{id}{SUFFIX}"),
            AccessKey::Revoked { id, at } => {
                write!(f, "{ACCESS}/revoked/{id}/{}{SUFFIX}", at.to_compact())
            }
            AccessKey::Used { id, at } => {
                write!(f, "{ACCESS}/used/{id}/{}{SUFFIX}", at.to_compact())
            }
            AccessKey::Tenant { name, revision } => {
                write!(f, "{ACCESS}/tenants/{name}/r{revision}{SUFFIX}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_those_of_the_documentation() {
        // 2026-03-01T12:00:00Z, by `date -u -d 2026-03-01T12:00:00Z +%s`.
        let (id, at) = ("0f1e2d3c4b5a".to_owned(), Timestamp(1_772_366_400_000_000));
        let cases = [
            (AccessKey::Token { id: id.clone() }, "tokens/0f1e2d3c4b5a"),
            (AccessKey::Revoked { id: id.clone(), at }, "revoked/0f1e2d3c4b5a/20260301T120000Z"),
            (AccessKey::Used { id, at }, "used/0f1e2d3c4b5a/20260301T120000Z"),
            (AccessKey::Tenant { name: "north".to_owned(), revision: 3 }, "tenants/north/r3"),
        ];
        for (key, name) in cases {
            assert_eq!(key.to_string(), format!("_turnaround/access/{name}.json"));
        }
        for name in [
            "tokens/0f1e2d3c4b5",
            "tokens/0F1E2D3C4B5A",
            "tokens/0f1e2d3c4b5a/x",
            "revoked/0f1e2d3c4b5a",
            "revoked/0f1e2d3c4b5a/2026",
            "tenants/north",
            "tenants/North/r0",
            "tenants/north/r01",
            "tenants/-north/r0",
            "others/north/r0",
        ] {
            assert_eq!(
                AccessKey::parse(&format!("_turnaround/access/{name}.json")),
                None,
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn parsing_is_the_inverse(
            id in "[0-9a-f]{12}",
            name in "[a-z0-9][a-z0-9_-]{0,63}",
            revision in 0..5_u32,
            at in 0..4_102_444_800_000_000_i64,
        ) {
            let at = Timestamp(at);
            for key in [
                AccessKey::Token { id: id.clone() },
                AccessKey::Revoked { id: id.clone(), at },
                AccessKey::Used { id: id.clone(), at },
                AccessKey::Tenant { name, revision },
            ] {
                prop_assert_eq!(AccessKey::parse(&key.to_string()), Some(key));
            }
        }
    }
}

//! How a caller stays with the backend that it was given first.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

/// Keeps each caller on one backend of a route, as long as it presents its cookie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Affinity {
    /// The cookie that says which one.
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    pub cookie: CookieName,
}

/// The name of a cookie (RFC 6265): a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct CookieName(Arc<str>);

/// Why a text is not the name of a cookie.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CookieNameError {
    /// Nothing, or too much.
    #[error("must have 1 to {max} characters, has {0}", max = CookieName::MAX)]
    Length(usize),
    /// Not a token.
    #[error("must not contain {0:?}: letters, digits and !#$%&'*+-.^_`|~ may be used")]
    Character(char),
    /// A prefix by which browsers want attributes that ours does not have.
    #[error("must not begin with __Host- or __Secure-: browsers take those over TLS only")]
    Prefix,
}

impl CookieName {
    /// The longest name.
    pub const MAX: usize = 64;

    /// Takes a text as a name.
    ///
    /// # Errors
    /// [`CookieNameError`] says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, CookieNameError> {
        if !(1..=Self::MAX).contains(&text.len()) {
            return Err(CookieNameError::Length(text.chars().count()));
        }
        let strange = |c: &char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(*c));
        if let Some(c) = text.chars().find(strange) {
            return Err(CookieNameError::Character(c));
        }
        let begins = |prefix: &str| {
            let head = text.get(..prefix.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(prefix))
        };
        if begins("__Host-") || begins("__Secure-") {
            return Err(CookieNameError::Prefix);
        }
        Ok(Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CookieName {
    type Err = CookieNameError;

    fn from_str(text: &str) -> Result<Self, CookieNameError> {
        Self::new(text)
    }
}

impl fmt::Display for CookieName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_name_and_nothing_else() {
        let longest = "x".repeat(CookieName::MAX);
        for good in ["a", "a8-version", "!#$%&'*+-.^_`|~09", &longest] {
            assert_eq!(CookieName::new(good).unwrap().as_str(), good);
        }
        let too_long = "x".repeat(CookieName::MAX + 1);
        for bad in [
            "",
            " ",
            "a=b",
            "a;b",
            "a,b",
            "\"a\"",
            "ä",
            "a\r\n",
            "(a)",
            "__host-a",
            "__Secure-b",
            &too_long,
        ] {
            assert!(CookieName::new(bad).is_err(), "{bad:?}");
        }
    }
}

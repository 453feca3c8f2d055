//! Names: short texts with a bound and a set of allowed characters, cheap to clone.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::endpoint::Endpoint;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("must not be empty")]
    Empty,
    /// The text has more bytes than the name may have.
    #[error("has {got} bytes, at most {max} are allowed")]
    TooLong {
        /// Bytes of the refused text.
        got: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The text holds a character that the name may not have.
    #[error("holds {found:?}; {allowed}")]
    Character {
        /// The first refused character.
        found: char,
        /// What is allowed, as a phrase for people.
        allowed: &'static str,
    },
}

fn check(
    text: &str,
    max: usize,
    fits: fn(char) -> bool,
    allowed: &'static str,
) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > max {
        return Err(NameError::TooLong {
            got: text.len(),
            max,
        });
    }
    match text.chars().find(|c| !fits(*c)) {
        Some(found) => Err(NameError::Character { found, allowed }),
        None => Ok(()),
    }
}

/// Declares a name type: its bound in bytes, and which characters fit.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $max:expr, $fits:expr, $allowed:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "Arc<str>")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The longest allowed text, in bytes.
            pub const MAX_BYTES: usize = $max;

            /// Checks `text` and takes it.
            ///
            /// # Errors
            /// [`NameError`] when the text is empty, too long, or has a character too many.
            pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
                let text = text.as_ref();
                check(text, Self::MAX_BYTES, $fits, $allowed)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for Arc<str> {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn path_segment(c: char) -> bool {
    !c.is_control() && c != '/'
}

fn listable(c: char) -> bool {
    !c.is_control() && c != ','
}

name!(
    /// The name by which callers address a service: one path segment or one host.
    ServiceName, 64, path_segment, "control characters and '/' are not allowed"
);
name!(
    /// A tenant. What one namespace holds is invisible to every other.
    Namespace, 253, path_segment, "control characters and '/' are not allowed"
);
name!(
    /// A rule's id.
    RuleId, 253, word, "letters, digits, '.', '_' and '-' are allowed"
);
name!(
    /// An instance's id, as its source gives it.
    InstanceId, 253, path_segment, "control characters and '/' are not allowed"
);
name!(
    /// One tag of an instance, a caller, a backend or a rule: `v1`, `version=v1`.
    ///
    /// Long enough for a Kubernetes label written as `key=value` (253 + 1 + 63 + 1 + 63).
    Tag, 384, listable, "control characters and ',' are not allowed"
);

impl Namespace {
    /// The one namespace of a server without authentication.
    pub fn default_one() -> Self {
        Self(Arc::from("default"))
    }
}

impl InstanceId {
    /// The id that a registry gives to what listens at `endpoint`: registering the same
    /// endpoint of the same service again gives the same id.
    pub fn derived(service: &ServiceName, endpoint: &Endpoint) -> Self {
        let (kind, value) = (endpoint.kind(), endpoint.value());
        let hash = Sha256::digest(format!("{service}/{kind}/{value}"));
        let id: String = hash[..8].iter().map(|b| format!("{b:02x}")).collect();
        Self(id.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_checked_for_length_and_characters() {
        assert_eq!(ServiceName::new(""), Err(NameError::Empty));
        assert!(ServiceName::new("a".repeat(64)).is_ok());
        assert_eq!(
            ServiceName::new("a".repeat(65)),
            Err(NameError::TooLong { got: 65, max: 64 })
        );
        assert!(ServiceName::new("a/b").is_err());
        assert!(RuleId::new("a b").is_err());
        assert!(RuleId::new("a.b_c-1").is_ok());
        assert!(Tag::new("a,b").is_err());
    }

    #[test]
    fn an_instance_id_is_the_head_of_a_sha256_over_service_type_and_value() {
        let endpoint = Endpoint::new(super::super::EndpointType::Http, "10.0.0.7:9080").unwrap();
        let id = InstanceId::derived(&ServiceName::new("reviews").unwrap(), &endpoint);
        // printf reviews/http/10.0.0.7:9080 | sha256sum | cut -c1-16
        assert_eq!(id.as_str(), "3fa960013a77968b");
    }

    #[test]
    fn a_wrong_name_is_refused_by_serde_with_the_reason() {
        let err = serde_json::from_str::<RuleId>("\"a b\"").unwrap_err();
        assert!(err.to_string().contains("' '"), "{err}");
    }
}

//! Who a caller is.

use std::fmt;
use std::str::FromStr;

use super::name::{NameError, ServiceName};
use super::tags::Tags;

/// The calling service, as rules see it: its name and its tags.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The service the caller is an instance of.
    pub service: ServiceName,
    /// The caller's own tags.
    pub tags: Tags,
}

/// Reads `name` or `name:tag,tag`.
impl FromStr for Identity {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (name, tags) = text.split_once(':').unwrap_or((text, ""));
        Ok(Self {
            service: ServiceName::new(name.trim())?,
            tags: Tags::parse_list(tags)?,
        })
    }
}

/// `name`, or `name:tag,tag`.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.service)?;
        if self.tags.is_empty() {
            return Ok(());
        }
        write!(f, ":{}", self.tags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_the_same() {
        for text in [
            "reviews",
            "reviews:version=v2",
            "reviews:version=v2,zone=eu",
        ] {
            assert_eq!(text.parse::<Identity>().unwrap().to_string(), text);
        }
        assert!(":v1".parse::<Identity>().is_err());
    }
}

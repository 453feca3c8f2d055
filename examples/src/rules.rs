//! The rule files of this folder's parent, so that a binary has them wherever it runs.

use a8_common::kubernetes::routing_rule;
use a8_common::rule::{self, Faults, Rule};

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../", $name)))),+]
    };
}

/// All rule files: name and text.
pub const FILES: &[(&str, &str)] = files![
    "bookinfo-default-route-details.yaml",
    "bookinfo-default-route-productpage.yaml",
    "bookinfo-default-route-ratings.yaml",
    "bookinfo-default-route-reviews.yaml",
    "bookinfo-jason-7s-delay.yaml",
    "bookinfo-jason-reviews-v2-route-rules.yaml",
    "bookinfo-reviews-routing.yaml",
    "helloworld-default-route-rules.json",
    "helloworld-half-route-rules.yaml",
    "helloworld-v1-v2-route-rules.json",
    "helloworld-v2-faults.yaml",
];

/// The rules of a file as RoutingRules, for kubectl: what `examples/kubernetes/` holds.
///
/// # Errors
/// When there is no such file, or its rules are not valid.
pub fn as_objects(name: &str) -> Result<String, LoadError> {
    let unwritable = |e: &dyn std::fmt::Display| LoadError::Unwritable {
        name: name.to_owned(),
        why: e.to_string(),
    };
    let head = format!("# examples/{name} for Kubernetes, made by `make generate`.\n");
    load(name)?.iter().try_fold(head, |text, rule| {
        let object = routing_rule::object(rule).map_err(|e| unwritable(&e))?;
        let object = serde_saphyr::to_string(&object).map_err(|e| unwritable(&e))?;
        Ok(format!("{text}---\n{object}"))
    })
}

/// The file of `examples/kubernetes/` that a rule file has become.
pub fn object_file(name: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    format!("{stem}.yaml")
}

/// Why a rule file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is none of that name.
    #[error("there is no rule file {0}")]
    Unknown(String),
    /// Its rules cannot be written down.
    #[error("{name}: {why}")]
    Unwritable {
        /// The file.
        name: String,
        /// Why not.
        why: String,
    },
    /// Its rules are not valid.
    #[error("{name}: {faults}")]
    Invalid {
        /// The file.
        name: String,
        /// Everything that is wrong with it.
        faults: Faults,
    },
}

/// The rules in the file `name`.
///
/// # Errors
/// When there is no such file, or its rules are not valid.
pub fn load(name: &str) -> Result<Vec<Rule>, LoadError> {
    let (_, text) = FILES
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| LoadError::Unknown(name.to_owned()))?;
    let rules = if name.ends_with(".json") {
        rule::parse_json(text.as_bytes())
    } else {
        rule::parse_yaml(text)
    };
    rules.map_err(|faults| LoadError::Invalid {
        name: name.to_owned(),
        faults,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use a8_common::rule::Pattern;

    use super::*;

    #[test]
    fn every_rule_file_is_here_and_valid() {
        let here: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        let there: BTreeSet<String> = fs::read_dir(env!("CARGO_MANIFEST_DIR"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".yaml") || name.ends_with(".json"))
            // Manifests of Kubernetes, and files for Compose.
            .filter(|name| !name.starts_with("k8s-") && !name.starts_with("docker-"))
            .collect();
        assert_eq!(here, there);
        for name in here {
            let rules = load(&name).unwrap();
            assert_eq!(rules.len(), 1, "{name}");
        }
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        for file in [
            "bookinfo-jason-reviews-v2-route-rules.yaml",
            "bookinfo-jason-7s-delay.yaml",
        ] {
            let rule = serde_json::to_value(&load(file).unwrap()[0]).unwrap();
            let pattern = rule["match"]["headers"]["Cookie"].as_str().unwrap();
            let pattern = Pattern::new(pattern).unwrap();
            for cookies in [
                "user=jason",
                "foo=bar;user=jason;x",
                "theme=light; user=jason",
                "user=jason; theme=light",
            ] {
                assert!(pattern.matches(cookies.as_bytes()), "{cookies}");
            }
            for cookies in [
                "user=jasonx",
                "superuser=jason",
                "user=shriram",
                "theme=light",
            ] {
                assert!(!pattern.matches(cookies.as_bytes()), "{cookies}");
            }
        }
    }
}

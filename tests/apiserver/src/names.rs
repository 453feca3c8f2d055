//! How names, labels and their like are spelled, and what the real server says when they are not.

use std::sync::LazyLock;

use regex::Regex;

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL_1035: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const CONFIG_KEY: &str = "[-._a-zA-Z0-9]+";

/// Rules that are patterns, compiled once.
struct Pattern(LazyLock<Regex>);

macro_rules! pattern {
    ($name:ident, $text:expr) => {
        static $name: Pattern = Pattern(LazyLock::new(|| whole($text)));
    };
}

pattern!(LABEL_RE, LABEL);
pattern!(SUBDOMAIN_RE, SUBDOMAIN);
pattern!(LABEL_1035_RE, LABEL_1035);
pattern!(QUALIFIED_RE, QUALIFIED);
pattern!(LABEL_VALUE_RE, LABEL_VALUE);
pattern!(CONFIG_KEY_RE, CONFIG_KEY);

fn whole(pattern: &str) -> Regex {
    Regex::new(&format!("^(?:{pattern})$")).expect("a pattern of this module")
}

impl Pattern {
    fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

fn no_match(said: &str, pattern: &str, examples: &[&str]) -> String {
    let examples: Vec<_> = examples.iter().map(|e| format!("'{e}', ")).collect();
    let examples = examples.join(" or ");
    format!("{said} (e.g. {examples}regex used for validation is '{pattern}')")
}

fn too_long(bytes: usize) -> String {
    format!("must be no more than {bytes} bytes")
}

fn check(text: &str, most: usize, pattern: &Pattern, said: impl FnOnce() -> String) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > most {
        faults.push(too_long(most));
    }
    if !pattern.matches(text) {
        faults.push(said());
    }
    faults
}

/// The same for the parts of a host's name, which are counted in other words.
fn check_host(
    text: &str,
    most: usize,
    pattern: &Pattern,
    said: impl FnOnce() -> String,
) -> Vec<String> {
    let mut faults = check(text, most, pattern, said);
    for fault in &mut faults {
        if *fault == too_long(most) {
            *fault = format!("must be no more than {most} characters");
        }
    }
    faults
}

/// One part of a host's name.
pub(crate) fn label(text: &str) -> Vec<String> {
    check_host(text, 63, &LABEL_RE, || {
        if SUBDOMAIN_RE.matches(text) {
            return "must not contain dots".into();
        }
        let said = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters \
                    or '-', and must start and end with an alphanumeric character";
        no_match(said, LABEL, &["my-name", "123-abc"])
    })
}

/// A host's name.
pub(crate) fn subdomain(text: &str) -> Vec<String> {
    check_host(text, 253, &SUBDOMAIN_RE, || {
        let said = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
                    characters, '-' or '.', and must start and end with an alphanumeric character";
        no_match(said, SUBDOMAIN, &["example.com"])
    })
}

/// What may be the name of a service, or the plural of a custom kind.
pub(crate) fn label_1035(text: &str) -> Vec<String> {
    check(text, 63, &LABEL_1035_RE, || {
        let said = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', \
                    start with an alphabetic character, and end with an alphanumeric character";
        no_match(said, LABEL_1035, &["my-name", "abc-123"])
    })
}

/// What may be one element of a path: the rule for the names of roles.
pub(crate) fn path_segment(text: &str) -> Vec<String> {
    if matches!(text, "." | "..") {
        return vec![format!("may not be '{text}'")];
    }
    ["/", "%"]
        .into_iter()
        .filter(|part| text.contains(part))
        .map(|part| format!("may not contain '{part}'"))
        .collect()
}

/// The name of a label, of a finalizer, of an annotation.
pub(crate) fn qualified(text: &str) -> Vec<String> {
    let said = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
                with an alphanumeric character";
    let no_match = || no_match(said, QUALIFIED, &["MyName", "my.name", "123-abc"]);
    let mut faults = Vec::new();
    let parts: Vec<_> = text.split('/').collect();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                faults.push("prefix part must be non-empty".into());
            } else {
                faults.extend(
                    subdomain(prefix)
                        .into_iter()
                        .map(|f| format!("prefix part {f}")),
                );
            }
            *name
        }
        _ => {
            return vec![format!(
                "a valid label key {} with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')",
                no_match()
            )];
        }
    };
    if name.is_empty() {
        faults.push("name part must be non-empty".into());
    } else if name.len() > 63 {
        faults.push(format!("name part {}", too_long(63)));
    }
    if !QUALIFIED_RE.matches(name) {
        faults.push(format!("name part {}", no_match()));
    }
    faults
}

/// The value of a label.
pub(crate) fn label_value(text: &str) -> Vec<String> {
    check(text, 63, &LABEL_VALUE_RE, || {
        let said = "a valid label must be an empty string or consist of alphanumeric characters, \
                    '-', '_' or '.', and must start and end with an alphanumeric character";
        no_match(said, LABEL_VALUE, &["MyValue", "my_value", "12345"])
    })
}

/// A key of a ConfigMap or of a Secret.
pub(crate) fn config_key(text: &str) -> Vec<String> {
    let mut faults = check(text, 253, &CONFIG_KEY_RE, || {
        let said = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
        no_match(said, CONFIG_KEY, &["key.name", "KEY_NAME", "key-name"])
    });
    if matches!(text, "." | "..") {
        faults.push(format!("must not be '{text}'"));
    } else if text.starts_with("..") {
        faults.push("must not start with '..'".into());
    }
    faults
}

/// The name of a port of a container.
pub(crate) fn port_name(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if text.len() > 15 {
        faults.push("must be no more than 15 characters".into());
    }
    if text.is_empty()
        || !text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        faults
            .push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !text.bytes().any(|b| b.is_ascii_lowercase()) {
        faults.push("must contain at least one letter (a-z)".into());
    }
    if text.contains("--") {
        faults.push("must not contain consecutive hyphens".into());
    }
    if text.starts_with('-') || text.ends_with('-') {
        faults.push("must not begin or end with a hyphen".into());
    }
    faults
}

/// The same rule for the beginning of a name, to which the server adds something.
pub(crate) fn prefix(text: &str, rule: fn(&str) -> Vec<String>) -> Vec<String> {
    match text.strip_suffix('-') {
        Some(start) if !start.is_empty() => rule(&format!("{start}a")),
        _ => rule(text),
    }
}

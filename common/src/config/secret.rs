//! A text that no log, error or debug output shows.

use std::borrow::Cow;
use std::fmt;

use reqwest::Url;

/// What stands in place of a secret wherever one is printed.
pub(super) const REDACTED: &str = "***";

/// A text that prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text as a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// The same text, and for a URL with `***` in place of who asks and of the values of its query:
/// passwords and tokens stand there.
pub fn redacted(text: &str) -> Cow<'_, str> {
    let is_scheme = |text: &str| {
        let rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(rest)
    };
    let Some((scheme, rest)) = text.split_once("://").filter(|(s, _)| is_scheme(s)) else {
        return text.into();
    };
    // A password with a slash makes no URL, but is one.
    let authority = match Url::parse(text) {
        Ok(_) => rest.find(['/', '?', '#']).unwrap_or(rest.len()),
        Err(_) => rest.len(),
    };
    let (user, rest) = match rest[..authority].rfind('@') {
        Some(at) => ("***@", &rest[at + 1..]),
        None => ("", rest),
    };
    let (rest, fragment) = rest.split_at(rest.find('#').unwrap_or(rest.len()));
    let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let query = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) => format!("{name}={REDACTED}"),
        None => pair.to_owned(),
    });
    let query = query.collect::<Vec<_>>().join("&");
    format!("{scheme}://{user}{path}{query}{fragment}").into()
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn a_url_is_shown_without_what_nobody_else_may_know() {
        for (text, want) in [
            ("http://u:p@h:1/a?b=c", "http://***@h:1/a?b=***"),
            ("http://u@h", "http://***@h"),
            ("HTTPS://h/a@b?x&y=1&z=#f", "HTTPS://h/a@b?x&y=***&z=***#f"),
            ("http://u:a/b@h/", "http://***@h/"),
            ("http://u:a#b?c@h/", "http://***@h/"),
            ("tcp://[::1]:5432", "tcp://[::1]:5432"),
            ("/bin/a@b?c=d", "/bin/a@b?c=d"),
            ("curl http://u:p@h/", "curl http://u:p@h/"),
        ] {
            assert_eq!(redacted(text), want);
        }
    }
}

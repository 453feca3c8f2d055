//! Header patterns: regular expressions that must match a whole value.
//!
//! Patterns work on bytes, since a header value need not be text: `.` is any byte, and `\w`
//! and its like are ASCII. A pattern that can only be meant for text (it names a class of
//! Unicode) is compiled for UTF-8 instead.
//!
//! A pattern is compiled once to check it, and then again by the first value that may match
//! it: an automaton takes more room than everything else of a rule, and of thousands of rules
//! for one user each most are never met. That costs this one request some ten microseconds.
//! Equal patterns share one automaton, wherever in the process they stand.

mod required;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, Weak};

use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ast;
use serde::{Serialize, Serializer};

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Too many bytes.
    #[error("has {got} bytes, at most {max} are allowed", max = Pattern::MAX_BYTES)]
    TooLong {
        /// Bytes of the refused text.
        got: usize,
    },
    /// The compiled form is too large.
    #[error("is too large a pattern: it would compile to more than {max} bytes", max = Pattern::MAX_COMPILED_BYTES)]
    TooLarge,
    /// Not a regular expression.
    #[error("is not a pattern: {0}")]
    Syntax(String),
}

/// A checked pattern. Cheap to clone.
#[derive(Clone)]
pub struct Pattern(Arc<Inner>);

struct Inner {
    text: Box<str>,
    matcher: Matcher,
}

enum Matcher {
    /// The pattern has no metacharacters: the value must be these bytes.
    Literal(Box<[u8]>),
    Regex {
        /// Nothing only if it cannot be compiled, which was tried before.
        regex: OnceLock<Option<Regex>>,
        /// Every value that matches contains this.
        required: OnceLock<Option<Box<[u8]>>>,
    },
}

/// The patterns in use, so that equal ones share.
static KNOWN: LazyLock<Mutex<HashMap<Box<str>, Weak<Inner>>>> = LazyLock::new(Mutex::default);

impl Pattern {
    /// The longest allowed text, in bytes.
    pub const MAX_BYTES: usize = 8192;
    /// The largest allowed compiled form, in bytes.
    pub const MAX_COMPILED_BYTES: usize = 1 << 20;

    /// Checks `text` and takes it.
    ///
    /// # Errors
    /// [`PatternError`] when it is no regular expression, or one that is too large.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.len() > Self::MAX_BYTES {
            return Err(PatternError::TooLong { got: text.len() });
        }
        if let Some(known) = known().get(text).and_then(Weak::upgrade) {
            return Ok(Self(known));
        }
        let matcher = match literal(text) {
            Some(bytes) => Matcher::Literal(bytes),
            None => {
                compile(text)?;
                Matcher::Regex {
                    regex: OnceLock::new(),
                    required: OnceLock::new(),
                }
            }
        };
        let text: Box<str> = text.into();
        let inner = Arc::new(Inner {
            text: text.clone(),
            matcher,
        });
        let mut known = known();
        if known.len() == known.capacity() {
            known.retain(|_, pattern| pattern.strong_count() > 0);
        }
        known.insert(text, Arc::downgrade(&inner));
        Ok(Self(inner))
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The only value that matches, where there is only one.
    pub fn literal(&self) -> Option<&[u8]> {
        match &self.0.matcher {
            Matcher::Literal(bytes) => Some(bytes),
            Matcher::Regex { .. } => None,
        }
    }

    /// A text that every value contains which matches, where one is easily seen.
    pub fn required(&self) -> Option<&[u8]> {
        match &self.0.matcher {
            Matcher::Literal(bytes) => Some(bytes),
            Matcher::Regex { required, .. } => required
                .get_or_init(|| required::required(&self.0.text))
                .as_deref(),
        }
    }

    /// Whether the whole of `value` matches.
    pub fn matches(&self, value: &[u8]) -> bool {
        let regex = match &self.0.matcher {
            Matcher::Literal(bytes) => return **bytes == *value,
            Matcher::Regex { regex, .. } => regex,
        };
        if regex.get().is_none() && !self.may_match(value) {
            return false;
        }
        let regex = regex.get_or_init(|| compile(&self.0.text).ok());
        regex.as_ref().is_some_and(|regex| regex.is_match(value))
    }

    /// Compiles the pattern now if any value may need it.
    pub(super) fn prepare(&self) {
        if self.required().is_none() {
            self.matches(b"");
        }
    }

    fn may_match(&self, value: &[u8]) -> bool {
        let required = self.required();
        required.is_none_or(|text| memmem::find(value, text).is_some())
    }
}

fn known() -> std::sync::MutexGuard<'static, HashMap<Box<str>, Weak<Inner>>> {
    // A panic cannot leave the map half changed: every use is one call.
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The bytes of a pattern that means just them; `^` and `$` at its ends change nothing.
fn literal(text: &str) -> Option<Box<[u8]>> {
    let inner = text.strip_prefix('^').unwrap_or(text);
    let inner = inner.strip_suffix('$').unwrap_or(inner);
    let plain = !inner.chars().any(regex_syntax::is_meta_character);
    plain.then(|| inner.as_bytes().into())
}

fn compile(text: &str) -> Result<Regex, PatternError> {
    // Parsed by itself first: `a)(b` is no pattern, though it is one between parentheses.
    let parsed = ast::parse::Parser::new()
        .parse_with_comments(text)
        .map_err(|e| {
            PatternError::Syntax(format!("{} at byte {}", e.kind(), e.span().start.offset))
        })?;
    // In verbose mode a comment at the end would swallow the closing parenthesis.
    let comment = parsed.comments.last();
    let end = match comment.is_some_and(|c| c.span.end.offset >= text.len()) {
        true => "\n",
        false => "",
    };
    let whole = format!(r"\A(?:{text}{end})\z");
    let build = |unicode| {
        RegexBuilder::new(&whole)
            .unicode(unicode)
            .size_limit(Pattern::MAX_COMPILED_BYTES)
            .build()
    };
    build(false).or_else(|_| build(true)).map_err(|e| match e {
        regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
        // The last line says what is wrong; those before it draw the pattern.
        other => PatternError::Syntax(
            other
                .to_string()
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned(),
        ),
    })
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, value: &[u8]) -> bool {
        Pattern::new(pattern).unwrap().matches(value)
    }

    #[test]
    fn the_whole_value_must_match() {
        assert!(matches("bar", b"bar"));
        assert!(!matches("bar", b"barbaz"));
        assert!(!matches("a|b", b"ab"));
        assert!(matches(
            "^(.*?;)?(user=jason)(;.*)?$",
            b"foo=bar;user=jason;x"
        ));
        assert!(!matches(
            "^(.*?;)?(user=jason)(;.*)?$",
            b"foo=bar;user=shriram;x"
        ));
        assert!(!matches("x.*", b"yx"));
        assert!(matches("", b""));
        assert!(matches("(?i)qa", b"QA"));
    }

    #[test]
    fn values_are_bytes() {
        assert!(matches("a.b", b"a\xffb"));
        assert!(matches("é", "é".as_bytes()));
        assert!(matches(r"\p{Greek}+", "λ".as_bytes()));
    }

    #[test]
    fn plain_text_is_compared_as_bytes() {
        for (pattern, bytes) in [("v1", "v1"), ("^v1$", "v1"), ("a b;c=d", "a b;c=d")] {
            assert_eq!(
                Pattern::new(pattern).unwrap().literal(),
                Some(bytes.as_bytes())
            );
        }
        assert_eq!(Pattern::new("v.").unwrap().literal(), None);
    }

    #[test]
    fn an_automaton_is_made_for_a_value_that_may_match() {
        let compiled = |pattern: &Pattern| match &pattern.0.matcher {
            Matcher::Literal(_) => false,
            Matcher::Regex { regex, .. } => regex.get().is_some(),
        };
        let pattern = Pattern::new("a.*made for.*").unwrap();
        pattern.prepare();
        assert!(!pattern.matches(b"a value without") && !compiled(&pattern));
        assert!(!pattern.matches(b"not made for this") && compiled(&pattern));
        assert!(pattern.matches(b"a: made for this"));
        let pattern = Pattern::new("[made]+for").unwrap();
        assert_eq!(pattern.required(), Some(&b"for"[..]));
        let any = Pattern::new("[0-9]+").unwrap();
        any.prepare();
        assert!(compiled(&any));
    }

    #[test]
    fn equal_patterns_share_one_automaton() {
        let (a, b) = (
            Pattern::new("sha.ed").unwrap(),
            Pattern::new("sha.ed").unwrap(),
        );
        assert!(Arc::ptr_eq(&a.0, &b.0));
    }

    #[test]
    fn what_cannot_be_compiled_is_refused() {
        for bad in ["(", "a)(b", "[z-a]", r"(?<n>a)(?<n>b)", r"\xFF\y"] {
            let got = Pattern::new(bad);
            assert!(matches!(got, Err(PatternError::Syntax(_))), "{bad}");
        }
        assert!(matches!(
            Pattern::new("(a{1000}){1000}"),
            Err(PatternError::TooLarge)
        ));
        assert!(matches!(
            Pattern::new(&"a".repeat(9000)),
            Err(PatternError::TooLong { got: 9000 })
        ));
        assert_eq!(
            Pattern::new("(").unwrap_err().to_string(),
            "is not a pattern: unclosed group at byte 0"
        );
    }

    #[test]
    fn a_comment_at_the_end_does_not_swallow_the_end() {
        assert!(matches("(?x) a b # said", b"ab"));
        assert!(!matches("(?x) a b # said", b"abc"));
    }
}

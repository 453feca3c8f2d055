//! A text that every value matching a pattern contains.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind};

/// The longest such text that is easily seen: `user=jason` for `^(.*?;)?(user=jason)(;.*)?$`.
pub(super) fn required(pattern: &str) -> Option<Box<[u8]>> {
    // As the pattern is compiled: for bytes, and for UTF-8 where that is not possible.
    let parse = |unicode| {
        ParserBuilder::new()
            .unicode(unicode)
            .utf8(false)
            .build()
            .parse(pattern)
            .ok()
    };
    let parsed = parse(false).or_else(|| parse(true))?;
    longest(&parsed).map(Into::into)
}

/// The recursion is as deep as the pattern nests, which the parser bounds.
fn longest(part: &Hir) -> Option<&[u8]> {
    match part.kind() {
        HirKind::Literal(literal) => Some(&literal.0),
        HirKind::Capture(capture) => longest(&capture.sub),
        HirKind::Repetition(repeated) if repeated.min > 0 => longest(&repeated.sub),
        HirKind::Concat(parts) => parts
            .iter()
            .filter_map(longest)
            .max_by_key(|text| text.len()),
        HirKind::Empty
        | HirKind::Class(_)
        | HirKind::Look(_)
        | HirKind::Repetition(_)
        | HirKind::Alternation(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_text_that_must_be_there() {
        for (pattern, text) in [
            ("^(.*?;)?(user=jason)(;.*)?$", Some("user=jason")),
            (".*user=jason.*", Some("user=jason")),
            ("a.*bcd.*ef", Some("bcd")),
            ("(abc)+x", Some("abc")),
            ("(abc)*xy", Some("xy")),
            ("abc|abd", None),
            ("(?i)abc", None),
            (".*", None),
            ("(", None),
            (r"user=\p{Greek}", Some("user=")),
        ] {
            let found = required(pattern);
            assert_eq!(found.as_deref(), text.map(str::as_bytes), "{pattern}");
        }
    }
}

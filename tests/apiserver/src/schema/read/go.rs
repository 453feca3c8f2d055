//! Why a text is no JSON, in the words of Go.

/// What Go says of the commonest faults; `None` for others.
pub(super) fn json_error(text: &[u8]) -> Option<String> {
    let rest = text.trim_ascii_start();
    let Some(first) = rest.first() else {
        return Some("unexpected end of JSON input".into());
    };
    match first {
        b'n' => literal(rest, b"null"),
        b't' => literal(rest, b"true"),
        b'f' => literal(rest, b"false"),
        b'{' | b'[' | b'"' => serde_json::from_slice::<serde_json::Value>(text)
            .err()
            .filter(serde_json::Error::is_eof)
            .map(|_| "unexpected end of JSON input".into()),
        b'-' | b'0'..=b'9' => None,
        other => Some(format!(
            "invalid character {:?} looking for beginning of value",
            char::from(*other)
        )),
    }
}

/// Where a literal is another word.
fn literal(text: &[u8], wanted: &[u8]) -> Option<String> {
    let word = std::str::from_utf8(wanted).ok()?;
    for (index, expected) in wanted.iter().enumerate() {
        match text.get(index) {
            None => return Some("unexpected end of JSON input".into()),
            Some(given) if given != expected => {
                return Some(format!(
                    "invalid character {:?} in literal {word} (expecting {:?})",
                    char::from(*given),
                    char::from(*expected)
                ));
            }
            Some(_) => {}
        }
    }
    None
}

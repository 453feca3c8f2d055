//! Writes one JSON object, member by member, into a buffer that is used again.

use std::time::Duration;

/// The longest text that a member may have; a longer one is cut.
const MAX_TEXT: usize = 2048;

/// A JSON object that is being written. The caller gives every member once.
#[derive(Debug, Default)]
pub(crate) struct Line(Vec<u8>);

impl Line {
    /// Begins an object in `buffer`, whose content is dropped and whose memory is used.
    pub(crate) fn begin(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.push(b'{');
        Self(buffer)
    }

    /// A text. What is not UTF-8 is shown as well as it can be.
    pub(crate) fn text(&mut self, name: &'static str, value: &[u8]) {
        self.name(name);
        self.0.push(b'"');
        self.escaped(value);
        self.0.push(b'"');
    }

    /// A text that is known to need no escapes.
    pub(crate) fn plain(&mut self, name: &'static str, value: &str) {
        self.name(name);
        self.0.push(b'"');
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'"');
    }

    /// A text, or `null`.
    pub(crate) fn maybe(&mut self, name: &'static str, value: Option<&[u8]>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.null(name),
        }
    }

    /// A text under a name that comes from a rule.
    pub(crate) fn named(&mut self, name: &str, value: &str) {
        self.comma();
        self.0.push(b'"');
        self.escaped(name.as_bytes());
        self.0.extend_from_slice(b"\":\"");
        self.escaped(value.as_bytes());
        self.0.push(b'"');
    }

    /// A number.
    pub(crate) fn number(&mut self, name: &'static str, value: u64) {
        self.name(name);
        self.digits(value);
    }

    /// A duration in seconds, to the microsecond; `null` when there is none.
    pub(crate) fn seconds(&mut self, name: &'static str, value: Option<Duration>) {
        let Some(value) = value else {
            return self.null(name);
        };
        self.name(name);
        self.digits(value.as_secs());
        self.0.push(b'.');
        let mut micros = value.subsec_micros();
        let mut digits = [b'0'; 6];
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (micros % 10) as u8;
            micros /= 10;
        }
        self.0.extend_from_slice(&digits);
    }

    /// Ends the object; the buffer may be given to [`begin`](Self::begin) again.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }

    fn null(&mut self, name: &'static str) {
        self.name(name);
        self.0.extend_from_slice(b"null");
    }

    fn comma(&mut self) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
    }

    fn name(&mut self, name: &'static str) {
        self.comma();
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn digits(&mut self, mut value: u64) {
        let mut digits = [0_u8; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.0.extend_from_slice(&digits[at..]);
    }

    fn escaped(&mut self, value: &[u8]) {
        let value = &value[..value.len().min(MAX_TEXT)];
        if value.iter().all(|b| is_plain(*b)) {
            self.0.extend_from_slice(value);
            return;
        }
        // A cut in the middle of a character shows like any other wrong byte.
        for c in String::from_utf8_lossy(value).chars() {
            match c {
                '"' => self.0.extend_from_slice(b"\\\""),
                '\\' => self.0.extend_from_slice(b"\\\\"),
                c if c.is_control() => {
                    let code = c as u32;
                    self.0.extend_from_slice(b"\\u");
                    for shift in [12, 8, 4, 0] {
                        let nibble = (code >> shift & 0xf) as u8;
                        self.0.push(match nibble {
                            0..=9 => b'0' + nibble,
                            _ => b'a' + nibble - 10,
                        });
                    }
                }
                c => {
                    let mut utf8 = [0; 4];
                    self.0
                        .extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
                }
            }
        }
    }
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_json_whatever_goes_in() {
        let mut line = Line::begin(b"old content".to_vec());
        line.plain("start_time", "2026-01-01T00:00:00.000Z");
        line.seconds("request_time", Some(Duration::from_micros(15_000_042)));
        line.seconds("upstream_response_time", None);
        line.number("status", 200);
        line.number("zero", 0);
        line.text("path", b"/a\"b\\c\n\x01\x7f?q=\xc3\xa9\xff");
        line.maybe("none", None);
        line.named("lo\"g", "v\\");
        let text = String::from_utf8(line.end()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["request_time"], 15.000_042);
        assert_eq!(value["upstream_response_time"], serde_json::Value::Null);
        assert_eq!(value["status"], 200);
        assert_eq!(value["zero"], 0);
        assert_eq!(value["path"], "/a\"b\\c\n\u{1}\u{7f}?q=é\u{fffd}");
        assert_eq!(value["lo\"g"], "v\\");
        assert!(!text.contains('\n'));
    }

    #[test]
    fn a_long_text_is_cut() {
        let mut line = Line::begin(Vec::new());
        line.text("path", "ä".repeat(MAX_TEXT).as_bytes());
        let value: serde_json::Value = serde_json::from_slice(&line.end()).unwrap();
        assert_eq!(
            value["path"].as_str().unwrap().chars().count(),
            MAX_TEXT / 2
        );
    }
}

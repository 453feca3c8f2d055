use std::time::Duration;

use serde_json::Value;

use super::{Choices, INPUTS};
use crate::proxy::access_log::Line;

/// What a text is to be read as again: at most so much of it, and valid.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(2048)]).into_owned()
}

#[test]
fn a_line_of_the_log_is_one_json_object() {
    bolero::check!()
        .with_iterations(INPUTS)
        .for_each(|input: &[u8]| check(input));
}

fn check(input: &[u8]) {
    let mut choices = Choices(input);
    let mut line = Line::begin(choices.bytes());
    let mut expected = Vec::new();
    const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for name in NAMES {
        match choices.byte() % 5 {
            0 => {
                let text = choices.bytes().repeat(choices.below(20));
                line.text(name, &text);
                expected.push((name.to_owned(), Value::from(shown(&text))));
            }
            1 => {
                let text = (choices.byte() < 128).then(|| choices.bytes());
                line.maybe(name, text.as_deref());
                expected.push((name.to_owned(), text.map(|t| shown(&t)).into()));
            }
            2 => {
                let number = u64::from(choices.byte()) << (choices.byte() % 57);
                line.number(name, number);
                expected.push((name.to_owned(), number.into()));
            }
            3 => {
                let seconds = u64::from(choices.byte());
                let micros = u32::from(choices.byte()) * 3906;
                line.seconds(name, Some(Duration::new(seconds, micros * 1000)));
                let text = format!("{seconds}.{micros:06}");
                expected.push((name.to_owned(), serde_json::from_str(&text).unwrap()));
            }
            _ => {
                // Names of rules are texts, and not ours.
                let key = format!("{name}{}", String::from_utf8_lossy(&choices.bytes()));
                let value = String::from_utf8_lossy(&choices.bytes()).into_owned();
                line.named(&key, &value);
                expected.push((shown(key.as_bytes()), Value::from(shown(value.as_bytes()))));
            }
        }
    }
    let text = line.end();
    assert!(!text.contains(&b'\n') && !text.contains(&b'\r'));
    let value: serde_json::Map<String, Value> = serde_json::from_slice(&text).unwrap();
    let got: Vec<_> = value.into_iter().collect();
    assert_eq!(got, expected);
}

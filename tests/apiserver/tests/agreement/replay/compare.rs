//! Whether an answer is the recorded one.

use serde_json::Value;

use super::answer::Answer;
use super::table::Request;

/// What is told of a request that the real server was never asked.
pub(super) const NOT_RECORDED: &str = "  is not recorded";

/// How an answer differs from the recorded one, where it must not: a line for each member.
pub(super) fn faults(request: &Request, answer: &Answer) -> Vec<String> {
    let Some(recorded) = &request.answer else {
        return vec![NOT_RECORDED.into()];
    };
    let found = differences(recorded, answer);
    match (&request.differs, found.is_empty()) {
        (None, _) => found,
        (Some(_), true) => vec!["  does not differ any more".into()],
        (Some(_), false) if recorded.status >= 400 && answer.status < 400 => {
            vec!["  may differ, but accepts what is refused".into()]
        }
        (Some(_), false) => Vec::new(),
    }
}

/// How an answer differs from the recorded one: a line for each member.
pub(super) fn differences(recorded: &Answer, answer: &Answer) -> Vec<String> {
    let mut said = Vec::new();
    let mut compare = |name: &str, recorded: &Value, answer: &Value| {
        if recorded != answer {
            said.push(format!(
                "  {name}\n    real: {recorded}\n    here: {answer}"
            ));
        }
    };
    compare("status", &recorded.status.into(), &answer.status.into());
    let texts = [
        ("type", &recorded.content_type, &answer.content_type),
        ("reason", &recorded.reason, &answer.reason),
        ("text", &recorded.text, &answer.text),
    ];
    for (name, recorded, answer) in texts {
        compare(name, &recorded.as_str().into(), &answer.as_str().into());
    }
    let (real, here) = (&recorded.warnings, &answer.warnings);
    compare("warnings", &real.clone().into(), &here.clone().into());
    if parts(&recorded.message) != parts(&answer.message) {
        let (real, here) = (recorded.message.as_str(), answer.message.as_str());
        compare("message", &real.into(), &here.into());
    }
    for member in ["name", "group", "kind", "causes", "retryAfterSeconds"] {
        let (real, here) = (&recorded.details[member], &answer.details[member]);
        compare(&format!("details.{member}"), real, here);
    }
    for (pointer, real) in &recorded.shown {
        let here = answer.shown.get(pointer).unwrap_or(&Value::Null);
        compare(&format!("shows {pointer:?}"), real, here);
    }
    for (pointer, here) in &answer.shown {
        if !recorded.shown.contains_key(pointer) {
            compare(&format!("shows {pointer:?}"), &Value::Null, here);
        }
    }
    said
}

/// The faults that a message tells, in any order: the real server's order is that of a map.
fn parts(message: &str) -> Vec<String> {
    let message = message.replace(['[', ']'], "");
    let mut parts: Vec<_> = message.split(", ").map(str::to_owned).collect();
    // The first one stands behind the object's name.
    if let Some((head, first)) = parts[0].split_once(" is invalid: ") {
        let (head, first) = (head.to_owned(), first.to_owned());
        parts[0] = head;
        parts.push(first);
    }
    parts.sort();
    parts
}

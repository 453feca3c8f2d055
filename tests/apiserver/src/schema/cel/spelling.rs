//! How the members of objects are spelt in CEL.
//!
//! [Kubernetes] writes a double underscore as `__underscores__` and leaves a single one alone;
//! the library doubles every one. So rules are respelt for it.
//!
//! [Kubernetes]: https://kubernetes.io/docs/reference/using-api/cel/#escaping

use serde_json::Value;

/// The schema, with its rules in the library's spelling.
pub(super) fn respelt(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| {
                let value = match name.as_str() {
                    "x-kubernetes-validations" => rules(value),
                    _ => respelt(value),
                };
                (name.clone(), value)
            });
            Value::Object(members.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(respelt).collect()),
        plain => plain.clone(),
    }
}

fn rules(rules: &Value) -> Value {
    let mut rules = rules.clone();
    for rule in rules.as_array_mut().into_iter().flatten() {
        for name in ["rule", "messageExpression"] {
            if let Some(text) = rule.get(name).and_then(Value::as_str).map(expression) {
                rule[name] = text.into();
            }
        }
    }
    rules
}

/// Doubles the underscores of what follows a dot, outside of texts.
fn expression(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quote = None;
    let mut member = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        out.push(letter);
        match (quote, letter) {
            (Some(_), '\\') => out.extend(letters.next()),
            (Some(open), _) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, '.') => member = true,
            (None, '_') if member => {
                // What is escaped already stays: only single ones are doubled.
                match letters.peek() {
                    Some('_') => out.extend(letters.next()),
                    _ => out.push('_'),
                }
            }
            (None, _) => member &= letter.is_alphanumeric(),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_members_are_respelt() {
        for (written, spelt) in [
            ("has(self.return_code)", "has(self.return__code)"),
            ("self.a_b.c_d == my_var", "self.a__b.c__d == my_var"),
            (
                "self.x == 'a.b_c' && self.y_z",
                "self.x == 'a.b_c' && self.y__z",
            ),
            ("self.a__dot__b", "self.a__dot__b"),
        ] {
            assert_eq!(expression(written), spelt);
        }
    }
}

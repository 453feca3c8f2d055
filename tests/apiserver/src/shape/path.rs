//! The paths of printer columns: the part of JSONPath that they use.

use serde_json::Value;

/// One step of a path.
enum Step {
    Member(String),
    Index(usize),
    All,
    /// `[?(@.type=="Ready")]`
    Where(String, String),
}

/// What a path leads to.
pub(crate) fn find<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let Some(steps) = parse(path) else {
        return Vec::new();
    };
    let mut at = vec![object];
    for step in &steps {
        at = at
            .into_iter()
            .flat_map(|value| follow(value, step))
            .collect();
    }
    at
}

/// Whether a text is a path that we can follow.
pub(crate) fn is_path(path: &str) -> bool {
    parse(path).is_some()
}

fn follow<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    match step {
        Step::Member(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => value.get(index).into_iter().collect(),
        Step::All => match value {
            Value::Array(items) => items.iter().collect(),
            Value::Object(members) => members.values().collect(),
            _ => Vec::new(),
        },
        Step::Where(name, wanted) => value
            .as_array()
            .into_iter()
            .flatten()
            .filter(|one| match &one[name] {
                Value::String(text) => text == wanted,
                other => *other.to_string() == **wanted,
            })
            .collect(),
    }
}

fn parse(path: &str) -> Option<Vec<Step>> {
    let path = path.trim();
    let path = path
        .strip_prefix('{')
        .and_then(|path| path.strip_suffix('}'))
        .unwrap_or(path);
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let end = after.find(']')?;
            let (inside, after) = after.split_at(end);
            rest = after.strip_prefix(']')?;
            steps.push(bracket(inside)?);
        } else {
            let after = rest.strip_prefix('.')?;
            let mut name = String::new();
            let mut chars = after.char_indices().peekable();
            let mut end = after.len();
            while let Some((at, c)) = chars.next() {
                match c {
                    '\\' => name.extend(chars.next().map(|(_, c)| c)),
                    '.' | '[' => {
                        end = at;
                        break;
                    }
                    _ => name.push(c),
                }
            }
            rest = &after[end..];
            match name.as_str() {
                "" if rest.starts_with('[') => {}
                "" => return None,
                "*" => steps.push(Step::All),
                _ => steps.push(Step::Member(name)),
            }
        }
    }
    Some(steps)
}

fn bracket(inside: &str) -> Option<Step> {
    if inside == "*" {
        return Some(Step::All);
    }
    if let Ok(index) = inside.parse() {
        return Some(Step::Index(index));
    }
    let quoted = |text: &str| {
        let text = text.trim();
        let inner = text.strip_prefix(['\'', '"'])?.strip_suffix(['\'', '"'])?;
        Some(inner.to_owned())
    };
    if let Some(name) = quoted(inside) {
        return Some(Step::Member(name));
    }
    let test = inside.strip_prefix("?(")?.strip_suffix(')')?;
    let (name, value) = test.split_once("==")?;
    let name = name.trim().strip_prefix("@.")?.to_owned();
    let value = quoted(value).unwrap_or_else(|| value.trim().to_owned());
    Some(Step::Where(name, value))
}

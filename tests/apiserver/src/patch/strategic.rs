//! Strategic merge patches: merge patches that know which lists are merged, and by which key.

use serde_json::{Map, Value};

use super::go;
use crate::schema::Schema;

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const DELETE: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// The object as the patch would have it.
pub(crate) fn apply(object: &Value, patch: &Value, schema: &Schema) -> Result<Value, String> {
    let Value::Object(patch) = patch else {
        return Err(
            "json: cannot unmarshal array into Go value of type map[string]interface {}".into(),
        );
    };
    let mut object = object.clone();
    let members = object.as_object_mut().ok_or("the object is no object")?;
    merge(members, patch, schema)?;
    Ok(object)
}

fn merge(
    members: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    schema: &Schema,
) -> Result<(), String> {
    let schema = schema.resolve();
    match patch.get(DIRECTIVE).and_then(Value::as_str) {
        Some("replace") => {
            *members = plain(patch);
            return Ok(());
        }
        Some("delete") => {
            members.clear();
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => {
            return Err(format!(
                "unknown patch type: {other} in map: {}",
                go::printed(&Value::Object(patch.clone()))
            ));
        }
    }
    if let Some(keep) = patch.get(RETAIN).and_then(Value::as_array) {
        let keep: Vec<_> = keep.iter().filter_map(Value::as_str).collect();
        members.retain(|name, _| keep.contains(&name.as_str()));
    }
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix(DELETE) {
            let gone = value
                .as_array()
                .ok_or("$deleteFromPrimitiveList wants a list")?;
            if let Some(Value::Array(items)) = members.get_mut(list) {
                items.retain(|one| !gone.contains(one));
            }
            continue;
        }
        if name.starts_with(ORDER) || name == DIRECTIVE || name == RETAIN {
            continue;
        }
        if value.is_null() {
            members.shift_remove(name);
            continue;
        }
        let inner = schema.member(name);
        match (members.get_mut(name), value, inner) {
            (Some(Value::Object(old)), Value::Object(new), Some(inner)) => {
                if inner
                    .merge_strategy
                    .as_deref()
                    .is_some_and(|s| s.contains("replace"))
                {
                    *old = plain(new);
                } else {
                    merge(old, new, inner)?;
                }
            }
            (Some(Value::Object(old)), Value::Object(new), None) => {
                let mut object = Value::Object(std::mem::take(old));
                super::merge::apply(&mut object, &Value::Object(new.clone()));
                *old = object.as_object().cloned().unwrap_or_default();
            }
            (old, Value::Array(new), Some(inner)) if merges(inner) => {
                let mut items = match old {
                    Some(Value::Array(old)) => std::mem::take(old),
                    _ => Vec::new(),
                };
                merge_list(&mut items, new, inner)?;
                members.insert(name.clone(), Value::Array(items));
            }
            (_, Value::Object(new), Some(inner)) => {
                let mut made = Map::new();
                merge(&mut made, new, inner)?;
                members.insert(name.clone(), Value::Object(made));
            }
            (_, value, _) => {
                members.insert(name.clone(), value.clone());
            }
        }
    }
    order(members, patch, schema);
    Ok(())
}

fn merges(schema: &Schema) -> bool {
    schema
        .merge_strategy
        .as_deref()
        .is_some_and(|strategy| strategy.split(',').any(|s| s == "merge"))
}

fn merge_list(items: &mut Vec<Value>, patch: &[Value], schema: &Schema) -> Result<(), String> {
    let Some(key) = schema.merge_key.as_deref() else {
        for one in patch {
            if !items.contains(one) {
                items.push(one.clone());
            }
        }
        return Ok(());
    };
    if patch.iter().any(|one| one[DIRECTIVE] == "replace") {
        *items = patch
            .iter()
            .filter(|one| one[DIRECTIVE] != "replace")
            .cloned()
            .collect();
        return Ok(());
    }
    let inner = schema.items.as_deref().unwrap_or(schema);
    let before: Vec<_> = items.iter().map(|item| item[key].clone()).collect();
    for one in patch {
        let Value::Object(new) = one else {
            return Err("expected a list of objects".into());
        };
        let wanted = new
            .get(key)
            .ok_or_else(|| format!("map: {one} does not contain declared merge key: {key}"))?;
        let at = items.iter().position(|item| item.get(key) == Some(wanted));
        if new
            .get(DIRECTIVE)
            .is_some_and(|directive| directive == "delete")
        {
            items.retain(|item| item.get(key) != Some(wanted));
        } else if let Some(Value::Object(old)) = at.map(|at| &mut items[at]) {
            merge(old, new, inner)?;
        } else {
            let mut made = Map::new();
            merge(&mut made, new, inner)?;
            items.push(Value::Object(made));
        }
    }
    *items = ordered(items, patch, key, &before);
    Ok(())
}

/// What the patch names comes in its order; what it does not name stands where it stood before,
/// so far as that can be told.
fn ordered(items: &[Value], patch: &[Value], key: &str, before: &[Value]) -> Vec<Value> {
    let place = |item: &Value| before.iter().position(|old| *old == item[key]);
    let named = |item: &Value| patch.iter().position(|one| one[key] == item[key]);
    let mut left: Vec<_> = items.iter().filter(|item| named(item).is_some()).collect();
    left.sort_by_key(|item| named(item));
    let right = items.iter().filter(|item| named(item).is_none());
    let (mut left, mut right) = (left.into_iter().peekable(), right.peekable());
    let mut all = Vec::new();
    loop {
        let first = match (left.peek(), right.peek()) {
            (None, None) => return all,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(one), Some(other)) => match (place(one), place(other)) {
                (Some(one), Some(other)) => one < other,
                _ => true,
            },
        };
        all.extend(if first { left.next() } else { right.next() }.cloned());
    }
}

/// Puts lists in the order that the patch wants them in; what it does not name goes where it was
/// among the others.
fn order(members: &mut Map<String, Value>, patch: &Map<String, Value>, schema: &Schema) {
    for (name, wanted) in patch {
        let Some(list) = name.strip_prefix(ORDER) else {
            continue;
        };
        let key = schema
            .member(list)
            .and_then(|inner| inner.merge_key.as_deref());
        let of = |value: &Value| key.map_or_else(|| value.clone(), |key| value[key].clone());
        let wanted: Vec<_> = wanted.as_array().into_iter().flatten().map(of).collect();
        let Some(Value::Array(items)) = members.get_mut(list) else {
            continue;
        };
        let place = |value: &Value| wanted.iter().position(|one| *one == of(value));
        let mut known: Vec<_> = items
            .iter()
            .filter(|i| place(i).is_some())
            .cloned()
            .collect();
        known.sort_by_key(|item| place(item));
        let mut known = known.into_iter();
        for item in items.iter_mut() {
            if place(item).is_some()
                && let Some(next) = known.next()
            {
                *item = next;
            }
        }
    }
}

/// A patch without its directives.
fn plain(patch: &Map<String, Value>) -> Map<String, Value> {
    patch
        .iter()
        .filter(|(name, _)| !name.starts_with('$'))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

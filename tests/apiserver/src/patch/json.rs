//! JSON patches: lists of operations.

use serde_json::Value;

use crate::failure::Failure;

/// The object after all operations, or why it could not be had.
pub(crate) fn apply(object: &Value, patch: &Value) -> Result<Value, Failure> {
    let Some(operations) = patch.as_array() else {
        return Err(Failure::bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type \
             []handlers.jsonPatchOp",
        ));
    };
    let mut object = object.clone();
    for operation in operations {
        one(&mut object, operation).map_err(|why| {
            let mut failure = Failure::new(
                422,
                "Invalid",
                "the server rejected our request due to an error in our request",
            );
            // The real server keeps this to itself.
            failure.details.causes.clear();
            let _ = why;
            failure
        })?;
    }
    Ok(object)
}

fn one(object: &mut Value, operation: &Value) -> Result<(), String> {
    let text = |name: &str| {
        operation[name]
            .as_str()
            .ok_or_else(|| format!("operation without {name}"))
    };
    let value = || {
        operation
            .get("value")
            .cloned()
            .ok_or_else(|| "operation without value".to_owned())
    };
    let path = text("path")?;
    match text("op")? {
        "add" => add(object, path, value()?),
        "remove" => remove(object, path).map(drop),
        "replace" => {
            if path.is_empty() {
                *object = value()?;
                return Ok(());
            }
            // The library of the real server has it that a member need not be there.
            let (parent, _) = split(path)?;
            if !object.pointer(parent).is_some_and(Value::is_object) {
                remove(object, path)?;
            }
            add(object, path, value()?)
        }
        "move" => {
            let moved = remove(object, text("from")?)?;
            add(object, path, moved)
        }
        "copy" => {
            let from = text("from")?;
            let copied = object.pointer(from).cloned();
            add(
                object,
                path,
                copied.ok_or_else(|| format!("nothing at {from}"))?,
            )
        }
        "test" => {
            let there = object.pointer(path).unwrap_or(&Value::Null);
            if *there == operation["value"] {
                Ok(())
            } else {
                Err(format!("testing value {path} failed"))
            }
        }
        other => Err(format!("unexpected kind: {other}")),
    }
}

fn split(path: &str) -> Result<(&str, String), String> {
    let (parent, last) = path
        .rsplit_once('/')
        .ok_or_else(|| format!("no path: {path:?}"))?;
    Ok((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *object = value;
        return Ok(());
    }
    let (parent, last) = split(path)?;
    match object.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            members.insert(last, value);
            Ok(())
        }
        Some(Value::Array(items)) => {
            let index = if last == "-" {
                items.len()
            } else {
                last.parse().map_err(|_| format!("no index: {last}"))?
            };
            if index > items.len() {
                return Err(format!("index {index} out of bounds"));
            }
            items.insert(index, value);
            Ok(())
        }
        _ => Err(format!("nothing at {parent}")),
    }
}

fn remove(object: &mut Value, path: &str) -> Result<Value, String> {
    let (parent, last) = split(path)?;
    let missing = || format!("nothing at {path}");
    match object.pointer_mut(parent) {
        Some(Value::Object(members)) => members.shift_remove(&last).ok_or_else(missing),
        Some(Value::Array(items)) => {
            let index: usize = last.parse().map_err(|_| missing())?;
            if index < items.len() {
                Ok(items.remove(index))
            } else {
                Err(missing())
            }
        }
        _ => Err(missing()),
    }
}

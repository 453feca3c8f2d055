//! ConfigMaps and Secrets.

use base64::Engine;
use serde_json::{Map, Value};

use super::{or, text};
use crate::field::FieldError;
use crate::names;

const MOST: usize = 1024 * 1024;

/// Fills in a Secret.
pub(super) fn default(object: &mut Value) {
    or(object, "type", "Opaque");
    if let Some(Value::Object(plain)) = object
        .as_object_mut()
        .and_then(|members| members.shift_remove("stringData"))
    {
        let engine = base64::engine::general_purpose::STANDARD;
        let data = crate::object::member_mut(object, "data");
        for (name, value) in plain {
            let value = engine.encode(value.as_str().unwrap_or_default());
            data.insert(name, value.into());
        }
    }
}

/// The faults of a ConfigMap.
pub(super) fn check_map(object: &Value, old: Option<&Value>, faults: &mut Vec<FieldError>) {
    let mut size = 0;
    for name in ["data", "binaryData"] {
        for (key, value) in object[name].as_object().into_iter().flatten() {
            size += value.as_str().unwrap_or_default().len();
            check_key(name, key, faults);
            if name == "data" && object["binaryData"].get(key).is_some() {
                let said = "duplicate of key present in binaryData";
                faults.push(FieldError::invalid(
                    &format!("{name}[{key}]"),
                    &key.as_str().into(),
                    said,
                ));
            }
        }
    }
    if size > MOST {
        faults.push(FieldError::too_long("[]", MOST));
    }
    immutable(object, old, &["data", "binaryData"], faults);
}

/// The faults of a Secret.
pub(super) fn check_secret(object: &Value, old: Option<&Value>, faults: &mut Vec<FieldError>) {
    let data = object["data"].as_object();
    for (key, _) in data.into_iter().flatten() {
        check_key("data", key, faults);
    }
    let size: usize = data
        .into_iter()
        .flatten()
        .map(|(_, value)| value.as_str().unwrap_or_default().len() / 4 * 3)
        .sum();
    if size > MOST {
        faults.push(FieldError::too_long("data", MOST));
    }
    let has = |key: &str| data.is_some_and(|data: &Map<String, Value>| data.contains_key(key));
    if text(object, "type") == "kubernetes.io/tls" {
        for key in ["tls.crt", "tls.key"] {
            if !has(key) {
                faults.push(FieldError::required(&format!("data[{key}]"), ""));
            }
        }
    }
    if let Some(old) = old
        && old["type"] != object["type"]
    {
        faults.push(FieldError::invalid(
            "type",
            &object["type"],
            "field is immutable",
        ));
    }
    immutable(object, old, &["data"], faults);
}

fn check_key(name: &str, key: &str, faults: &mut Vec<FieldError>) {
    for said in names::config_key(key) {
        faults.push(FieldError::invalid(
            &format!("{name}[{key}]"),
            &key.into(),
            said,
        ));
    }
}

fn immutable(object: &Value, old: Option<&Value>, names: &[&str], faults: &mut Vec<FieldError>) {
    let Some(old) = old.filter(|old| old["immutable"] == true) else {
        return;
    };
    let said = "field is immutable when `immutable` is set";
    if object["immutable"] != true {
        faults.push(FieldError::forbidden("immutable", said));
    }
    for name in names {
        if old[name] != object[name] {
            faults.push(FieldError::forbidden(name, said));
        }
    }
}

//! An answer, without what differs from run to run.

use std::sync::LazyLock;

use http::{HeaderMap, header};
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::variables::Variables;

/// What is compared of an answer.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The kind of the body, where it is not JSON.
    #[serde(rename = "type", default, skip_serializing_if = "String::is_empty")]
    pub(crate) content_type: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) message: String,
    /// The details of a failure. Causes are sorted.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) details: Value,
    /// A failure that is no object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) text: String,
    /// The members that the request wants to be shown, by their pointers.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(crate) shown: Map<String, Value>,
}

impl Answer {
    /// Reads an answer. `used` are the variables of the request.
    pub(crate) fn read(
        status: u16,
        headers: &HeaderMap,
        body: &str,
        show: &[String],
        used: &Variables,
    ) -> Self {
        let texts = |name| headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
        let mut answer = Self {
            status,
            content_type: texts(header::CONTENT_TYPE).next().unwrap_or("").into(),
            warnings: texts(header::WARNING).map(|text| used.hide(text)).collect(),
            ..Self::default()
        };
        if answer.content_type == "application/json" {
            answer.content_type.clear();
        }
        let value = if answer.content_type == "application/yaml" {
            serde_saphyr::from_str(body).unwrap_or_default()
        } else {
            document(body)
        };
        if value["kind"] == "Status" && status >= 400 {
            let text = |name: &str| value[name].as_str().unwrap_or_default();
            text("reason").clone_into(&mut answer.reason);
            answer.message = used.hide(&plain(text("message")));
            answer.details = details(value["details"].clone(), used);
        } else if status >= 400 {
            body.trim().clone_into(&mut answer.text);
        }
        let value = without_volatile(value);
        for pointer in show {
            if let Some(found) = value.pointer(pointer) {
                let found = used.hide_in(found.clone());
                answer.shown.insert(pointer.clone(), found);
            }
        }
        answer
    }
}

/// The body: one document, or a line for each event, or a text.
pub(crate) fn document(body: &str) -> Value {
    let lines: Result<Vec<Value>, _> = body.lines().map(serde_json::from_str).collect();
    match lines {
        Ok(mut lines) if lines.len() == 1 && lines[0].get("object").is_none() => lines.remove(0),
        Ok(lines) => Value::Array(lines),
        Err(_) => serde_json::from_str(body).unwrap_or_else(|_| body.into()),
    }
}

fn details(mut details: Value, used: &Variables) -> Value {
    let Some(members) = details.as_object_mut() else {
        return Value::Null;
    };
    members.shift_remove("uid");
    if let Some(name) = members.get("name").and_then(Value::as_str) {
        let name = used.hide(name);
        members.insert("name".into(), name.into());
    }
    if let Some(causes) = members.get_mut("causes").and_then(Value::as_array_mut) {
        for cause in causes.iter_mut() {
            if let Some(said) = cause["message"]
                .as_str()
                .map(|said| used.hide(&plain(said)))
            {
                cause["message"] = said.into();
            }
        }
        let key = |cause: &Value| {
            ["field", "reason", "message"]
                .map(|member| cause[member].as_str().unwrap_or_default().to_owned())
        };
        causes.sort_by_key(key);
        // The real server checks some things twice.
        causes.dedup();
    }
    details
}

/// Takes what differs from run to run out of a text.
fn plain(text: &str) -> String {
    static UID: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").expect("a constant")
    });
    static TIME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\d{4}-\d\d-\d\dT[0-9:.]+Z").expect("a constant"));
    static REVISION: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(object meta: |current: |in record \(|resourceVersion\\*":\\*")\d+"#)
            .expect("a constant")
    });
    static OBJECT: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#""\{\\"apiVersion.*\}""#).expect("a constant"));
    let text = UID.replace_all(text, "UID");
    let text = OBJECT.replace_all(&text, "OBJECT");
    let text = TIME.replace_all(&text, "TIME");
    REVISION.replace_all(&text, "${1}REVISION").into_owned()
}

/// Takes what differs from run to run out of the metadata of all objects.
fn without_volatile(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(without_volatile).collect(),
        Value::Object(members) => {
            let mut kept = Map::new();
            for (name, value) in members {
                let mut value = without_volatile(value);
                if name == "metadata"
                    && let Some(meta) = value.as_object_mut()
                {
                    meta.retain(|name, _| {
                        !matches!(
                            name.as_str(),
                            "uid" | "resourceVersion" | "creationTimestamp"
                        )
                    });
                    if let Some(entries) =
                        meta.get_mut("managedFields").and_then(Value::as_array_mut)
                    {
                        for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
                            entry.shift_remove("time");
                        }
                        // Their order depends on the times.
                        entries.sort_by_key(|entry| {
                            ["operation", "manager", "subresource", "apiVersion"]
                                .map(|name| entry[name].to_string())
                        });
                    }
                }
                kept.insert(name, value);
            }
            Value::Object(kept)
        }
        other => other,
    }
}

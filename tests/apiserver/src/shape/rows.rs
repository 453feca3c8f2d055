//! Tables: the columns that `kubectl get` shows.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::path;
use crate::kinds::{Column, Kind, Origin};
use crate::object;

/// A table of objects. Whoever follows changes is told the columns once.
pub(super) fn table(kind: &Kind, meta: Value, objects: &[Value], columns: bool) -> Value {
    let definitions = match &kind.origin {
        Origin::Custom(custom) => custom_columns(&custom.columns),
        Origin::BuiltIn(_) => columns_of(kind),
    };
    let rows: Vec<_> = objects
        .iter()
        .map(|object| {
            let cells = match &kind.origin {
                Origin::Custom(custom) => custom_cells(object, &custom.columns),
                Origin::BuiltIn(_) => cells(kind, object),
            };
            json!({
                "cells": cells,
                "object": super::metadata(object),
            })
        })
        .collect();
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": if columns { definitions } else { Value::Null },
        "rows": rows,
    })
}

fn name_column() -> Value {
    json!({
        "name": "Name", "type": "string", "format": "name", "priority": 0,
        "description": "Name must be unique within a namespace. Is required when creating \
                        resources, although some resources may allow a client to request the \
                        generation of an appropriate name automatically. Name is primarily \
                        intended for creation idempotence and configuration definition. Cannot be \
                        updated. More info: https://kubernetes.io/docs/concepts/overview/\
                        working-with-objects/names#names",
    })
}

fn custom_columns(columns: &[Column]) -> Value {
    let mut all = vec![name_column()];
    all.extend(columns.iter().map(|column| {
        json!({
            "name": column.name, "type": column.kind, "format": column.format,
            "description": column.description, "priority": column.priority,
        })
    }));
    Value::Array(all)
}

fn custom_cells(object: &Value, columns: &[Column]) -> Vec<Value> {
    let mut cells = vec![object::name(object).into()];
    cells.extend(columns.iter().map(|column| custom_cell(object, column)));
    cells
}

fn custom_cell(object: &Value, column: &Column) -> Value {
    let found = path::find(object, &column.path);
    let Some(first) = found.first() else {
        return Value::Null;
    };
    match column.kind.as_str() {
        "integer" => first
            .as_i64()
            .or_else(|| first.as_f64().map(|n| n as i64))
            .map_or(Value::Null, Value::from),
        "number" => first.as_f64().map_or(Value::Null, Value::from),
        "boolean" => first.as_bool().map_or(Value::Null, Value::from),
        "date" => first.as_str().map_or(Value::Null, |text| age(text).into()),
        _ => {
            let texts: Vec<_> = found
                .iter()
                .map(|value| {
                    value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned)
                })
                .collect();
            texts.join(",").into()
        }
    }
}

fn columns_of(kind: &Kind) -> Value {
    let column = |name: &str, kind: &str| json!({"name": name, "type": kind, "format": "", "description": "", "priority": 0});
    let mut all = vec![name_column()];
    for name in headings(kind) {
        all.push(column(name, "string"));
    }
    all.push(column("Age", "string"));
    Value::Array(all)
}

fn headings(kind: &Kind) -> &'static [&'static str] {
    match kind.plural.as_str() {
        "namespaces" => &["Status"],
        "pods" => &["Ready", "Status", "Restarts"],
        "services" => &["Type", "Cluster-IP", "External-IP", "Port(s)"],
        "deployments" => &["Ready", "Up-to-date", "Available"],
        "configmaps" => &["Data"],
        "secrets" => &["Type", "Data"],
        "leases" => &["Holder"],
        "endpointslices" => &["AddressType", "Ports", "Endpoints"],
        _ => &[],
    }
}

fn cells(kind: &Kind, object: &Value) -> Vec<Value> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "<none>".to_owned(),
        other => other.to_string(),
    };
    let size = |value: &Value| {
        value
            .as_object()
            .map_or(0, serde_json::Map::len)
            .to_string()
    };
    let joined = |list: &Value, show: &dyn Fn(&Value) -> String| {
        let all: Vec<_> = list.as_array().into_iter().flatten().map(show).collect();
        if all.is_empty() {
            "<none>".to_owned()
        } else {
            all.join(",")
        }
    };
    let (spec, status) = (&object["spec"], &object["status"]);
    let own: Vec<String> = match kind.plural.as_str() {
        "namespaces" => vec![text(&status["phase"])],
        "pods" => {
            let all = status["containerStatuses"].as_array();
            let ready = all
                .into_iter()
                .flatten()
                .filter(|c| c["ready"] == true)
                .count();
            let of = spec["containers"].as_array().map_or(0, Vec::len);
            let phase = if object::is_going(object) {
                "Terminating".to_owned()
            } else {
                text(&status["phase"])
            };
            vec![format!("{ready}/{of}"), phase, "0".to_owned()]
        }
        "services" => vec![
            text(&spec["type"]),
            text(&spec["clusterIP"]),
            "<none>".to_owned(),
            joined(&spec["ports"], &|port| {
                format!("{}/{}", text(&port["port"]), text(&port["protocol"]))
            }),
        ],
        "deployments" => {
            let count = |value: &Value| value.as_i64().unwrap_or(0).to_string();
            let ready = count(&status["readyReplicas"]);
            vec![
                format!("{ready}/{}", count(&spec["replicas"])),
                count(&status["updatedReplicas"]),
                count(&status["availableReplicas"]),
            ]
        }
        "configmaps" => vec![size(&object["data"])],
        "secrets" => vec![text(&object["type"]), size(&object["data"])],
        "leases" => vec![
            spec["holderIdentity"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        ],
        "endpointslices" => vec![
            text(&object["addressType"]),
            joined(&object["ports"], &|port| text(&port["port"])),
            joined(&object["endpoints"], &|one| text(&one["addresses"][0])),
        ],
        _ => Vec::new(),
    };
    let mut cells = vec![Value::from(object::name(object))];
    cells.extend(own.into_iter().map(Value::from));
    cells.push(age(object::meta(object, "creationTimestamp")).into());
    cells
}

/// How long ago something was, in the two largest units that say something.
fn age(text: &str) -> String {
    let Ok(time) = text.parse::<Timestamp>() else {
        return "<unknown>".into();
    };
    let seconds = Timestamp::now().as_second() - time.as_second();
    match seconds {
        i64::MIN..=-2 => "<invalid>".into(),
        -1..=0 => "0s".into(),
        1..120 => format!("{seconds}s"),
        120..600 if seconds % 60 != 0 => format!("{}m{}s", seconds / 60, seconds % 60),
        120..10_800 => format!("{}m", seconds / 60),
        10_800..28_800 if seconds / 60 % 60 != 0 => {
            format!("{}h{}m", seconds / 3600, seconds / 60 % 60)
        }
        10_800..172_800 => format!("{}h", seconds / 3600),
        172_800..691_200 if seconds / 3600 % 24 != 0 => {
            format!("{}d{}h", seconds / 86_400, seconds / 3600 % 24)
        }
        _ => format!("{}d", seconds / 86_400),
    }
}

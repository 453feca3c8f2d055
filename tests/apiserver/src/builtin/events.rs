//! Events: of two groups, and kept as those of the older.

use serde_json::{Map, Value};

use super::text;
use crate::field::FieldError;
use crate::{names, object};

/// The names of members in the core group, and in the newer one.
const NAMES: [(&str, &str); 6] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
];

/// Shows an event as the group has it.
pub(crate) fn convert(object: &mut Value, group: &str) {
    let Some(members) = object.as_object_mut() else {
        return;
    };
    let mut names: Vec<_> = NAMES.to_vec();
    names.push(("count", "deprecatedCount"));
    for (core, newer) in names {
        let (from, to) = if group.is_empty() {
            (newer, core)
        } else {
            (core, newer)
        };
        if let Some(value) = members.shift_remove(from) {
            members.entry(to.to_owned()).or_insert(value);
        }
    }
    let version = if group.is_empty() {
        "v1"
    } else {
        "events.k8s.io/v1"
    };
    members.insert("apiVersion".into(), version.into());
    // These are always there.
    let (source, first, last) = if group.is_empty() {
        ("source", "firstTimestamp", "lastTimestamp")
    } else {
        (
            "deprecatedSource",
            "deprecatedFirstTimestamp",
            "deprecatedLastTimestamp",
        )
    };
    members
        .entry(source)
        .or_insert_with(|| Value::Object(Map::new()));
    for name in [first, last, "eventTime"] {
        members.entry(name).or_insert(Value::Null);
    }
    if group.is_empty() {
        for name in ["reportingComponent", "reportingInstance"] {
            members.entry(name).or_insert_with(|| "".into());
        }
    } else {
        members.retain(|name, value| {
            !matches!(name.as_str(), "reportingController" | "reportingInstance") || value != ""
        });
    }
}

/// How a field is called where events are kept.
pub(crate) fn core_name(field: &str) -> String {
    let found = NAMES.iter().find_map(|(core, newer)| {
        let rest = field.strip_prefix(newer)?;
        (rest.is_empty() || rest.starts_with('.')).then(|| format!("{core}{rest}"))
    });
    found.unwrap_or_else(|| field.to_owned())
}

/// The faults of an event, of either group. They are named as in the core group.
pub(super) fn check(object: &Value, old: Option<&Value>, faults: &mut Vec<FieldError>) {
    let newer = object["apiVersion"] == "events.k8s.io/v1";
    let mut event = object.clone();
    convert(&mut event, "");
    let about = &event["involvedObject"];
    let theirs = text(about, "namespace");
    let own = object::namespace(object);
    // Events about what has no namespace are kept in the default one. Of custom kinds the real
    // server does not know whether they have one.
    let version = text(about, "apiVersion").split_once('/');
    let group = version.map_or("", |(group, _)| group);
    let custom = group.contains('.') && !group.ends_with(".k8s.io");
    let fits = if theirs.is_empty() {
        own == "default"
    } else {
        theirs == own || custom
    };
    if !fits {
        let said = "does not match event.namespace";
        let field = "involvedObject.namespace";
        faults.push(FieldError::invalid(field, &theirs.into(), said));
    }
    if newer {
        check_newer(&event, faults);
        if let Some(old) = old {
            check_change(&event, old, faults);
        }
    }
}

fn check_newer(event: &Value, faults: &mut Vec<FieldError>) {
    let invalid = |field: &str, said: &str| FieldError::invalid(field, &"".into(), said);
    let controller = text(event, "reportingComponent");
    if controller.is_empty() {
        faults.push(FieldError::required("reportingController", ""));
    }
    for said in names::qualified(controller) {
        let given = controller.into();
        faults.push(FieldError::invalid("reportingController", &given, said));
    }
    for name in ["reportingInstance", "action", "reason"] {
        let given = text(event, name);
        if given.is_empty() {
            faults.push(FieldError::required(name, ""));
        } else if given.len() > 128 {
            faults.push(invalid(name, "can have at most 128 characters"));
        }
    }
    if text(event, "message").len() > 1024 {
        faults.push(invalid("message", "can have at most 1024 characters"));
    }
    if event["eventTime"].is_null() {
        faults.push(FieldError::required("eventTime", ""));
    }
    let kind = text(event, "type");
    if !matches!(kind, "Normal" | "Warning") {
        faults.push(invalid("type", &format!("has invalid value: {kind}")));
    }
    let series = &event["series"];
    if series.is_object() {
        if series["count"].as_i64().unwrap_or(0) < 2 {
            faults.push(invalid("series.count", "should be at least 2"));
        }
        if series["lastObservedTime"].is_null() {
            faults.push(FieldError::required("series.lastObservedTime", ""));
        }
    }
}

/// An event only gets a series.
fn check_change(event: &Value, old: &Value, faults: &mut Vec<FieldError>) {
    for name in [
        "involvedObject",
        "reason",
        "message",
        "source",
        "firstTimestamp",
        "lastTimestamp",
        "count",
        "reportingComponent",
        "reportingInstance",
        "action",
        "related",
        "eventTime",
        "type",
    ] {
        if event[name] != old[name] {
            let field = match name {
                "reportingComponent" => "reportingController",
                other => other,
            };
            let said = "field is immutable";
            faults.push(FieldError::invalid(field, &event[name], said));
        }
    }
}

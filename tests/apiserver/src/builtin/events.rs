//! Events: of two groups, and kept as those of the older.

use serde_json::Value;

use crate::field::FieldError;
use crate::object;

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
}

/// The faults of an event, of either group.
pub(super) fn check(object: &Value, faults: &mut Vec<FieldError>) {
    let newer = object["apiVersion"] == "events.k8s.io/v1";
    let name = if newer { "regarding" } else { "involvedObject" };
    let about = object[name]["namespace"].as_str().unwrap_or_default();
    let own = object::namespace(object);
    // Events about what has no namespace are kept in the default one.
    let fits = about == own || (about.is_empty() && own == "default");
    if !fits {
        let said = "does not match event.namespace";
        let field = "involvedObject.namespace";
        faults.push(FieldError::invalid(field, &about.into(), said));
    }
    if newer {
        for name in [
            "reportingController",
            "reportingInstance",
            "action",
            "reason",
        ] {
            if object[name].as_str().unwrap_or_default().is_empty() {
                faults.push(FieldError::required(name, ""));
            }
        }
        if object["eventTime"].is_null() {
            faults.push(FieldError::required("eventTime", ""));
        }
        let kind = object["type"].as_str().unwrap_or_default();
        if !matches!(kind, "Normal" | "Warning") {
            let said = "has invalid value: ".to_owned() + kind;
            faults.push(FieldError::invalid("type", &"".into(), said));
        }
    }
}

//! What the real server refuses of a container.

use std::collections::HashSet;

use serde_json::Value;

use super::super::{items, port_number, text};
use crate::field::{FieldError, child, item};
use crate::names;

/// The faults of a container. `init` are those that come before the others; `volumes` are the
/// names of those that there are.
pub(super) fn check_container(
    container: &Value,
    path: &str,
    init: bool,
    volumes: &HashSet<&str>,
    faults: &mut Vec<FieldError>,
) {
    let name = text(container, "name");
    let field = child(path, "name");
    if name.is_empty() {
        faults.push(FieldError::required(&field, ""));
    } else {
        for said in names::label(name) {
            faults.push(FieldError::invalid(&field, &name.into(), said));
        }
    }
    if text(container, "image").is_empty() {
        faults.push(FieldError::required(&child(path, "image"), ""));
    }
    let known = ["Always", "IfNotPresent", "Never"];
    let policy = text(container, "imagePullPolicy");
    if !known.contains(&policy) {
        let field = child(path, "imagePullPolicy");
        faults.push(FieldError::unsupported(&field, &policy.into(), &known));
    }
    check_resources(&container["resources"], &child(path, "resources"), faults);
    let sidecar = init && text(container, "restartPolicy") == "Always";
    let mut seen = HashSet::new();
    for (index, port) in items(container, "ports").iter().enumerate() {
        let path = item(&child(path, "ports"), index);
        let name = text(port, "name");
        if !name.is_empty() {
            let field = child(&path, "name");
            for said in names::port_name(name) {
                faults.push(FieldError::invalid(&field, &name.into(), said));
            }
            if !seen.insert(name) {
                faults.push(FieldError::duplicate(&field, &name.into()));
            }
        }
        if port["containerPort"].as_i64().unwrap_or(0) == 0 {
            faults.push(FieldError::required(&child(&path, "containerPort"), ""));
        } else {
            port_number(
                &port["containerPort"],
                &child(&path, "containerPort"),
                faults,
            );
        }
        let known = ["SCTP", "TCP", "UDP"];
        if !known.contains(&text(port, "protocol")) {
            let field = child(&path, "protocol");
            faults.push(FieldError::unsupported(&field, &port["protocol"], &known));
        }
    }
    for (index, variable) in items(container, "env").iter().enumerate() {
        let path = item(&child(path, "env"), index);
        let name = text(variable, "name");
        let printable = |c: char| (' '..='~').contains(&c) && c != '=';
        if name.is_empty() {
            faults.push(FieldError::required(&child(&path, "name"), ""));
        } else if !name.chars().all(printable) {
            let said = "a valid environment variable name must consist only of printable ASCII \
                        characters other than '='";
            faults.push(FieldError::invalid(
                &child(&path, "name"),
                &name.into(),
                said,
            ));
        }
        if !text(variable, "value").is_empty() && !variable["valueFrom"].is_null() {
            let field = child(&path, "valueFrom");
            let said = "may not be specified when `value` is not empty";
            faults.push(FieldError::invalid(&field, &"".into(), said));
        }
    }
    let mut places = HashSet::new();
    for (index, mount) in items(container, "volumeMounts").iter().enumerate() {
        let path = item(&child(path, "volumeMounts"), index);
        let name = text(mount, "name");
        if name.is_empty() {
            faults.push(FieldError::required(&child(&path, "name"), ""));
        } else if !volumes.contains(name) {
            faults.push(FieldError::not_found(&child(&path, "name"), &name.into()));
        }
        let place = text(mount, "mountPath");
        let field = child(&path, "mountPath");
        if place.is_empty() {
            faults.push(FieldError::required(&field, ""));
        }
        if !places.insert(place) {
            faults.push(FieldError::invalid(&field, &place.into(), "must be unique"));
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        check_probe(
            &container[name],
            &child(path, name),
            init && !sidecar,
            faults,
        );
    }
    if !init && !text(container, "restartPolicy").is_empty() {
        let known = ["Always", "OnFailure", "Never"];
        let given = text(container, "restartPolicy");
        if !known.contains(&given) {
            let field = child(path, "restartPolicy");
            faults.push(FieldError::unsupported(&field, &given.into(), &known));
        }
    }
}

/// Nobody asks for more than is allowed.
fn check_resources(resources: &Value, path: &str, faults: &mut Vec<FieldError>) {
    for (name, wanted) in resources["requests"].as_object().into_iter().flatten() {
        let limit = &resources["limits"][name];
        if let (Some(wanted_text), Some(limit_text)) = (wanted.as_str(), limit.as_str())
            && amount(wanted_text) > amount(limit_text)
        {
            let said = format!("must be less than or equal to {name} limit of {limit_text}");
            faults.push(FieldError::invalid(&child(path, "requests"), wanted, said));
        }
    }
}

/// How much a quantity is.
fn amount(text: &str) -> f64 {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '+' | '-'))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let number: f64 = number.parse().unwrap_or(0.0);
    let factor = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024_f64.powi(2),
        "Gi" => 1024_f64.powi(3),
        "Ti" => 1024_f64.powi(4),
        "Pi" => 1024_f64.powi(5),
        "Ei" => 1024_f64.powi(6),
        exponent => {
            let power = exponent.get(1..).and_then(|power| power.parse().ok());
            10_f64.powi(power.unwrap_or(0))
        }
    };
    number * factor
}

fn check_probe(probe: &Value, path: &str, forbidden: bool, faults: &mut Vec<FieldError>) {
    if !probe.is_object() {
        return;
    }
    if forbidden {
        let said = "may not be set for init containers without restartPolicy=Always";
        faults.push(FieldError::forbidden(path, said));
        return;
    }
    let ways = ["exec", "httpGet", "tcpSocket", "grpc"];
    match ways.iter().filter(|way| probe[**way].is_object()).count() {
        0 => faults.push(FieldError::required(path, "must specify a handler type")),
        1 => {}
        _ => {
            let said = "may not specify more than 1 handler type";
            faults.push(FieldError::forbidden(path, said));
        }
    }
    for way in ["httpGet", "tcpSocket"] {
        if probe[way].is_object() && probe[way]["port"].is_i64() {
            port_number(
                &probe[way]["port"],
                &child(path, &format!("{way}.port")),
                faults,
            );
        }
    }
    for name in [
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ] {
        if let Some(given) = probe[name].as_i64()
            && given < 0
        {
            let said = "must be greater than or equal to 0";
            faults.push(FieldError::invalid(&child(path, name), &given.into(), said));
        }
    }
}

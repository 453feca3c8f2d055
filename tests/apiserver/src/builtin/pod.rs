//! Pods, and the templates of them.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{items, or, text};
use crate::failure::Failure;
use crate::field::{FieldError, child, item};
use crate::store::{Key, Store};
use crate::{names, object};

/// How its memory is guarded; tests only need one that is possible.
pub(super) fn quality(object: &Value) -> &'static str {
    let some = items(&object["spec"], "containers")
        .iter()
        .any(|container| {
            let resources = &container["resources"];
            ["requests", "limits"]
                .iter()
                .any(|name| resources[name].as_object().is_some_and(|r| !r.is_empty()))
        });
    if some { "Burstable" } else { "BestEffort" }
}

/// Fills in the specification of a pod.
pub(super) fn default(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    or(spec, "restartPolicy", "Always");
    or(spec, "terminationGracePeriodSeconds", 30);
    or(spec, "dnsPolicy", "ClusterFirst");
    or(spec, "schedulerName", "default-scheduler");
    or(spec, "securityContext", json!({}));
    for list in ["initContainers", "containers"] {
        for container in super::items_mut(spec, list) {
            default_container(container);
        }
    }
    for volume in super::items_mut(spec, "volumes") {
        default_volume(volume);
    }
    let account = text(spec, "serviceAccountName").to_owned();
    if !account.is_empty() {
        or(spec, "serviceAccount", account);
    }
}

/// What the real server adds to every pod that comes in.
pub(super) fn admitted(spec: &mut Value) {
    or(spec, "priority", 0);
    or(spec, "preemptionPolicy", "PreemptLowerPriority");
    let tolerations = ["not-ready", "unreachable"].map(|what| {
        json!({
            "key": format!("node.kubernetes.io/{what}"), "operator": "Exists",
            "effect": "NoExecute", "tolerationSeconds": 300,
        })
    });
    for toleration in tolerations {
        let list = spec
            .as_object_mut()
            .map(|spec| spec.entry("tolerations").or_insert_with(|| json!([])));
        if let Some(Value::Array(list)) = list
            && !list.iter().any(|one| one["key"] == toleration["key"])
        {
            list.push(toleration);
        }
    }
}

fn default_volume(volume: &mut Value) {
    if volume.as_object().is_some_and(|members| members.len() == 1) {
        or(volume, "emptyDir", json!({}));
    }
    for kind in ["configMap", "secret", "projected", "downwardAPI"] {
        let Some(source) = volume.get_mut(kind) else {
            continue;
        };
        or(source, "defaultMode", 420);
        for part in super::items_mut(source, "sources") {
            if let Some(token) = part.get_mut("serviceAccountToken") {
                or(token, "expirationSeconds", 3600);
            }
        }
        for item in super::items_mut(source, "items") {
            default_field(item);
        }
    }
    if let Some(host) = volume.get_mut("hostPath") {
        or(host, "type", "");
    }
}

fn default_field(holder: &mut Value) {
    if let Some(field) = holder.get_mut("fieldRef") {
        or(field, "apiVersion", "v1");
    }
}

fn default_container(container: &mut Value) {
    let image = text(container, "image").to_owned();
    let tag = image.rsplit('/').next().unwrap_or_default();
    let latest = tag.ends_with(":latest") || !tag.contains([':', '@']);
    or(
        container,
        "imagePullPolicy",
        if latest { "Always" } else { "IfNotPresent" },
    );
    or(container, "terminationMessagePath", "/dev/termination-log");
    or(container, "terminationMessagePolicy", "File");
    or(container, "resources", json!({}));
    for port in super::items_mut(container, "ports") {
        or(port, "protocol", "TCP");
    }
    for variable in super::items_mut(container, "env") {
        if let Some(from) = variable.get_mut("valueFrom") {
            default_field(from);
        }
    }
    if container["resources"]["limits"].is_object() {
        // What is not asked for is what is allowed.
        let limits = container["resources"]["limits"].clone();
        let requests = object::member_mut(&mut container["resources"], "requests");
        for (name, limit) in limits.as_object().into_iter().flatten() {
            requests
                .entry(name.clone())
                .or_insert_with(|| limit.clone());
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = &mut container[name];
        if probe.is_object() {
            or(probe, "timeoutSeconds", 1);
            or(probe, "periodSeconds", 10);
            or(probe, "successThreshold", 1);
            or(probe, "failureThreshold", 3);
            if probe["httpGet"].is_object() {
                or(&mut probe["httpGet"], "scheme", "HTTP");
                or(&mut probe["httpGet"], "path", "/");
            }
        } else if probe.is_null()
            && let Some(members) = container.as_object_mut()
        {
            members.shift_remove(name);
        }
    }
}

/// Whether there is the account that a pod is to run with. The default one always is, as it
/// would be where its controller runs.
pub(super) fn account_exists(store: &Store, pod: &Value) -> Result<(), Failure> {
    let account = text(&pod["spec"], "serviceAccountName");
    let namespace = object::namespace(pod);
    let key = Key::new(&"/serviceaccounts".into(), namespace, account);
    if account == "default" || store.get(&key).is_some() {
        return Ok(());
    }
    let why = format!(
        "error looking up service account {namespace}/{account}: serviceaccount {account:?} not \
         found"
    );
    Err(Failure::forbidden("", "pods", object::name(pod), &why).plainly())
}

/// The faults of a pod.
pub(super) fn check(object: &Value, old: Option<&Value>, faults: &mut Vec<FieldError>) {
    check_spec(&object["spec"], "spec", false, faults);
    let Some(old) = old else {
        return;
    };
    let mutable = |object: &Value| {
        let mut spec = object["spec"].clone();
        for list in ["containers", "initContainers"] {
            for container in spec[list].as_array_mut().into_iter().flatten() {
                container["image"] = Value::Null;
            }
        }
        for name in [
            "activeDeadlineSeconds",
            "tolerations",
            "terminationGracePeriodSeconds",
        ] {
            spec[name] = Value::Null;
        }
        spec
    };
    if mutable(object) != mutable(old) {
        let said = "pod updates may not change fields other than \
                    `spec.containers[*].image`,`spec.initContainers[*].image`,\
                    `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
                    tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if \
                    it was previously negative)";
        faults.push(FieldError::forbidden("spec", said));
    }
}

/// The faults of the specification of a pod, which may be that of a template.
pub(super) fn check_spec(spec: &Value, path: &str, template: bool, faults: &mut Vec<FieldError>) {
    let mut seen = HashSet::new();
    let volumes = check_volumes(spec, path, faults);
    if items(spec, "containers").is_empty() {
        faults.push(FieldError::required(&child(path, "containers"), ""));
    }
    for list in ["containers", "initContainers"] {
        for (index, container) in items(spec, list).iter().enumerate() {
            let path = item(&child(path, list), index);
            check_container(container, &path, list == "initContainers", &volumes, faults);
            let name = text(container, "name");
            if !name.is_empty() && !seen.insert(name) {
                faults.push(FieldError::duplicate(&child(&path, "name"), &name.into()));
            }
        }
    }
    let known = ["Always", "OnFailure", "Never"];
    let restart = text(spec, "restartPolicy");
    if restart.is_empty() {
        faults.push(FieldError::required(&child(path, "restartPolicy"), ""));
    } else if !known.contains(&restart) {
        let field = child(path, "restartPolicy");
        faults.push(FieldError::unsupported(&field, &restart.into(), &known));
    }
    let _ = template;
    let known = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
    let policy = text(spec, "dnsPolicy");
    if !known.contains(&policy) {
        let field = child(path, "dnsPolicy");
        faults.push(FieldError::unsupported(&field, &policy.into(), &known));
    }
    for (name, rule) in [
        ("nodeName", names::subdomain as fn(&str) -> _),
        ("serviceAccountName", names::subdomain),
        ("hostname", names::label),
    ] {
        let given = text(spec, name);
        if !given.is_empty() {
            for said in rule(given) {
                faults.push(FieldError::invalid(&child(path, name), &given.into(), said));
            }
        }
    }
}

/// The names of the volumes that have no faults.
fn check_volumes<'a>(
    spec: &'a Value,
    path: &str,
    faults: &mut Vec<FieldError>,
) -> HashSet<&'a str> {
    let mut seen = HashSet::new();
    let mut good = HashSet::new();
    for (index, volume) in items(spec, "volumes").iter().enumerate() {
        let before = faults.len();
        let path = item(&child(path, "volumes"), index);
        let name = text(volume, "name");
        let field = child(&path, "name");
        if name.is_empty() {
            faults.push(FieldError::required(&field, ""));
        } else {
            for said in names::label(name) {
                faults.push(FieldError::invalid(&field, &name.into(), said));
            }
        }
        if !seen.insert(name) {
            faults.push(FieldError::duplicate(&field, &name.into()));
        }
        for (kind, name) in [("secret", "secretName"), ("configMap", "name")] {
            if volume[kind].is_object() && text(&volume[kind], name).is_empty() {
                let field = child(&path, &format!("{kind}.{name}"));
                faults.push(FieldError::required(&field, ""));
            }
        }
        let sources = volume.as_object().map_or(0, |members| members.len() - 1);
        if sources == 0 {
            faults.push(FieldError::required(&path, "must specify a volume type"));
        } else if sources > 1 {
            faults.push(FieldError::forbidden(
                &path,
                "may not specify more than 1 volume type",
            ));
        }
        if faults.len() == before {
            good.insert(name);
        }
    }
    good
}

fn check_container(
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
            super::port_number(
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
            super::port_number(
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

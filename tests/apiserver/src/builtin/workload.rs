//! What makes pods: Deployments and their like.

use serde_json::{Value, json};

use super::{or, pod, text};
use crate::field::FieldError;
use crate::metadata;

/// Fills in a workload.
pub(super) fn default(plural: &str, object: &mut Value) {
    let spec = &mut object["spec"];
    if !spec.is_object() {
        return;
    }
    match plural {
        "deployments" => {
            or(spec, "replicas", 1);
            or(spec, "revisionHistoryLimit", 10);
            or(spec, "progressDeadlineSeconds", 600);
            or(spec, "strategy", json!({"type": "RollingUpdate"}));
            or(&mut spec["strategy"], "type", "RollingUpdate");
            if spec["strategy"]["type"] == "RollingUpdate" {
                or(&mut spec["strategy"], "rollingUpdate", json!({}));
                or(
                    &mut spec["strategy"]["rollingUpdate"],
                    "maxUnavailable",
                    "25%",
                );
                or(&mut spec["strategy"]["rollingUpdate"], "maxSurge", "25%");
            }
        }
        "replicasets" => or(spec, "replicas", 1),
        "statefulsets" => {
            or(spec, "replicas", 1);
            or(spec, "revisionHistoryLimit", 10);
            or(spec, "podManagementPolicy", "OrderedReady");
            let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}});
            or(spec, "updateStrategy", rolling);
        }
        "daemonsets" => {
            or(spec, "revisionHistoryLimit", 10);
            let rolling = json!({
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0},
            });
            or(spec, "updateStrategy", rolling);
        }
        "jobs" => default_job(spec),
        "cronjobs" => {
            or(spec, "concurrencyPolicy", "Allow");
            or(spec, "suspend", false);
            or(spec, "successfulJobsHistoryLimit", 3);
            or(spec, "failedJobsHistoryLimit", 1);
            pod::default(&mut spec["jobTemplate"]["spec"]["template"]["spec"]);
            return;
        }
        _ => {}
    }
    pod::default(&mut spec["template"]["spec"]);
}

fn default_job(spec: &mut Value) {
    if spec["completions"].is_null() && spec["parallelism"].is_null() {
        or(spec, "completions", 1);
    }
    or(spec, "parallelism", 1);
    or(spec, "backoffLimit", 6);
    or(spec, "completionMode", "NonIndexed");
    or(spec, "suspend", false);
    or(spec, "manualSelector", false);
}

/// The faults of a workload that selects its pods.
pub(super) fn check(object: &Value, old: Option<&Value>, faults: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    if let Some(replicas) = spec["replicas"].as_i64()
        && replicas < 0
    {
        let said = "must be greater than or equal to 0";
        faults.push(FieldError::invalid("spec.replicas", &replicas.into(), said));
    }
    let selector = &spec["selector"];
    let empty = |name: &str| match &selector[name] {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    };
    if selector.is_null() {
        faults.push(FieldError::required("spec.selector", ""));
    } else {
        let before = faults.len();
        metadata::label_selector(selector, "spec.selector", faults);
        if faults.len() > before {
            let said = "invalid label selector";
            faults.push(FieldError::invalid("spec.selector", selector, said));
            return;
        }
        if empty("matchLabels") && empty("matchExpressions") {
            let said = "empty selector is invalid for deployment";
            faults.push(FieldError::invalid("spec.selector", selector, said));
        }
    }
    let labels = &spec["template"]["metadata"]["labels"];
    let wanted = selector["matchLabels"].as_object().into_iter().flatten();
    let unlike = wanted
        .into_iter()
        .any(|(name, value)| labels[name] != *value);
    if unlike || selector.is_null() {
        let said = "`selector` does not match template `labels`";
        let field = "spec.template.metadata.labels";
        faults.push(FieldError::invalid(field, labels, said));
    }
    check_template(&spec["template"], "spec.template", &["Always"], faults);
    if let Some(old) = old
        && old["spec"]["selector"] != *selector
    {
        faults.push(FieldError::invalid(
            "spec.selector",
            selector,
            "field is immutable",
        ));
    }
}

fn check_template(template: &Value, path: &str, restart: &[&str], faults: &mut Vec<FieldError>) {
    let labels = format!("{path}.metadata.labels");
    metadata::labels(&template["metadata"]["labels"], &labels, faults);
    pod::check_spec(&template["spec"], &format!("{path}.spec"), true, faults);
    let given = text(&template["spec"], "restartPolicy");
    if !given.is_empty() && !restart.contains(&given) {
        let field = format!("{path}.spec.restartPolicy");
        faults.push(FieldError::unsupported(&field, &given.into(), restart));
    }
}

/// The faults of a Job, or of a CronJob.
pub(super) fn check_job(plural: &str, object: &Value, faults: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    let restart = ["OnFailure", "Never"];
    if plural == "jobs" {
        return check_template(&spec["template"], "spec.template", &restart, faults);
    }
    let schedule = text(spec, "schedule");
    if schedule.is_empty() {
        faults.push(FieldError::required("spec.schedule", ""));
    } else if !schedule.starts_with('@') && schedule.split_whitespace().count() != 5 {
        let count = schedule.split_whitespace().count();
        let said = format!("expected exactly 5 fields, found {count}: [{schedule}]");
        faults.push(FieldError::invalid("spec.schedule", &schedule.into(), said));
    }
    let template = &spec["jobTemplate"]["spec"]["template"];
    check_template(template, "spec.jobTemplate.spec.template", &restart, faults);
}

/// The faults of a PodDisruptionBudget.
pub(super) fn check_budget(object: &Value, faults: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    let (least, most) = (&spec["minAvailable"], &spec["maxUnavailable"]);
    if !least.is_null() && !most.is_null() {
        let given = format!(
            "{{\"MinAvailable\":{least},\"Selector\":{},\"MaxUnavailable\":{most},\
             \"UnhealthyPodEvictionPolicy\":{}}}",
            spec["selector"], spec["unhealthyPodEvictionPolicy"]
        );
        let said = "minAvailable and maxUnavailable cannot be both set";
        faults.push(FieldError::invalid_shown("spec", &given, said));
    }
    for (name, given) in [("minAvailable", least), ("maxUnavailable", most)] {
        let field = format!("spec.{name}");
        let percent = |text: &str| {
            let digits = text.strip_suffix('%').unwrap_or_default();
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
        };
        match given {
            Value::Number(number) if number.as_i64().is_some_and(|number| number < 0) => {
                let said = "must be greater than or equal to 0";
                faults.push(FieldError::invalid(&field, given, said));
            }
            Value::String(text) if !percent(text) => {
                let said = "a valid percent string must be a numeric string followed by an \
                            ending '%' (e.g. '1%',  or '93%', regex used for validation is \
                            '[0-9]+%')";
                faults.push(FieldError::invalid(&field, given, said));
            }
            _ => {}
        }
    }
    metadata::label_selector(&spec["selector"], "spec.selector", faults);
}

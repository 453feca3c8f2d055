//! The `RoutingRule` resource: one rule as an object of a cluster.
//!
//! The object's name is the rule's id and its `spec` the rule itself, as the controller's API
//! writes it. The definition ([`crd`]) says as much of what is refused as a schema and CEL
//! can; the last word has the rule engine, which reads every spec anew ([`rule()`]).

pub mod spec;
mod status;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use kube::core::{ApiResource, DynamicObject};
use serde_json::{Value, json};

use crate::model::RuleId;
use crate::rule::{self, Fault, Faults, Ids, Rule};

pub use spec::{RoutingRule, RoutingRuleSpec};
pub use status::{Condition, RoutingRuleStatus, State};

/// The name of the definition.
pub const DEFINITION: &str = "routingrules.amalgam8.io";

/// Grows with every change of the definition: an older one is brought up to date, and a newer
/// one left alone.
pub const DEFINITION_VERSION: u32 = 1;

/// Where a definition says its version.
const VERSION_ANNOTATION: &str = "amalgam8.io/definition-version";

/// Why an object is of no use as a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotARule {
    /// It has no `spec`.
    #[error("it has no spec")]
    NoSpec,
    /// Its `spec.id` is not its name.
    #[error("spec.id: is {id:?}, and must be the object's name or be left out")]
    OtherId {
        /// The id that the spec gives.
        id: String,
    },
    /// The spec is no rule, or the name no id.
    #[error("{}", in_spec(.0))]
    Spec(Faults),
}

impl NotARule {
    /// The first fault in one word, for a condition's reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoSpec => "NoSpec",
            Self::OtherId { .. } => "OtherId",
            Self::Spec(_) => "InvalidSpec",
        }
    }
}

fn in_spec(faults: &Faults) -> String {
    let tell = |fault: &Fault| match fault.path.as_str() {
        "" => format!("spec: {}", fault.reason),
        path => format!("spec.{path}: {}", fault.reason),
    };
    faults.iter().map(tell).collect::<Vec<_>>().join("; ")
}

/// The resource, for objects that are read without a guess at their shape.
pub fn kind() -> ApiResource {
    ApiResource::erase::<RoutingRule>(&())
}

/// The rule that `object` is.
///
/// Nothing is taken on trust: neither its status nor that the definition in the cluster is
/// ours.
///
/// # Errors
/// [`NotARule`], which names every fault.
pub fn rule(object: &DynamicObject) -> Result<Rule, NotARule> {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    read(name, object.data.get("spec"))
}

/// The rule that an object of this name and spec is, as [`rule()`] has it.
///
/// # Errors
/// [`NotARule`], which names every fault.
pub(crate) fn read(name: &str, spec: Option<&Value>) -> Result<Rule, NotARule> {
    let mut spec = match spec {
        Some(Value::Null) | None => return Err(NotARule::NoSpec),
        Some(spec) => spec.clone(),
    };
    if let Value::Object(members) = &mut spec {
        match members.get("id") {
            Some(Value::String(id)) if !id.is_empty() && id != name => {
                return Err(NotARule::OtherId { id: id.clone() });
            }
            Some(Value::String(_) | Value::Null) | None => {
                members.insert("id".to_owned(), name.into());
            }
            // What it is instead of a text, the engine says.
            Some(_) => {}
        }
    }
    rule::parse_one(&spec, Ids::Require).map_err(NotARule::Spec)
}

/// The object that says what `rule` does. Its name is the rule's id, which Kubernetes may
/// refuse: see [`is_name`].
///
/// # Errors
/// When the rule cannot be written down, which no rule is known to cause.
pub fn object(rule: &Rule) -> Result<DynamicObject, serde_json::Error> {
    let mut object = DynamicObject::new(rule.id().as_str(), &kind());
    let mut spec = serde_json::to_value(rule)?;
    if let Value::Object(members) = &mut spec {
        members.remove("id");
    }
    object.data = json!({ "spec": spec });
    Ok(object)
}

/// Whether an object can have it as its name: a subdomain as RFC 1123 has it.
pub fn is_name(id: &RuleId) -> bool {
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let inner = bytes.iter().all(|b| edge(*b) || *b == b'-');
        inner && bytes.first().is_some_and(|b| edge(*b)) && bytes.last().is_some_and(|b| edge(*b))
    };
    id.as_str().split('.').all(label)
}

/// The definition of the resource, as `kubernetes/crd.yaml` has it.
pub fn crd() -> CustomResourceDefinition {
    let mut crd = RoutingRule::crd();
    let version = (VERSION_ANNOTATION, DEFINITION_VERSION.to_string());
    let annotations = [version].map(|(name, value)| (name.to_owned(), value));
    crd.metadata.annotations = Some(annotations.into());
    for version in &mut crd.spec.versions {
        let schema = version.schema.as_mut();
        if let Some(schema) = schema.and_then(|s| s.open_api_v3_schema.as_mut()) {
            not_nullable(schema);
        }
    }
    crd
}

/// The [version](DEFINITION_VERSION) of a definition; 0 of one that does not say.
pub fn definition_version(crd: &CustomResourceDefinition) -> u32 {
    let annotations = crd.metadata.annotations.as_ref();
    let version = annotations.and_then(|all| all.get(VERSION_ANNOTATION));
    version.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The [definition](crd) as a file for kubectl.
///
/// # Errors
/// When it cannot be written down, which no definition is known to cause.
pub fn crd_yaml() -> Result<String, serde_saphyr::ser::Error> {
    let head = "# Made by `make generate` from common/src/kubernetes/routing_rule/spec.rs.\n";
    Ok(format!("{head}{}", serde_saphyr::to_string(&crd())?))
}

/// An optional member may be left out; it need not be `null` as well, which CEL would take for
/// being there.
fn not_nullable(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    let members = schema.properties.iter_mut().flat_map(|p| p.values_mut());
    members.for_each(not_nullable);
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(entry)) => not_nullable(entry),
        Some(JSONSchemaPropsOrArray::Schemas(_)) | None => {}
    }
    match &mut schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(value)) => not_nullable(value),
        Some(JSONSchemaPropsOrBool::Bool(_)) | None => {}
    }
}

#[cfg(test)]
mod tests;

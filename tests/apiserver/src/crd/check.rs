//! What the real server refuses of a definition.

use serde_json::Value;

use crate::field::{FieldError, child, item, sorted};
use crate::names;
use crate::schema::structural;
use crate::shape::path;

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// The faults of a definition.
pub(crate) fn check(object: &Value, old: Option<&Value>, faults: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    let wanted = format!("{}.{}", text(&spec["names"], "plural"), text(spec, "group"));
    let name = crate::object::name(object);
    if old.is_none() && name != wanted {
        let said = "must be spec.names.plural+\".\"+spec.group";
        faults.push(FieldError::invalid("metadata.name", &name.into(), said));
    }
    check_group(object, faults);
    let scope = text(spec, "scope");
    let scopes = ["Cluster", "Namespaced"];
    if scope.is_empty() {
        faults.push(FieldError::required("spec.scope", ""));
    } else if !scopes.contains(&scope) {
        faults.push(FieldError::unsupported(
            "spec.scope",
            &scope.into(),
            &scopes,
        ));
    }
    check_versions(spec, faults);
    let first = text(&spec["versions"][0], "name");
    for said in names::label_1035(first) {
        if !first.is_empty() {
            faults.push(FieldError::invalid("spec.version", &first.into(), said));
        }
    }
    check_names(&spec["names"], faults);
    if spec["preserveUnknownFields"] == true {
        let said = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in \
                    spec.versions[*].schema instead";
        faults.push(FieldError::invalid(
            "spec.preserveUnknownFields",
            &true.into(),
            said,
        ));
    }
    let strategy = text(&spec["conversion"], "strategy");
    let strategies = ["None", "Webhook"];
    if !strategies.contains(&strategy) {
        let field = "spec.conversion.strategy";
        faults.push(FieldError::unsupported(
            field,
            &strategy.into(),
            &strategies,
        ));
    } else if strategy == "Webhook" && spec["conversion"]["webhook"].is_null() {
        let field = "spec.conversion.webhookClientConfig";
        let said = "required when strategy is set to Webhook";
        faults.push(FieldError::required(field, said));
    }
    check_stored(object, faults);
    if let Some(old) = old {
        check_change(spec, old, faults);
    }
}

/// What is stored must be known to be.
fn check_stored(object: &Value, faults: &mut Vec<FieldError>) {
    let field = "status.storedVersions";
    let known = &object["status"]["storedVersions"];
    let list = known.as_array().map_or(&[][..], Vec::as_slice);
    if list.is_empty() {
        let said = "must have at least one stored version";
        faults.push(FieldError::invalid(field, &Value::Null, said));
        return;
    }
    for (index, stored) in list.iter().enumerate() {
        let versions = object["spec"]["versions"].as_array();
        if !versions
            .into_iter()
            .flatten()
            .any(|version| version["name"] == *stored)
        {
            let name = stored.as_str().unwrap_or_default();
            let said = format!(
                "missing from spec.versions; {name} was previously a storage version, and must \
                 remain in spec.versions until a storage migration ensures no data remains \
                 persisted in {name} and removes {name} from status.storedVersions"
            );
            faults.push(FieldError::invalid(&item(field, index), stored, said));
        }
    }
    let versions = object["spec"]["versions"].as_array();
    for version in versions.into_iter().flatten() {
        if version["storage"] == true && !list.contains(&version["name"]) {
            let said = format!("must have the storage version {}", text(version, "name"));
            faults.push(FieldError::invalid(field, known, said));
        }
    }
}

/// Whether all versions say the same of something. The real server takes that out of them first,
/// which shows in the paths.
fn is_common(versions: &[Value], name: &str) -> bool {
    versions
        .iter()
        .all(|version| version[name] == versions[0][name])
}

/// A version as the real server shows it.
fn go_version(version: &Value, versions: &[Value]) -> String {
    let own = |name: &str| {
        if is_common(versions, name) {
            "null".to_owned()
        } else {
            sorted(&version[name])
        }
    };
    format!(
        "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{},\
         \"Schema\":{},\"Subresources\":{},\"AdditionalPrinterColumns\":{},\
         \"SelectableFields\":{}}}",
        version["name"],
        version["served"] == true,
        version["storage"] == true,
        version["deprecated"] == true,
        version["deprecationWarning"],
        own("schema"),
        own("subresources"),
        own("additionalPrinterColumns"),
        own("selectableFields"),
    )
}

fn check_group(object: &Value, faults: &mut Vec<FieldError>) {
    let group = text(&object["spec"], "group");
    let field = "spec.group";
    let wrong = names::subdomain(group);
    if group.is_empty() {
        faults.push(FieldError::required(field, ""));
    } else if !wrong.is_empty() {
        faults.push(FieldError::invalid(field, &group.into(), wrong.join(",")));
    } else if !group.contains('.') {
        let said = "should be a domain with at least one dot";
        faults.push(FieldError::invalid(field, &group.into(), said));
    }
    let protected = [".k8s.io", ".kubernetes.io"]
        .iter()
        .any(|end| group.ends_with(end));
    let name = "api-approved.kubernetes.io";
    if protected && object["metadata"]["annotations"][name].is_null() {
        let field = format!("metadata.annotations[{name}]");
        let said = "protected groups must have approval annotation \
                    \"api-approved.kubernetes.io\", see \
                    https://github.com/kubernetes/enhancements/pull/1111";
        faults.push(FieldError::required(&field, said));
    }
}

fn check_versions(spec: &Value, faults: &mut Vec<FieldError>) {
    let versions = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
    for (index, version) in versions.iter().enumerate() {
        let path = item("spec.versions", index);
        let schema = &version["schema"]["openAPIV3Schema"];
        if schema.is_null() {
            let field = child(&path, "schema.openAPIV3Schema");
            faults.push(FieldError::required(&field, ""));
        }
        let name = text(version, "name");
        let wrong = names::label_1035(name);
        if !wrong.is_empty() {
            faults.push(FieldError::invalid(
                &child(&path, "name"),
                &name.into(),
                wrong.join(","),
            ));
        }
        let common = is_common(versions, "schema");
        let field = if common {
            "spec.validation.openAPIV3Schema".to_owned()
        } else {
            child(&path, "schema.openAPIV3Schema")
        };
        if !common || index == 0 {
            check_schema(schema, &field, faults);
        }
        let common = is_common(versions, "additionalPrinterColumns");
        let field = if common { "spec" } else { path.as_str() };
        if !common || index == 0 {
            check_columns(version, field, faults);
        }
        check_version(version, &path, faults);
    }
    let shown = if spec["versions"].is_null() {
        "null".to_owned()
    } else {
        let all: Vec<_> = versions
            .iter()
            .map(|version| go_version(version, versions))
            .collect();
        format!("[{}]", all.join(","))
    };
    let given = FieldError::invalid_shown("spec.versions", &shown, "");
    let mut say = |said: &str| {
        faults.push(FieldError {
            detail: said.to_owned(),
            ..given.clone()
        });
    };
    let mut seen: Vec<_> = versions
        .iter()
        .map(|version| text(version, "name"))
        .collect();
    seen.sort_unstable();
    if seen.windows(2).any(|pair| pair[0] == pair[1]) {
        say("must contain unique version names");
    }
    if versions
        .iter()
        .filter(|version| version["storage"] == true)
        .count()
        != 1
    {
        say("must have exactly one version marked as storage version");
    }
}

fn check_schema(schema: &Value, field: &str, faults: &mut Vec<FieldError>) {
    if schema.is_object() {
        if schema["nullable"] == true {
            let said = "nullable cannot be true at the root";
            faults.push(FieldError::forbidden(&child(field, "nullable"), said));
        }
        faults.extend(structural::check(schema, field));
    }
}

fn check_version(version: &Value, path: &str, faults: &mut Vec<FieldError>) {
    let warning = version["deprecationWarning"].as_str();
    if warning.is_some() && version["deprecated"] != true {
        let field = child(path, "deprecationWarning");
        let said = "can only be set for deprecated versions";
        faults.push(FieldError::invalid(
            &field,
            &version["deprecationWarning"],
            said,
        ));
    }
}

fn check_columns(version: &Value, path: &str, faults: &mut Vec<FieldError>) {
    let columns = version["additionalPrinterColumns"].as_array();
    for (index, column) in columns.into_iter().flatten().enumerate() {
        let path = item(&child(path, "additionalPrinterColumns"), index);
        check_column(column, &path, faults);
    }
}

fn check_column(column: &Value, path_of: &str, faults: &mut Vec<FieldError>) {
    if text(column, "name").is_empty() {
        faults.push(FieldError::required(&child(path_of, "name"), ""));
    }
    let kinds = ["boolean", "date", "integer", "number", "string"];
    let kind = text(column, "type");
    let said = format!("must be one of {}", kinds.join(","));
    let field = child(path_of, "type");
    if kind.is_empty() {
        faults.push(FieldError::required(&field, said));
    } else if !kinds.contains(&kind) {
        faults.push(FieldError::invalid(&field, &kind.into(), said));
    }
    let formats = [
        "byte",
        "date",
        "date-time",
        "double",
        "float",
        "int32",
        "int64",
        "password",
    ];
    let format = text(column, "format");
    if !format.is_empty() && !formats.contains(&format) {
        let said = format!("must be one of {}", formats.join(","));
        faults.push(FieldError::invalid(
            &child(path_of, "format"),
            &format.into(),
            said,
        ));
    }
    let given = text(column, "jsonPath");
    let field = child(path_of, "JSONPath");
    if given.is_empty() {
        faults.push(FieldError::required(&field, ""));
    } else if !given.starts_with('.') {
        let said = "must be a simple json path starting with .";
        faults.push(FieldError::invalid(&field, &given.into(), said));
    } else if !path::is_path(given) {
        let said = "is an invalid path: must be a simple json path starting with .";
        faults.push(FieldError::invalid(&field, &given.into(), said));
    }
}

fn check_names(given: &Value, faults: &mut Vec<FieldError>) {
    for name in ["plural", "singular", "kind", "listKind"] {
        if text(given, name).is_empty() {
            faults.push(FieldError::required(&format!("spec.names.{name}"), ""));
        }
    }
    for name in ["plural", "singular", "kind", "listKind"] {
        let value = text(given, name);
        let mixed = name == "kind" || name == "listKind";
        let wrong = if mixed {
            names::label_1035(&value.to_lowercase())
        } else {
            names::label_1035(value)
        };
        if !value.is_empty() && !wrong.is_empty() {
            let said = if mixed {
                format!(
                    "may have mixed case, but should otherwise match: {}",
                    wrong.join(",")
                )
            } else {
                wrong.join(",")
            };
            let field = format!("spec.names.{name}");
            faults.push(FieldError::invalid(&field, &value.into(), said));
        }
    }
    for list in ["shortNames", "categories"] {
        for (index, value) in given[list].as_array().into_iter().flatten().enumerate() {
            let wrong = names::label_1035(value.as_str().unwrap_or_default());
            if !wrong.is_empty() {
                let field = item(&format!("spec.names.{list}"), index);
                faults.push(FieldError::invalid(&field, value, wrong.join(",")));
            }
        }
    }
    let kind = text(given, "kind");
    if !kind.is_empty() && kind == text(given, "listKind") {
        let said = "kind and listKind may not be the same";
        faults.push(FieldError::invalid(
            "spec.names.listKind",
            &kind.into(),
            said,
        ));
    }
}

fn check_change(spec: &Value, old: &Value, faults: &mut Vec<FieldError>) {
    let before = &old["spec"];
    let established = super::is_established(old);
    let mut fixed = vec![("spec.group", &spec["group"], &before["group"])];
    if established {
        fixed.push(("spec.scope", &spec["scope"], &before["scope"]));
        let (new, old) = (&spec["names"], &before["names"]);
        fixed.push(("spec.names.kind", &new["kind"], &old["kind"]));
    }
    let (new, was) = (&spec["names"], &before["names"]);
    fixed.push(("spec.names.plural", &new["plural"], &was["plural"]));
    for (field, new, old) in fixed {
        if new != old {
            faults.push(FieldError::invalid(field, new, "field is immutable"));
        }
    }
}

//! Bodies that are objects: read, and checked against the types of their kind.

use serde_json::{Map, Value};

use crate::api::call::{Call, FieldValidation};
use crate::failure::Failure;
use crate::field::child;
use crate::kinds::{Kind, Origin};
use crate::schema::read::{self, Document};
use crate::schema::{decode, object_meta, prune};

const BUILT_IN: [&str; 3] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
];

/// Reads the body of a request.
pub(super) fn read(call: &mut Call<'_>, kind: &Kind) -> Result<Value, Failure> {
    let document = match call.media_type() {
        "" | "application/json" => read::json(&call.body),
        "application/yaml" => read::yaml(&call.body),
        _ => {
            return Err(Failure::unsupported_media_type(&BUILT_IN));
        }
    };
    let yaml = call.media_type() == "application/yaml";
    let document = document.map_err(|why| {
        if yaml {
            unrecognized(&kind.kind, &call.body, &format!("yaml: {why}"))
        } else {
            unreadable(&kind.kind, &call.body, &why)
        }
    })?;
    if document.value.is_array() || document.value.is_string() {
        let is = if document.value.is_array() {
            "array"
        } else {
            "string"
        };
        let why = format!(
            "json: cannot unmarshal {is} into Go value of type struct {{ APIVersion string \
             \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \
             \"json:\\\"kind,omitempty\\\"\" }}"
        );
        return Err(unreadable(&kind.kind, &call.body, &why));
    }
    let nameless = document.value["kind"].as_str().is_none_or(str::is_empty);
    if kind.custom().is_some() && nameless {
        let text = String::from_utf8_lossy(&call.body);
        let why = format!("Object 'Kind' is missing in '{}'", text.trim());
        return Err(unrecognized(&kind.kind, &call.body, &why));
    }
    object(call, kind, document)
}

/// A body of which not even the kind can be told. It is shown, if it is short.
pub(crate) fn unreadable(kind: &str, body: &[u8], why: &str) -> Failure {
    let why = format!("couldn't get version/kind; json parse error: {why}");
    unrecognized(kind, body, &why)
}

fn unrecognized(kind: &str, body: &[u8], why: &str) -> Failure {
    let short = &body[..body.len().min(30)];
    let mut shown = match short.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(short).into_owned(),
        Some(_) => short.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if short.len() < body.len() {
        shown += " ...";
    }
    Failure::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): {why} ({shown})"
    ))
}

/// Takes a document for an object of a kind: its type, its types, and what it should not say.
pub(super) fn object(
    call: &mut Call<'_>,
    kind: &Kind,
    document: Document,
) -> Result<Value, Failure> {
    let Document { mut value, twice } = document;
    let members = value
        .as_object_mut()
        .ok_or_else(|| Failure::bad_request("the object provided is no object"))?;
    is_of(call, kind, members)?;
    let refused = |why: &str| {
        Failure::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: {why}",
            kind.kind, kind.version, kind.kind
        ))
    };
    let mut unknown: Vec<String> = Vec::new();
    match &kind.origin {
        Origin::BuiltIn(_) => {
            let decoded = decode::decode_as(&mut value, kind.schema(), &kind.kind);
            if let Some(wrong) = decoded.wrong {
                return Err(refused(&wrong));
            }
            unknown = decoded.unknown;
        }
        Origin::Custom(custom) => {
            let metadata = &mut value["metadata"];
            if metadata.is_null() {
                *metadata = Value::Object(Map::new());
            }
            let decoded = decode::decode_as(metadata, object_meta(), "ObjectMeta");
            if let Some(wrong) = decoded.wrong {
                return Err(refused(&wrong));
            }
            unknown.extend(decoded.unknown.iter().map(|path| child("metadata", path)));
            prune::drop_nulls(&mut value, Some(&custom.schema));
            unknown.extend(prune::prune(&mut value, &custom.schema));
        }
    }
    let mut said: Vec<_> = twice
        .iter()
        .map(|path| format!("duplicate field {path:?}"))
        .collect();
    said.extend(unknown.iter().map(|path| format!("unknown field {path:?}")));
    match call.field_validation() {
        FieldValidation::Strict if !said.is_empty() => Err(refused(&format!(
            "strict decoding error: {}",
            said.join(", ")
        ))),
        FieldValidation::Warn => {
            call.warnings.extend(said);
            Ok(value)
        }
        _ => Ok(value),
    }
}

fn is_of(call: &Call<'_>, kind: &Kind, members: &mut Map<String, Value>) -> Result<(), Failure> {
    let text = |name: &str| {
        members
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (version, wanted) = (text("apiVersion"), kind.api_version());
    let given = text("kind").to_owned();
    if kind.custom().is_none()
        && !given.is_empty()
        && let Some(why) = unconvertible(call, kind, version, &given)
    {
        let version = version.rsplit('/').next().unwrap_or_default();
        let version = if version.is_empty() {
            &kind.version
        } else {
            version
        };
        return Err(Failure::bad_request(format!(
            "{given} in version {version:?} cannot be handled as a {}: {why}",
            kind.kind
        )));
    }
    if !version.is_empty() && version != wanted {
        return Err(Failure::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version \
             ({wanted})"
        )));
    }
    if !given.is_empty() && kind.custom().is_some() {
        // Another kind is a fault of the object, as any other.
        members.insert("apiVersion".into(), wanted.into());
        return Ok(());
    }
    members.insert("apiVersion".into(), wanted.into());
    members.insert("kind".into(), kind.kind.as_str().into());
    Ok(())
}

/// Why an object of a built-in kind is none of another one.
fn unconvertible(call: &Call<'_>, kind: &Kind, version: &str, given: &str) -> Option<String> {
    let wanted = kind.api_version();
    let version = if version.is_empty() { &wanted } else { version };
    if version == wanted && given == kind.kind {
        return None;
    }
    let (group, own) = version.split_once('/').unwrap_or(("", version));
    let kinds = call.api.kinds();
    let known = kinds
        .by_kind(group, own, given)
        .filter(|known| known.custom().is_none());
    match known {
        // Two groups may have one kind.
        Some(known) if known.table == kind.table => None,
        Some(_) => Some(format!(
            "converting ({own}.{given}) to ({}.{}): unknown conversion",
            internal_group(kind),
            kind.kind
        )),
        None => Some(format!(
            "no kind {given:?} is registered for version {version:?} in scheme \
             \"pkg/api/legacyscheme/scheme.go:30\""
        )),
    }
}

/// What the real server calls a group among its own types.
fn internal_group(kind: &Kind) -> &str {
    match kind.group.split('.').next().unwrap_or_default() {
        "" => "core",
        group => group,
    }
}

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
            let known = if kind.custom().is_some() {
                &BUILT_IN[..2]
            } else {
                &BUILT_IN[..]
            };
            return Err(Failure::unsupported_media_type(known));
        }
    };
    let document = document.map_err(|why| unreadable(&why))?;
    object(call, kind, document)
}

fn unreadable(why: &str) -> Failure {
    Failure::bad_request(format!(
        "couldn't get version/kind; json parse error: {why}"
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
        .ok_or_else(|| unreadable("json: cannot unmarshal into Go value of type struct"))?;
    is_of(kind, members)?;
    let refused = |why: &str| {
        Failure::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: {why}",
            kind.kind, kind.version, kind.kind
        ))
    };
    let mut unknown: Vec<String> = Vec::new();
    match &kind.origin {
        Origin::BuiltIn(_) => {
            let decoded = decode::decode(&mut value, kind.schema());
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
            let decoded = decode::decode(metadata, object_meta());
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

fn is_of(kind: &Kind, members: &mut Map<String, Value>) -> Result<(), Failure> {
    let text = |name: &str| {
        members
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (version, wanted) = (text("apiVersion"), kind.api_version());
    if !version.is_empty() && version != wanted {
        return Err(Failure::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version \
             ({wanted})"
        )));
    }
    let given = text("kind");
    if !given.is_empty() && given != kind.kind {
        return Err(Failure::bad_request(format!(
            "{given} in version {:?} cannot be handled as a {}: converting (v1.{given}) to \
             ({}): unknown conversion",
            kind.version, kind.kind, kind.kind
        )));
    }
    members.insert("apiVersion".into(), wanted.into());
    members.insert("kind".into(), kind.kind.as_str().into());
    Ok(())
}

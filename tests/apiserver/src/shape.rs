//! Objects as they are asked for: whole, only their metadata, or as rows of a table.

pub(crate) mod path;
mod rows;

use serde_json::{Value, json};

use crate::api::call::Call;
use crate::failure::Failure;
use crate::kinds::Kind;
use crate::wire::accept::Shape;

/// Whether a table may be had as it was asked for.
pub(crate) fn check(call: &Call<'_>, shape: Shape) -> Result<(), Failure> {
    let given = call.query.get("includeObject");
    if shape == Shape::Table && !matches!(given, "" | "None" | "Metadata" | "Object") {
        return Err(Failure::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: {given:?}: \
             must be 'Metadata', 'Object', 'None', or empty"
        )));
    }
    Ok(())
}

/// Puts into the rows of a table what the query wants of the objects.
pub(crate) fn include(call: &Call<'_>, shape: Shape, table: &mut Value, objects: &[Value]) {
    let given = call.query.get("includeObject");
    if shape != Shape::Table || !matches!(given, "None" | "Object") {
        return;
    }
    let rows = table["rows"].as_array_mut().into_iter().flatten();
    for (row, object) in rows.zip(objects) {
        row["object"] = if given == "None" {
            Value::Null
        } else {
            object.clone()
        };
    }
}

/// One object.
pub(crate) fn one(shape: Shape, kind: &Kind, object: Value) -> Value {
    match shape {
        Shape::Whole => object,
        Shape::Metadata => metadata(&object),
        Shape::Table => {
            let revision = object["metadata"]["resourceVersion"].clone();
            let meta = json!({"resourceVersion": revision});
            rows::table(kind, meta, &[object], true)
        }
    }
}

/// One object of a watch, of which the columns are only told once.
pub(crate) fn event(shape: Shape, kind: &Kind, object: Value, first: bool) -> Value {
    match shape {
        Shape::Table => {
            let revision = object["metadata"]["resourceVersion"].clone();
            let meta = json!({"resourceVersion": revision});
            rows::table(kind, meta, &[object], first)
        }
        other => one(other, kind, object),
    }
}

/// Many objects.
pub(crate) fn many(shape: Shape, kind: &Kind, meta: Value, objects: Vec<Value>) -> Value {
    match shape {
        Shape::Whole => {
            json!({
                "kind": kind.list_kind,
                "apiVersion": kind.api_version(),
                "metadata": meta,
                "items": objects,
            })
        }
        Shape::Metadata => {
            let items: Vec<_> = objects.iter().map(metadata).collect();
            json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": meta,
                "items": items,
            })
        }
        Shape::Table => rows::table(kind, meta, &objects, true),
    }
}

fn metadata(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

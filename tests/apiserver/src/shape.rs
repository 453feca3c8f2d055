//! Objects as they are asked for: whole, only their metadata, or as rows of a table.

pub(crate) mod path;
mod rows;

use serde_json::{Value, json};

use crate::kinds::Kind;
use crate::wire::accept::Shape;

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

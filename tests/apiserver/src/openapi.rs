//! The published schemas: what kubectl validates with, and explains.

mod swagger;

use serde_json::{Map, Value, json};

use crate::api::call::Call;
use crate::failure::Failure;
use crate::kinds::{Kind, Kinds};
use crate::schema::DEFINITIONS_TEXT;
use crate::wire::reply::Reply;

/// Answers a request for a page.
pub(crate) fn page(call: &Call<'_>, kinds: &Kinds) -> Result<Reply, Failure> {
    let path = call.target.path.trim_end_matches('/');
    match path {
        "/openapi/v2" => {
            let accept = call.accept.unwrap_or("application/json");
            if swagger::is_meant(accept) {
                return Ok(Reply::bytes(
                    swagger::CONTENT_TYPE,
                    swagger::encode(&v2(kinds)),
                ));
            }
            let wants_json = accept.contains("application/json") || accept.contains("*/*");
            if !wants_json {
                return Err(Failure::not_acceptable());
            }
            Ok(Reply::ok(v2(kinds)))
        }
        "/openapi/v3" => Ok(Reply::text(index(kinds).to_string())),
        _ => {
            let name = path
                .strip_prefix("/openapi/v3/")
                .ok_or_else(Failure::no_page)?;
            let (group, version) = match name.split('/').collect::<Vec<_>>().as_slice() {
                ["api", version] => (String::new(), (*version).to_owned()),
                ["apis", group, version] => ((*group).to_owned(), (*version).to_owned()),
                _ => return Err(Failure::no_page()),
            };
            let own: Vec<_> = kinds.of(&group, &version).collect();
            if own.is_empty() {
                return Err(Failure::no_page());
            }
            Ok(Reply::ok(v3(&own)))
        }
    }
}

fn index(kinds: &Kinds) -> Value {
    let mut paths = Map::new();
    let mut add = |name: String| {
        let url = format!("/openapi/v3/{name}?hash=00");
        paths.insert(name, json!({"serverRelativeURL": url}));
    };
    add("api/v1".into());
    for (group, versions) in kinds.groups() {
        for version in versions {
            add(format!("apis/{group}/{version}"));
        }
    }
    json!({"paths": paths})
}

fn built_in() -> Map<String, Value> {
    serde_json::from_str(DEFINITIONS_TEXT).expect("tested: the file is read by every test")
}

/// `io.amalgam8.v1.RoutingRule`
fn custom_name(kind: &Kind) -> String {
    let group: Vec<_> = kind.group.split('.').rev().collect();
    format!("{}.{}.{}", group.join("."), kind.version, kind.kind)
}

fn name(kind: &Kind) -> String {
    match kind.built_in() {
        Some(built_in) => built_in.definition.to_owned(),
        None => custom_name(kind),
    }
}

/// A custom kind's schema with what every object has.
fn custom_schema(kind: &Kind, prefix: &str) -> Value {
    let mut schema = kind
        .custom()
        .map(|custom| custom.written.clone())
        .unwrap_or_default();
    let meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    let properties = crate::object::member_mut(&mut schema, "properties");
    properties.insert("apiVersion".into(), json!({"type": "string"}));
    properties.insert("kind".into(), json!({"type": "string"}));
    properties.insert(
        "metadata".into(),
        json!({
            "description": "Standard object's metadata. More info: https://git.k8s.io/community/\
                            contributors/devel/sig-architecture/api-conventions.md#metadata",
            "allOf": [{"$ref": format!("{prefix}{meta}")}],
        }),
    );
    schema["x-kubernetes-group-version-kind"] = gvks(kind);
    schema
}

fn gvk(kind: &Kind) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

fn gvks(kind: &Kind) -> Value {
    json!([gvk(kind)])
}

/// The path of one object of a kind.
fn path_of(kind: &Kind) -> String {
    let root = if kind.group.is_empty() {
        format!("/api/{}", kind.version)
    } else {
        format!("/apis/{}/{}", kind.group, kind.version)
    };
    let namespace = if kind.namespaced {
        "/namespaces/{namespace}"
    } else {
        ""
    };
    format!("{root}{namespace}/{}/{{name}}", kind.plural)
}

/// The parameters that clients look for to see what the server can do.
fn parameters(v3: bool) -> Value {
    let names = ["dryRun", "fieldManager", "fieldValidation", "force"];
    let all = names.iter().map(|name| {
        let kind = if *name == "force" {
            "boolean"
        } else {
            "string"
        };
        if v3 {
            json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}})
        } else {
            json!({"name": name, "in": "query", "type": kind, "uniqueItems": true})
        }
    });
    Value::Array(all.collect())
}

fn paths(kinds: &[&std::sync::Arc<Kind>], v3: bool) -> Value {
    let mut paths = Map::new();
    for kind in kinds.iter().filter(|kind| !kind.is_review()) {
        let operation = |action: &str| {
            json!({
                "parameters": parameters(v3),
                "responses": {"200": {"description": "OK"}},
                "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind": gvk(kind),
            })
        };
        paths.insert(
            path_of(kind),
            json!({"patch": operation("patch"), "put": operation("put")}),
        );
    }
    Value::Object(paths)
}

fn v2(kinds: &Kinds) -> Value {
    let mut definitions = built_in();
    let all: Vec<_> = kinds.iter().collect();
    for kind in &all {
        if kind.custom().is_some() {
            definitions.insert(name(kind), custom_schema(kind, "#/definitions/"));
        }
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": paths(&all, false),
        "definitions": definitions,
    })
}

fn v3(kinds: &[&std::sync::Arc<Kind>]) -> Value {
    let all = built_in();
    let mut schemas = Map::new();
    let mut wanted: Vec<String> = Vec::new();
    let prefix = "#/components/schemas/";
    for kind in kinds {
        if kind.custom().is_some() {
            let schema = custom_schema(kind, prefix);
            collect(&schema, &mut wanted);
            schemas.insert(name(kind), schema);
        } else {
            wanted.push(name(kind));
        }
    }
    while let Some(name) = wanted.pop() {
        if schemas.contains_key(&name) {
            continue;
        }
        if let Some(schema) = all.get(&name) {
            let mut schema = schema.clone();
            collect(&schema, &mut wanted);
            rename(&mut schema, prefix);
            schemas.insert(name, schema);
        }
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": paths(kinds, true),
        "components": {"schemas": schemas},
    })
}

/// The names that a schema refers to.
fn collect(schema: &Value, names: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(reference) if name == "$ref" => {
                        names.extend(reference.rsplit('/').next().map(str::to_owned));
                    }
                    _ => collect(value, names),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, names)),
        _ => {}
    }
}

fn rename(schema: &mut Value, prefix: &str) {
    match schema {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(reference) if name == "$ref" => {
                        *value = reference.replace("#/definitions/", prefix).into();
                    }
                    _ => rename(value, prefix),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|value| rename(value, prefix)),
        _ => {}
    }
}

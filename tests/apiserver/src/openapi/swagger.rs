//! The Swagger document as protobuf, which is how kubectl asked for it before 1.27. Messages
//! and numbers are those of gnostic's `OpenAPIv2.proto`; only what a client validates with is
//! written.

use prost::Message;
use serde_json::{Map, Value};

/// The type under which it is answered.
pub(crate) const CONTENT_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Whether it is asked for, by that type or by its older spelling, which is no media type.
pub(crate) fn is_meant(accept: &str) -> bool {
    accept.contains("proto-openapi.spec.v2")
}

#[derive(Message)]
struct Document {
    #[prost(string, tag = "1")]
    swagger: String,
    #[prost(message, optional, tag = "2")]
    info: Option<Info>,
    #[prost(message, optional, tag = "9")]
    definitions: Option<Named>,
}

#[derive(Message)]
struct Info {
    #[prost(string, tag = "1")]
    title: String,
    #[prost(string, tag = "2")]
    version: String,
}

/// `Definitions` and `Properties`.
#[derive(Message)]
struct Named {
    #[prost(message, repeated, tag = "1")]
    schemas: Vec<NamedSchema>,
}

#[derive(Message)]
struct NamedSchema {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Schema>,
}

#[derive(Message)]
struct Schema {
    #[prost(string, tag = "1")]
    reference: String,
    #[prost(string, tag = "2")]
    format: String,
    #[prost(string, repeated, tag = "19")]
    required: Vec<String>,
    #[prost(message, optional, boxed, tag = "21")]
    additional: Option<Box<Additional>>,
    #[prost(message, optional, tag = "22")]
    kind: Option<Kind>,
    #[prost(message, optional, tag = "23")]
    items: Option<Items>,
    #[prost(message, optional, tag = "25")]
    properties: Option<Named>,
    #[prost(message, repeated, tag = "31")]
    extensions: Vec<NamedAny>,
}

/// `AdditionalPropertiesItem`, of which only the schema is used.
#[derive(Message)]
struct Additional {
    #[prost(message, optional, boxed, tag = "1")]
    schema: Option<Box<Schema>>,
}

#[derive(Message)]
struct Kind {
    #[prost(string, repeated, tag = "1")]
    value: Vec<String>,
}

#[derive(Message)]
struct Items {
    #[prost(message, repeated, tag = "1")]
    schema: Vec<Schema>,
}

#[derive(Message)]
struct NamedAny {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Any>,
}

#[derive(Message)]
struct Any {
    #[prost(string, tag = "2")]
    yaml: String,
}

/// A document that is Swagger in JSON.
pub(crate) fn encode(document: &Value) -> Vec<u8> {
    let message = Document {
        swagger: text(&document["swagger"]),
        info: Some(Info {
            title: text(&document["info"]["title"]),
            version: text(&document["info"]["version"]),
        }),
        definitions: document["definitions"].as_object().map(named),
    };
    message.encode_to_vec()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn named(members: &Map<String, Value>) -> Named {
    let schemas = members.iter().map(|(name, value)| NamedSchema {
        name: name.clone(),
        value: Some(schema(value)),
    });
    Named {
        schemas: schemas.collect(),
    }
}

fn schema(value: &Value) -> Schema {
    let required = value["required"].as_array().into_iter().flatten();
    let additional = &value["additionalProperties"];
    let items = &value["items"];
    let members = value.as_object().into_iter().flatten();
    let extensions = members.filter(|(name, _)| name.starts_with("x-"));
    Schema {
        reference: text(&value["$ref"]),
        format: text(&value["format"]),
        required: required.map(text).collect(),
        additional: additional.is_object().then(|| {
            let schema = Some(Box::new(schema(additional)));
            Box::new(Additional { schema })
        }),
        kind: value["type"].is_string().then(|| Kind {
            value: vec![text(&value["type"])],
        }),
        items: items.is_object().then(|| Items {
            schema: vec![schema(items)],
        }),
        properties: value["properties"].as_object().map(named),
        extensions: extensions
            .map(|(name, value)| NamedAny {
                name: name.clone(),
                // JSON is YAML.
                value: Some(Any {
                    yaml: value.to_string(),
                }),
            })
            .collect(),
    }
}

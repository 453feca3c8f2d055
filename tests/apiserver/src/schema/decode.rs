//! Decoding of built-in kinds, as the real server's Go types do it: what has the wrong type is
//! refused, what is not known is dropped and told, what is null is absent.

use base64::Engine;
use serde_json::{Map, Value};

use super::{Additional, Schema, definition};
use crate::field::{child, item};

/// What decoding found.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    /// The paths of members that are not known.
    pub(crate) unknown: Vec<String>,
    /// What has the wrong type, in the words of the real server.
    pub(crate) wrong: Option<String>,
}

/// Decodes a value in place.
pub(crate) fn decode(value: &mut Value, schema: &Schema) -> Decoded {
    decode_as(value, schema, "")
}

/// The same, of a value that is of this Go type.
pub(crate) fn decode_as(value: &mut Value, schema: &Schema, owner: &str) -> Decoded {
    let mut decoded = Decoded::default();
    decoded.walk(value, schema, owner, "");
    decoded
}

impl Decoded {
    fn wrong(&mut self, value: &Value, owner: &str, path: &str, wanted: &str) {
        if self.wrong.is_some() {
            return;
        }
        let is = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let is = match value {
            Value::Number(number) if wanted.starts_with("int") => format!("number {number}"),
            _ => is.to_owned(),
        };
        let path: String = without_indices(path);
        if path.is_empty() {
            self.wrong = Some(format!(
                "json: cannot unmarshal {is} into Go value of type v1.{owner}"
            ));
            return;
        }
        self.wrong = Some(format!(
            "json: cannot unmarshal {is} into Go struct field {owner}.{path} of type {wanted}"
        ));
    }

    fn say(&mut self, text: String) {
        self.wrong.get_or_insert(text);
    }

    /// `owner` is the Go type that the member belongs to.
    fn walk(&mut self, value: &mut Value, schema: &Schema, owner: &str, path: &str) {
        let name = schema.definition().map_or("", short);
        let schema = schema.resolve();
        match name {
            "IntOrString" => return self.int_or_string(value, owner, path),
            "Quantity" => return self.quantity(value),
            "Time" => return self.time(value, owner, path),
            "MicroTime" => return self.micro_time(value, owner, path),
            "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrArray" => {
                return self.nested_schema(value, owner, path);
            }
            _ => {}
        }
        let owner_of_members = if name.is_empty() { owner } else { name };
        match schema.kind.as_deref() {
            Some("object") => self.object(value, schema, owner, owner_of_members, path),
            Some("array") => {
                let Value::Array(items) = value else {
                    return self.wrong(value, owner, path, &go_type(schema));
                };
                let inner = schema.items.as_deref();
                for (index, one) in items.iter_mut().enumerate() {
                    if let Some(inner) = inner {
                        if one.is_null() && inner.resolve().kind.as_deref() == Some("object") {
                            *one = Value::Object(Map::new());
                        }
                        self.walk(one, inner, owner, &item(path, index));
                    }
                }
            }
            Some("string") => match value {
                Value::String(text) if schema.format.as_deref() == Some("byte") => {
                    let engine = base64::engine::general_purpose::STANDARD;
                    if let Err(e) = engine.decode(text.as_bytes()) {
                        let at = match e {
                            base64::DecodeError::InvalidByte(at, _)
                            | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                            _ => text.len(),
                        };
                        self.say(format!("illegal base64 data at input byte {at}"));
                    }
                }
                Value::String(_) => {}
                _ => self.wrong(value, owner, path, "string"),
            },
            Some("boolean") if !value.is_boolean() => self.wrong(value, owner, path, "bool"),
            Some("number") if !value.is_number() => self.wrong(value, owner, path, "float64"),
            Some("integer") => {
                let wanted = schema.format.as_deref().unwrap_or("int64");
                let fits = value
                    .as_i64()
                    .is_some_and(|number| wanted != "int32" || i32::try_from(number).is_ok());
                if !fits {
                    self.wrong(value, owner, path, wanted);
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, value: &mut Value, schema: &Schema, owner: &str, own: &str, path: &str) {
        let Value::Object(members) = value else {
            let wanted = if own.is_empty() || own == owner {
                go_type(schema)
            } else {
                format!("v1.{own}")
            };
            return self.wrong(value, owner, path, &wanted);
        };
        members.retain(|_, value| !value.is_null());
        let free = schema.properties.is_empty()
            && !matches!(schema.additional_properties, Some(Additional::Schema(_)));
        if free {
            return;
        }
        members.retain(|name, value| match schema.member(name) {
            Some(inner) if schema.properties.contains_key(name) => {
                self.walk(value, inner, own, &child(path, name));
                true
            }
            Some(inner) => {
                self.walk(value, inner, own, &format!("{path}[{name}]"));
                true
            }
            None => {
                self.unknown.push(child(path, name));
                false
            }
        });
    }

    fn int_or_string(&mut self, value: &Value, owner: &str, path: &str) {
        match value {
            Value::String(_) => {}
            Value::Number(number) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => {}
            _ => self.wrong(value, owner, path, "intstr.IntOrString"),
        }
    }

    fn quantity(&mut self, value: &mut Value) {
        if value.is_number() {
            *value = Value::String(value.to_string());
        }
        if !value.as_str().is_some_and(is_quantity) {
            self.say(
                "quantities must match the regular expression \
                 '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                    .into(),
            );
        }
    }

    fn time(&mut self, value: &Value, owner: &str, path: &str) {
        let Value::String(text) = value else {
            return self.wrong(value, owner, path, "string");
        };
        if !text.is_empty() && text.parse::<jiff::Timestamp>().is_err() {
            self.say(format!(
                "parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} \
                 as \"2006\""
            ));
        }
    }

    /// Times of leases and events have six digits after the seconds.
    fn micro_time(&mut self, value: &Value, owner: &str, path: &str) {
        self.time(value, owner, path);
        let text = value.as_str().unwrap_or_default();
        let (_, rest) = text.split_at_checked(19).unwrap_or((text, ""));
        let digits = rest.strip_prefix('.').map_or(0, |fraction| {
            fraction.bytes().take_while(u8::is_ascii_digit).count()
        });
        if !text.is_empty() && digits != 6 {
            self.say(format!(
                "parsing time {text:?} as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse \
                 {rest:?} as \".000000\""
            ));
        }
    }

    fn nested_schema(&mut self, value: &mut Value, owner: &str, path: &str) {
        let props = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
        let owner = if owner.is_empty() {
            "JSONSchemaProps"
        } else {
            owner
        };
        match value {
            Value::Bool(_) => {}
            Value::Object(_) => self.walk(value, definition(props), owner, path),
            Value::Array(items) => {
                for (index, one) in items.iter_mut().enumerate() {
                    self.walk(one, definition(props), owner, &item(path, index));
                }
            }
            _ => self.say("json: cannot unmarshal a schema".into()),
        }
    }
}

/// The name of the Go type of a definition.
fn short(definition: &str) -> &str {
    definition.rsplit('.').next().unwrap_or(definition)
}

fn go_type(schema: &Schema) -> String {
    let name = schema.definition().map(short);
    let schema = schema.resolve();
    match schema.kind.as_deref() {
        Some("array") => {
            let inner = schema.items.as_deref().map(go_type).unwrap_or_default();
            format!("[]{inner}")
        }
        Some("object") => match (name, schema.other_members()) {
            (None, Some(inner)) => format!("map[string]{}", go_type(inner)),
            (name, _) => name.unwrap_or("struct").to_owned(),
        },
        Some("boolean") => "bool".into(),
        Some("integer") => schema.format.clone().unwrap_or_else(|| "int64".into()),
        Some(other) => other.to_owned(),
        None => name.unwrap_or("interface {}").to_owned(),
    }
}

fn without_indices(path: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for c in path.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ if !inside => text.push(c),
            _ => {}
        }
    }
    text
}

/// Whether a text is a quantity: `100m`, `1.5Gi`, `2e3`.
pub(crate) fn is_quantity(text: &str) -> bool {
    let rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    let dots = number.len() - digits;
    let exponent = suffix
        .strip_prefix(['e', 'E'])
        .map(|e| e.strip_prefix(['+', '-']).unwrap_or(e))
        .is_some_and(|e| !e.is_empty() && e.bytes().all(|b| b.is_ascii_digit()));
    let known = matches!(
        suffix,
        "" | "n"
            | "u"
            | "m"
            | "k"
            | "M"
            | "G"
            | "T"
            | "P"
            | "E"
            | "Ki"
            | "Mi"
            | "Gi"
            | "Ti"
            | "Pi"
            | "Ei"
    );
    digits > 0 && dots <= 1 && (known || exponent)
}

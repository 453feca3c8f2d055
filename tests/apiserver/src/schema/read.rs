//! Bodies as values. Which members are there twice is told besides: the last one counts.

mod go;

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::field::{child, item};

/// Below this, a number without a fraction is one that can be counted with.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// A document, and the paths of what it says twice.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) value: Value,
    pub(crate) twice: Vec<String>,
}

/// Reads JSON.
pub(crate) fn json(text: &[u8]) -> Result<Document, String> {
    read_json(text).map_err(|why| go::json_error(text).unwrap_or(why))
}

fn read_json(text: &[u8]) -> Result<Document, String> {
    let twice = RefCell::default();
    let mut from = serde_json::Deserializer::from_slice(text);
    let value = Reader::new(&twice)
        .deserialize(&mut from)
        .and_then(|value| from.end().map(|()| value))
        .map_err(|e| e.to_string())?;
    Ok(Document {
        value,
        twice: twice.into_inner(),
    })
}

/// Reads YAML, of which JSON is a part.
pub(crate) fn yaml(text: &[u8]) -> Result<Document, String> {
    let text = std::str::from_utf8(text).map_err(|e| e.to_string())?;
    let twice = RefCell::default();
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
    };
    let value = serde_saphyr::with_deserializer_from_str_with_options(text, options, |from| {
        Reader::new(&twice).deserialize(from)
    })
    .map_err(|e| e.to_string())?;
    Ok(Document {
        value,
        twice: twice.into_inner(),
    })
}

struct Reader<'a> {
    path: String,
    twice: &'a RefCell<Vec<String>>,
}

impl<'a> Reader<'a> {
    fn new(twice: &'a RefCell<Vec<String>>) -> Self {
        Self {
            path: String::new(),
            twice,
        }
    }

    fn at(&self, path: String) -> Self {
        Self {
            path,
            twice: self.twice,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, given: bool) -> Result<Value, E> {
        Ok(Value::Bool(given))
    }

    fn visit_i64<E>(self, given: i64) -> Result<Value, E> {
        Ok(Value::Number(given.into()))
    }

    fn visit_u64<E>(self, given: u64) -> Result<Value, E> {
        Ok(Value::Number(given.into()))
    }

    fn visit_f64<E: Error>(self, given: f64) -> Result<Value, E> {
        if given.fract() == 0.0 && given.abs() < WHOLE {
            // Written as a fraction or not: it is the same number.
            return Ok(Value::Number((given as i64).into()));
        }
        Number::from_f64(given)
            .map(Value::Number)
            .ok_or_else(|| E::custom(format_args!("{given} is no number of JSON")))
    }

    fn visit_str<E>(self, given: &str) -> Result<Value, E> {
        Ok(Value::String(given.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut given: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(value) = given.next_element_seed(self.at(item(&self.path, items.len())))? {
            items.push(value);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut given: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = given.next_key::<String>()? {
            let path = child(&self.path, &name);
            let value = given.next_value_seed(self.at(path.clone()))?;
            if members.insert(name, value).is_some() {
                self.twice.borrow_mut().push(path);
            }
        }
        Ok(Value::Object(members))
    }
}

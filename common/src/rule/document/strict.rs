//! Values of which nothing was lost in reading: no member twice, no number that is none.
//!
//! Depth is bounded by the reader below: serde_json's recursion limit, serde-saphyr's budget.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::list::Rules;

/// How a value is read.
pub(in crate::rule) enum Strict<'a> {
    /// As it is.
    Plain,
    /// As a document of rules. The rules of its list, if it has one, go where they belong as
    /// they come; in the value the list is empty.
    Document(&'a mut Rules),
    /// As the list of a document.
    List(&'a mut Rules),
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rule, a list of rules, or an object with a member rules")
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
        Number::from_f64(given)
            .map(Value::Number)
            .ok_or_else(|| E::custom(format_args!("{given} is not a number that may stand here")))
    }

    fn visit_str<E>(self, given: &str) -> Result<Value, E> {
        Ok(Value::String(given.to_owned()))
    }

    fn visit_string<E>(self, given: String) -> Result<Value, E> {
        Ok(Value::String(given))
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

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut given: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = given.next_element_seed(Strict::Plain)? {
            match &mut self {
                Self::Plain => entries.push(entry),
                Self::Document(rules) | Self::List(rules) => rules.take(entry),
            }
        }
        Ok(Value::Array(entries))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut given: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = given.next_key::<String>()? {
            let value = given.next_value_seed(match &mut self {
                Self::Document(rules) if name == "rules" => Strict::List(rules),
                _ => Strict::Plain,
            })?;
            if members.contains_key(&name) {
                return Err(A::Error::custom(format_args!(
                    "member {name:?} is there twice"
                )));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

//! Sets of fields found in objects: what a value says, and where two differ.

use serde_json::{Map, Value};

use super::{Fields, Step};
use crate::field::sorted;
use crate::schema::Schema;

/// How the parts of a value belong together.
enum Parts<'a> {
    /// Not at all: it is one field.
    One,
    /// Each member is one.
    Members(&'a Map<String, Value>),
    /// Each item is one.
    Items(&'a [Value]),
}

fn parts<'a>(value: &'a Value, schema: Option<&Schema>) -> Parts<'a> {
    let atomic = schema.is_some_and(|schema| {
        schema.map_type.as_deref() == Some("atomic")
            || schema.resolve().map_type.as_deref() == Some("atomic")
    });
    match value {
        _ if atomic => Parts::One,
        Value::Object(members) => Parts::Members(members),
        Value::Array(items) => match list_type(schema) {
            "map" | "set" => Parts::Items(items),
            _ => Parts::One,
        },
        _ => Parts::One,
    }
}

fn list_type(schema: Option<&Schema>) -> &str {
    schema
        .and_then(|schema| schema.list_type.as_deref())
        .unwrap_or_default()
}

/// What tells the items of a list apart; `None` where they are their own names.
pub(crate) fn list_keys(schema: &Schema) -> Option<&[String]> {
    (schema.list_type.as_deref() == Some("map")).then_some(schema.list_map_keys.as_slice())
}

/// How an item of a list is named.
fn step_of(value: &Value, schema: Option<&Schema>) -> Step {
    let Some(keys) = schema.and_then(list_keys) else {
        return Step::Item(sorted(value));
    };
    let mut key = Map::new();
    let items = schema
        .and_then(|schema| schema.items.as_deref())
        .map(Schema::resolve);
    for name in keys {
        let default = items
            .and_then(|items| items.properties.get(name))
            .and_then(|property| property.default.clone());
        if let Some(value) = value.get(name).cloned().or(default) {
            key.insert(name.clone(), value);
        }
    }
    Step::Key(sorted(&Value::Object(key)))
}

fn member<'a>(schema: Option<&'a Schema>, name: &str) -> Option<&'a Schema> {
    schema?.resolve().member(name)
}

fn items_of(schema: Option<&Schema>) -> Option<&Schema> {
    schema?.resolve().items.as_deref()
}

/// Whether a member is one that the schema names, not one of a free map.
fn is_named(schema: Option<&Schema>, name: &str) -> bool {
    schema.is_some_and(|schema| schema.resolve().properties.contains_key(name))
}

/// The fields that a value says something about.
pub(crate) fn of_value(value: &Value, schema: Option<&Schema>) -> Fields {
    let mut fields = Fields::default();
    match parts(value, schema) {
        Parts::One => fields.own = true,
        Parts::Members(members) => {
            for (name, value) in members {
                let mut inner = of_value(value, member(schema, name));
                let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                if empty || !is_named(schema, name) {
                    inner.own = true;
                }
                fields.inner.insert(Step::Field(name.clone()), inner);
            }
        }
        Parts::Items(items) => {
            for value in items {
                let mut inner = if list_type(schema) == "map" {
                    of_value(value, items_of(schema))
                } else {
                    Fields::default()
                };
                inner.own = true;
                fields.inner.insert(step_of(value, schema), inner);
            }
        }
    }
    fields.inner.retain(|_, inner| !inner.is_empty());
    fields
}

/// All fields of a value that came or went as a whole: those with parts are fields, too.
fn whole(value: &Value, schema: Option<&Schema>) -> Fields {
    let mut fields = Fields {
        own: true,
        ..Fields::default()
    };
    match parts(value, schema) {
        Parts::One => {}
        Parts::Members(members) => {
            for (name, value) in members {
                let inner = whole(value, member(schema, name));
                fields.inner.insert(Step::Field(name.clone()), inner);
            }
        }
        Parts::Items(items) => {
            for value in items {
                let inner = if list_type(schema) == "map" {
                    whole(value, items_of(schema))
                } else {
                    Fields {
                        own: true,
                        ..Fields::default()
                    }
                };
                fields.inner.insert(step_of(value, schema), inner);
            }
        }
    }
    fields
}

/// Where two values differ.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// What is new or different.
    pub(crate) set: Fields,
    /// What is gone.
    pub(crate) gone: Fields,
}

impl Change {
    fn at(&mut self, step: Step, inner: Change) {
        for (all, one) in [(&mut self.set, inner.set), (&mut self.gone, inner.gone)] {
            if !one.is_empty() {
                all.inner.insert(step.clone(), one);
            }
        }
    }
}

/// Where two values differ.
pub(crate) fn changed(old: Option<&Value>, new: Option<&Value>, schema: Option<&Schema>) -> Change {
    let mut change = Change::default();
    match (old, new) {
        (None, None) => {}
        (None, Some(new)) => change.set = whole(new, schema),
        (Some(old), None) => change.gone = whole(old, schema),
        (Some(old), Some(new)) if old == new => {}
        (Some(old), Some(new)) => match (parts(old, schema), parts(new, schema)) {
            (Parts::Members(was), Parts::Members(is)) => {
                for name in was.keys().chain(is.keys()) {
                    let (was, is) = (was.get(name), is.get(name));
                    let mut inner = changed(was, is, member(schema, name));
                    // What is empty is a field of its own.
                    if is.is_some_and(|is| is.as_object().is_some_and(Map::is_empty)) && was != is {
                        inner.set.own = true;
                    }
                    change.at(Step::Field(name.clone()), inner);
                }
            }
            (Parts::Items(was), Parts::Items(is)) => items(was, is, schema, &mut change),
            (Parts::One, Parts::Items(is)) if old.is_null() => {
                items(&[], is, schema, &mut change);
            }
            _ => change.set.own = true,
        },
    }
    change
}

fn items(was: &[Value], is: &[Value], schema: Option<&Schema>, change: &mut Change) {
    let find = |list: &[Value], step: &Step| {
        list.iter()
            .find(|one| step_of(one, schema) == *step)
            .cloned()
    };
    for step in was.iter().chain(is).map(|one| step_of(one, schema)) {
        let (was, is) = (find(was, &step), find(is, &step));
        let mut inner = if list_type(schema) == "map" {
            changed(was.as_ref(), is.as_ref(), items_of(schema))
        } else {
            Change::default()
        };
        inner.set.own |= was.is_none();
        inner.gone.own |= is.is_none();
        change.at(step, inner);
    }
}

/// Takes the fields of a set away from a value, but not those of another set.
pub(crate) fn prune(value: &mut Value, schema: Option<&Schema>, gone: &Fields) {
    match value {
        Value::Object(members) => {
            for (step, inner) in &gone.inner {
                let Step::Field(name) = step else {
                    continue;
                };
                let remove = match members.get_mut(name) {
                    None => false,
                    Some(value) => {
                        prune(value, member(schema, name), inner);
                        let emptied = !inner.inner.is_empty()
                            && (value.as_object().is_some_and(Map::is_empty)
                                || value.as_array().is_some_and(Vec::is_empty));
                        let whole = inner.own && inner.inner.is_empty();
                        whole || emptied
                    }
                };
                if remove {
                    members.shift_remove(name);
                }
            }
        }
        Value::Array(items) => {
            let all = std::mem::take(items);
            for mut one in all {
                match gone.inner.get(&step_of(&one, schema)) {
                    Some(inner) if inner.own => {}
                    Some(inner) => {
                        prune(&mut one, items_of(schema), inner);
                        items.push(one);
                    }
                    None => items.push(one),
                }
            }
        }
        _ => {}
    }
}

/// The item of a list that another item stands for.
pub(crate) fn at<'a>(
    items: &'a mut [Value],
    wanted: &Value,
    schema: &Schema,
) -> Option<&'a mut Value> {
    let step = step_of(wanted, Some(schema));
    items
        .iter_mut()
        .find(|one| step_of(one, Some(schema)) == step)
}

//! Sets of fields: who wrote which part of an object.

pub(crate) mod managed;
mod walk;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub(crate) use walk::{at, changed, list_keys, of_value, prune};

/// One step into an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// A member.
    Field(String),
    /// The item of a list that has these values, as JSON with its members in order.
    Key(String),
    /// The item of a list that is this, as JSON.
    Item(String),
}

impl Step {
    fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(key) => format!("k:{key}"),
            Self::Item(value) => format!("v:{value}"),
        }
    }

    fn decode(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "f" => Some(Self::Field(rest.to_owned())),
            "k" => Some(Self::Key(rest.to_owned())),
            "v" => Some(Self::Item(rest.to_owned())),
            _ => None,
        }
    }

    /// As it stands in a path for people.
    fn shown(&self) -> String {
        match self {
            Self::Field(name) => format!(".{name}"),
            Self::Key(key) => {
                let members = serde_json::from_str::<Map<String, Value>>(key).unwrap_or_default();
                let inner: Vec<_> = members.iter().map(|(k, v)| format!("{k}={v}")).collect();
                format!("[{}]", inner.join(","))
            }
            Self::Item(value) => format!("[={value}]"),
        }
    }
}

/// A set of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    /// Whether the place itself is in the set, not only what is inside.
    pub(crate) own: bool,
    pub(crate) inner: BTreeMap<Step, Fields>,
}

impl Fields {
    pub(crate) fn is_empty(&self) -> bool {
        !self.own && self.inner.is_empty()
    }

    fn tidy(mut self) -> Self {
        self.inner.retain(|_, inner| !inner.is_empty());
        self
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        union.own |= other.own;
        for (step, inner) in &other.inner {
            let old = union.inner.remove(step).unwrap_or_default();
            union.inner.insert(step.clone(), old.union(inner));
        }
        union
    }

    pub(crate) fn minus(&self, other: &Self) -> Self {
        let inner = self.inner.iter().map(|(step, inner)| {
            let left = match other.inner.get(step) {
                Some(other) => inner.minus(other),
                None => inner.clone(),
            };
            (step.clone(), left)
        });
        Self {
            own: self.own && !other.own,
            inner: inner.collect(),
        }
        .tidy()
    }

    pub(crate) fn common(&self, other: &Self) -> Self {
        let inner = self
            .inner
            .iter()
            .filter_map(|(step, inner)| Some((step.clone(), inner.common(other.inner.get(step)?))));
        Self {
            own: self.own && other.own,
            inner: inner.collect(),
        }
        .tidy()
    }

    /// Takes away a place and everything in it.
    pub(crate) fn without(mut self, path: &[&str]) -> Self {
        match path {
            [] => return Self::default(),
            [first, rest @ ..] => {
                let step = Step::Field((*first).to_owned());
                if let Some(inner) = self.inner.remove(&step) {
                    self.inner.insert(step, inner.without(rest));
                }
            }
        }
        self.tidy()
    }

    /// Keeps a place only.
    pub(crate) fn only(mut self, name: &str) -> Self {
        self.inner
            .retain(|step, _| *step == Step::Field(name.to_owned()));
        self
    }

    /// The places, as they are shown to people.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        if self.own {
            paths.push(String::new());
        }
        self.collect("", &mut paths);
        paths
    }

    /// First the places themselves, then what is inside of them.
    fn collect(&self, path: &str, paths: &mut Vec<String>) {
        let all = || {
            let inner = self.inner.iter();
            inner.map(|(step, inner)| (format!("{path}{}", step.shown()), inner))
        };
        paths.extend(all().filter(|(_, inner)| inner.own).map(|(path, _)| path));
        for (path, inner) in all() {
            inner.collect(&path, paths);
        }
    }

    /// As it stands in an object: `{"f:spec": {"f:replicas": {}}}`.
    pub(crate) fn encode(&self) -> Value {
        let mut members = Map::new();
        if self.own && !self.inner.is_empty() {
            members.insert(".".into(), Value::Object(Map::new()));
        }
        for (step, inner) in &self.inner {
            members.insert(step.encode(), inner.encode());
        }
        Value::Object(members)
    }

    /// The same, read.
    pub(crate) fn decode(value: &Value) -> Self {
        let mut fields = Self::default();
        for (name, inner) in value.as_object().into_iter().flatten() {
            if let Some(step) = Step::decode(name) {
                let empty = inner.as_object().is_none_or(Map::is_empty);
                let mut inner_fields = Self::decode(inner);
                inner_fields.own = empty || inner.get(".").is_some();
                fields.inner.insert(step, inner_fields);
            }
        }
        fields
    }
}

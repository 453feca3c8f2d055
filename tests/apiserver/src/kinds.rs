//! The kinds that are served: the built-in ones, and those that definitions have added.

mod custom;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use custom::{Column, Custom, kinds as of_definition};
pub(crate) use table::BUILT_IN;

use crate::metadata::NameRule;
use crate::schema::Schema;

/// What can be done with the objects of a kind.
pub(crate) const ALL_VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// The same of a custom kind, in the order in which the real server tells it.
const CUSTOM_VERBS: [&str; 8] = [
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "create",
    "update",
    "watch",
];

/// One kind, in one version.
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    /// Whether there is a status that is written by itself.
    pub(crate) status: bool,
    /// Where its objects are kept, whatever the version.
    pub(crate) table: Arc<str>,
    pub(crate) origin: Origin,
}

/// Where a kind comes from.
pub(crate) enum Origin {
    BuiltIn(&'static BuiltIn),
    Custom(Arc<Custom>),
}

/// What is particular about a built-in kind.
pub(crate) struct BuiltIn {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) short: &'static [&'static str],
    pub(crate) namespaced: bool,
    pub(crate) status: bool,
    /// The name of its schema.
    pub(crate) definition: &'static str,
    pub(crate) name_rule: NameRule,
    /// What it can be selected by, besides name and namespace.
    pub(crate) fields: &'static [&'static str],
    /// Whether an update of what is not there makes it.
    pub(crate) create_on_update: bool,
    /// Whether an update may do without the revision.
    pub(crate) unconditional: bool,
    /// Whether a deletion answers with the object.
    pub(crate) returns_deleted: bool,
    /// Whether its specification has generations.
    pub(crate) generations: bool,
    /// Only asked, never kept.
    pub(crate) review: bool,
    /// Whether `kubectl get all` shows it.
    pub(crate) all: bool,
}

impl BuiltIn {
    fn to_kind(&'static self) -> Kind {
        let group = if self.group == "events.k8s.io" {
            ""
        } else {
            self.group
        };
        Kind {
            group: self.group.into(),
            version: self.version.into(),
            kind: self.kind.into(),
            list_kind: format!("{}List", self.kind),
            plural: self.plural.into(),
            singular: self.kind.to_lowercase(),
            short: self.short.iter().map(|s| (*s).to_owned()).collect(),
            categories: self.all.then(|| "all".to_owned()).into_iter().collect(),
            namespaced: self.namespaced,
            status: self.status,
            table: format!("{group}/{}", self.plural).into(),
            origin: Origin::BuiltIn(self),
        }
    }
}

impl Kind {
    /// `apps/v1`, or `v1` for the group without a name.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    pub(crate) fn custom(&self) -> Option<&Arc<Custom>> {
        match &self.origin {
            Origin::Custom(custom) => Some(custom),
            Origin::BuiltIn(_) => None,
        }
    }

    pub(crate) fn built_in(&self) -> Option<&'static BuiltIn> {
        match &self.origin {
            Origin::BuiltIn(built_in) => Some(built_in),
            Origin::Custom(_) => None,
        }
    }

    pub(crate) fn schema(&self) -> &Schema {
        match &self.origin {
            Origin::BuiltIn(built_in) => crate::schema::definition(built_in.definition),
            Origin::Custom(custom) => &custom.schema,
        }
    }

    pub(crate) fn name_rule(&self) -> NameRule {
        self.built_in()
            .map_or(crate::names::subdomain, |built_in| built_in.name_rule)
    }

    /// Whether a change of the specification counts as a generation.
    pub(crate) fn generations(&self) -> bool {
        self.built_in().is_none_or(|built_in| built_in.generations)
    }

    pub(crate) fn is_review(&self) -> bool {
        self.built_in().is_some_and(|built_in| built_in.review)
    }

    pub(crate) fn verbs(&self) -> &'static [&'static str] {
        if self.is_review() {
            &["create"]
        } else if self.is("", "namespaces") {
            // Nobody takes all of them away at once.
            &[
                "create", "delete", "get", "list", "patch", "update", "watch",
            ]
        } else if self.custom().is_some() {
            &CUSTOM_VERBS
        } else {
            &ALL_VERBS
        }
    }

    /// The fields that it can be selected by.
    pub(crate) fn fields(&self) -> Vec<&str> {
        let mut fields = vec!["metadata.name"];
        if self.namespaced {
            fields.push("metadata.namespace");
        }
        match &self.origin {
            Origin::BuiltIn(built_in) => fields.extend(built_in.fields),
            Origin::Custom(custom) => fields.extend(custom.fields.iter().map(String::as_str)),
        }
        fields
    }

    /// Whether it is one of the kinds that some rule treats in its own way.
    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }
}

/// All kinds that are served.
#[derive(Clone)]
pub(crate) struct Kinds {
    /// By group, version and plural.
    kinds: BTreeMap<(String, String, String), Arc<Kind>>,
}

impl Kinds {
    /// The built-in ones.
    pub(crate) fn built_in() -> Self {
        let mut kinds = Self {
            kinds: BTreeMap::new(),
        };
        for built_in in &BUILT_IN {
            kinds.add(built_in.to_kind());
        }
        kinds
    }

    pub(crate) fn add(&mut self, kind: Kind) {
        let key = (
            kind.group.clone(),
            kind.version.clone(),
            kind.plural.clone(),
        );
        self.kinds.insert(key, Arc::new(kind));
    }

    /// Takes away what a definition has added.
    pub(crate) fn remove(&mut self, group: &str, plural: &str) {
        self.kinds
            .retain(|(g, _, p), kind| g != group || p != plural || kind.custom().is_none());
    }

    pub(crate) fn get(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        let key = (group.to_owned(), version.to_owned(), plural.to_owned());
        self.kinds.get(&key)
    }

    pub(crate) fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<Kind>> {
        self.iter()
            .find(|k| k.group == group && k.version == version && k.kind == kind)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.values()
    }

    /// The kinds of one group in one version.
    pub(crate) fn of<'a>(
        &'a self,
        group: &'a str,
        version: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Kind>> {
        self.iter()
            .filter(move |kind| kind.group == group && kind.version == version)
    }

    /// Whether a group is one of the server's own.
    pub(crate) fn is_built_in(&self, group: &str) -> bool {
        self.iter()
            .any(|kind| kind.group == group && kind.custom().is_none())
    }

    /// The groups that have a name, each with its versions, the preferred one first.
    pub(crate) fn groups(&self) -> Vec<(String, Vec<String>)> {
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for kind in self.iter().filter(|kind| !kind.group.is_empty()) {
            let at = groups.iter().position(|(group, _)| *group == kind.group);
            let at = at.unwrap_or_else(|| {
                groups.push((kind.group.clone(), Vec::new()));
                groups.len() - 1
            });
            if !groups[at].1.contains(&kind.version) {
                groups[at].1.push(kind.version.clone());
            }
        }
        for (_, versions) in &mut groups {
            versions.sort_by_key(|version| std::cmp::Reverse(custom::priority(version)));
        }
        groups
    }
}

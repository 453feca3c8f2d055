//! What was asked, so that tests can prove which permissions somebody needs.

use std::sync::Mutex;

use crate::wire::request::Target;

/// How many requests are remembered: the first ones, which say what is needed.
const MOST: usize = 1_000_000;

/// A request as it was understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// `get`, `list`, `watch`, `create`…; the method, for what is no resource.
    pub verb: String,
    /// The group; empty for the core group.
    pub group: String,
    /// The plural; empty for what is no resource.
    pub resource: String,
    /// `status`, `token`; mostly empty.
    pub subresource: String,
    /// Empty for all namespaces, and for kinds that have none.
    pub namespace: String,
    /// Empty for a list.
    pub name: String,
    /// The path.
    pub path: String,
    /// The query, as it was sent.
    pub query: String,
    /// Who asked; empty for somebody unknown.
    pub user: String,
    /// The client's name for itself.
    pub agent: String,
    /// What was answered; 0 if nothing was.
    pub status: u16,
}

impl Asked {
    /// Whether it asked for this verb on this resource.
    pub fn is(&self, verb: &str, resource: &str) -> bool {
        self.verb == verb && self.resource == resource
    }

    /// Whether it is about a resource at all.
    pub fn is_resource(&self) -> bool {
        !self.resource.is_empty()
    }

    pub(crate) fn new(target: &Target, query: &str, user: &str, agent: &str) -> Self {
        let target = target.clone();
        Self {
            verb: target.verb,
            group: target.group,
            resource: target.resource,
            subresource: target.subresource,
            namespace: target.namespace,
            name: target.name,
            path: target.path,
            query: query.to_owned(),
            user: user.to_owned(),
            agent: agent.to_owned(),
            status: 0,
        }
    }
}

/// All that was asked.
#[derive(Default)]
pub(crate) struct Record(Mutex<Vec<Asked>>);

impl Record {
    pub(crate) fn add(&self, asked: Asked) {
        let mut all = self.0.lock().unwrap();
        if all.len() < MOST {
            all.push(asked);
        }
    }

    pub(crate) fn all(&self) -> Vec<Asked> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }
}

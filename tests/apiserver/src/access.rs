//! Who asks, and what they may do.

pub(crate) mod bootstrap;
pub(crate) mod rbac;
pub(crate) mod reviews;
mod tokens;

pub(crate) use tokens::Tokens;

use crate::object;
use crate::store::{Key, Store};

/// Somebody who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name that roles are bound to.
    pub name: String,
    /// The groups that roles are bound to.
    pub groups: Vec<String>,
    /// A service account's unique id.
    pub(crate) uid: String,
}

impl User {
    /// A person. Everybody who is known is of the group `system:authenticated`.
    pub fn new<G: Into<String>>(
        name: impl Into<String>,
        groups: impl IntoIterator<Item = G>,
    ) -> Self {
        let mut groups: Vec<String> = groups.into_iter().map(Into::into).collect();
        groups.push("system:authenticated".into());
        Self {
            name: name.into(),
            groups,
            uid: String::new(),
        }
    }

    /// One who may do everything.
    pub(crate) fn admin() -> Self {
        Self::new("kubernetes-admin", ["system:masters"])
    }

    pub(crate) fn anonymous() -> Self {
        Self {
            name: "system:anonymous".into(),
            groups: vec!["system:unauthenticated".into()],
            uid: String::new(),
        }
    }

    /// Whether the account is still there that somebody is. People are always there.
    pub(crate) fn exists(&self, store: &Store) -> bool {
        let account = self.name.strip_prefix("system:serviceaccount:");
        let Some((namespace, name)) = account.and_then(|account| account.split_once(':')) else {
            return true;
        };
        let key = Key::new(&"/serviceaccounts".into(), namespace, name);
        let account = store.get(&key);
        self.uid.is_empty() || account.is_some_and(|account| object::uid(account) == self.uid)
    }

    pub(crate) fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        let groups = [
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
        ];
        Self {
            uid: uid.to_owned(),
            ..Self::new(format!("system:serviceaccount:{namespace}:{name}"), groups)
        }
    }
}

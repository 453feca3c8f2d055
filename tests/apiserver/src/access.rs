//! Who asks, and what they may do.

pub(crate) mod bootstrap;
pub(crate) mod rbac;
pub(crate) mod reviews;
mod tokens;

pub(crate) use tokens::Tokens;

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

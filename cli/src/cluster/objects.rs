//! The rules as objects: every call of the API server about them.

use a8_common::kubernetes::{Cluster, routing_rule, rule_objects};
use kube::Api;
use kube::api::{ListParams, PostParams, VersionMatch};
use kube::core::{DynamicObject, Status};

use super::{FIELD_MANAGER, answered, told};
use crate::error::Error;

/// How many objects come in one answer to a list.
const PAGE: u32 = 500;

/// Whether a call does something or tries it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    DryRun,
    Commit,
}

/// The rules of a namespace.
pub(super) struct Objects {
    cluster: Cluster,
    api: Api<DynamicObject>,
}

/// All of them, as they were at one version.
pub(super) struct Listed {
    pub(super) objects: Vec<DynamicObject>,
    pub(super) version: u64,
}

/// Why a call was not answered as hoped for.
#[derive(Debug)]
pub(super) enum No {
    /// The object is not there, or there already, or another than was meant.
    Changed,
    /// The version that was asked for is no longer known.
    Expired,
    /// The object is not as the definition wants it.
    Invalid(Box<Status>),
    /// Anything else.
    Other(Error),
}

impl No {
    /// For people.
    pub(super) fn error(self) -> Error {
        match self {
            Self::Changed => Error::NotThere("somebody else changed the rules meanwhile"),
            Self::Expired => Error::NotThere("the list grew too old while it was read; try again"),
            Self::Invalid(status) => told(status),
            Self::Other(e) => e,
        }
    }
}

impl Objects {
    pub(super) fn new(cluster: Cluster) -> Self {
        let client = cluster.client.clone();
        let api = Api::namespaced_with(client, &cluster.namespace, &routing_rule::kind());
        Self { cluster, api }
    }

    /// All of them: as they are now, or as they were at a version.
    pub(super) async fn list(&self, at: Option<u64>) -> Result<Listed, No> {
        let mut objects = Vec::new();
        let mut asked = ListParams::default().limit(PAGE);
        if let Some(version) = at {
            asked = asked.at(&version.to_string()).matching(VersionMatch::Exact);
        }
        loop {
            let mut page = call(self.api.list(&asked)).await?;
            objects.append(&mut page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => {
                    asked = ListParams::default().limit(PAGE).continue_token(&token);
                }
                None => {
                    let version = page.metadata.resource_version.unwrap_or_default();
                    let version = version.parse().unwrap_or(0);
                    return Ok(Listed { objects, version });
                }
            }
        }
    }

    pub(super) async fn get(&self, name: &str) -> Result<Option<DynamicObject>, No> {
        match call(self.api.get(name)).await {
            Ok(object) => Ok(Some(object)),
            Err(No::Changed) => Ok(None),
            Err(no) => Err(no),
        }
    }

    pub(super) async fn create(
        &self,
        object: &DynamicObject,
        mode: Mode,
    ) -> Result<DynamicObject, No> {
        call(rule_objects::create(&self.cluster, object, &post(mode))).await
    }

    /// Replaces the object that has the name and the version of `object`.
    pub(super) async fn replace(
        &self,
        object: &DynamicObject,
        mode: Mode,
    ) -> Result<DynamicObject, No> {
        call(rule_objects::replace(&self.cluster, object, &post(mode))).await
    }

    /// Deletes `object`, if it is still the same in the same version.
    pub(super) async fn delete(&self, object: &DynamicObject, mode: Mode) -> Result<(), No> {
        let mut asked = rule_objects::if_unchanged(object);
        asked.dry_run = mode == Mode::DryRun;
        let deleted = call(self.api.delete(rule_objects::name(object), &asked)).await;
        deleted.map(|_| ())
    }
}

fn post(mode: Mode) -> PostParams {
    PostParams {
        dry_run: mode == Mode::DryRun,
        field_manager: Some(FIELD_MANAGER.to_owned()),
    }
}

async fn call<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, No> {
    match answered(call).await {
        Ok(answer) => answer.map_err(no),
        Err(e) => Err(No::Other(e)),
    }
}

fn no(status: Box<Status>) -> No {
    let details = status.details.as_ref();
    let about_a_rule =
        details.is_some_and(|of| of.kind == routing_rule::kind().plural && !of.name.is_empty());
    match status.code {
        404 if about_a_rule => No::Changed,
        404 if status.message.starts_with("namespaces ") => No::Other(told(status)),
        404 => No::Other(Error::NoDefinition),
        409 => No::Changed,
        410 => No::Expired,
        400 | 413 | 422 => No::Invalid(status),
        _ => No::Other(told(status)),
    }
}

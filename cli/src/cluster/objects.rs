//! The rules as objects: every call of the API server about them.

use a8_common::kubernetes::{Cluster, routing_rule};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams, Preconditions, VersionMatch};
use kube::core::{DynamicObject, Request, Status};

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
        let request = |url: &Request, body| url.create(&post(mode), body);
        self.send(object, request).await
    }

    /// Replaces the object that has the name and the version of `object`.
    pub(super) async fn replace(
        &self,
        object: &DynamicObject,
        mode: Mode,
    ) -> Result<DynamicObject, No> {
        let name = name(object);
        let request = |url: &Request, body| url.replace(name, &post(mode), body);
        self.send(object, request).await
    }

    /// Deletes `object`, if it is still the same in the same version.
    pub(super) async fn delete(&self, object: &DynamicObject, mode: Mode) -> Result<(), No> {
        let unchanged = Preconditions {
            resource_version: object.metadata.resource_version.clone(),
            uid: object.metadata.uid.clone(),
        };
        let mut asked = DeleteParams::background().preconditions(unchanged);
        asked.dry_run = mode == Mode::DryRun;
        call(self.api.delete(name(object), &asked))
            .await
            .map(|_| ())
    }

    /// Sends `object` as it stands: a member that the cluster's definition does not know is
    /// refused and not dropped.
    async fn send(
        &self,
        object: &DynamicObject,
        request: impl FnOnce(
            &Request,
            Vec<u8>,
        ) -> Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<DynamicObject, No> {
        let failed = |e: &dyn std::error::Error| No::Other(Error::Silent(e.to_string()));
        let body = serde_json::to_vec(object).map_err(|e| failed(&e))?;
        let mut request =
            request(&Request::new(self.api.resource_url()), body).map_err(|e| failed(&e))?;
        let strict = format!("{}&fieldValidation=Strict", request.uri());
        *request.uri_mut() = strict.parse().map_err(|e| failed(&e))?;
        call(self.cluster.client.request(request)).await
    }
}

fn post(mode: Mode) -> PostParams {
    PostParams {
        dry_run: mode == Mode::DryRun,
        field_manager: Some(FIELD_MANAGER.to_owned()),
    }
}

pub(super) fn name(object: &DynamicObject) -> &str {
    object.metadata.name.as_deref().unwrap_or_default()
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

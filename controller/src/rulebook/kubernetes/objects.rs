//! The rules as objects of a cluster: every call of the API server about them, with a bound on
//! its time, and what its refusals mean.

use std::time::Duration;

use a8_common::kubernetes::{Cluster, api_reason, lacking_permission, routing_rule, rule_objects};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, PostParams};
use kube::core::{DynamicObject, Status};
use kube::{Api, Client};

use crate::rulebook::Mode;

/// The name by which the API server knows whose a change is.
pub const FIELD_MANAGER: &str = "a8controller";

/// How long the API server may take to answer a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// How many objects come in one answer to a list.
const PAGE: u32 = 500;

/// How often a list that grew too old between two pages is begun anew.
const MAX_LISTS: usize = 3;

/// What is asked of a namespace's rules.
#[derive(Clone)]
pub(super) struct Objects {
    cluster: Cluster,
    api: Api<DynamicObject>,
}

/// Why a call was not answered as hoped for.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The object is not there.
    #[error("there is no such object")]
    NotFound,
    /// There is an object of that name already.
    #[error("there is such an object already")]
    Exists,
    /// The object is not, or no longer, the one that was meant.
    #[error("the object has changed")]
    Conflict,
    /// The version that was asked for is no longer known.
    #[error("the version is no longer known")]
    Expired,
    /// The cluster does not know this kind of object.
    #[error("the cluster has no {}", routing_rule::DEFINITION)]
    NoDefinition,
    /// The object is not as the definition wants it.
    #[error("{}", .0.message)]
    Invalid(Box<Status>),
    /// Admission or a quota is against it.
    #[error("{0}")]
    Denied(String),
    /// We lack a permission.
    #[error("{reason}")]
    NotAllowed {
        /// What we may not do.
        what: String,
        /// What the API server says.
        reason: String,
    },
    /// The API server asks to wait.
    #[error("the API server asks to wait")]
    Throttled(Duration),
    /// The API server is away, or in trouble. The outcome is open.
    #[error("{0}")]
    Unavailable(String),
}

impl Objects {
    pub(super) fn new(cluster: &Cluster) -> Self {
        let (client, namespace) = (cluster.client.clone(), &cluster.namespace);
        let api = Api::namespaced_with(client, namespace, &routing_rule::kind());
        let cluster = cluster.clone();
        Self { cluster, api }
    }

    pub(super) async fn get(&self, name: &str) -> Result<Option<DynamicObject>, CallError> {
        match bounded(self.api.get(name)).await {
            Ok(object) => Ok(Some(object)),
            Err(CallError::NotFound) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// All of them, as they are now.
    pub(super) async fn list(&self) -> Result<Vec<DynamicObject>, CallError> {
        for _ in 0..MAX_LISTS {
            match self.pages().await {
                Err(CallError::Expired) => {}
                listed => return listed,
            }
        }
        Err(CallError::Expired)
    }

    async fn pages(&self) -> Result<Vec<DynamicObject>, CallError> {
        let mut objects = Vec::new();
        let mut asked = ListParams::default().limit(PAGE);
        loop {
            let mut page = bounded(self.api.list(&asked)).await?;
            objects.append(&mut page.items);
            let next = page.metadata.continue_.filter(|token| !token.is_empty());
            let Some(token) = next else {
                return Ok(objects);
            };
            asked = asked.continue_token(&token);
        }
    }

    /// The newest version of the cluster.
    pub(super) async fn newest(&self) -> Result<u64, CallError> {
        let one = ListParams::default().limit(1);
        let page = bounded(self.api.list_metadata(&one)).await?;
        version(page.metadata.resource_version.as_deref())
    }

    pub(super) async fn create(
        &self,
        object: &DynamicObject,
        mode: Mode,
    ) -> Result<DynamicObject, CallError> {
        bounded(rule_objects::create(&self.cluster, object, &post(mode))).await
    }

    /// Replaces the object that has the name and the version of `object`.
    pub(super) async fn replace(
        &self,
        object: &DynamicObject,
        mode: Mode,
    ) -> Result<DynamicObject, CallError> {
        bounded(rule_objects::replace(&self.cluster, object, &post(mode))).await
    }

    /// Deletes `object`, if it is still the same in the same version. What it is now, when
    /// somebody else keeps it for a while.
    pub(super) async fn delete(
        &self,
        object: &DynamicObject,
        mode: Mode,
    ) -> Result<Option<DynamicObject>, CallError> {
        let mut asked = rule_objects::if_unchanged(object);
        asked.dry_run = mode == Mode::DryRun;
        let deleted = bounded(self.api.delete(rule_objects::name(object), &asked)).await?;
        let kept = |object: &DynamicObject| object.metadata.deletion_timestamp.is_some();
        Ok(deleted.left().filter(kept))
    }
}

fn post(mode: Mode) -> PostParams {
    PostParams {
        dry_run: mode == Mode::DryRun,
        field_manager: Some(FIELD_MANAGER.to_owned()),
    }
}

async fn bounded<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CallError> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(answer) => answer.map_err(CallError::from),
        Err(_) => Err(CallError::Unavailable("no answer in time".to_owned())),
    }
}

/// A `resourceVersion` as the number that it is: those of one resource are comparable.
pub(super) fn version(text: Option<&str>) -> Result<u64, CallError> {
    let text = text.unwrap_or_default();
    let not_a_number = || CallError::Unavailable(format!("resourceVersion {text:?} is no number"));
    text.parse().map_err(|_| not_a_number())
}

impl From<kube::Error> for CallError {
    fn from(e: kube::Error) -> Self {
        match e {
            kube::Error::Api(status) => Self::from(status),
            e => Self::Unavailable(api_reason(&e)),
        }
    }
}

impl From<Box<Status>> for CallError {
    fn from(status: Box<Status>) -> Self {
        let about_a_rule = |status: &Status| {
            let details = status.details.as_ref();
            details.is_some_and(|of| of.kind == routing_rule::kind().plural && !of.name.is_empty())
        };
        match status.code {
            404 if about_a_rule(&status) => Self::NotFound,
            404 if status.message.starts_with("namespaces ") => Self::Denied(status.message),
            404 => Self::NoDefinition,
            409 if status.reason == "AlreadyExists" => Self::Exists,
            409 => Self::Conflict,
            410 => Self::Expired,
            400 | 413 | 422 => Self::Invalid(status),
            403 => match lacking_permission(&status.message) {
                Some(what) => Self::NotAllowed {
                    what,
                    reason: status.message,
                },
                None => Self::Denied(status.message),
            },
            429 => {
                let wait = status.details.map_or(0, |of| of.retry_after_seconds);
                Self::Throttled(Duration::from_secs(wait.clamp(1, 60).into()))
            }
            _ => Self::Unavailable(status.message),
        }
    }
}

/// The uid of the definition of rules.
pub(super) async fn uid_of_definition(client: &Client) -> Result<Option<String>, CallError> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    match bounded(api.get_metadata(routing_rule::DEFINITION)).await {
        Ok(definition) => Ok(definition.metadata.uid),
        Err(CallError::NotFound) => Err(CallError::NoDefinition),
        Err(e) => Err(e),
    }
}

//! Every call of the API server about rules, with a bound on its time, and what its refusals
//! mean.

use std::time::Duration;

use kube::api::{DeleteParams, ListParams, PostParams, Preconditions, VersionMatch};
use kube::core::{DynamicObject, Request, Status};
use kube::{Api, Client};

use super::name;
use crate::kubernetes::{Cluster, ROUTING_RULES, api_reason, lacking_permission, routing_rule};

/// How many objects come in one answer to a list.
const PAGE: u32 = 500;

/// How often a list that grew too old between two pages is begun anew.
const MAX_LISTS: usize = 3;

/// Whether a call does something or tries it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    DryRun,
    Commit,
}

/// The rules of a cluster's namespace.
#[derive(Clone)]
pub struct Objects {
    client: Client,
    api: Api<DynamicObject>,
    url: Request,
    pub(super) manager: &'static str,
    patience: Duration,
}

/// All of them, as they were at one version.
pub struct Listed {
    /// The objects.
    pub objects: Vec<DynamicObject>,
    /// Which version.
    pub version: u64,
}

/// Why a call was not answered as hoped for.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
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
    /// The API server does not know who we are.
    #[error("{0}")]
    Stranger(String),
    /// The API server asks to wait.
    #[error("the API server asks to wait")]
    Throttled(Duration),
    /// The API server is away, or in trouble. The outcome is open.
    #[error("{0}")]
    Unavailable(String),
}

impl Objects {
    /// Those of the namespace that `cluster` names. `manager` is the name by which the API
    /// server knows whose a change is; no call takes longer than `patience`.
    pub fn new(cluster: &Cluster, manager: &'static str, patience: Duration) -> Self {
        let (client, namespace) = (cluster.client.clone(), &cluster.namespace);
        Self {
            api: Api::namespaced_with(client.clone(), namespace, &routing_rule::kind()),
            url: Request::new(ROUTING_RULES.path(Some(namespace))),
            client,
            manager,
            patience,
        }
    }

    /// The one of this name.
    ///
    /// # Errors
    /// As [`bounded`].
    pub async fn get(&self, name: &str) -> Result<Option<DynamicObject>, CallError> {
        match self.bounded(self.api.get(name)).await {
            Ok(object) => Ok(Some(object)),
            Err(CallError::NotFound) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// All of them: as they are now, or as they were at a version.
    ///
    /// # Errors
    /// As [`bounded`]; [`CallError::Expired`] when that version is no longer known.
    pub async fn list(&self, at: Option<u64>) -> Result<Listed, CallError> {
        for _ in 0..MAX_LISTS {
            match self.pages(at).await {
                Err(CallError::Expired) if at.is_none() => {}
                listed => return listed,
            }
        }
        Err(CallError::Expired)
    }

    async fn pages(&self, at: Option<u64>) -> Result<Listed, CallError> {
        let mut objects = Vec::new();
        let mut asked = ListParams::default().limit(PAGE);
        if let Some(version) = at {
            asked = asked.at(&version.to_string()).matching(VersionMatch::Exact);
        }
        loop {
            let mut page = self.bounded(self.api.list(&asked)).await?;
            objects.append(&mut page.items);
            let next = page.metadata.continue_.filter(|token| !token.is_empty());
            let Some(token) = next else {
                let version = version(page.metadata.resource_version.as_deref())?;
                return Ok(Listed { objects, version });
            };
            asked = ListParams::default().limit(PAGE).continue_token(&token);
        }
    }

    /// The newest version of the cluster.
    ///
    /// # Errors
    /// As [`bounded`].
    pub async fn newest(&self) -> Result<u64, CallError> {
        let one = ListParams::default().limit(1);
        let page = self.bounded(self.api.list_metadata(&one)).await?;
        version(page.metadata.resource_version.as_deref())
    }

    pub(super) async fn create(
        &self,
        object: &DynamicObject,
        mode: Mode,
    ) -> Result<DynamicObject, CallError> {
        let how = self.post(mode);
        self.send(object, |url, body| url.create(&how, body)).await
    }

    /// Replaces the object that has the name and the version of `object`.
    pub(super) async fn replace(
        &self,
        object: &DynamicObject,
        mode: Mode,
    ) -> Result<DynamicObject, CallError> {
        let how = self.post(mode);
        self.send(object, |url, body| url.replace(name(object), &how, body))
            .await
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
    ) -> Result<DynamicObject, CallError> {
        self.bounded(async {
            let body = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
            let mut request = request(&self.url, body).map_err(kube::Error::BuildRequest)?;
            let strict = format!("{}&fieldValidation=Strict", request.uri());
            let strict = strict.parse::<http::Uri>().map_err(http::Error::from);
            *request.uri_mut() = strict.map_err(kube::Error::HttpError)?;
            self.client.request(request).await
        })
        .await
    }

    /// Deletes `object`, if it is still the same in the same version. What it is now, when
    /// somebody else keeps it for a while.
    pub(super) async fn delete(
        &self,
        object: &DynamicObject,
        mode: Mode,
    ) -> Result<Option<DynamicObject>, CallError> {
        let mut asked = DeleteParams::background().preconditions(Preconditions {
            resource_version: object.metadata.resource_version.clone(),
            uid: object.metadata.uid.clone(),
        });
        asked.dry_run = mode == Mode::DryRun;
        let deleted = self.bounded(self.api.delete(name(object), &asked)).await?;
        let kept = |object: &DynamicObject| object.metadata.deletion_timestamp.is_some();
        Ok(deleted.left().filter(kept))
    }

    fn post(&self, mode: Mode) -> PostParams {
        PostParams {
            dry_run: mode == Mode::DryRun,
            field_manager: Some(self.manager.to_owned()),
        }
    }

    async fn bounded<T>(
        &self,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, CallError> {
        bounded(self.patience, call).await
    }
}

/// Waits for a call, though no longer than `patience`.
///
/// # Errors
/// What the API server, or the way to it, has against it.
pub async fn bounded<T>(
    patience: Duration,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(patience, call).await {
        Ok(answer) => answer.map_err(CallError::from),
        Err(_) => Err(CallError::Unavailable("no answer in time".to_owned())),
    }
}

/// A `resourceVersion` as the number that it is: those of one resource are comparable.
///
/// # Errors
/// [`CallError::Unavailable`] when it is none.
pub fn version(text: Option<&str>) -> Result<u64, CallError> {
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
            401 => Self::Stranger(status.message),
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

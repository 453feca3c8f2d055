//! The port through which commands read and write rules: a controller, or a cluster itself.
//!
//! Both answer in the form of the controller's API, so the commands need not know which it is.

use std::io::Write;

use reqwest::Method;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::args::{Filter, Servers};
use crate::client::{Call, Client};
#[cfg(feature = "kubernetes")]
use crate::cluster::{self, Rules};
use crate::error::Error;
use crate::wire::RulesByService;

/// Where the rules are.
#[allow(clippy::large_enum_variant, reason = "a command has one")]
pub(crate) enum Book {
    Controller(Client),
    #[cfg(feature = "kubernetes")]
    Cluster(Rules),
}

/// Rules to be written.
pub(crate) struct Change<'a> {
    /// A document of rules, as the controller takes it.
    pub(crate) document: &'a RawValue,
    /// Whether it is only to be checked.
    pub(crate) dry_run: bool,
    /// The revision that the rules must still be at.
    pub(crate) if_revision: Option<u64>,
}

impl Book {
    /// The book that `servers` mean. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`Error::NoUrl`], [`Error::BadUrl`] or [`Error::NoCluster`].
    pub(crate) async fn open(servers: &Servers) -> Result<Self, Error> {
        #[cfg(feature = "kubernetes")]
        if servers.place.is_meant() {
            let cluster = cluster::open(servers).await?;
            return Ok(Self::Cluster(Rules::new(&cluster)));
        }
        Client::controller(servers).map(Self::Controller)
    }

    /// The rules that `which` selects: `{rules, revision}`.
    ///
    /// # Errors
    /// [`Error`], as the book has it.
    pub(crate) async fn list(&self, which: &Filter, notes: &mut dyn Write) -> Result<Value, Error> {
        match self {
            Self::Controller(client) => {
                let mut call = Call::new(Method::GET, "/v1/rules");
                call.query = which.query();
                client.send(call, notes).await
            }
            #[cfg(feature = "kubernetes")]
            Self::Cluster(rules) => rules.list(which, notes).await,
        }
    }

    /// The routing rules that `which` selects, by destination, as they are tried.
    ///
    /// # Errors
    /// [`Error`], as the book has it.
    pub(crate) async fn routes(
        &self,
        which: &Filter,
        notes: &mut dyn Write,
    ) -> Result<RulesByService, Error> {
        match self {
            Self::Controller(client) => grouped(client, "/v1/rules/routes", which, notes).await,
            #[cfg(feature = "kubernetes")]
            Self::Cluster(rules) => rules.grouped(cluster::Kind::Route, which, notes).await,
        }
    }

    /// The action rules that `which` selects, by destination, as they are tried.
    ///
    /// # Errors
    /// [`Error`], as the book has it.
    pub(crate) async fn actions(
        &self,
        which: &Filter,
        notes: &mut dyn Write,
    ) -> Result<RulesByService, Error> {
        match self {
            Self::Controller(client) => grouped(client, "/v1/rules/actions", which, notes).await,
            #[cfg(feature = "kubernetes")]
            Self::Cluster(rules) => rules.grouped(cluster::Kind::Action, which, notes).await,
        }
    }

    /// Makes rules, or replaces those of the same ids: all or none. The answer is `{ids}`, or
    /// `{rules, revision}` of a dry run.
    ///
    /// # Errors
    /// [`Error`], as the book has it.
    pub(crate) async fn create(
        &self,
        change: Change<'_>,
        notes: &mut dyn Write,
    ) -> Result<Value, Error> {
        match self {
            Self::Controller(client) => write(client, Method::POST, change, notes).await,
            #[cfg(feature = "kubernetes")]
            Self::Cluster(rules) => rules.create(change).await,
        }
    }

    /// Replaces rules that are there: all or none. The answer of a dry run is
    /// `{rules, revision}`.
    ///
    /// # Errors
    /// [`Error`], as the book has it.
    pub(crate) async fn update(
        &self,
        change: Change<'_>,
        notes: &mut dyn Write,
    ) -> Result<Value, Error> {
        match self {
            Self::Controller(client) => write(client, Method::PUT, change, notes).await,
            #[cfg(feature = "kubernetes")]
            Self::Cluster(rules) => rules.update(change).await,
        }
    }

    /// Deletes the rules that `which` selects; all where it selects nothing.
    ///
    /// # Errors
    /// [`Error`], as the book has it.
    pub(crate) async fn delete(&self, which: &Filter, notes: &mut dyn Write) -> Result<(), Error> {
        match self {
            Self::Controller(client) => {
                let mut call = Call::new(Method::DELETE, "/v1/rules");
                call.query = which.query();
                let _: Value = client.send(call, notes).await?;
                Ok(())
            }
            #[cfg(feature = "kubernetes")]
            Self::Cluster(rules) => rules.delete(which).await,
        }
    }
}

async fn grouped(
    client: &Client,
    path: &str,
    which: &Filter,
    notes: &mut dyn Write,
) -> Result<RulesByService, Error> {
    let mut call = Call::new(Method::GET, path);
    call.query = which.query();
    client.send(call, notes).await
}

async fn write(
    client: &Client,
    method: Method,
    change: Change<'_>,
    notes: &mut dyn Write,
) -> Result<Value, Error> {
    let mut call = Call::new(method, "/v1/rules");
    call.body = Some(change.document);
    call.if_revision = change.if_revision;
    if change.dry_run {
        call.query.push(("dry_run", "true"));
    }
    client.send(call, notes).await
}

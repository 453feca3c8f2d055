//! A Kubernetes cluster in the place of controller, registry and sidecar: the objects that they
//! would work on, and what the API server's refusals mean to people.

mod errors;
pub(crate) mod explain;
pub(crate) mod instances;
mod rules;

use std::io::Write;
use std::time::Duration;

use a8_common::kubernetes::{Cluster, Named, OpenError, api_reason, lacking_permission};
use kube::core::Status;

use crate::args::Servers;
use crate::error::Error;
use crate::wire::Refusal;

pub(crate) use rules::{Kind, Rules};

/// Whose the changes are that this command makes.
pub(crate) const FIELD_MANAGER: &str = "a8ctl";

/// How long the API server may take to answer a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The cluster that is meant. Nothing is asked of it yet.
///
/// # Errors
/// [`Error::NoCluster`].
pub(crate) async fn open(servers: &Servers) -> Result<Cluster, Error> {
    let place = &servers.place;
    let named = Named {
        kubeconfig: place.kubeconfig.clone(),
        context: place.context.clone(),
        namespace: place.namespace.clone(),
        tell: servers.debug.then_some(tell),
    };
    let opened = Cluster::named(&named).await;
    opened.map_err(|e| Error::NoCluster(why(&e)))
}

/// The trace of `--debug`. What cannot be written has no reader.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The causes, on one line.
fn why(e: &OpenError) -> String {
    let mut text = String::new();
    let mut cause = std::error::Error::source(e);
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = [text, more].join(": ");
        }
        cause = next.source();
    }
    let text = text.trim_start_matches(": ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Waits for a call, though not for ever.
///
/// # Errors
/// What [`told`] makes of a refusal, or [`Error::Silent`].
pub(crate) async fn bounded<T>(
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Error> {
    answered(call).await?.map_err(told)
}

/// The same, with the refusals of the API server as they are.
///
/// # Errors
/// [`Error::Silent`].
pub(crate) async fn answered<T>(
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<Result<T, Box<Status>>, Error> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(Ok(answer)),
        Ok(Err(kube::Error::Api(status))) => Ok(Err(status)),
        Ok(Err(e)) => Err(Error::Silent(api_reason(&e))),
        Err(_) => Err(Error::Silent("none in time".to_owned())),
    }
}

/// What a refusal means.
pub(crate) fn told(status: Box<Status>) -> Error {
    match status.code {
        401 => Error::Stranger(status.message),
        403 => match lacking_permission(&status.message) {
            Some(what) => Error::Forbidden(what),
            None => Error::Unfit(Refusal::new("refused", status.message)),
        },
        429 | 500.. => Error::Silent(status.message),
        _ => Error::Unfit(Refusal::new("refused", status.message)),
    }
}

//! Whether a server is alive, and whether it is ready to be sent requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Extension;
use axum::Json;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::Server;

/// What a part of a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Ready,
    Pending,
    Failing(String),
}

/// What `/ready` answers. Clones share it.
///
/// Each part that must be there before requests may come takes a [`Pending`] or a
/// [`Condition`] under its name; the server is ready when all of them are.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, State>>>);

impl Health {
    /// Ready until something says otherwise.
    pub fn new() -> Self {
        Self::default()
    }

    /// Not ready until the returned guard is dropped.
    pub fn pending(&self, name: &'static str) -> Pending {
        self.set(name, State::Pending);
        Pending(Condition {
            health: self.clone(),
            name,
        })
    }

    /// Something that can become good and bad again; it is pending at first.
    pub fn condition(&self, name: &'static str) -> Condition {
        self.set(name, State::Pending);
        Condition {
            health: self.clone(),
            name,
        }
    }

    /// Whether everything is ready.
    pub fn is_ready(&self) -> bool {
        self.lock().values().all(|state| *state == State::Ready)
    }

    fn report(&self) -> Report {
        let states = self.lock();
        let any = |wanted: fn(&State) -> bool| states.values().any(wanted);
        let status = if any(|state| matches!(state, State::Failing(_))) {
            Status::Degraded
        } else if any(|state| *state == State::Pending) {
            Status::Starting
        } else {
            Status::Ready
        };
        let describe = |(name, state): (&&'static str, &State)| {
            let reason = match state {
                State::Ready => return None,
                State::Pending => "pending".to_owned(),
                State::Failing(reason) => reason.clone(),
            };
            Some((*name, reason))
        };
        let waiting: BTreeMap<_, _> = states.iter().filter_map(describe).collect();
        Report { status, waiting }
    }

    fn set(&self, name: &'static str, state: State) {
        self.lock().insert(name, state);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something not ready yet; dropping it says that it now is.
#[derive(Debug)]
pub struct Pending(Condition);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.good();
    }
}

/// Something that can become good and bad again.
#[derive(Debug)]
pub struct Condition {
    health: Health,
    name: &'static str,
}

impl Condition {
    /// It is as it should be.
    pub fn good(&self) {
        self.health.set(self.name, State::Ready);
    }

    /// It is not, and why; shown to whoever asks for `/ready`.
    pub fn bad(&self, reason: impl Into<String>) {
        self.health.set(self.name, State::Failing(reason.into()));
    }
}

/// Whether requests can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// All is there.
    Ready,
    /// Something has not been there yet.
    Starting,
    /// Something that was there, or should be, is not: what is known may still be read.
    Degraded,
    /// The server is about to end.
    Stopping,
}

/// The body of `/ready`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ready)]
pub(super) struct Report {
    status: Status,
    /// What is not ready, by name, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, String>, required = false)]
    waiting: BTreeMap<&'static str, String>,
}

pub(super) async fn alive() -> Json<BTreeMap<&'static str, bool>> {
    Json(BTreeMap::from([("healthy", true)]))
}

pub(super) async fn ready(Extension(server): Extension<Arc<Server>>) -> (StatusCode, Json<Report>) {
    let mut report = server.health.report();
    if server.stop.fired() {
        report.status = Status::Stopping;
        report.waiting.insert("server", "stopping".to_owned());
    }
    let status = match report.status {
        Status::Ready => StatusCode::OK,
        Status::Starting | Status::Degraded | Status::Stopping => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(report))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_every_part_is() {
        let health = Health::new();
        assert!(health.is_ready());
        let pending = health.pending("store");
        let link = health.condition("link");
        assert!(!health.is_ready());
        drop(pending);
        assert!(!health.is_ready());
        assert_eq!(health.report().status, Status::Starting);
        link.good();
        assert!(health.is_ready());
        assert_eq!(health.report().status, Status::Ready);
        link.bad("the peer is away");
        let report = serde_json::to_value(health.report()).unwrap();
        let expected =
            serde_json::json!({"status": "degraded", "waiting": {"link": "the peer is away"}});
        assert_eq!(report, expected);
    }
}

//! A controller as a service, without a port.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use a8_common::auth::Authenticator;
use a8_common::host::Ground;
use a8_common::http::{Health, Https, Limits, Metrics, Server};
use a8_common::model::{Epoch, Revision};
use a8_common::store::{
    CommitError, Entry, LeaseError, LeaseId, Memory, Range, Store, Transaction, Unavailable, Watch,
    WatchError,
};
use a8_common::task::{Stop, Tasks};
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt;
use prometheus::Registry;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::api::{router, shape};
use crate::rulebook::RuleBook;

/// Where rules are kept.
#[derive(Clone, Copy)]
pub(super) enum Database {
    Memory,
    #[cfg(feature = "kubernetes")]
    Kubernetes,
}

/// A store that can be away.
pub(super) struct Flaky {
    inner: Memory,
    pub(super) away: AtomicBool,
}

impl Flaky {
    fn there(&self) -> Result<&Memory, Unavailable> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(Unavailable::because("pulled out")),
            false => Ok(&self.inner),
        }
    }
}

#[async_trait]
impl Store for Flaky {
    async fn epoch(&self) -> Result<Epoch, Unavailable> {
        self.there()?.epoch().await
    }
    async fn revision(&self) -> Result<Revision, Unavailable> {
        self.there()?.revision().await
    }
    async fn get(&self, key: &str) -> Result<Option<Arc<Entry>>, Unavailable> {
        self.there()?.get(key).await
    }
    async fn range(&self, prefix: &str) -> Result<Range, Unavailable> {
        self.there()?.range(prefix).await
    }
    async fn commit(&self, transaction: Transaction) -> Result<Revision, CommitError> {
        self.there()?.commit(transaction).await
    }
    async fn grant(&self, ttl: Duration) -> Result<LeaseId, Unavailable> {
        self.there()?.grant(ttl).await
    }
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), LeaseError> {
        self.there()?.keep_alive(lease).await
    }
    async fn revoke(&self, lease: LeaseId) -> Result<(), LeaseError> {
        self.there()?.revoke(lease).await
    }
    async fn watch(&self, prefix: &str, after: Revision) -> Result<Watch, WatchError> {
        self.there()?.watch(prefix, after).await
    }
    async fn health(&self) -> Result<(), Unavailable> {
        self.there()?.health().await
    }
}

pub(super) struct Controller {
    pub(super) router: Router,
    pub(super) health: Health,
    pub(super) stop: Stop,
    /// End the background work when they go.
    _tasks: Vec<Tasks>,
    #[cfg(feature = "kubernetes")]
    _cluster: Option<a8_apiserver::ApiServer>,
}

/// One whose store is away from the beginning, or not.
pub(super) fn on_store(away: bool) -> (Controller, Arc<Flaky>) {
    let tasks = vec![Tasks::new(Stop::new()), Tasks::new(Stop::new())];
    let store = Arc::new(Flaky {
        inner: Memory::start(&tasks[0]),
        away: AtomicBool::new(away),
    });
    let health = Health::new();
    let metrics = Metrics::new(Registry::new()).unwrap();
    let book = RuleBook::start(Ground {
        store: store.clone(),
        tasks: &tasks[1],
        health: &health,
        metrics: metrics.registry(),
    })
    .unwrap();
    (Controller::over(book, health, metrics, tasks), store)
}

#[cfg(feature = "kubernetes")]
async fn on_kubernetes() -> Controller {
    use crate::rulebook::kubernetes::{Book, tests::Cluster};
    use a8_common::host::Site;

    let cluster = Cluster::start().await;
    let tasks = Tasks::new(Stop::new());
    let health = Health::new();
    let metrics = Metrics::new(Registry::new()).unwrap();
    let site = Site {
        tasks: &tasks,
        health: &health,
        metrics: metrics.registry(),
    };
    let book = Book::start(&cluster.open().await, &site, true).unwrap();
    let controller = Controller::over(book.into(), health, metrics, vec![tasks]);
    Controller {
        _cluster: Some(cluster.api),
        ..controller
    }
}

pub(super) async fn ready(database: Database) -> Controller {
    let controller = match database {
        Database::Memory => on_store(false).0,
        #[cfg(feature = "kubernetes")]
        Database::Kubernetes => on_kubernetes().await,
    };
    while !controller.health.is_ready() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    controller
}

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect(&self.text)
    }
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

impl Controller {
    fn over(book: RuleBook, health: Health, metrics: Metrics, tasks: Vec<Tasks>) -> Self {
        let stop = Stop::new();
        let server = Server {
            limits: Limits::default(),
            auth: Authenticator::none(),
            https: Https::default(),
            shape,
            metrics,
            health: health.clone(),
            stop: stop.clone(),
        };
        Self {
            router: server.router(router(Arc::new(book))),
            health,
            stop,
            _tasks: tasks,
            #[cfg(feature = "kubernetes")]
            _cluster: None,
        }
    }

    pub(super) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Value::Null => Body::empty(),
            body => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
        };
        let response = self
            .router
            .clone()
            .oneshot(request.body(body).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8(text.to_vec()).unwrap(),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &[], &Value::Null).await
    }

    pub(super) async fn post(&self, body: &Value) -> Reply {
        self.call("POST", "/v1/rules", &[], body).await
    }

    pub(super) async fn delete(&self, path: &str) -> Reply {
        self.call("DELETE", path, &[], &Value::Null).await
    }
}

pub(super) fn rule(id: &str, to: &str) -> Value {
    json!({"id": id, "destination": to, "route": {"backends": [{"tags": ["t"]}]}})
}

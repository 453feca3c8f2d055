//! From a configuration to a running server.

use std::sync::Arc;

use a8_common::http::{self, Health, ListenError, Metrics, Server};
use a8_common::store::{self, OpenError};
use a8_common::task::{Stop, Tasks};
use prometheus::Registry;

use crate::api;
use crate::config::Config;
use crate::rulebook::RuleBook;

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The metrics.
    #[error("cannot set up metrics")]
    Metrics(#[from] prometheus::Error),
}

/// Serves until `stop` fires and what was in flight has ended.
///
/// # Errors
/// [`StartError`] when there is no port or no store to serve from.
pub async fn serve(config: Config, stop: Stop) -> Result<(), StartError> {
    config.warn();
    let listener = http::listen(config.http.address).await?;
    // These outlive the listener: a write in flight is answered once the book has seen it.
    let (store_tasks, book_tasks) = (Tasks::new(Stop::new()), Tasks::new(Stop::new()));
    let store = store::open(&config.store, &store_tasks).await?;
    let health = Health::new();
    let metrics = Metrics::new(Registry::new())?;
    let book = RuleBook::start(store, &book_tasks, &health, metrics.registry())?;
    let server = Server {
        limits: config.http.limits.clone(),
        auth: config.auth.clone(),
        https: config.http.https.clone(),
        shape: api::shape,
        metrics,
        health,
        stop: stop.clone(),
    };
    let router = server.router(api::router(Arc::new(book)));
    let grace = config.http.drain_timeout;
    http::serve(listener, router, &config.http.limits, stop, grace).await;
    book_tasks.finish(grace).await;
    store_tasks.finish(grace).await;
    Ok(())
}

//! What makes a process of a server: the settings that every server has, and the order in
//! which its parts begin and end.

use std::io;
use std::sync::Arc;

use axum::Router;
use prometheus::Registry;
use tracing::warn;

use crate::auth::Authenticator;
use crate::config::{Group, Settings};
use crate::http::{self, Hands, Health, ListenError, Metrics, Server, Shape};
use crate::manager;
use crate::store::{self, Follower, OpenError, Store};
use crate::task::{Stop, Tasks};
use crate::telemetry;

/// What every server runs by. `S` says where its data is kept.
#[derive(Clone)]
pub struct Config<S = store::Config> {
    /// The port and its bounds.
    pub http: http::Config,
    /// Who may call.
    pub auth: Authenticator,
    /// Where the data is kept.
    pub store: S,
    /// The log.
    pub log: telemetry::Config,
    /// Settings that were given and have no effect.
    pub ignored: Vec<&'static str>,
}

impl Config {
    /// Reads the settings of [`http`], [`auth`](crate::auth) and [`telemetry`]; those of
    /// `names` say where data is kept, and those of `ignored` have no effect.
    pub fn read(settings: &Settings, names: &store::Names, ignored: &Group) -> Self {
        let store = store::Config::read(settings, names);
        let mut idle = settings.set_in(ignored);
        idle.extend(store.without_effect(settings, names));
        Self::over(store, settings, idle)
    }
}

impl<S> Config<S> {
    /// Reads the settings of [`http`], [`auth`](crate::auth) and [`telemetry`], for a server
    /// whose data is kept in `store`; those named in `ignored` were given to no effect.
    pub fn over(store: S, settings: &Settings, ignored: Vec<&'static str>) -> Self {
        Self {
            http: http::Config::read(settings),
            auth: Authenticator::read(settings),
            store,
            log: telemetry::Config::read(settings),
            ignored,
        }
    }

    /// The same with its data elsewhere.
    pub fn with<T>(self, store: impl FnOnce(S) -> T) -> Config<T> {
        Config {
            http: self.http,
            auth: self.auth,
            store: store(self.store),
            log: self.log,
            ignored: self.ignored,
        }
    }

    /// Says in the log what the operator may have meant otherwise.
    fn warn(&self) {
        for setting in &self.ignored {
            warn!(
                setting,
                "has no effect: it is for another store, or was for version 1"
            );
        }
        let beyond_loopback = !self.http.address.ip().is_loopback();
        self.auth
            .warn_if_open(beyond_loopback, self.http.https.required);
    }
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The way to a cluster.
    #[cfg(feature = "kubernetes")]
    #[error(transparent)]
    Cluster(#[from] crate::kubernetes::OpenError),
    /// The metrics.
    #[error("cannot set up metrics")]
    Metrics(#[from] prometheus::Error),
    /// The threads that answer.
    #[error("cannot start the threads that answer")]
    Threads(#[source] io::Error),
}

/// What a server's API is built on.
pub struct Ground<'a> {
    /// Where its data is kept.
    pub store: Arc<dyn Store>,
    /// Runs until the last request has been answered, and ends before the store.
    pub tasks: &'a Tasks,
    /// What `/ready` says.
    pub health: &'a Health,
    /// What `/metrics` shows.
    pub metrics: &'a Registry,
}

impl Ground<'_> {
    /// Tells `follower` of everything below `prefix` of the store.
    pub fn follow(&self, prefix: &'static str, follower: impl Follower + 'static) {
        store::serve_from(
            self.store.clone(),
            prefix,
            follower,
            self.tasks,
            self.health,
        );
    }
}

/// What an API is built on whose data is in no [`Store`].
pub struct Site<'a> {
    /// Runs until the last request has been answered.
    pub tasks: &'a Tasks,
    /// What `/ready` says.
    pub health: &'a Health,
    /// What `/metrics` shows.
    pub metrics: &'a Registry,
}

/// Serves what `api` builds until `stop` fires and what was in flight has ended.
///
/// # Errors
/// [`StartError`] when there is no port or no store to serve from.
pub async fn serve(
    config: &Config,
    shape: Shape,
    stop: Stop,
    api: impl FnOnce(Ground<'_>) -> Result<Router, prometheus::Error>,
) -> Result<(), StartError> {
    let store_tasks = Tasks::new(Stop::new());
    let on_store = async |site: Site<'_>| {
        let Site {
            tasks,
            health,
            metrics,
        } = site;
        let store = store::open(&config.store, &store_tasks).await?;
        let ground = Ground {
            store,
            tasks,
            health,
            metrics,
        };
        Ok(api(ground)?)
    };
    serve_on_site(config, shape, stop, on_store).await?;
    store_tasks.finish(config.http.drain_timeout).await;
    Ok(())
}

/// As [`serve`], for an API whose data is in no [`Store`].
///
/// # Errors
/// [`StartError`] when there is no port, or of `api`.
pub async fn serve_on_site<S>(
    config: &Config<S>,
    shape: Shape,
    stop: Stop,
    api: impl AsyncFnOnce(Site<'_>) -> Result<Router, StartError>,
) -> Result<(), StartError> {
    config.warn();
    let listener = http::listen(config.http.address).await?;
    let hands = Hands::start().map_err(StartError::Threads)?;
    // They outlive the listener: a write in flight is answered once it has been seen.
    let tasks = Tasks::new(Stop::new());
    let health = Health::new();
    let metrics = Metrics::new(Registry::new())?;
    let site = Site {
        tasks: &tasks,
        health: &health,
        metrics: metrics.registry(),
    };
    let api = api(site).await?;
    manager::ready(&tasks);
    let server = Server {
        limits: config.http.limits.clone(),
        auth: config.auth.clone(),
        https: config.http.https.clone(),
        shape,
        metrics,
        health,
        stop: stop.clone(),
    };
    let grace = config.http.drain_timeout;
    http::serve(
        listener,
        server.router(api),
        &config.http.limits,
        stop,
        grace,
        Some(hands),
    )
    .await;
    tasks.finish(grace).await;
    Ok(())
}

//! What every demo service does alike: its flags, its health page, serving and ending.

use std::future::IntoFuture;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use clap::Args;
use tokio::net::TcpListener;
use tracing::info;

use a8_common::config::{Page, Question};
use a8_common::task::Stop;
use a8_common::{run, telemetry};

/// How long requests in flight may take once the service has been told to end. Longer than the
/// slowest answer of the demos, the reviews service at the end of its patience.
const DRAIN: Duration = Duration::from_secs(11);

/// Where a service listens.
#[derive(Debug, Clone, Args)]
pub struct Listen {
    /// Address to listen on
    #[arg(long, env = "HOST", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub host: IpAddr,
    /// Port to listen on
    #[arg(long, env = "PORT", default_value_t = 9080)]
    pub port: u16,
    /// Ask the service that listens there whether it is alive, and exit with 0 or 1
    #[arg(long, alias = "check_health")]
    pub check_health: bool,
}

/// Adds `/health`, which answers as long as the process does.
pub fn with_health(router: Router, name: &'static str) -> Router {
    router.route(
        "/health",
        get(move || async move { format!("{name} is healthy\n") }),
    )
}

/// Runs a service as a process of its own: listens, serves until a signal stops it, then lets
/// requests in flight finish. Or asks one that runs for its health.
pub fn main(listen: &Listen, name: &'static str, router: Router) -> ExitCode {
    let Listen { host, port, .. } = *listen;
    if listen.check_health {
        let address = SocketAddr::new(host, port);
        return run::check_health(Question::of_listener(address, Page::Health));
    }
    telemetry::init(&telemetry::Config::default());
    run::until_stopped(|stop| async move {
        let listener = TcpListener::bind((host, port))
            .await
            .map_err(|source| ServeError::Listen { host, port, source })?;
        info!(service = name, %host, port, "listening");
        serve(listener, with_health(router, name), stop).await
    })
}

/// Why a service ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its address is not to be had.
    #[error("cannot listen on {host} port {port}")]
    Listen {
        /// The address.
        host: IpAddr,
        /// The port.
        port: u16,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Its listener failed for good.
    #[error("cannot go on listening")]
    Serve(#[source] io::Error),
}

/// Serves until `stop` fires, then at most [`DRAIN`] longer.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(listener: TcpListener, router: Router, stop: Stop) -> Result<(), ServeError> {
    let drain = async {
        stop.wait().await;
        tokio::time::sleep(DRAIN).await;
    };
    let ending = stop.clone();
    let serving = axum::serve(listener, router)
        .with_graceful_shutdown(async move { ending.wait().await })
        .into_future();
    tokio::select! {
        ended = serving => ended.map_err(ServeError::Serve),
        () = drain => Ok(()),
    }
}

/// The name of this host; in a container, that of the container.
pub fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

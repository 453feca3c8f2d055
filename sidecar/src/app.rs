//! From a configuration to a running sidecar, and to its orderly end.

mod applications;
mod sources;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use a8_common::http::{self, Health, Https, Limits, ListenError, Metrics, Server};
use a8_common::model::Instance;
use a8_common::peer::{self, Peer};
use a8_common::registration::amalgam8::Client;
use a8_common::source::{self, Feed};
use a8_common::task::{Stop, Tasks};
use a8_common::{auth, manager, telemetry};
use arc_swap::ArcSwap;
use prometheus::Registry;
use tokio::sync::watch;
use tracing::{Instrument, info, info_span, warn};

use crate::config::{self, Config};
use crate::health::Report;
use crate::identity::Itself;
use crate::proxy::Me;
use crate::register::Registrar;
use crate::state::{self, Names, Owner, Patience, Status};
use crate::{admin, dns, health, proxy};
use applications::Applications;
use sources::{Caller, Sources};

/// How long background work may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// Why the sidecar cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The admin port.
    #[error(transparent)]
    Admin(#[from] ListenError),
    /// The DNS server.
    #[error(transparent)]
    Dns(#[from] dns::StartError),
    /// The cluster.
    #[cfg(feature = "kubernetes")]
    #[error(transparent)]
    Kubernetes(#[from] a8_common::kubernetes::OpenError),
    /// This build knows no clusters.
    #[error("Kubernetes was left out when this was built")]
    NoCluster,
    /// A client of the registry or the controller.
    #[error(transparent)]
    Peer(#[from] peer::OpenError),
    /// The key of affinity cookies.
    #[error("cannot draw a random key")]
    Random(#[from] getrandom::Error),
    /// The proxy.
    #[error(transparent)]
    Proxy(#[from] proxy::StartError),
    /// The signals of children, and those that end the process.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    /// The metrics.
    #[error("cannot set up metrics")]
    Metrics(#[from] prometheus::Error),
}

/// Runs a sidecar until `stop` fires, or a supervised process ends whose end is its own. Then
/// ends it in order: readiness fails and the service is deregistered; requests are served on
/// for a grace; requests in flight end; supervised processes end, while the proxy serves their
/// last calls; nothing more is accepted, and what is still in flight ends.
///
/// The code is that of the first of these processes to end, by itself or as it was told to.
/// Without one it is 0.
///
/// # Errors
/// [`StartError`] when something that was asked for cannot be had.
pub async fn serve(
    config: Config,
    log: telemetry::Control,
    stop: Stop,
) -> Result<ExitCode, StartError> {
    for remark in &config.remarks {
        warn!("{remark}");
    }
    let ready = Health::new();
    let registry = Metrics::new(Registry::new())?;
    let admin_listener = http::listen(config.admin).await?;
    let tasks = Tasks::new(Stop::new());
    let mut applications = Applications::new(&config, registry.registry(), &tasks)?;
    // Fires when the service is to be taken away: at the end, or when an operator says so.
    let drain = stop.child();

    let (itself_tx, itself) = watch::channel(config.itself.clone());
    let me = Me::shared(config.itself.identity());
    let metrics = Arc::new(proxy::Metrics::new(me.load().identity.service.as_str()));
    let sources = Sources::open(&config).await?;
    let caller = (me.clone(), metrics.clone());
    let identified = sources.identify(&config, itself_tx, caller, &tasks);
    let checks = health::start(&config.checks, applications.reaper(), &tasks)?;
    if !config.checks.is_empty() {
        let condition = ready.condition("checks");
        health::show(checks.clone(), condition, registry.registry(), &tasks)?;
    }
    let registrar = config
        .register
        .as_ref()
        .map(|registry| open_registrar(registry, itself, identified.clone(), checks.clone()))
        .transpose()?;
    let knowledge = config.instances.as_ref();
    let knowledge = knowledge
        .map(|from| Knowledge::start(from, &sources, &tasks))
        .transpose()?;
    let data_plane = match (&config.proxy, &knowledge) {
        (Some(settings), Some(knowledge)) => Some(start_proxy(
            settings,
            &sources,
            knowledge,
            (me.clone(), metrics),
            identified,
            &tasks,
            (&ready, registry.registry()),
        )?),
        _ => None,
    };
    let (proxy, shown, mut known) = match data_plane {
        Some((proxy, shown, known)) => (Some(proxy), Some(shown), Some(known)),
        None => (None, None, None),
    };
    if let (Some(settings), Some(Knowledge { instances, names })) = (&config.dns, &knowledge) {
        let reports = (&ready, registry.registry());
        let (_, status) = dns::start(settings, instances, names.clone(), reports, &tasks)?;
        known.get_or_insert_with(|| admin::Known {
            status,
            instances: instances.clone(),
            rules: None,
        });
    }
    if let Some(known) = &known {
        let gauges = admin::Gauges::new(known.clone(), shown.clone())?;
        registry.registry().register(Box::new(gauges))?;
    }
    let status = known.as_ref().map(|known| known.status.clone());
    let registration = Tasks::new(drain.clone());
    let standing = registrar.map(|(registrar, standing)| {
        // Nobody is to be sent to a service that its sidecar is still to start.
        let (started, drain) = (applications.started().clone(), drain.clone());
        registration.spawn("register", async move {
            if drain.race(started.wait()).await.is_some() {
                registrar.run(drain).await;
            }
        });
        standing
    });
    let deregisters = standing.is_some();

    let server = Server {
        limits: Limits::default(),
        auth: auth::Authenticator::none(),
        https: Https::default(),
        shape: admin::shape,
        metrics: registry,
        health: ready.clone(),
        stop: drain.clone(),
    };
    let router = admin::router(
        admin::Sidecar {
            me,
            config: Arc::new(config.shown.clone()),
            known,
            proxy: shown,
            registration: standing,
            checks,
            commands: applications.board().watch(),
            log,
            drain: drain.clone(),
        },
        server,
    );
    let admin_tasks = Tasks::new(Stop::new());
    let admin_stop = admin_tasks.stop().clone();
    admin_tasks.spawn(
        "admin",
        async move {
            http::serve(
                admin_listener,
                router,
                &Limits::default(),
                admin_stop,
                GRACE,
                None,
            )
            .await;
        }
        .instrument(info_span!("listener", listener = "admin")),
    );

    let running = async {
        if let (Some(proxy), Some(status)) = (&proxy, status) {
            first_routes(status, config.start_timeout).await;
            proxy.open();
        }
        manager::ready(&tasks);
        applications.run().await
    };
    let code = tokio::select! {
        () = stop.wait() => None,
        code = running => {
            info!(code, "stopping with a command");
            Some(code)
        }
    };
    if let Some(proxy) = &proxy {
        proxy.leave();
    }
    registration.finish(GRACE * 2).await;
    if deregisters && (proxy.is_some() || applications.any()) {
        tokio::time::sleep(config.deregister_grace).await;
    }
    if proxy.is_some() {
        info!("draining");
    }
    let last = applications.end(proxy, config.drain_timeout).await;
    tasks.finish(GRACE).await;
    admin_tasks.finish(GRACE).await;
    Ok(code.or(last).map_or(ExitCode::SUCCESS, ExitCode::from))
}

/// Waits until there is something to route by, but not for ever: who calls services that are
/// not known yet is told so.
async fn first_routes(mut status: watch::Receiver<Status>, patience: Duration) {
    let routing = status.wait_for(|status| status.routing);
    if tokio::time::timeout(patience, routing).await.is_err() {
        warn!("there is nothing to route by yet, goes on all the same");
    }
}

type Reporting = (Registrar, watch::Receiver<crate::register::Standing>);

fn open_registrar(
    registry: &peer::Config,
    itself: watch::Receiver<Itself>,
    identified: watch::Receiver<bool>,
    health: watch::Receiver<Report>,
) -> Result<Reporting, StartError> {
    let registries = registry.urls.iter().filter_map(|url| {
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        Some((host, url.port_or_known_default()?))
    });
    let client = Arc::new(Client::new(Peer::open(registry)?));
    let registries = registries.collect();
    Ok(Registrar::new(
        client, registries, itself, identified, health,
    ))
}

/// What proxy and DNS server have in common.
struct Knowledge {
    instances: Feed<Instance>,
    names: Names,
}

impl Knowledge {
    /// Begins to learn of instances `from` there.
    fn start(from: &config::Source, sources: &Sources, tasks: &Tasks) -> Result<Self, StartError> {
        Ok(Self {
            instances: source::start("instances", sources.instances(from)?, tasks),
            names: Names::start(state::system(), tasks),
        })
    }
}

fn start_proxy(
    settings: &config::Proxy,
    sources: &Sources,
    Knowledge { instances, names }: &Knowledge,
    (me, metrics): Caller,
    identified: watch::Receiver<bool>,
    tasks: &Tasks,
    (health, registry): (&Health, &Registry),
) -> Result<(proxy::Proxy, admin::Proxy, admin::Known), StartError> {
    let rules = sources.rules(&settings.rules)?;
    let routes = Arc::new(ArcSwap::default());
    let affinity = Arc::new(proxy::AffinityKey::new(settings.affinity_key.as_ref())?);
    let proxy = proxy::start(
        proxy::Config {
            listen: settings.listen,
            tcp: settings.tcp.clone(),
            workers: settings.workers,
            access_log: settings.access_log.clone(),
            caller: me,
            domain: settings.domain.clone(),
            tls: settings.tls.clone(),
            ca_cert_file: settings.ca_cert_file.clone(),
            idle_timeout: settings.idle_timeout,
            max_request_body: settings.max_request_body,
            affinity: affinity.clone(),
        },
        routes.clone(),
        metrics.clone(),
        tasks,
    )?;
    let address = proxy.address();
    info!(listener = "proxy", %address, workers = settings.workers, "listening");
    for (tcp, address) in settings.tcp.iter().zip(proxy.tcp_addresses()) {
        info!(listener = "tcp", %address, service = %tcp.service, "listening");
    }

    let rules = source::start("rules", rules, tasks);
    let (owner, status) = Owner::new(
        (instances, &rules),
        identified,
        routes.clone(),
        metrics.clone(),
        names.clone(),
        Patience::default(),
    );
    tasks.spawn("state", owner.run(tasks.stop().clone()));
    let routing = health.condition("routing");
    let mut begun = status.clone();
    let stop = tasks.stop().clone();
    tasks.spawn("ready", async move {
        if let Some(Ok(_)) = stop.race(begun.wait_for(|s| s.routing)).await {
            info!("routing");
            routing.good();
        }
    });
    let shown = admin::Proxy {
        affinity,
        routes,
        certificates: proxy.certificates().into(),
    };
    let known = admin::Known {
        status,
        instances: instances.clone(),
        rules: Some(rules),
    };
    registry.register(Box::new(proxy::Export(metrics)))?;
    Ok((proxy, shown, known))
}

//! What the tests of this package share: a fabric that is changed by hand, origins to send
//! requests to, and a caller.

pub(crate) mod alone;
mod caller;
mod origin;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use a8_common::model::{Epoch, Instance, InstanceId, Revision};
use a8_common::rule::{self, Rule};
use a8_common::source::{Feed, Link};
use a8_common::task::{Stop, Tasks};
use a8_common::view::{self, Publisher};
use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::proxy::{self, AccessLog, AffinityKey, Listen, Metrics, Proxy, Routes, TcpProxy};
use crate::state::{Lookup, Names, Owner, Patience, Status};

pub(crate) use caller::{raw, request};
pub(crate) use origin::{Origin, Scripted};

/// Long enough for any machine; nothing waits for it unless something is wrong.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A control plane in the test's own hands, and the state owner that reads it.
pub(crate) struct Fabric {
    instances: Publisher<Instance>,
    rules: Publisher<Rule>,
    pub(crate) feeds: (Feed<Instance>, Feed<Rule>),
    epoch: Epoch,
    revision: u64,
    pub(crate) routes: Arc<ArcSwap<Routes>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) affinity: Arc<AffinityKey>,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) tasks: Tasks,
}

impl Fabric {
    /// One that has loaded: no instances, no rules.
    pub(crate) async fn new() -> Self {
        let mut fabric = Self::silent(Patience::default());
        fabric.load(vec![], "[]").await;
        fabric
    }

    /// One that has loaded and looks names up with `lookup`.
    pub(crate) async fn resolving(lookup: Lookup) -> Self {
        let mut fabric = Self::open(Patience::default(), lookup);
        fabric.load(vec![], "[]").await;
        fabric
    }

    /// One that has said nothing yet.
    pub(crate) fn silent(patience: Patience) -> Self {
        Self::open(patience, loopback())
    }

    fn open(patience: Patience, lookup: Lookup) -> Self {
        let (instances, instance_view) = view::channel();
        let (rules, rule_view) = view::channel();
        let feeds = (feed(instance_view), feed(rule_view));
        let routes = Arc::new(ArcSwap::default());
        let metrics = Arc::new(Metrics::new("web"));
        let tasks = Tasks::new(Stop::new());
        let (owner, status) = Owner::new(
            (&feeds.0, &feeds.1),
            watch::channel(true).1,
            routes.clone(),
            metrics.clone(),
            Names::start(lookup, &tasks),
            patience,
        );
        tasks.spawn("state", owner.run(tasks.stop().clone()));
        Self {
            instances,
            rules,
            feeds,
            epoch: Epoch::fresh(),
            revision: 0,
            routes,
            metrics,
            affinity: Arc::new(AffinityKey::new(None).unwrap()),
            status,
            tasks,
        }
    }

    /// Another life of the control plane, which knows only this.
    pub(crate) async fn restart(&mut self, instances: Vec<Instance>, rules: &str) {
        self.epoch = Epoch::fresh();
        self.load(instances, rules).await;
    }

    /// Loads everything.
    pub(crate) async fn load(&mut self, instances: Vec<Instance>, rules: &str) {
        self.load_instances(instances);
        self.load_rules(rules);
        self.settled().await;
    }

    pub(crate) fn load_instances(&mut self, instances: Vec<Instance>) {
        self.revision += 1;
        let instances = instances.into_iter().map(Arc::new).collect();
        self.instances
            .replace(&self.epoch, Revision(self.revision), instances);
    }

    pub(crate) fn load_rules(&mut self, rules: &str) {
        self.revision += 1;
        let rules = rule::parse_yaml(rules).unwrap();
        let rules = rules.into_iter().map(Arc::new).collect();
        self.rules
            .replace(&self.epoch, Revision(self.revision), rules);
    }

    /// Adds or changes an instance.
    pub(crate) async fn put(&mut self, instance: Instance) {
        self.revision += 1;
        self.instances
            .apply(Revision(self.revision), vec![Arc::new(instance)], &[]);
        self.settled().await;
    }

    /// Removes an instance.
    pub(crate) async fn remove(&mut self, id: &InstanceId) {
        self.revision += 1;
        self.instances
            .apply(Revision(self.revision), vec![], std::slice::from_ref(id));
        self.settled().await;
    }

    /// Replaces all rules.
    pub(crate) async fn rules(&mut self, yaml: &str) {
        self.load_rules(yaml);
        self.settled().await;
    }

    /// Waits until the owner has taken in what was published.
    async fn settled(&mut self) {
        let instances = self.feeds.0.view.snapshot();
        let rules = self.feeds.1.view.snapshot();
        let reached = self.status.wait_for(|s| {
            s.instances.epoch == instances.epoch
                && s.instances.revision >= instances.revision
                && s.rules.epoch == rules.epoch
                && s.rules.revision >= rules.revision
        });
        tokio::time::timeout(DEADLINE, reached)
            .await
            .unwrap()
            .unwrap();
    }

    /// A proxy with one worker that routes by this fabric and logs to `log`.
    pub(crate) fn proxy(&self, log: AccessLog) -> Proxy {
        let access_log = log;
        self.start(proxy::Config {
            access_log,
            ..settings()
        })
    }

    /// The same, with a TCP proxy for each of `services`.
    pub(crate) fn proxy_for(&self, services: &[&str], log: AccessLog) -> Proxy {
        let tcp = services.iter().map(|service| TcpProxy {
            service: service.parse().unwrap(),
            listen: settings().listen,
        });
        self.start(proxy::Config {
            access_log: log,
            tcp: tcp.collect(),
            ..settings()
        })
    }

    /// A proxy that is set up in its own way.
    pub(crate) fn start(&self, config: proxy::Config) -> Proxy {
        let config = proxy::Config {
            affinity: self.affinity.clone(),
            ..config
        };
        let (routes, metrics) = (self.routes.clone(), self.metrics.clone());
        let proxy = proxy::start(config, routes, metrics, &self.tasks).unwrap();
        proxy.open();
        proxy
    }
}

/// A resolver that knows `localhost` and nothing else, on any machine.
fn loopback() -> Lookup {
    Arc::new(|host| {
        let answer = match &*host {
            "localhost" => Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))]),
            _ => Err(std::io::Error::other("no such name")),
        };
        Box::pin(std::future::ready(answer))
    })
}

/// One worker on a free port, without a log.
pub(crate) fn settings() -> proxy::Config {
    proxy::Config {
        listen: Listen::At(SocketAddr::from(([127, 0, 0, 1], 0))),
        tcp: vec![],
        workers: 1,
        access_log: AccessLog::Off,
        caller: proxy::Me::shared("web:v1".parse().unwrap()),
        domain: "amalgam8".into(),
        tls: None,
        ca_cert_file: None,
        idle_timeout: DEADLINE,
        max_request_body: u64::MAX,
        affinity: Arc::new(AffinityKey::new(None).unwrap()),
    }
}

/// Waits until `check` says yes.
pub(crate) async fn eventually(mut check: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asking)
        .await
        .expect("it did not come about");
}

fn feed<T: view::Item>(view: view::View<T>) -> Feed<T> {
    let (_, link) = watch::channel(Link::default());
    Feed { view, link }
}

/// An instance that is up.
pub(crate) fn instance(service: &str, tags: &str, value: &str) -> Instance {
    with(service, tags, value, "UP", "http")
}

/// An instance of a given status and endpoint type.
pub(crate) fn with(service: &str, tags: &str, value: &str, status: &str, kind: &str) -> Instance {
    let tags: Vec<_> = tags.split(',').filter(|t| !t.is_empty()).collect();
    serde_json::from_value(serde_json::json!({
        "id": format!("{service}-{value}").replace('/', "_"),
        "service_name": service,
        "endpoint": {"type": kind, "value": value},
        "status": status,
        "tags": tags,
    }))
    .unwrap()
}

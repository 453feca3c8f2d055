//! Which processes a demo is made of: the control plane, each service with a sidecar beside it,
//! and a gateway, which is a sidecar without a service.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use clap::Args;
use http::StatusCode;

use super::Error;
use super::control::{Admin, Controller, Registry};
use super::etcd::Etcd;
use super::ports::{self, Ports};
use super::processes::Processes;
use super::screen::say;
use crate::peers::http_client;

/// How long one step of the start may take, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The ports that a user of a demo sees.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Port of the gateway, the way in from outside
    #[arg(long, env = "DEMO_GATEWAY_PORT", default_value_t = 32000)]
    pub gateway_port: u16,
    /// Port of the controller
    #[arg(long, env = "DEMO_CONTROLLER_PORT", default_value_t = 31200)]
    pub controller_port: u16,
    /// Port of the registry
    #[arg(long, env = "DEMO_REGISTRY_PORT", default_value_t = 31300)]
    pub registry_port: u16,
}

/// One instance of a service of the demo.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instance {
    /// What it is called here: in the table, and in the names of logs.
    pub(super) name: &'static str,
    /// The service, which is also its program.
    pub(super) service: &'static str,
    /// Its version.
    pub(super) version: &'static str,
    /// What its program is told besides its port: `{version}`, `{name}` and `{proxy}` are
    /// replaced, the last by the address of its sidecar.
    pub(super) flags: &'static [&'static str],
}

/// What the control plane is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Control {
    /// One registry and one controller, with their data in memory.
    Plain,
    /// Two of each, over an etcd of three members.
    Doubled,
}

/// A running fabric, as the demos see it.
#[derive(Clone)]
pub(super) struct Fabric {
    pub(super) http: reqwest::Client,
    pub(super) gateway_url: String,
    /// What to type in a shell before `a8ctl` can be used on this fabric.
    pub(super) shell: String,
    pub(super) controller: Controller,
    /// The second controller, where there are two.
    pub(super) other_controller: Option<Controller>,
    /// The members of the etcd, where there is one.
    pub(super) etcd: Option<Etcd>,
    pub(super) gateway: Admin,
    services: Vec<Admin>,
}

impl Fabric {
    /// Waits until every sidecar goes by the rules as they are at the controller now.
    pub(super) async fn settled(&self) -> Result<(), Error> {
        let revision = self.controller.revision().await?;
        let wanted = || format!("revision {revision} of the rules at every sidecar");
        eventually(wanted, async || {
            for sidecar in self.sidecars() {
                if sidecar.rules_revision().await < Some(revision) {
                    return false;
                }
            }
            true
        })
        .await
    }

    /// The sidecar beside the first instance.
    pub(super) fn first(&self) -> Option<&Admin> {
        self.services.first()
    }

    fn sidecars(&self) -> impl Iterator<Item = &Admin> {
        self.services.iter().chain([&self.gateway])
    }
}

/// Starts everything in `processes` and waits until each instance can be called.
pub(super) async fn start(
    options: &Options,
    instances: &[Instance],
    control: Control,
    processes: &mut Processes,
) -> Result<Fabric, Error> {
    let began = Instant::now();
    let registry = ports::require(options.registry_port, "registry", "DEMO_REGISTRY_PORT")?;
    let controller = ports::require(
        options.controller_port,
        "controller",
        "DEMO_CONTROLLER_PORT",
    )?;
    let gateway = ports::require(options.gateway_port, "gateway", "DEMO_GATEWAY_PORT")?;

    let http = http_client();
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let mut ports = Ports::default();
    let mut servers = vec![
        Served::new("registry", "a8registry", registry),
        Served::new("controller", "a8controller", controller),
    ];
    let mut etcd = None;
    if control == Control::Doubled {
        let members = Etcd::start(http.clone(), &mut ports, processes)?;
        for server in &mut servers {
            server.share(&members);
        }
        let others = [("registry-2", 0), ("controller-2", 1)];
        for (name, of) in others {
            let other = servers[of].beside(name, ports.any()?);
            servers.push(other);
        }
        etcd = Some(members);
    }
    let urls_of = |program: &str| {
        let all = servers.iter().filter(|server| server.program == program);
        let urls: Vec<String> = all.map(|server| url(server.port)).collect();
        urls.join(",")
    };
    let (registry_urls, controller_urls) = (urls_of("a8registry"), urls_of("a8controller"));
    let mut start = Start {
        processes,
        http: &http,
        registry_url: &registry_urls,
        controller_url: &controller_urls,
    };

    for server in &servers {
        start.server(server)?;
    }
    let mut places = Vec::new();
    for instance in instances {
        let place = Place {
            service: ports.any()?,
            proxy: ports.any()?,
            admin: ports.any()?,
        };
        start.service(instance, &place)?;
        places.push(place);
    }
    for server in &servers {
        start.ready(server.name, server.port, "/ready").await?;
    }
    match control {
        Control::Plain => done("registry and controller", began),
        Control::Doubled => done("three etcd, two registries, two controllers", began),
    }
    for (instance, place) in instances.iter().zip(&places) {
        start.ready(instance.name, place.service, "/health").await?;
    }
    done("services", began);

    for (instance, place) in instances.iter().zip(&places) {
        start.sidecar(instance, place)?;
    }
    let gateway_admin = ports.any()?;
    start.gateway(gateway, gateway_admin)?;
    for (instance, place) in instances.iter().zip(&places) {
        let name = sidecar_of(instance.name);
        start.ready(&name, place.admin, "/ready").await?;
    }
    start.ready("gateway", gateway_admin, "/ready").await?;

    let admin = |port| Admin::new(http.clone(), port);
    let controller_at = |port| Controller::new(http.clone(), &url(port));
    let other = servers.iter().find(|server| server.name == "controller-2");
    let fabric = Fabric {
        gateway_url: format!("http://localhost:{gateway}"),
        controller: controller_at(controller),
        other_controller: other.map(|server| controller_at(server.port)),
        etcd,
        gateway: admin(gateway_admin),
        services: places.iter().map(|place| admin(place.admin)).collect(),
        http: http.clone(),
        shell: format!(
            "export A8_CONTROLLER_URL=http://localhost:{controller}\n  \
             export A8_REGISTRY_URL=http://localhost:{registry}\n  alias a8ctl={}",
            start.processes.path_of("a8ctl")
        ),
    };
    everybody_known(&fabric, &url(registry), instances.len()).await?;
    done("a sidecar beside each, and the gateway", began);
    Ok(fabric)
}

/// Waits until all instances are registered and every sidecar knows them.
async fn everybody_known(
    fabric: &Fabric,
    registry_url: &str,
    instances: usize,
) -> Result<(), Error> {
    let registry = Registry::new(fabric.http.clone(), registry_url);
    let wanted = || format!("{instances} instances at the registry and at every sidecar");
    eventually(wanted, async || {
        let Some((known, revision)) = registry.instances().await else {
            return false;
        };
        if known < instances {
            return false;
        }
        for sidecar in fabric.sidecars() {
            if sidecar.instances_revision().await < Some(revision) {
                return false;
            }
        }
        true
    })
    .await
}

async fn eventually(
    wanted: impl Fn() -> String,
    mut holds: impl AsyncFnMut() -> bool,
) -> Result<(), Error> {
    let began = Instant::now();
    while !holds().await {
        if began.elapsed() > PATIENCE {
            return Err(Error::Control {
                what: format!("waiting for {}", wanted()),
                why: format!("not so after {} s", PATIENCE.as_secs()),
            });
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// The ports of one instance and its sidecar.
struct Place {
    service: u16,
    proxy: u16,
    admin: u16,
}

/// A server of the control plane.
struct Served {
    name: &'static str,
    program: &'static str,
    port: u16,
    flags: Vec<String>,
}

impl Served {
    /// One with its data in memory.
    fn new(name: &'static str, program: &'static str, port: u16) -> Self {
        Self {
            name,
            program,
            port,
            flags: Vec::new(),
        }
    }

    /// Has its data in `etcd`.
    fn share(&mut self, etcd: &Etcd) {
        let (pick, address) = match self.program {
            "a8registry" => ("--store", "--store_address"),
            _ => ("--database_type", "--database_host"),
        };
        self.flags = vec![
            format!("{pick}=etcd"),
            format!("{address}={}", etcd.addresses()),
        ];
    }

    /// Another one over the same data.
    fn beside(&self, name: &'static str, port: u16) -> Self {
        Self {
            flags: self.flags.clone(),
            ..Self::new(name, self.program, port)
        }
    }
}

/// The start, under way.
struct Start<'a> {
    processes: &'a mut Processes,
    http: &'a reqwest::Client,
    registry_url: &'a str,
    controller_url: &'a str,
}

impl Start<'_> {
    fn server(&mut self, server: &Served) -> Result<(), Error> {
        let port = server.port.to_string();
        let mut words = vec![
            "--api_host=127.0.0.1",
            "--drain_timeout=1s",
            "--api_port",
            &port,
        ];
        words.extend(server.flags.iter().map(String::as_str));
        self.processes.start(server.name, server.program, &words)
    }

    fn service(&mut self, instance: &Instance, place: &Place) -> Result<(), Error> {
        let port = place.service.to_string();
        let proxy = format!("http://127.0.0.1:{}", place.proxy);
        let fill = |flag: &&str| {
            flag.replace("{version}", instance.version)
                .replace("{name}", instance.name)
                .replace("{proxy}", &proxy)
        };
        let flags: Vec<String> = instance.flags.iter().map(fill).collect();
        let mut words = vec!["--host", "127.0.0.1", "--port", &port];
        words.extend(flags.iter().map(String::as_str));
        self.processes
            .start(instance.name, instance.service, &words)
    }

    fn sidecar(&mut self, instance: &Instance, place: &Place) -> Result<(), Error> {
        let mut config = self.config(instance.service, instance.version, place.proxy, place.admin);
        // Writing to a string cannot fail.
        let _ = write!(
            config,
            "register: true\nendpoint:\n  host: 127.0.0.1\n  port: {}\n  type: http\n",
            place.service
        );
        self.start_sidecar(&sidecar_of(instance.name), &config)
    }

    fn gateway(&mut self, proxy: u16, admin: u16) -> Result<(), Error> {
        let config = self.config("gateway", "none", proxy, admin);
        self.start_sidecar("gateway", &config)
    }

    fn start_sidecar(&mut self, name: &str, config: &str) -> Result<(), Error> {
        let file = self.processes.write(&format!("{name}.yaml"), config)?;
        let file = file.display().to_string();
        self.processes
            .start(name, "a8sidecar", &["--config", &file])
    }

    fn config(&self, service: &str, version: &str, proxy: u16, admin: u16) -> String {
        format!(
            "service:\n  name: {service}\n  tags: [version={version}]\n\
             proxy: true\n\
             registry:\n  url: {}\n\
             controller:\n  url: {}\n\
             proxy_config:\n  http_listener_host: 127.0.0.1\n  \
             http_listener_port: {proxy}\n  admin_port: {admin}\n  worker_threads: 1\n  \
             deregister_grace: 0s\n  drain_timeout: 1s\n",
            self.registry_url, self.controller_url
        )
    }

    /// Waits until `path` of the process on `port` answers 200.
    async fn ready(&mut self, name: &str, port: u16, path: &str) -> Result<(), Error> {
        let began = Instant::now();
        let url = format!("http://127.0.0.1:{port}{path}");
        loop {
            self.processes.check()?;
            let last = match self.http.get(&url).timeout(PATIENCE).send().await {
                Ok(answer) if answer.status() == StatusCode::OK => return Ok(()),
                Ok(answer) => format!("{path} answers {}", answer.status()),
                Err(_) => format!("nothing answers on port {port}"),
            };
            if began.elapsed() > PATIENCE {
                return Err(Error::NotReady {
                    name: name.to_owned(),
                    seconds: PATIENCE.as_secs(),
                    last,
                    log: self.processes.log_tail(name),
                });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn sidecar_of(instance: &str) -> String {
    format!("{instance}-sidecar")
}

fn done(what: &str, began: Instant) {
    say(format_args!(
        "  ✓ {what} ({:.1} s)",
        began.elapsed().as_secs_f64()
    ));
}

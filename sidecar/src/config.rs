//! The settings of `a8sidecar`, under the original's names, and what becomes of them.
//!
//! The table is complete: settings whose function is not built yet are read and checked, and
//! refused where the operator would otherwise believe that they work.

mod absent;
mod commands;
mod dns;
mod healthchecks;
mod table;
mod tcp;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use a8_common::config::{Secret, Settings};
use a8_common::model::{HttpVersion, Identity, ServiceName, Tags};
use a8_common::{kubernetes, peer, telemetry};
use serde::Deserialize;
use serde_json::Value;

use crate::health::Check;
use crate::identity::Itself;
use crate::proxy::{AccessLog, Listen, Own, TcpProxy};
use crate::supervise::Command;

pub use table::COMPONENT;

/// What the sidecar is to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// The log.
    pub log: telemetry::Config,
    /// The service beside the sidecar, as far as it is given.
    pub itself: Itself,
    /// The pod that says the rest.
    pub pod: Option<String>,
    /// The cluster, for what asks one.
    pub kubernetes: kubernetes::Config,
    /// The checks by which the service is registered or not.
    pub checks: Vec<Check>,
    /// The registry to register with, if the service is to be registered.
    pub register: Option<peer::Config>,
    /// Where instances are learnt of, if anything is to know them.
    pub instances: Option<Source>,
    /// Its way out, if it is to have one.
    pub proxy: Option<Proxy>,
    /// The DNS server, if there is to be one.
    pub dns: Option<crate::dns::Config>,
    /// Where the sidecar speaks of itself.
    pub admin: SocketAddr,
    /// The processes to supervise.
    pub commands: Vec<Command>,
    /// How long they wait for the first routing state.
    pub start_timeout: Duration,
    /// How long they may take to end before they are killed.
    pub stop_grace: Duration,
    /// Where the last good state is kept, if it is.
    pub state_dir: Option<PathBuf>,
    /// How long the proxy serves on after it has deregistered.
    pub deregister_grace: Duration,
    /// How long requests in flight may go on once the sidecar stops.
    pub drain_timeout: Duration,
    /// Everything as it was settled, without secrets.
    pub shown: Value,
    /// What is to be said of the configuration once there is a log.
    pub remarks: Vec<String>,
}

/// The way out.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Where the application finds it.
    pub listen: Listen,
    /// Ports that lead to services whatever is spoken over them.
    pub tcp: Vec<TcpProxy>,
    /// How many threads serve.
    pub workers: usize,
    /// Where requests are logged.
    pub access_log: AccessLog,
    /// The domain below which services have host names.
    pub domain: Box<str>,
    /// What callers are shown under TLS.
    pub tls: Option<Own>,
    /// The only authorities by which instances are trusted.
    pub ca_cert_file: Option<PathBuf>,
    /// How long the bodies of an exchange may stand still.
    pub idle_timeout: Duration,
    /// The most bytes that the body of a request may have.
    pub max_request_body: u64,
    /// The key of affinity cookies.
    pub affinity_key: Option<Secret>,
    /// Where rules are learnt of.
    pub rules: Source,
}

/// Where something is learnt of.
#[derive(Debug, Clone)]
pub enum Source {
    /// A server of ours, or of the original's.
    Amalgam8 {
        /// The server.
        server: peer::Config,
        /// How often it is asked where it cannot be watched.
        poll: Duration,
    },
    /// The cluster.
    Kubernetes,
    /// A file.
    Filesystem(PathBuf),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    name: ServiceName,
    #[serde(default)]
    tags: Tags,
}

impl Config {
    /// Reads the [table](COMPONENT).
    pub fn read(settings: &Settings) -> Self {
        let [register, proxy, dns] = ["register", "proxy", "dns"].map(|part| settings.flag(part));
        if !register && !proxy && !dns && settings.problems().is_empty() {
            settings.refuse(
                "proxy",
                "is off, and so are register and dns: there is nothing to do",
            );
        }
        let mut remarks = absent::refuse(settings);
        let pod = settings
            .text("kubernetes_pod_name")
            .filter(|name| !name.is_empty());
        let itself = itself(settings);
        if itself.service.is_none() && pod.is_none() {
            if register {
                if !settings.is_set("service") {
                    settings.refuse("service", "is needed to register");
                }
            } else if proxy {
                remarks.push("no service is named: rules cannot match this caller".to_owned());
            }
        }
        if register && pod.is_none() && !settings.is_set("endpoint_port") {
            settings.refuse("endpoint_port", "is needed to register");
        }
        if register && let Some(Err(e)) = itself.endpoint() {
            let host = itself.host.as_deref().unwrap_or_default();
            settings.refuse("endpoint_host", format!("{host:?} {e}"));
        }
        let registry = registry(settings, register, proxy || dns);
        let admin = SocketAddr::new(
            settings
                .parsed("admin_host")
                .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            settings.port("admin_port").unwrap_or_default(),
        );
        Self {
            log: telemetry::Config::read(settings),
            itself,
            pod,
            kubernetes: kubernetes::Config::read(settings, &table::KUBERNETES_NAMES),
            checks: healthchecks::read(settings),
            register: registry.clone().filter(|_| register),
            instances: match proxy || dns {
                true => instances(settings, registry),
                false => None,
            },
            proxy: proxy.then(|| read_proxy(settings, admin)).flatten(),
            dns: dns.then(|| dns::read(settings)).flatten(),
            admin,
            commands: commands::read(settings),
            start_timeout: settings.duration("start_timeout"),
            stop_grace: settings.duration("stop_grace"),
            state_dir: settings
                .text("state_dir")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            deregister_grace: settings.duration("deregister_grace"),
            drain_timeout: settings.duration("drain_timeout"),
            shown: settings.to_json(),
            remarks,
        }
    }
}

/// Refuses two listeners that would be in each other's way; the DNS server and the TCP proxies
/// look for theirs themselves.
fn refuse_same_port(settings: &Settings, listen: Listen, admin: SocketAddr) {
    let (port, apart) = match listen {
        Listen::Any(port) => (port, false),
        Listen::At(at) => {
            let any = at.ip().is_unspecified() || admin.ip().is_unspecified();
            (at.port(), !any && at.ip() != admin.ip())
        }
    };
    if port != 0 && port == admin.port() && !apart {
        let why = format!("{port} is the admin_port, too");
        settings.refuse("http_listener_port", why);
    }
}

/// What is given of the service.
fn itself(settings: &Settings) -> Itself {
    let (service, tags) = service(settings).unzip();
    let protocol = settings.text("endpoint_protocol");
    Itself {
        service,
        tags: tags.filter(|tags| !tags.is_empty()),
        host: settings.text("endpoint_host"),
        port: settings.port("endpoint_port"),
        kind: match settings.is_set("endpoint_type") {
            true => settings.parsed("endpoint_type"),
            false => None,
        },
        protocol: protocol.and_then(|name| HttpVersion::from_name(&name)),
    }
}

/// `name:tag,tag` as one text, or a table of both.
fn service(settings: &Settings) -> Option<(ServiceName, Tags)> {
    match settings.section("service")? {
        Value::Null => None,
        Value::String(text) => text
            .parse()
            .map(|Identity { service, tags }| (service, tags))
            .map_err(|e| settings.refuse("service", format!("{text:?}: {e}")))
            .ok(),
        _ => {
            let Service { name, tags } = settings.section("service")?;
            Some((name, tags))
        }
    }
}

/// The registry, if anything that is asked for needs one.
fn registry(settings: &Settings, register: bool, discover: bool) -> Option<peer::Config> {
    let there = settings.text("discovery_adapter").as_deref() == Some("amalgam8");
    let need = match (discover && there, register) {
        (true, _) => "is needed by the adapter amalgam8",
        (false, true) => "is needed to register",
        (false, false) => return None,
    };
    let names = ["registry_url", "registry_token", "registry_ca_cert_file"];
    server(settings, names, need)
}

/// Certificate and key, when callers are to be spoken to under TLS.
fn own(settings: &Settings) -> Option<Own> {
    if !settings.flag("proxy_tls") {
        return None;
    }
    let file = |name| {
        let path = settings.text(name);
        if path.is_none() {
            settings.refuse(name, "is needed for proxy_tls");
        }
        path.map(PathBuf::from)
    };
    let (chain, key) = (
        file("proxy_cert_chain_file"),
        file("proxy_private_key_file"),
    );
    Some(Own {
        cert_chain_file: chain?,
        private_key_file: key?,
    })
}

fn instances(settings: &Settings, registry: Option<peer::Config>) -> Option<Source> {
    match settings.text("discovery_adapter").as_deref() {
        Some("filesystem") => file(settings, "discovery_path"),
        Some("kubernetes") => Some(Source::Kubernetes),
        _ => watched(settings, registry, "registry_poll"),
    }
}

fn read_proxy(settings: &Settings, admin: SocketAddr) -> Option<Proxy> {
    let port = settings.port("http_listener_port")?;
    let listen = match settings.parsed("http_listener_host") {
        Some(address) => Listen::At(SocketAddr::new(address, port)),
        None => Listen::Any(port),
    };
    refuse_same_port(settings, listen, admin);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let rules = match settings.text("rules_adapter").as_deref() {
        Some("filesystem") => file(settings, "rules_path"),
        Some("kubernetes") => Some(Source::Kubernetes),
        _ => {
            let names = [
                "controller_url",
                "controller_token",
                "controller_ca_cert_file",
            ];
            let controller = server(settings, names, "is needed by the adapter amalgam8");
            watched(settings, controller, "controller_poll")
        }
    };
    Some(Proxy {
        listen,
        tcp: tcp::read(settings, listen),
        workers: settings
            .count("worker_threads")
            .filter(|n| *n > 0)
            .unwrap_or(cores),
        access_log: access_log(
            settings.text("access_log").as_deref(),
            settings.text("logging_dir").as_deref(),
        ),
        domain: settings.text("dns_domain").unwrap_or_default().into(),
        tls: own(settings),
        ca_cert_file: settings.text("proxy_ca_cert_file").map(PathBuf::from),
        idle_timeout: settings.duration("idle_timeout"),
        max_request_body: settings
            .count("max_request_body")
            .filter(|n| *n > 0)
            .map_or(u64::MAX, |n| n as u64),
        affinity_key: affinity_key(settings),
        rules: rules?,
    })
}

fn file(settings: &Settings, path: &str) -> Option<Source> {
    match settings.text(path) {
        Some(path) => Some(Source::Filesystem(path.into())),
        None => {
            settings.refuse(path, "is needed by the adapter filesystem");
            None
        }
    }
}

fn watched(settings: &Settings, server: Option<peer::Config>, poll: &str) -> Option<Source> {
    Some(Source::Amalgam8 {
        server: server?,
        poll: settings.duration(poll),
    })
}

fn server(
    settings: &Settings,
    [url, token, ca_cert_file]: [&str; 3],
    need: &str,
) -> Option<peer::Config> {
    let urls = settings.urls(url);
    if urls.is_empty() {
        if !settings.is_set(url) {
            settings.refuse(url, need);
        }
        return None;
    }
    let list: Vec<_> = urls.iter().map(|url| url.as_str()).collect();
    let urls = peer::parse_urls(&list.join(","))
        .map_err(|e| settings.refuse(url, e.to_string()))
        .ok()?;
    let authorization = settings
        .secret(token)
        .map(|secret| peer::bearer(&secret).map_err(|e| settings.refuse(token, e.to_string())));
    Some(peer::Config {
        urls,
        authorization: authorization.and_then(Result::ok),
        ca_cert_file: settings.text(ca_cert_file).map(Into::into),
    })
}

/// A secret that can be guessed is none.
fn affinity_key(settings: &Settings) -> Option<Secret> {
    const LEAST: usize = 16;
    let secret = settings.secret("affinity_key")?;
    if secret.expose().len() < LEAST {
        settings.refuse(
            "affinity_key",
            format!("must have at least {LEAST} characters"),
        );
    }
    Some(secret)
}

/// `stdout`, `off`, or a file; one without a folder is put into the logging folder. A
/// logging folder alone asks for a file in it.
fn access_log(target: Option<&str>, folder: Option<&str>) -> AccessLog {
    match (target, folder) {
        (Some("off"), _) => AccessLog::Off,
        (Some("stdout"), _) | (None, None) => AccessLog::Stdout,
        (Some(path), Some(folder)) => AccessLog::File(Path::new(folder).join(path)),
        (Some(path), None) => AccessLog::File(path.into()),
        (None, Some(folder)) => AccessLog::File(Path::new(folder).join("a8_access.log")),
    }
}

#[cfg(test)]
mod tests;

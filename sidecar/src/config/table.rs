//! All settings, with their places, defaults and meanings.

use std::time::Duration;

use a8_common::config::{Component, Group, Kind, Place, Setting};
use a8_common::{kubernetes, telemetry};

/// `a8sidecar` and its settings.
pub const COMPONENT: Component = Component {
    name: "a8sidecar",
    about: "Registers a service and routes its calls",
    version: env!("CARGO_PKG_VERSION"),
    groups: &[
        &SERVICE,
        &PARTS,
        &REGISTRY,
        &CONTROLLER,
        &KUBERNETES,
        &PROXY,
        &LIFE,
        &telemetry::SETTINGS,
    ],
    health: Place {
        host: "admin_host",
        port: "admin_port",
    },
    trailing: Some("A command to supervise"),
};

/// Short enough to be of use, long enough not to flood a server.
const POLL: Kind = Kind::Duration {
    min: Duration::from_millis(100),
    max: Duration::from_secs(3600),
};

const PATIENCE: Kind = Kind::Duration {
    min: Duration::ZERO,
    max: Duration::from_secs(24 * 3600),
};

const SERVICE: Group = Group {
    title: "The service beside the sidecar",
    settings: &[
        Setting::new(
            "service",
            Kind::TextOrSection,
            "Name and tags, as name:tag,tag; in the file service.name and service.tags",
        ),
        Setting::new(
            "endpoint_host",
            Kind::Text,
            "Host to register; by default the sidecar's own address",
        )
        .at("endpoint.host"),
        Setting::new("endpoint_port", Kind::Port, "Port to register").at("endpoint.port"),
        Setting::new(
            "endpoint_type",
            Kind::Choice(&["http", "https", "tcp", "udp", "user"]),
            "How the service is spoken to",
        )
        .at("endpoint.type")
        .or("http"),
        Setting::new(
            "endpoint_protocol",
            Kind::Choice(&["http/1.1", "h2"]),
            "The only version of HTTP that the service speaks, when callers are to know",
        )
        .at("endpoint.protocol"),
        Setting::new(
            "healthchecks",
            Kind::ListOrSection,
            "URLs by which the service's health is checked",
        ),
        Setting::new("commands", Kind::Section, "Processes to supervise"),
        Setting::new("supervise", Kind::Bool, "Ignored; for old configurations"),
    ],
};

const PARTS: Group = Group {
    title: "What the sidecar does",
    settings: &[
        Setting::new("register", Kind::Bool, "Register the service and renew it").or("false"),
        Setting::new("proxy", Kind::Bool, "Route the service's calls").or("false"),
        Setting::new("dns", Kind::Bool, "Resolve names of services").or("false"),
        Setting::new(
            "dns_port",
            Kind::ListenPort,
            "Port of the DNS server, for UDP and TCP; 0 takes any free port",
        )
        .at("dnsconfig.port")
        .or("8053"),
        Setting::new(
            "dns_domain",
            Kind::Text,
            "Domain below which services have host names",
        )
        .at("dnsconfig.domain")
        .or("amalgam8"),
        Setting::new(
            "dns_host",
            Kind::List,
            "Addresses of the DNS server; by default those of this machine alone, of both families",
        )
        .at("dnsconfig.host"),
        Setting::new(
            "dns_upstream",
            Kind::List,
            "DNS servers that are asked for all other domains, as ip or ip:port; without them such \
             questions are refused",
        )
        .at("dnsconfig.upstream"),
        Setting::new(
            "proxy_adapter",
            Kind::Choice(&["native", "envoy"]),
            "What carries the calls",
        )
        .or("native"),
        Setting::new(
            "discovery_adapter",
            Kind::Choice(&["amalgam8", "kubernetes", "eureka", "filesystem"]),
            "Where instances are learnt of",
        )
        .or("amalgam8"),
        Setting::new(
            "rules_adapter",
            Kind::Choice(&["amalgam8", "kubernetes", "filesystem"]),
            "Where rules are learnt of",
        )
        .or("amalgam8"),
        Setting::new(
            "discovery_path",
            Kind::Text,
            "File of instances, for the adapter filesystem",
        )
        .at("discovery.path"),
        Setting::new(
            "rules_path",
            Kind::Text,
            "File of rules, for the adapter filesystem",
        )
        .at("rules.path"),
        Setting::new("eureka_url", Kind::Urls, "Eureka servers").at("eureka.urls"),
    ],
};

const REGISTRY: Group = Group {
    title: "Registry",
    settings: &[
        Setting::new(
            "registry_url",
            Kind::Urls,
            "Registries that share their state",
        )
        .at("registry.url"),
        Setting::new("registry_token", Kind::Text, "Bearer token")
            .at("registry.token")
            .secret(),
        Setting::new(
            "registry_poll",
            POLL,
            "How often it is asked where it cannot be watched",
        )
        .at("registry.poll")
        .or("15s"),
        Setting::new(
            "registry_ca_cert_file",
            Kind::Text,
            "The only authorities to trust, in PEM",
        )
        .at("registry.ca_cert_file"),
    ],
};

const CONTROLLER: Group = Group {
    title: "Controller",
    settings: &[
        Setting::new(
            "controller_url",
            Kind::Urls,
            "Controllers that share their state",
        )
        .at("controller.url"),
        Setting::new("controller_token", Kind::Text, "Bearer token")
            .at("controller.token")
            .secret(),
        Setting::new(
            "controller_poll",
            POLL,
            "How often it is asked where it cannot be watched",
        )
        .at("controller.poll")
        .or("15s"),
        Setting::new(
            "controller_ca_cert_file",
            Kind::Text,
            "The only authorities to trust, in PEM",
        )
        .at("controller.ca_cert_file"),
    ],
};

/// Under which names the settings of the cluster are read.
pub(super) const KUBERNETES_NAMES: kubernetes::Names = kubernetes::Names {
    url: "kubernetes_url",
    token: "kubernetes_token",
    ca_cert_file: "kubernetes_ca_cert_file",
    namespace: "kubernetes_namespace",
};

const CLUSTER: [Setting; 4] = KUBERNETES_NAMES.settings();

const KUBERNETES: Group = Group {
    title: "Kubernetes",
    settings: &[
        CLUSTER[0].at("kubernetes.url"),
        CLUSTER[1].at("kubernetes.token"),
        CLUSTER[2].at("kubernetes.ca_cert_file"),
        CLUSTER[3].at("kubernetes.namespace"),
        Setting::new(
            "kubernetes_pod_name",
            Kind::Text,
            "The sidecar's own pod: says who it is, where service and endpoint do not",
        )
        .at("kubernetes.pod_name"),
    ],
};

const PROXY: Group = Group {
    title: "Proxy",
    settings: &[
        Setting::new(
            "http_listener_port",
            Kind::ListenPort,
            "The application's way out; 0 takes any free port",
        )
        .at("proxy_config.http_listener_port")
        .or("6379"),
        Setting::new(
            "http_listener_host",
            Kind::Text,
            "Address to listen on; by default all, of both families",
        )
        .at("proxy_config.http_listener_host"),
        Setting::new(
            "admin_port",
            Kind::ListenPort,
            "Where the sidecar speaks of itself; 0 takes any free port",
        )
        .at("proxy_config.admin_port")
        .or("8001"),
        Setting::new("admin_host", Kind::Text, "Address of the admin port")
            .at("proxy_config.admin_host")
            .or("127.0.0.1"),
        Setting::new(
            "worker_threads",
            Kind::Integer { min: 0, max: 1024 },
            "Threads that serve; by default one for each core",
        )
        .at("proxy_config.worker_threads"),
        Setting::new(
            "access_log",
            Kind::Text,
            "stdout, off or a file; by default stdout, or a file in logging_dir if that is set",
        )
        .at("proxy_config.access_log"),
        Setting::new("logging_dir", Kind::Text, "Folder of the access log")
            .at("proxy_config.logging_dir"),
        Setting::new(
            "state_dir",
            Kind::Text,
            "Folder in which the last good state is kept, for a start while the servers or the \
             cluster are away; by default it is not",
        )
        .at("proxy_config.state_dir"),
        Setting::new(
            "affinity_key",
            Kind::Text,
            "Secret that affinity cookies are made with, the same for all sidecars of a \
             service; by default a random one",
        )
        .at("proxy_config.affinity_key")
        .secret(),
        Setting::new(
            "tcp_proxies",
            Kind::Section,
            "Ports that lead to TCP services",
        )
        .at("proxy_config.tcp_proxies"),
        Setting::new(
            "idle_timeout",
            PATIENCE,
            "How long the bodies of a request and its response may stand still",
        )
        .at("proxy_config.idle_timeout")
        .or("5m"),
        Setting::new(
            "max_request_body",
            Kind::Integer { min: 0, max: i64::MAX },
            "The most bytes that the body of a request may have; 0 is no bound",
        )
        .at("proxy_config.max_request_body")
        .or("0"),
        Setting::new("proxy_tls", Kind::Bool, "Speak TLS with those who call")
            .at("proxy_config.tls")
            .or("false"),
        Setting::new(
            "proxy_cert_chain_file",
            Kind::Text,
            "What callers are shown: the certificate and those it hangs on, in PEM",
        )
        .at("proxy_config.cert_chain_file"),
        Setting::new("proxy_private_key_file", Kind::Text, "The certificate's key, in PEM")
            .at("proxy_config.private_key_file"),
        Setting::new(
            "proxy_ca_cert_file",
            Kind::Text,
            "The only authorities by which https instances are trusted, in PEM; by default the system's",
        )
        .at("proxy_config.ca_cert_file"),
    ],
};

const LIFE: Group = Group {
    title: "Starting and stopping",
    settings: &[
        Setting::new(
            "start_timeout",
            PATIENCE,
            "How long callers and supervised commands wait at the start for something to route by",
        )
        .at("proxy_config.start_timeout")
        .or("10s"),
        Setting::new(
            "deregister_grace",
            PATIENCE,
            "How long the proxy serves on after the service was deregistered",
        )
        .at("proxy_config.deregister_grace")
        .or("1s"),
        Setting::new(
            "drain_timeout",
            PATIENCE,
            "How long requests in flight may go on",
        )
        .at("proxy_config.drain_timeout")
        .or("15s"),
        Setting::new(
            "stop_grace",
            PATIENCE,
            "How long supervised commands may take to end before they are killed",
        )
        .at("proxy_config.stop_grace")
        .or("10s"),
    ],
};

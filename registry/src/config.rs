//! The settings of `a8registry`, under the original's names.

use std::time::Duration;

use a8_common::config::{Component, Group, Kind, Setting, Settings};
use a8_common::{auth, host, http, kubernetes, store, telemetry};

use crate::catalog::Limits;

/// `a8registry` and its settings.
pub const COMPONENT: Component = Component {
    name: "a8registry",
    about: "The catalog of service instances",
    version: env!("CARGO_PKG_VERSION"),
    groups: &[
        &http::SETTINGS,
        &INSTANCES,
        &STORE,
        &ETCD,
        &KUBERNETES,
        &auth::SETTINGS,
        &telemetry::SETTINGS,
        &IGNORED,
    ],
    health: http::PLACE,
    trailing: None,
};

const TTL: Kind = Kind::Duration {
    min: Duration::from_secs(1),
    max: Duration::from_secs(30 * 24 * 3600),
};

const INSTANCES: Group = Group {
    title: "Instances",
    settings: &[
        Setting::new(
            "default_ttl",
            TTL,
            "Time to live of an instance that asks for none",
        )
        .or("30s"),
        Setting::new(
            "min_ttl",
            TTL,
            "Shortest time to live; less is raised to it",
        )
        .or("10s"),
        Setting::new(
            "max_ttl",
            TTL,
            "Longest time to live; more is lowered to it",
        )
        .or("10m"),
        Setting::new(
            "namespace_capacity",
            Kind::Integer {
                min: -1,
                max: 1_000_000,
            },
            "Most instances of one namespace; -1 is no limit",
        )
        .or("-1"),
    ],
};

const STORE: Group = Group {
    title: "Store",
    settings: &[
        Setting::new(
            "store",
            Kind::Choice(&["memory", "inmem", "embedded", "etcd"]),
            "Where instances are kept; inmem is the original's word for memory",
        )
        .or("memory"),
        store::DATA_DIR,
    ],
};

const NAMES: store::Names = store::Names {
    adapter: "store",
    etcd: store::EtcdNames {
        address: "store_address",
        user: "store_user",
        password: "store_password",
        ca_cert_file: "store_ca_cert_file",
        cert_file: "store_cert_file",
        key_file: "store_key_file",
        prefix: "store_prefix",
    },
};

const ETCD: Group = Group {
    title: "etcd, for store etcd",
    settings: &NAMES.etcd.settings(),
};

/// Under which names the settings of the cluster are read.
const CLUSTER: kubernetes::Names = kubernetes::Names {
    url: "k8s_url",
    token: "k8s_token",
    ca_cert_file: "k8s_ca_cert_file",
    namespace: "k8s_namespace",
};

const ACCESS: [Setting; 4] = CLUSTER.settings();

const KUBERNETES: Group = Group {
    title: "Kubernetes, whose instances are then beside those that register",
    settings: &[
        Setting::new(
            "catalog",
            Kind::Choice(&["store", "kubernetes"]),
            "Which instances there are: those that registered, or those of a cluster, too; \
             kubernetes is meant where k8s_url is set",
        )
        .or("store"),
        ACCESS[0],
        ACCESS[1],
        ACCESS[2],
        ACCESS[3],
    ],
};

/// What the original knew for replicas that talk to each other. Here that is a store's work.
const IGNORED: Group = Group {
    title: "Accepted for compatibility and ignored",
    settings: &[
        Setting::new("replication", Kind::Bool, "Ignored: replicas share a store"),
        Setting::new("replication_port", Kind::Port, "Ignored, as replication"),
        Setting::new("sync_timeout", Kind::DURATION, "Ignored, as replication"),
        Setting::new("cluster_dir", Kind::Text, "Ignored, as replication"),
        Setting::new("cluster_size", Kind::COUNT, "Ignored, as replication"),
    ],
};

/// What `a8registry` runs by.
#[derive(Clone)]
pub struct Config {
    /// What every server runs by.
    pub host: host::Config,
    /// Bounds on instances.
    pub limits: Limits,
    /// The cluster whose instances are in the catalog.
    pub cluster: Option<kubernetes::Config>,
}

impl Config {
    /// Reads the settings; what is wrong with them is reported there.
    pub fn read(settings: &Settings) -> Self {
        let limits = Limits {
            default_ttl: settings.duration("default_ttl"),
            min_ttl: settings.duration("min_ttl"),
            max_ttl: settings.duration("max_ttl"),
            capacity: settings.count("namespace_capacity"),
        };
        if limits.min_ttl > limits.max_ttl {
            settings.refuse("min_ttl", "must not be above max_ttl");
        } else if !(limits.min_ttl..=limits.max_ttl).contains(&limits.default_ttl) {
            settings.refuse("default_ttl", "must lie between min_ttl and max_ttl");
        }
        let mut host = host::Config::read(settings, &NAMES, &IGNORED);
        let cluster = cluster(settings, &host.store);
        if cluster.is_none() {
            host.ignored.extend(CLUSTER.set_in(settings));
        }
        Self {
            host,
            limits,
            cluster,
        }
    }
}

/// The cluster, if one is meant.
fn cluster(settings: &Settings, store: &store::Config) -> Option<kubernetes::Config> {
    let said = settings.text("catalog").as_deref() == Some("kubernetes");
    let meant = settings.url(CLUSTER.url).is_some() && !settings.is_set("catalog");
    if !said && !meant {
        return None;
    }
    if cfg!(not(feature = "kubernetes")) {
        settings.refuse("catalog", "kubernetes was left out when this was built");
    }
    if *store != store::Config::Memory {
        let reason = "must be memory with the catalog of a cluster, which is its own store";
        settings.refuse("store", reason);
    }
    Some(kubernetes::Config::read(settings, &CLUSTER))
}

#[cfg(test)]
mod tests {
    use a8_common::config::{self, Input};

    use super::*;

    fn read(args: &[&str]) -> Result<Config, config::Exit> {
        config::start(&COMPONENT, &Input::from_args(args), Config::read)
    }

    #[test]
    fn the_defaults_are_the_originals() {
        let config = read(&[]).unwrap();
        assert_eq!(config.host.http.address.port(), 8080);
        assert_eq!(config.host.store, store::Config::Memory);
        assert_eq!(config.limits.capacity, None);
        assert!(config.host.ignored.is_empty());
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (args, named) in [
            (&["--store=etcd"][..], "store_address"),
            (
                &["--store=etcd", "--store_address=http://a/b"],
                "http://a/b",
            ),
            (
                &["--store=etcd", "--store_address=a", "--store_user=me"],
                "store_password",
            ),
            (&["--store=embedded"], "data_dir"),
            (&["--store=embedded", "--data_dir="], "data_dir"),
            (&["--store=mysql"], "mysql"),
            (&["--min_ttl=1h"], "min_ttl"),
            (
                &["--catalog=kubernetes", "--store=embedded", "--data_dir=/d"],
                "must be memory",
            ),
            (
                &["--k8s_url=http://k:1", "--k8s_namespace=A"],
                "k8s_namespace",
            ),
            (&["--default_ttl=5s"], "default_ttl"),
        ] {
            let exit = read(args).err().unwrap();
            assert_eq!(exit.code(), config::EXIT_USAGE);
            assert!(exit.to_string().contains(named), "{exit}");
        }
    }

    #[test]
    fn a_cluster_is_asked_where_it_is_meant() {
        assert_eq!(read(&[]).unwrap().cluster, None);
        assert!(read(&["--catalog=kubernetes"]).unwrap().cluster.is_some());
        // As in 1.x, whose switch the URL was.
        let config = read(&["--k8s_url=https://k:6443", "--k8s_token=t"]).unwrap();
        assert!(config.cluster.unwrap().token.is_some());
        let config = read(&["--k8s_token=t"]).unwrap();
        assert_eq!(
            (config.cluster, config.host.ignored),
            (None, vec!["k8s_token"])
        );
    }

    #[test]
    fn settings_without_effect_are_named() {
        let config = read(&["--replication", "--cluster_size=3"]).unwrap();
        assert_eq!(config.host.ignored, ["replication", "cluster_size"]);
        let config = read(&["--store_address=a:2379"]).unwrap();
        assert_eq!(config.host.ignored, ["store_address"]);
    }
}

//! The settings of `a8registry`, under the original's names.

use std::time::Duration;

use a8_common::config::{Component, Group, Kind, Setting, Settings};
use a8_common::{auth, host, http, store, telemetry};

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
        &auth::SETTINGS,
        &telemetry::SETTINGS,
        &IGNORED,
    ],
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
        Self {
            host: host::Config::read(settings, &NAMES, &IGNORED),
            limits,
        }
    }
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
            (&["--default_ttl=5s"], "default_ttl"),
        ] {
            let exit = read(args).err().unwrap();
            assert_eq!(exit.code(), config::EXIT_USAGE);
            assert!(exit.to_string().contains(named), "{exit}");
        }
    }

    #[test]
    fn settings_without_effect_are_named() {
        let config = read(&["--replication", "--cluster_size=3"]).unwrap();
        assert_eq!(config.host.ignored, ["replication", "cluster_size"]);
        let config = read(&["--store_address=a:2379"]).unwrap();
        assert_eq!(config.host.ignored, ["store_address"]);
    }
}

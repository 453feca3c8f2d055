//! The settings of `a8registry`, under the original's names.

use std::time::Duration;

use a8_common::auth::{self, Authenticator};
use a8_common::config::{Component, Group, Kind, Setting, Settings};
use a8_common::{http, store, telemetry};
use tracing::warn;

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
        Setting::new(
            "data_dir",
            Kind::Text,
            "Folder of the embedded store's file",
        ),
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
    /// The port and its bounds.
    pub http: http::Config,
    /// Who may call.
    pub auth: Authenticator,
    /// Bounds on instances.
    pub limits: Limits,
    /// Where instances are kept.
    pub store: store::Config,
    /// The log.
    pub log: telemetry::Config,
    /// Settings that were given and have no effect.
    pub ignored: Vec<&'static str>,
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
        let names = [
            "replication",
            "replication_port",
            "sync_timeout",
            "cluster_dir",
            "cluster_size",
        ];
        Self {
            http: http::Config::read(settings),
            auth: Authenticator::read(settings),
            limits,
            store: store_config(settings),
            log: telemetry::Config::read(settings),
            ignored: names
                .into_iter()
                .filter(|name| settings.is_set(name))
                .collect(),
        }
    }

    /// Says in the log what the operator may have meant otherwise.
    pub fn warn(&self) {
        for name in &self.ignored {
            warn!(
                setting = name,
                "has no effect: replicas share a store instead"
            );
        }
        let beyond_loopback = !self.http.address.ip().is_loopback();
        self.auth
            .warn_if_open(beyond_loopback, self.http.https.required);
    }
}

fn store_config(settings: &Settings) -> store::Config {
    match settings.text("store").as_deref() {
        Some("embedded") => store::Config::Embedded {
            data_dir: settings.text("data_dir").unwrap_or_default().into(),
        },
        Some("etcd") => store::Config::Etcd,
        _ => store::Config::Memory,
    }
}

//! The settings of `a8controller`, under the original's names.

use a8_common::auth::{self, Authenticator};
use a8_common::config::{Component, Group, Kind, Setting, Settings};
use a8_common::{http, store, telemetry};
use tracing::warn;

/// `a8controller` and its settings.
pub const COMPONENT: Component = Component {
    name: "a8controller",
    about: "The book of routing and fault rules",
    version: env!("CARGO_PKG_VERSION"),
    groups: &[
        &http::SETTINGS,
        &STORE,
        &auth::SETTINGS,
        &telemetry::SETTINGS,
        &IGNORED,
    ],
    trailing: None,
};

const STORE: Group = Group {
    title: "Store",
    settings: &[
        Setting::new(
            "database_type",
            Kind::Choice(&["memory", "embedded", "etcd", "kubernetes", "redis"]),
            "Where rules are kept; redis, which the original had, is refused",
        )
        .or("memory"),
        Setting::new(
            "data_dir",
            Kind::Text,
            "Folder of the embedded store's file",
        ),
    ],
};

/// What the original knew for Redis and for Kubernetes' third-party resources.
const IGNORED: Group = Group {
    title: "Accepted for compatibility and ignored",
    settings: &[
        Setting::new("database_host", Kind::Text, "Ignored: for Redis"),
        Setting::new("database_username", Kind::Text, "Ignored: for Redis"),
        Setting::new("database_password", Kind::Text, "Ignored: for Redis").secret(),
        Setting::new("database_namespace", Kind::Text, "Ignored: for Kubernetes"),
        Setting::new("encryption_key", Kind::Text, "Ignored: for Redis").secret(),
    ],
};

/// What `a8controller` runs by.
#[derive(Clone)]
pub struct Config {
    /// The port and its bounds.
    pub http: http::Config,
    /// Who may call.
    pub auth: Authenticator,
    /// Where rules are kept.
    pub store: store::Config,
    /// The log.
    pub log: telemetry::Config,
    /// Settings that were given and have no effect.
    pub ignored: Vec<&'static str>,
}

impl Config {
    /// Reads the settings; what is wrong with them is reported there.
    pub fn read(settings: &Settings) -> Self {
        let names = [
            "database_host",
            "database_username",
            "database_password",
            "database_namespace",
            "encryption_key",
        ];
        Self {
            http: http::Config::read(settings),
            auth: Authenticator::read(settings),
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
        for setting in &self.ignored {
            warn!(setting, "has no effect with this kind of database");
        }
        let beyond_loopback = !self.http.address.ip().is_loopback();
        self.auth
            .warn_if_open(beyond_loopback, self.http.https.required);
    }
}

fn store_config(settings: &Settings) -> store::Config {
    let refuse = |reason: &str| {
        settings.refuse("database_type", reason);
        store::Config::Memory
    };
    match settings.text("database_type").as_deref() {
        Some("embedded") => match settings.text("data_dir") {
            Some(folder) if !folder.is_empty() => store::Config::Embedded {
                data_dir: folder.into(),
            },
            _ => {
                settings.refuse("data_dir", "is required by database_type embedded");
                store::Config::Memory
            }
        },
        Some("redis") => refuse("redis is not supported; take embedded, which needs no server"),
        Some("etcd") => refuse("etcd is not in this version yet; take memory or embedded"),
        Some("kubernetes") => {
            refuse("kubernetes is not in this version yet; take memory or embedded")
        }
        _ => store::Config::Memory,
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
        assert_eq!(config.http.address.port(), 8080);
        assert_eq!(config.store, store::Config::Memory);
        assert!(config.ignored.is_empty());
    }

    #[test]
    fn a_database_that_is_not_there_is_refused_by_name() {
        for (args, named) in [
            (&["--database_type=redis"][..], "redis"),
            (&["--database_type=etcd"], "etcd"),
            (&["--database-type=kubernetes"], "kubernetes"),
            (&["--database_type=embedded"], "data_dir"),
            (&["--database_type=mysql"], "mysql"),
        ] {
            let exit = read(args).err().unwrap();
            assert_eq!(exit.code(), config::EXIT_USAGE);
            assert!(exit.to_string().contains(named), "{exit}");
        }
    }

    #[test]
    fn settings_without_effect_are_named() {
        let config = read(&["--encryption_key=abcdefghijklmnop"]).unwrap();
        assert_eq!(config.ignored, ["encryption_key"]);
    }
}

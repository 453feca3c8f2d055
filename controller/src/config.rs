//! The settings of `a8controller`, under the original's names.

use a8_common::config::{Component, Group, Kind, Setting, Settings};
use a8_common::host::Config;
use a8_common::{auth, http, store, telemetry};

/// `a8controller` and its settings.
pub const COMPONENT: Component = Component {
    name: "a8controller",
    about: "The book of routing and fault rules",
    version: env!("CARGO_PKG_VERSION"),
    groups: &[
        &http::SETTINGS,
        &STORE,
        &ETCD,
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
        store::DATA_DIR,
    ],
};

const NAMES: store::Names = store::Names {
    adapter: "database_type",
    etcd: store::EtcdNames {
        address: "database_host",
        user: "database_username",
        password: "database_password",
        ca_cert_file: "database_ca_cert_file",
        cert_file: "database_cert_file",
        key_file: "database_key_file",
        prefix: "database_prefix",
    },
};

const ETCD: Group = Group {
    title: "etcd, for database_type etcd",
    settings: &NAMES.etcd.settings(),
};

/// What the original knew for Redis and for Kubernetes' third-party resources.
const IGNORED: Group = Group {
    title: "Accepted for compatibility and ignored",
    settings: &[
        Setting::new("database_namespace", Kind::Text, "Ignored: for Kubernetes"),
        Setting::new("encryption_key", Kind::Text, "Ignored: for Redis").secret(),
    ],
};

/// Reads the settings; what is wrong with them is reported there.
pub fn read(settings: &Settings) -> Config {
    Config::read(settings, &NAMES, &IGNORED)
}

#[cfg(test)]
mod tests {
    use a8_common::config::{self, Input};

    use super::*;

    fn started(args: &[&str]) -> Result<Config, config::Exit> {
        config::start(&COMPONENT, &Input::from_args(args), read)
    }

    #[test]
    fn the_defaults_are_the_originals() {
        let config = started(&[]).unwrap();
        assert_eq!(config.http.address.port(), 8080);
        assert_eq!(config.store, store::Config::Memory);
        assert!(config.ignored.is_empty());
    }

    #[test]
    fn a_database_that_is_not_there_is_refused_by_name() {
        for (args, named) in [
            (&["--database_type=redis"][..], "redis"),
            (&["--database_type=etcd"], "database_host"),
            (
                &["--database_type=etcd", "--database_host=ftp://a"],
                "ftp://a",
            ),
            (&["--database-type=kubernetes"], "kubernetes"),
            (&["--database_type=embedded"], "data_dir"),
            (&["--database_type=mysql"], "mysql"),
        ] {
            let exit = started(args).err().unwrap();
            assert_eq!(exit.code(), config::EXIT_USAGE);
            assert!(exit.to_string().contains(named), "{exit}");
        }
    }

    #[test]
    fn settings_without_effect_are_named() {
        let config = started(&["--encryption_key=abcdefghijklmnop"]).unwrap();
        assert_eq!(config.ignored, ["encryption_key"]);
    }
}

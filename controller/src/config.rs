//! The settings of `a8controller`, under the original's names.

use a8_common::config::{Component, Group, Kind, Setting, Settings};
use a8_common::{auth, host, http, store, telemetry};

/// `a8controller` and its settings.
pub const COMPONENT: Component = Component {
    name: "a8controller",
    about: "The book of routing and fault rules",
    version: env!("CARGO_PKG_VERSION"),
    groups: &[
        &http::SETTINGS,
        &STORE,
        &ETCD,
        #[cfg(feature = "kubernetes")]
        &cluster::SETTINGS,
        &auth::SETTINGS,
        &telemetry::SETTINGS,
        &IGNORED,
    ],
    health: http::PLACE,
    trailing: None,
};

/// What the process runs by.
pub type Config = host::Config<Database>;

/// Where rules are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// In a store, as entries.
    Store(store::Config),
    /// In a cluster, as objects.
    #[cfg(feature = "kubernetes")]
    Kubernetes(a8_common::kubernetes::Config),
}

const STORE: Group = Group {
    title: "Store",
    settings: &[
        Setting::new(
            NAMES.adapter,
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

/// What the original knew for Redis.
const IGNORED: Group = Group {
    title: "Accepted for compatibility and ignored",
    settings: &[
        Setting::new("encryption_key", Kind::Text, "Ignored: for Redis").secret(),
        #[cfg(not(feature = "kubernetes"))]
        Setting::new("database_namespace", Kind::Text, "Ignored: for Kubernetes"),
    ],
};

/// Reads the settings; what is wrong with them is reported there.
pub fn read(settings: &Settings) -> Config {
    #[cfg(feature = "kubernetes")]
    if settings.text(NAMES.adapter).as_deref() == Some("kubernetes") {
        return cluster::read(settings);
    }
    #[allow(unused_mut, reason = "there are more where Kubernetes is built in")]
    let mut config = host::Config::read(settings, &NAMES, &IGNORED);
    #[cfg(feature = "kubernetes")]
    config.ignored.extend(cluster::NAMES.set_in(settings));
    config.with(Database::Store)
}

/// The settings of a cluster.
#[cfg(feature = "kubernetes")]
mod cluster {
    use a8_common::config::{Group, Settings};
    use a8_common::{host, kubernetes, store};

    use super::{Config, Database, IGNORED};

    pub(super) const NAMES: kubernetes::Names = kubernetes::Names {
        url: "kubernetes_url",
        token: "kubernetes_token",
        ca_cert_file: "kubernetes_ca_cert_file",
        namespace: "database_namespace",
    };

    pub(super) const SETTINGS: Group = Group {
        title: "Kubernetes, for database_type kubernetes",
        settings: &NAMES.settings(),
    };

    pub(super) fn read(settings: &Settings) -> Config {
        let mut config = kubernetes::Config::read(settings, &NAMES);
        let mut ignored = settings.set_in(&IGNORED);
        let host = super::NAMES.etcd.address;
        // A store that is not used tells all settings of stores.
        let idle = store::Config::Memory.without_effect(settings, &super::NAMES);
        ignored.extend(idle.into_iter().filter(|name| *name != host));
        match settings.list(host).as_slice() {
            [] => {}
            [_] if config.url.is_some() => ignored.push(host),
            [url] => match url.parse() {
                Ok(url) => config.url = Some(url),
                Err(_) => settings.refuse(host, format!("{url:?} is not the URL of an API server")),
            },
            _ => settings.refuse(host, "must be one URL with database_type kubernetes"),
        }
        host::Config::over(Database::Kubernetes(config), settings, ignored)
    }
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
        assert_eq!(config.store, Database::Store(store::Config::Memory));
        assert!(config.ignored.is_empty());
    }

    #[test]
    fn a_database_that_is_not_there_is_refused_by_name() {
        for (args, named) in [
            (&["--database_type=redis"][..], "redis"),
            #[cfg(feature = "etcd")]
            (&["--database_type=etcd"], "database_host"),
            #[cfg(feature = "etcd")]
            (
                &["--database_type=etcd", "--database_host=ftp://a"],
                "ftp://a",
            ),
            #[cfg(not(feature = "kubernetes"))]
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

    #[cfg(feature = "kubernetes")]
    mod cluster {
        use super::*;

        fn cluster(args: &[&str]) -> (a8_common::kubernetes::Config, Vec<&'static str>) {
            let mut all = vec!["--database_type=kubernetes"];
            all.extend(args);
            let config = started(&all).unwrap();
            match config.store {
                Database::Kubernetes(cluster) => (cluster, config.ignored),
                Database::Store(_) => panic!("a store"),
            }
        }

        #[test]
        fn the_originals_settings_name_a_cluster() {
            let (found, ignored) = cluster(&[]);
            assert_eq!((found, ignored.len()), (Default::default(), 0));
            let (named, ignored) = cluster(&[
                "--database_host=https://10.0.0.1:6443",
                "--database_namespace=prod",
            ]);
            assert_eq!(named.url.unwrap().as_str(), "https://10.0.0.1:6443/");
            assert_eq!(named.namespace.as_deref(), Some("prod"));
            assert_eq!(ignored, [""; 0]);
        }

        #[test]
        fn what_is_for_another_database_is_named() {
            let (named, ignored) = cluster(&[
                "--kubernetes_url=https://a:6443",
                "--database_host=https://b:6443",
                "--database_password=x",
                "--data_dir=/tmp",
            ]);
            assert_eq!(named.url.unwrap().host_str(), Some("a"));
            for name in ["database_host", "database_password", "data_dir"] {
                assert!(ignored.contains(&name), "{name}: {ignored:?}");
            }
            let other = started(&["--kubernetes_url=https://a", "--database_namespace=x"]);
            let ignored = other.unwrap().ignored;
            assert_eq!(ignored, ["kubernetes_url", "database_namespace"]);
        }

        #[test]
        fn what_is_no_cluster_is_refused_by_name() {
            for (arg, named) in [
                ("--database_host=nonsense", "database_host"),
                ("--database_host=https://a,https://b", "database_host"),
                ("--database_namespace=A", "database_namespace"),
                ("--kubernetes_url=ftp://a", "kubernetes_url"),
            ] {
                let exit = started(&["--database_type=kubernetes", arg]).err().unwrap();
                assert!(exit.to_string().contains(named), "{exit}");
            }
        }
    }
}

//! How an etcd is reached: the settings, under the names that a component has for them.

use std::path::PathBuf;

use reqwest::Url;

use crate::config::{Kind, Secret, Setting, Settings};

/// The prefix of all keys, unless another is chosen.
const DEFAULT_PREFIX: &str = "amalgam8";
/// The longest prefix, in bytes.
const MAX_PREFIX: usize = 256;
/// etcd's port, unless another is named.
const PORT: u16 = 2379;

/// How an etcd is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Base URLs of its members, all `http` or all `https`.
    pub endpoints: Vec<String>,
    /// Name and password, where etcd asks for them.
    pub user: Option<(String, Secret)>,
    /// How members are trusted, and trust us.
    pub tls: Tls,
    /// The prefix of all keys, without a slash at its end.
    pub prefix: String,
}

/// Files with certificates and a key, in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The only authorities to trust; without it those of the system.
    pub ca_cert_file: Option<PathBuf>,
    /// What the members know us by.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
}

/// Under which names a component has the settings of an etcd.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// Addresses of members.
    pub address: &'static str,
    /// The user.
    pub user: &'static str,
    /// The user's password.
    pub password: &'static str,
    /// [`Tls::ca_cert_file`].
    pub ca_cert_file: &'static str,
    /// [`Tls::cert_file`].
    pub cert_file: &'static str,
    /// [`Tls::key_file`].
    pub key_file: &'static str,
    /// [`Config::prefix`].
    pub prefix: &'static str,
}

impl Names {
    /// The settings, for a component's table.
    pub const fn settings(self) -> [Setting; 7] {
        [
            Setting::new(
                self.address,
                Kind::List,
                "Members of the etcd, host:2379 or https://host:2379; one is asked at a time, the others stand by",
            ),
            Setting::new(
                self.user,
                Kind::Text,
                "User of the etcd; root when there is only a password",
            ),
            Setting::new(self.password, Kind::Text, "The user's password").secret(),
            Setting::new(
                self.ca_cert_file,
                Kind::Text,
                "The only authorities that etcd members are trusted by, in PEM; without it those of the system",
            ),
            Setting::new(
                self.cert_file,
                Kind::Text,
                "Certificate shown to etcd members, in PEM",
            ),
            Setting::new(self.key_file, Kind::Text, "Key of that certificate, in PEM"),
            Setting::new(self.prefix, Kind::Text, "Where in the etcd all keys lie")
                .or(DEFAULT_PREFIX),
        ]
    }

    /// Those of the settings that somebody set.
    pub(super) fn set_in(&self, settings: &Settings) -> Vec<&'static str> {
        let names = self.settings().map(|setting| setting.name());
        names
            .into_iter()
            .filter(|name| settings.is_set(name))
            .collect()
    }
}

impl Config {
    /// Reads the settings for the store that the setting `adapter` picked; what is wrong with
    /// them is reported there. `None` when they name no etcd.
    pub(super) fn read(settings: &Settings, names: &Names, adapter: &str) -> Option<Self> {
        let endpoints = endpoints(settings, names.address);
        if endpoints.is_empty() {
            if settings.list(names.address).is_empty() {
                let reason =
                    format!("is required by {adapter} etcd: name its members, host:2379,...");
                settings.refuse(names.address, reason);
            }
            return None;
        }
        let file = |name| {
            settings
                .text(name)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
        };
        let tls = Tls {
            ca_cert_file: file(names.ca_cert_file),
            cert_file: file(names.cert_file),
            key_file: file(names.key_file),
        };
        if tls != Tls::default() && endpoints.iter().any(|url| url.starts_with("http:")) {
            let reason = "must be https URLs, since certificates or keys are given";
            settings.refuse(names.address, reason);
        }
        if tls.cert_file.is_some() != tls.key_file.is_some() {
            let lacking = match tls.cert_file {
                Some(_) => names.key_file,
                None => names.cert_file,
            };
            settings.refuse(lacking, "is required: certificate and key go together");
        }
        let user = settings.text(names.user).filter(|user| !user.is_empty());
        let password = settings.secret(names.password);
        let password = password.filter(|password| !password.expose().is_empty());
        let user = match (user, password) {
            (Some(user), Some(password)) => Some((user, password)),
            // Redis, which the option was for, knew no users; etcd's first one is root.
            (None, Some(password)) => Some(("root".to_owned(), password)),
            (Some(_), None) => {
                settings.refuse(names.password, "is required with a user");
                None
            }
            (None, None) => None,
        };
        let prefix = settings.text(names.prefix).unwrap_or_default();
        let prefix = prefix.trim_matches('/');
        let prefix = match prefix {
            "" => DEFAULT_PREFIX,
            prefix => prefix,
        };
        if prefix.len() > MAX_PREFIX || prefix.chars().any(char::is_control) {
            settings.refuse(
                names.prefix,
                format!("must be a text of at most {MAX_PREFIX} bytes"),
            );
        }
        Some(Self {
            endpoints,
            user,
            tls,
            prefix: prefix.to_owned(),
        })
    }
}

/// The members as URLs. Without a scheme they are `http`.
fn endpoints(settings: &Settings, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for given in settings.list(name) {
        let text = match given.contains("://") {
            true => given.clone(),
            false => format!("http://{given}"),
        };
        match Url::parse(&text) {
            Ok(url)
                if matches!(url.scheme(), "http" | "https")
                    && url.has_host()
                    && url.path() == "/"
                    && url.username().is_empty()
                    && url.password().is_none()
                    && url.query().is_none() =>
            {
                let host = url.host_str().unwrap_or_default();
                // A URL does not tell a port that is its scheme's own.
                let written = given.trim_end_matches('/').rsplit_once(':');
                let written = written.and_then(|(_, port)| port.parse().ok());
                let port: u16 = url.port().or(written).unwrap_or(PORT);
                found.push(format!("{}://{host}:{port}", url.scheme()));
            }
            _ => {
                let reason = format!(
                    "{given:?} is not the address of an etcd member, host:2379 or https://host:2379"
                );
                settings.refuse(name, reason);
            }
        }
    }
    let schemes = |scheme| found.iter().any(|url: &String| url.starts_with(scheme));
    if schemes("http:") && schemes("https:") {
        settings.refuse(name, "must be all http or all https");
    }
    found
}

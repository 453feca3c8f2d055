//! How a cluster is reached: the settings, under the names that a component has for them.

use std::path::PathBuf;

use reqwest::Url;

use crate::config::{Kind, Secret, Setting, Settings};

/// How a cluster is reached. What is not given is found: a pod has an account, a person a
/// kubeconfig.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The API server.
    pub url: Option<Url>,
    /// The token it is shown.
    pub token: Option<Secret>,
    /// The only authorities that it is trusted by, in PEM.
    pub ca_cert_file: Option<PathBuf>,
    /// The namespace of the objects.
    pub namespace: Option<String>,
}

/// Under which names a component has the settings of a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    /// [`Config::url`].
    pub url: &'static str,
    /// [`Config::token`].
    pub token: &'static str,
    /// [`Config::ca_cert_file`].
    pub ca_cert_file: &'static str,
    /// [`Config::namespace`].
    pub namespace: &'static str,
}

impl Names {
    /// The settings, for a component's table.
    pub const fn settings(self) -> [Setting; 4] {
        [
            Setting::new(
                self.url,
                Kind::Url,
                "Kubernetes API server; by default the one of the cluster that this runs in, else that of the kubeconfig",
            ),
            Setting::new(
                self.token,
                Kind::Text,
                "Token for the API server; by default that of the pod's service account, else what the kubeconfig says",
            )
            .secret(),
            Setting::new(
                self.ca_cert_file,
                Kind::Text,
                "The only authorities that the API server is trusted by, in PEM",
            ),
            Setting::new(
                self.namespace,
                Kind::Text,
                "Kubernetes namespace; by default the pod's own, else that of the kubeconfig, else default",
            ),
        ]
    }

    /// Those of the settings that somebody set.
    pub fn set_in(&self, settings: &Settings) -> Vec<&'static str> {
        let names = self.settings().map(|setting| setting.name());
        let set = names.into_iter().filter(|name| settings.is_set(name));
        set.collect()
    }
}

impl Config {
    /// Reads the settings; what is wrong with them is reported there.
    pub fn read(settings: &Settings, names: &Names) -> Self {
        let given = |name| settings.text(name).filter(|text| !text.is_empty());
        let namespace = given(names.namespace);
        if let Some(namespace) = &namespace
            && !is_label(namespace)
        {
            let reason = format!("{namespace:?} is not the name of a Kubernetes namespace");
            settings.refuse(names.namespace, reason);
        }
        Self {
            url: settings.url(names.url),
            token: settings
                .secret(names.token)
                .filter(|token| !token.expose().is_empty()),
            ca_cert_file: given(names.ca_cert_file).map(PathBuf::from),
            namespace,
        }
    }
}

/// Whether `text` is a label as RFC 1123 has it, which the name of a namespace is.
fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.len() <= 63
        && text.bytes().all(inner)
        && !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
}

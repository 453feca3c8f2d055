//! Settings that are known but not built yet. Each is refused when it is set to something
//! that would silently not work; the parts that come to be take their lines out of here.

use a8_common::config::Settings;
use serde_json::Value;

/// Refuses what would silently not work; returns what is to be said of the rest.
pub(super) fn refuse(settings: &Settings) -> Vec<String> {
    let words = [("proxy_adapter", "envoy"), ("discovery_adapter", "eureka")];
    for (name, word) in words {
        if settings.text(name).as_deref() == Some(word) {
            settings.refuse(name, format!("{word} is not available in this version"));
        }
    }
    if cfg!(not(feature = "kubernetes")) {
        for name in ["discovery_adapter", "rules_adapter"] {
            if settings.text(name).as_deref() == Some("kubernetes") {
                settings.refuse(name, "kubernetes was left out when this was built");
            }
        }
        if settings.is_set("kubernetes_pod_name") {
            let why = "is set, but Kubernetes was left out when this was built";
            settings.refuse("kubernetes_pod_name", why);
        }
    }
    for (name, what) in [
        ("healthchecks", "health checks are"),
        ("commands", "supervision is"),
    ] {
        let given: Option<Value> = settings.section(name);
        let empty = match &given {
            None | Some(Value::Null) => true,
            Some(Value::Array(items)) => items.is_empty(),
            Some(_) => false,
        };
        if !empty {
            settings.refuse(
                name,
                format!("is set, but {what} not available in this version"),
            );
        }
    }
    if settings.text("state_dir").is_some() {
        settings.refuse(
            "state_dir",
            "is set, but keeping the state on disk is not available in this version",
        );
    }
    if let Some(command) = settings.trailing().first() {
        settings.refuse(
            command,
            "is given as a command to supervise; supervision is not available in this version",
        );
    }
    remarks(settings)
}

/// Harmless settings that have no effect, each with the reason.
fn remarks(settings: &Settings) -> Vec<String> {
    let is = |name: &str, word: &str| settings.text(name).as_deref() == Some(word);
    let effects = [
        (
            &["supervise"][..],
            false,
            "it is for old configurations only",
        ),
        (
            &["dns_host", "dns_port", "dns_upstream"],
            settings.flag("dns"),
            "dns is off",
        ),
        (
            &[
                "kubernetes_url",
                "kubernetes_token",
                "kubernetes_ca_cert_file",
                "kubernetes_namespace",
            ],
            is("discovery_adapter", "kubernetes")
                || is("rules_adapter", "kubernetes")
                || settings.is_set("kubernetes_pod_name"),
            "neither an adapter is kubernetes, nor is there a kubernetes_pod_name",
        ),
        (
            &["eureka_url"],
            false,
            "there is no adapter eureka in this version",
        ),
        (
            &["proxy_cert_chain_file", "proxy_private_key_file"],
            settings.flag("proxy_tls"),
            "proxy_tls is off",
        ),
        (
            &["discovery_path"],
            is("discovery_adapter", "filesystem"),
            "discovery_adapter is not filesystem",
        ),
        (
            &["rules_path"],
            is("rules_adapter", "filesystem"),
            "rules_adapter is not filesystem",
        ),
        (&["tcp_proxies"], settings.flag("proxy"), "proxy is off"),
        (
            &[
                "endpoint_host",
                "endpoint_port",
                "endpoint_type",
                "endpoint_protocol",
            ],
            settings.flag("register"),
            "register is off",
        ),
    ];
    let idle = effects.iter().filter(|(_, has_effect, _)| !has_effect);
    idle.flat_map(|(names, _, why)| names.iter().map(move |name| (*name, *why)))
        .filter(|(name, _)| settings.is_set(name))
        .map(|(name, why)| format!("{name} is set and has no effect: {why}"))
        .collect()
}

//! Settings that are known but not built yet. Each is refused when it is set to something
//! that would silently not work; the parts that come to be take their lines out of here.

use a8_common::config::Settings;

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
    remarks(settings)
}

/// Harmless settings that have no effect, each with the reason.
fn remarks(settings: &Settings) -> Vec<String> {
    let supervises = settings.is_set("commands") || !settings.trailing().is_empty();
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
        (
            &["tcp_proxies", "start_timeout"],
            settings.flag("proxy"),
            "proxy is off",
        ),
        (
            &["state_dir"],
            settings.flag("proxy") || settings.flag("dns"),
            "neither proxy nor dns is on",
        ),
        (
            &["stop_grace"],
            supervises,
            "there is no command to supervise",
        ),
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

//! Settings that are known but not built yet. Each is refused when it is set to something
//! that would silently not work; the parts that come to be take their lines out of here.

use a8_common::config::Settings;
use serde_json::Value;

/// Refuses what would silently not work; returns what is to be said of the rest.
pub(super) fn refuse(settings: &Settings) -> Vec<&'static str> {
    let words = [
        ("proxy_adapter", "envoy"),
        ("discovery_adapter", "kubernetes"),
        ("discovery_adapter", "eureka"),
        ("rules_adapter", "kubernetes"),
    ];
    for (name, word) in words {
        if settings.text(name).as_deref() == Some(word) {
            settings.refuse(name, format!("{word} is not available in this version"));
        }
    }
    for (name, what) in [("dns", "the DNS server"), ("proxy_tls", "TLS to instances")] {
        if settings.flag(name) {
            settings.refuse(
                name,
                format!("is set, but {what} is not available in this version"),
            );
        }
    }
    for (name, what) in [
        ("healthchecks", "health checks are"),
        ("tcp_proxies", "TCP proxies are"),
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
    let mut remarks = Vec::new();
    if settings.is_set("supervise") {
        remarks.push("supervise is accepted for old configurations and does nothing");
    }
    remarks
}

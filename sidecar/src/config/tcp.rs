//! `tcp_proxies`: ports that lead to services whatever is spoken over them.

use std::net::SocketAddr;

use a8_common::config::Settings;
use a8_common::model::ServiceName;
use serde::Deserialize;

use crate::proxy::{Listen, TcpProxy};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    service: ServiceName,
    listener_port: u16,
}

/// Reads the entries. All listen where the HTTP listener does, at their own ports; 0 takes
/// any free one.
pub(super) fn read(settings: &Settings, http: Listen) -> Vec<TcpProxy> {
    let entries: Vec<(usize, Entry)> = settings.entries("tcp_proxies");
    let mut others = vec!["http_listener_port", "admin_port"];
    if settings.flag("dns") {
        others.push("dns_port");
    }
    for (nth, (at, entry)) in entries.iter().enumerate() {
        let port = entry.listener_port;
        let refuse = |why: String| {
            settings.refuse("tcp_proxies", format!("at [{at}].listener_port: {why}"));
        };
        if port == 0 {
            continue;
        }
        let mut before = entries[..nth].iter();
        if let Some((first, _)) = before.find(|(_, e)| e.listener_port == port) {
            refuse(format!("{port} is the port of [{first}], too"));
        }
        for name in &others {
            if settings.port(name) == Some(port) {
                refuse(format!("{port} is the {name}, too"));
            }
        }
    }
    let proxies = entries.into_iter().map(|(_, entry)| TcpProxy {
        service: entry.service,
        listen: match http {
            Listen::Any(_) => Listen::Any(entry.listener_port),
            Listen::At(http) => Listen::At(SocketAddr::new(http.ip(), entry.listener_port)),
        },
    });
    proxies.collect()
}

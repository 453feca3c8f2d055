//! The settings of the DNS server.

use std::net::{IpAddr, SocketAddr};

use a8_common::config::Settings;

use crate::dns::{Config, Domain, Listen};
use crate::state::Patience;

/// The most servers that other domains are asked of, and the most addresses to listen on.
const MAX_LIST: usize = 8;
/// Where a DNS server is found when nothing is said of its port.
const DNS_PORT: u16 = 53;

/// Reads what the DNS server is to do; what cannot be is reported.
pub(super) fn read(settings: &Settings) -> Option<Config> {
    let port = settings.port("dns_port")?;
    let mut hosts = Vec::<IpAddr>::new();
    for host in parse(settings, "dns_host", |text| {
        text.trim_matches(['[', ']'])
            .parse()
            .map_err(|_| format!("{text:?} is not an IP address"))
    }) {
        // Named twice, it would be in its own way.
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    let listen = match hosts.is_empty() {
        true => Listen::Loopback(port),
        false => Listen::At(hosts.iter().map(|ip| SocketAddr::new(*ip, port)).collect()),
    };
    if port != 0 && port == settings.port("admin_port").unwrap_or_default() {
        settings.refuse("dns_port", format!("{port} is the admin_port, too"));
    }
    if port != 0 && settings.flag("proxy") && settings.port("http_listener_port") == Some(port) {
        settings.refuse("dns_port", format!("{port} is the http_listener_port, too"));
    }
    let upstreams = parse(settings, "dns_upstream", upstream);
    for server in &upstreams {
        if listen.includes(*server) {
            let why = format!("{server} is this sidecar: it would ask itself");
            settings.refuse("dns_upstream", why);
        }
    }
    let domain: Domain = settings.parsed("dns_domain")?;
    Some(Config {
        listen,
        domain,
        upstreams,
        grace: Patience::default().grace,
    })
}

fn parse<T>(settings: &Settings, name: &str, read: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
    let texts = settings.list(name);
    if texts.len() > MAX_LIST {
        let why = format!(
            "has {} entries, at most {MAX_LIST} are allowed",
            texts.len()
        );
        settings.refuse(name, why);
    }
    let read = |text: &String| read(text).map_err(|why| settings.refuse(name, why)).ok();
    texts.iter().filter_map(read).collect()
}

/// `ip` or `ip:port`; an IPv6 address before a port stands in brackets.
fn upstream(text: &str) -> Result<SocketAddr, String> {
    let given = match text.parse() {
        Ok(address) => Some(address),
        Err(_) => {
            let ip: Option<IpAddr> = text.trim_matches(['[', ']']).parse().ok();
            ip.map(|ip| SocketAddr::new(ip, DNS_PORT))
        }
    };
    match given {
        Some(address) if address.port() == 0 || address.ip().is_unspecified() => {
            Err(format!("{text:?} is no address to send to"))
        }
        Some(address) => Ok(address),
        None => Err(format!(
            "{text:?} is neither an IP address nor one with a port"
        )),
    }
}

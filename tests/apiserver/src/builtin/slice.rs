//! EndpointSlices.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use super::{items, or, text};
use crate::field::{FieldError, child, item};
use crate::names;

/// Fills in the ports.
pub(super) fn default(object: &mut Value) {
    for endpoint in super::items_mut(object, "endpoints") {
        or(endpoint, "conditions", json!({}));
    }
    for port in super::items_mut(object, "ports") {
        or(port, "name", "");
        or(port, "protocol", "TCP");
    }
}

/// The faults of a slice.
pub(super) fn check(object: &Value, old: Option<&Value>, faults: &mut Vec<FieldError>) {
    let family = text(object, "addressType");
    let known = ["FQDN", "IPv4", "IPv6"];
    if family.is_empty() {
        faults.push(FieldError::required("addressType", ""));
    } else if !known.contains(&family) {
        faults.push(FieldError::unsupported(
            "addressType",
            &family.into(),
            &known,
        ));
    }
    let endpoints = items(object, "endpoints");
    if endpoints.len() > 1000 {
        faults.push(FieldError::too_many("endpoints", endpoints.len(), 1000));
    }
    // Of too many none is looked at.
    let few = endpoints.iter().filter(|_| endpoints.len() <= 1000);
    for (index, endpoint) in few.enumerate() {
        check_endpoint(endpoint, family, &item("endpoints", index), faults);
    }
    check_ports(object, faults);
    if let Some(old) = old
        && old["addressType"] != object["addressType"]
    {
        faults.push(FieldError::invalid(
            "addressType",
            &family.into(),
            "field is immutable",
        ));
    }
}

fn check_endpoint(endpoint: &Value, family: &str, path: &str, faults: &mut Vec<FieldError>) {
    let field = child(path, "addresses");
    let addresses = items(endpoint, "addresses");
    if addresses.is_empty() {
        faults.push(FieldError::required(
            &field,
            "must contain at least 1 address",
        ));
    } else if addresses.len() > 100 {
        faults.push(FieldError::too_many(&field, addresses.len(), 100));
    }
    for (index, address) in addresses.iter().enumerate() {
        let field = item(&field, index);
        let given = address.as_str().unwrap_or_default();
        match family {
            "IPv4" | "IPv6" => match given.parse::<IpAddr>() {
                Err(_) => {
                    let said = if has_leading_zeros(given) {
                        "must not have leading 0s"
                    } else {
                        "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
                    };
                    faults.push(FieldError::invalid(&field, address, said));
                }
                Ok(ip) if ip.is_ipv4() != (family == "IPv4") => {
                    let said = format!("must be an {family} address");
                    let field = child(path, "addresses");
                    faults.push(FieldError::invalid(&field, address, said));
                    continue;
                }
                Ok(_) => {}
            },
            "FQDN" => {
                for said in names::subdomain(given) {
                    faults.push(FieldError::invalid(&field, address, said));
                }
                continue;
            }
            _ => {}
        }
        if let Ok(ip) = given.parse::<IpAddr>() {
            not_special(ip, address, &field, faults);
        }
    }
    if let Some(name) = endpoint["nodeName"].as_str() {
        for said in names::subdomain(name) {
            let field = child(path, "nodeName");
            faults.push(FieldError::invalid(&field, &name.into(), said));
        }
    }
    if let Some(name) = endpoint["hostname"].as_str() {
        for said in names::label(name) {
            let field = child(path, "hostname");
            faults.push(FieldError::invalid(&field, &name.into(), said));
        }
    }
}

/// Whether a text would be an address, were it not for zeros that some read as octal.
fn has_leading_zeros(text: &str) -> bool {
    let parts: Vec<_> = text
        .split('.')
        .map(|part| match part.trim_start_matches('0') {
            "" => "0",
            part => part,
        })
        .collect();
    parts.join(".").parse::<Ipv4Addr>().is_ok()
}

/// Endpoints are elsewhere: no loopback, no link-local and no multicast address.
pub(super) fn not_special(ip: IpAddr, given: &Value, field: &str, faults: &mut Vec<FieldError>) {
    let ranges = if ip.is_unspecified() && ip.is_ipv4() {
        "may not be unspecified (0.0.0.0)"
    } else if ip.is_unspecified() {
        "may not be unspecified (::)"
    } else if ip.is_loopback() {
        "may not be in the loopback range (127.0.0.0/8, ::1/128)"
    } else if is_link_local(ip) {
        "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
    } else if is_link_local_multicast(ip) {
        "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
    } else {
        return;
    };
    faults.push(FieldError::invalid(field, given, ranges));
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn is_link_local_multicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
        IpAddr::V6(ip) => ip.segments()[0] & 0xff0f == 0xff02,
    }
}

fn check_ports(object: &Value, faults: &mut Vec<FieldError>) {
    let ports = items(object, "ports");
    if ports.len() > 20_000 {
        faults.push(FieldError::too_many("ports", ports.len(), 20_000));
    }
    let mut seen: Vec<&str> = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let path = item("ports", index);
        let name = text(port, "name");
        if !name.is_empty() {
            for said in names::label(name) {
                let field = child(&path, "name");
                faults.push(FieldError::invalid(&field, &name.into(), said));
            }
        }
        if seen.contains(&name) {
            faults.push(FieldError::duplicate(&child(&path, "name"), &name.into()));
        }
        seen.push(name);
        if let Some(number) = port["port"].as_i64()
            && !(1..=65535).contains(&number)
        {
            super::port_number(&json!(number), &child(&path, "port"), faults);
        }
        let known = ["SCTP", "TCP", "UDP"];
        if !known.contains(&text(port, "protocol")) {
            let field = child(&path, "protocol");
            faults.push(FieldError::unsupported(&field, &port["protocol"], &known));
        }
        if let Some(protocol) = port["appProtocol"].as_str() {
            for said in names::qualified(protocol) {
                let field = child(&path, "appProtocol");
                faults.push(FieldError::invalid(&field, &protocol.into(), said));
            }
        }
    }
}

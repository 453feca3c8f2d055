//! EndpointSlices.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

use super::{items, or, text};
use crate::field::{FieldError, child, item};
use crate::names;

/// Fills in the ports.
pub(super) fn default(object: &mut Value) {
    for port in object["ports"].as_array_mut().into_iter().flatten() {
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
    for (index, endpoint) in endpoints.iter().enumerate() {
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
            "IPv4" if given.parse::<Ipv4Addr>().is_err() => {
                faults.push(FieldError::invalid(
                    &field,
                    address,
                    "must be an IPv4 address",
                ));
            }
            "IPv6" if given.parse::<Ipv6Addr>().is_err() => {
                faults.push(FieldError::invalid(
                    &field,
                    address,
                    "must be an IPv6 address",
                ));
            }
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

/// Endpoints are elsewhere: no loopback, no link-local and no multicast address.
pub(super) fn not_special(ip: IpAddr, given: &Value, field: &str, faults: &mut Vec<FieldError>) {
    let ranges = if ip.is_unspecified() {
        "may not be unspecified (0.0.0.0 or ::)"
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
                faults.push(FieldError::invalid(
                    &child(&path, "name"),
                    &name.into(),
                    said,
                ));
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

//! Services, and the Endpoints of old.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use super::{items, or, text};
use crate::failure::Failure;
use crate::field::{FieldError, child, item};
use crate::metadata;
use crate::names;
use crate::object;
use crate::store::Store;

/// Where addresses of Services are taken from.
const FIRST: u32 = u32::from_be_bytes([10, 96, 0, 10]);

/// Fills in a Service.
pub(super) fn default(object: &mut Value) {
    let spec = &mut object["spec"];
    or(spec, "type", "ClusterIP");
    or(spec, "sessionAffinity", "None");
    let kind = text(spec, "type").to_owned();
    if kind != "ExternalName" {
        or(spec, "internalTrafficPolicy", "Cluster");
        or(spec, "ipFamilies", json!(["IPv4"]));
        or(spec, "ipFamilyPolicy", "SingleStack");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        or(spec, "externalTrafficPolicy", "Cluster");
    }
    for port in super::items_mut(spec, "ports") {
        or(port, "protocol", "TCP");
        let number = port["port"].clone();
        let unset = matches!(&port["targetPort"], Value::Null)
            || port["targetPort"] == 0
            || port["targetPort"] == "";
        if unset {
            port["targetPort"] = number;
        }
    }
}

/// Addresses stay as they were given.
pub(super) fn keep(old: &Value, object: &mut Value) {
    let was = text(&old["spec"], "type");
    let is = text(&object["spec"], "type").to_owned();
    if was == "ExternalName" || is == "ExternalName" {
        return;
    }
    for name in ["clusterIP", "clusterIPs"] {
        let value = old["spec"][name].clone();
        if object["spec"][name].is_null() && !value.is_null() {
            object["spec"][name] = value;
        }
    }
    let ports = object["spec"]["ports"].as_array_mut().into_iter().flatten();
    for port in ports {
        let before = items(&old["spec"], "ports")
            .iter()
            .find(|p| p["port"] == port["port"]);
        if let Some(node_port) = before
            .map(|p| p["nodePort"].clone())
            .filter(|n| !n.is_null())
            && matches!(is.as_str(), "NodePort" | "LoadBalancer" | "")
            && port["nodePort"].is_null()
        {
            port["nodePort"] = node_port;
        }
    }
}

/// The faults of a Service.
pub(super) fn check(object: &Value, old: Option<&Value>, faults: &mut Vec<FieldError>) {
    let spec = &object["spec"];
    let kind = text(spec, "type");
    let known = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    if !known.contains(&kind) {
        faults.push(FieldError::unsupported("spec.type", &kind.into(), &known));
    }
    let ports = items(spec, "ports");
    let headless = text(spec, "clusterIP") == "None";
    if ports.is_empty() && !headless && kind != "ExternalName" {
        faults.push(FieldError::required("spec.ports", ""));
    }
    if headless && matches!(kind, "NodePort" | "LoadBalancer") {
        let said = format!("may not be set to 'None' for {kind} services");
        faults.push(FieldError::invalid(
            "spec.clusterIPs[0]",
            &"None".into(),
            said,
        ));
    }
    if kind == "ExternalName" {
        let name = text(spec, "externalName");
        let bare = name.trim_end_matches('.');
        if bare.is_empty() {
            faults.push(FieldError::required("spec.externalName", ""));
        } else {
            for said in names::subdomain(bare) {
                faults.push(FieldError::invalid("spec.externalName", &name.into(), said));
            }
        }
        if !text(spec, "clusterIP").is_empty() {
            let said = "may not be set for ExternalName services";
            faults.push(FieldError::forbidden("spec.clusterIPs", said));
        }
    }
    metadata::labels(&spec["selector"], "spec.selector", faults);
    let affinities = ["ClientIP", "None"];
    if !affinities.contains(&text(spec, "sessionAffinity")) {
        let given = &spec["sessionAffinity"];
        faults.push(FieldError::unsupported(
            "spec.sessionAffinity",
            given,
            &affinities,
        ));
    }
    check_ports(ports, kind, faults);
    check_address(spec, old, kind, faults);
}

fn check_address(spec: &Value, old: Option<&Value>, kind: &str, faults: &mut Vec<FieldError>) {
    let address = text(spec, "clusterIP");
    if !address.is_empty() && address != "None" && address.parse::<IpAddr>().is_err() {
        let said = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        faults.push(FieldError::invalid(
            "spec.clusterIPs[0]",
            &address.into(),
            said,
        ));
    }
    let Some(old) = old.filter(|old| text(&old["spec"], "type") != "ExternalName") else {
        return;
    };
    if kind != "ExternalName" && old["spec"]["clusterIP"] != spec["clusterIP"] {
        let given = json!([address]);
        let said = "may not change once set";
        faults.push(FieldError::invalid("spec.clusterIPs[0]", &given, said));
    }
}

fn check_ports(ports: &[Value], kind: &str, faults: &mut Vec<FieldError>) {
    let mut names_seen: Vec<&str> = Vec::new();
    let mut seen: Vec<(i64, &str)> = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let path = item("spec.ports", index);
        let name = text(port, "name");
        let field = child(&path, "name");
        if name.is_empty() && ports.len() > 1 {
            faults.push(FieldError::required(&field, ""));
        } else if !name.is_empty() {
            for said in names::label(name) {
                faults.push(FieldError::invalid(&field, &name.into(), said));
            }
            if names_seen.contains(&name) {
                faults.push(FieldError::duplicate(&field, &name.into()));
            }
            names_seen.push(name);
        }
        super::port_number(&port["port"], &child(&path, "port"), faults);
        let protocol = text(port, "protocol");
        let known = ["SCTP", "TCP", "UDP"];
        let field = child(&path, "protocol");
        if protocol.is_empty() {
            faults.push(FieldError::required(&field, ""));
        } else if !known.contains(&protocol) {
            faults.push(FieldError::unsupported(&field, &protocol.into(), &known));
        }
        let field = child(&path, "targetPort");
        match &port["targetPort"] {
            Value::String(target) => {
                for said in names::port_name(target) {
                    faults.push(FieldError::invalid(&field, &target.as_str().into(), said));
                }
            }
            number => super::port_number(number, &field, faults),
        }
        if let Some(protocol) = port["appProtocol"].as_str() {
            for said in names::qualified(protocol) {
                let field = child(&path, "appProtocol");
                faults.push(FieldError::invalid(&field, &protocol.into(), said));
            }
        }
        let node_port = port["nodePort"].as_i64().unwrap_or(0);
        if node_port != 0 && kind != "ClusterIP" && !(30_000..32_768).contains(&node_port) {
            let said = "provided port is not in the valid range. The range of valid ports is \
                        30000-32767";
            let field = child(&path, "nodePort");
            faults.push(FieldError::invalid(&field, &node_port.into(), said));
        }
        if port["nodePort"].as_i64().is_some_and(|number| number != 0) && kind == "ClusterIP" {
            let said = "may not be used when `type` is 'ClusterIP'";
            faults.push(FieldError::forbidden(&child(&path, "nodePort"), said));
        }
        let key = (port["port"].as_i64().unwrap_or(0), protocol);
        if seen.contains(&key) {
            let mut fault = FieldError::duplicate(&path, &Value::Null);
            fault.given = format!(
                "{{\"Name\":\"\",\"Protocol\":{:?},\"AppProtocol\":null,\"Port\":{},\
                 \"TargetPort\":0,\"NodePort\":0}}",
                key.1, key.0
            );
            faults.push(fault);
        }
        seen.push(key);
    }
}

/// Gives a Service its address and its ports of the node.
pub(super) fn allocate(store: &Store, object: &mut Value) -> Result<(), Failure> {
    let table = "/services".into();
    let taken = |name: &str| -> Vec<Value> {
        let all = store.list(&table, None);
        all.map(|(_, service)| service["spec"][name].clone())
            .collect()
    };
    let own = object::name(object).to_owned();
    let spec = &mut object["spec"];
    let kind = text(spec, "type").to_owned();
    if kind == "ExternalName" {
        return Ok(());
    }
    let used = taken("clusterIP");
    let given = spec["clusterIP"].clone();
    if given.is_null() || given == "" {
        let free = (FIRST..)
            .map(|number| Value::from(Ipv4Addr::from(number).to_string()))
            .find(|address| !used.contains(address));
        spec["clusterIP"] = free.unwrap_or_default();
    } else if given != "None" && used.contains(&given) {
        let said = "failed to allocate IP ".to_owned()
            + given.as_str().unwrap_or_default()
            + ": provided IP is already allocated";
        let fault = FieldError::invalid("spec.clusterIPs", &json!([given]), said);
        return Err(Failure::invalid("", "Service", &own, &[fault]));
    }
    let address = spec["clusterIP"].clone();
    or(spec, "clusterIPs", json!([address]));
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        let mut used: Vec<i64> = taken("ports")
            .iter()
            .flat_map(|ports| ports.as_array().cloned().unwrap_or_default())
            .filter_map(|port| port["nodePort"].as_i64())
            .collect();
        for port in spec["ports"].as_array_mut().into_iter().flatten() {
            if port["nodePort"].as_i64().unwrap_or(0) == 0 {
                let free = (30_000..32_768).find(|number| !used.contains(number));
                port["nodePort"] = free.into();
            }
            used.extend(port["nodePort"].as_i64());
        }
    }
    Ok(())
}

/// Fills in Endpoints.
pub(super) fn default_endpoints(object: &mut Value) {
    for subset in object["subsets"].as_array_mut().into_iter().flatten() {
        for port in subset["ports"].as_array_mut().into_iter().flatten() {
            or(port, "protocol", "TCP");
        }
    }
}

//! What is served, as clients ask for it.

use serde_json::{Value, json};

use crate::api::call::Call;
use crate::failure::Failure;
use crate::kinds::{Kind, Kinds};
use crate::wire::reply::{Content, Reply};

mod aggregated;

/// The version of the real server that this one behaves as.
pub(crate) const MINOR: &str = "36";

/// Answers a request for a page of discovery.
pub(crate) fn page(call: &Call<'_>, kinds: &Kinds) -> Result<Reply, Failure> {
    let parts: Vec<_> = call
        .target
        .path
        .split('/')
        .filter(|p| !p.is_empty())
        .collect();
    if let (["api" | "apis"], true) = (parts.as_slice(), aggregated::is_wanted(call)) {
        let all = aggregated::all(kinds, parts == ["api"]);
        return Ok(Reply::new(200, Content::Discovery(all)));
    }
    let answer = match parts.as_slice() {
        ["version"] => version(),
        ["api"] => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [
                {"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"},
            ],
        }),
        ["api", version] => resources("", version, kinds)?,
        ["apis"] => json!({
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": kinds.groups().iter().map(group).collect::<Vec<_>>(),
        }),
        ["apis", name] => {
            let groups = kinds.groups();
            let found = groups.iter().find(|(group, _)| group == name);
            let mut answer = found.map(group).ok_or_else(Failure::no_page)?;
            answer["kind"] = "APIGroup".into();
            answer["apiVersion"] = "v1".into();
            answer
        }
        ["apis", group, version] => resources(group, version, kinds)?,
        [] => {
            let mut paths = vec!["/api".to_owned(), "/api/v1".into(), "/apis".into()];
            for (group, versions) in kinds.groups() {
                paths.push(format!("/apis/{group}"));
                paths.extend(
                    versions
                        .iter()
                        .map(|version| format!("/apis/{group}/{version}")),
                );
            }
            let more = [
                "/healthz",
                "/livez",
                "/openapi/v2",
                "/openapi/v3",
                "/readyz",
                "/version",
            ];
            paths.extend(more.map(String::from));
            json!({"paths": paths})
        }
        _ => return Err(Failure::no_page()),
    };
    Ok(Reply::ok(answer))
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": MINOR,
        "gitVersion": format!("v1.{MINOR}.0"),
        "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": "linux/amd64",
    })
}

fn group((name, versions): &(String, Vec<String>)) -> Value {
    let all: Vec<_> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    json!({
        "name": name,
        "versions": all,
        "preferredVersion": all.first(),
    })
}

fn resources(group: &str, version: &str, kinds: &Kinds) -> Result<Value, Failure> {
    let mut all = Vec::new();
    for kind in kinds.of(group, version) {
        all.push(resource(kind));
        if kind.status {
            all.push(part(kind, "status", &["get", "patch", "update"]));
        }
        if kind.is("", "serviceaccounts") {
            let mut token = part(kind, "token", &["create"]);
            token["group"] = "authentication.k8s.io".into();
            token["version"] = "v1".into();
            token["kind"] = "TokenRequest".into();
            all.push(token);
        }
        if kind.is("", "namespaces") {
            all.push(part(kind, "finalize", &["update"]));
        }
    }
    if all.is_empty() {
        return Err(if kinds.is_built_in(group) {
            Failure::nothing_there()
        } else {
            Failure::no_page()
        });
    }
    let name = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    Ok(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": name,
        "resources": all,
    }))
}

fn resource(kind: &Kind) -> Value {
    let mut resource = json!({
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": kind.verbs(),
    });
    if !kind.short.is_empty() {
        resource["shortNames"] = json!(kind.short);
    }
    if !kind.categories.is_empty() {
        resource["categories"] = json!(kind.categories);
    }
    resource
}

fn part(kind: &Kind, name: &str, verbs: &[&str]) -> Value {
    json!({
        "name": format!("{}/{name}", kind.plural),
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": verbs,
    })
}

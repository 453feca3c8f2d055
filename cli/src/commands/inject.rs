//! `inject`: manifests with a sidecar in each pod, for kubectl to apply.

mod pod;
mod sidecar;

use serde_json::Value;

use crate::args::Inject;
use crate::console::Console;
use crate::error::Error;
use crate::input;
use crate::yaml::{self, Node};

pub(crate) use sidecar::{Sidecar, is_sidecar};

/// The annotation that says `"false"` where no sidecar is wanted.
const ANNOTATION: &str = "amalgam8.io/inject";

pub(super) fn run(inject: &Inject, console: &mut Console) -> Result<(), Error> {
    let (name, text) = input::text(&inject.file, "manifests", console)?;
    let fault = |reason: String| Error::Document {
        name: name.clone(),
        reason,
    };
    let documents = documents(&text).map_err(|e| fault(format!("is not YAML: {e}")));
    let mut documents = documents?;
    documents.retain(|document| !document.is_null());
    let sidecar = Sidecar::new(inject);
    let mut remarks = Vec::new();
    for document in &mut documents {
        into_document(document, &sidecar, &mut remarks).map_err(fault)?;
    }
    write!(console.output, "{}", yaml::print(&documents))?;
    for remark in remarks {
        writeln!(console.notes, "{remark}")?;
    }
    Ok(())
}

/// Documents of YAML, or of JSON one after the other, which kubectl takes and prints, too.
fn documents(text: &str) -> Result<Vec<Node>, String> {
    if text.trim_start().starts_with('{') {
        let json = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        if let Ok(values) = json.collect::<Result<Vec<_>, _>>() {
            return Ok(values.into_iter().map(Node::from).collect());
        }
    }
    yaml::documents(text)
}

/// Where a kind has its pods.
fn path_of(kind: &str, group: &str) -> Option<&'static [&'static str]> {
    match (group, kind) {
        ("", "Pod") => Some(&[]),
        ("", "ReplicationController")
        | ("apps" | "extensions", "Deployment" | "ReplicaSet" | "DaemonSet")
        | ("apps", "StatefulSet")
        | ("batch", "Job") => Some(&["spec", "template"]),
        ("batch", "CronJob") => Some(&["spec", "jobTemplate", "spec", "template"]),
        _ => None,
    }
}

fn text<'a>(node: &'a Node, path: &[&str]) -> &'a str {
    node.at(path).and_then(Node::as_str).unwrap_or_default()
}

/// Puts the sidecar into what `document` makes pods of, or into each item of a list. What was
/// left alone, and why, is added to `remarks`.
fn into_document(
    document: &mut Node,
    sidecar: &Sidecar,
    remarks: &mut Vec<String>,
) -> Result<(), String> {
    let version = text(document, &["apiVersion"]).to_owned();
    let kind = text(document, &["kind"]).to_owned();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let Some(path) = path_of(&kind, group) else {
        let item_kind = kind
            .strip_suffix("List")
            .filter(|_| document.get("items").is_some());
        let items = item_kind.and_then(|_| document.get_mut("items")?.as_list_mut());
        for item in items.into_iter().flatten() {
            into_document(item, sidecar, remarks)?;
        }
        return Ok(());
    };
    let name = text(document, &["metadata", "name"]);
    let name = match name.is_empty() {
        true => text(document, &["metadata", "generateName"]),
        false => name,
    };
    let called = format!("{kind} {name}");
    if refuses(document) {
        return Ok(());
    }
    let template = path
        .iter()
        .try_fold(document, |node, name| node.get_mut(name));
    let template = template.ok_or_else(|| format!("{called} has no {}", path.join(".")))?;
    if refuses(template) {
        return Ok(());
    }
    let spec = template.get_mut("spec");
    let spec = spec.ok_or_else(|| format!("{called} has no spec of its pods"))?;
    match pod::put(spec, sidecar)? {
        pod::Put::Done(more) => {
            remarks.extend(more.into_iter().map(|more| format!("{called}: {more}")));
        }
        pod::Put::LeftAlone(why) => remarks.push(format!("{called} was left alone: {why}")),
    }
    Ok(())
}

fn refuses(object: &Node) -> bool {
    text(object, &["metadata", "annotations", ANNOTATION]) == "false"
}

#[cfg(test)]
mod tests;

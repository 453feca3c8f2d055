//! A pod with a sidecar in it. Done twice it is as done once; an older sidecar is replaced.

use super::sidecar::{NAME, PORTS, ROLE, Sidecar, VOLUME, is_sidecar, volume};
use crate::yaml::Node;

/// What became of a pod.
pub(super) enum Put {
    /// It has the sidecar; what is to be known of that.
    Done(Vec<String>),
    /// It is as it was, and why.
    LeftAlone(String),
}

/// Puts `sidecar` into the pod that `spec` describes.
///
/// # Errors
/// When it is no description of a pod.
pub(super) fn put(spec: &mut Node, sidecar: &Sidecar) -> Result<Put, String> {
    if spec.get("containers").and_then(Node::as_list).is_none() {
        return Err("the spec of a pod has no list of containers".to_owned());
    }
    if is(spec, "hostNetwork", "true") {
        let why = "it is on the network of its node, where the sidecar's ports are not its own";
        return Ok(Put::LeftAlone(why.to_owned()));
    }
    if let Some(own) = another(spec) {
        let why = format!("its container {own} is a sidecar that somebody made for it");
        return Ok(Put::LeftAlone(why));
    }
    if let Some(why) = taken(spec) {
        return Ok(Put::LeftAlone(why));
    }
    let mut remarks = Vec::new();
    let account = spec
        .get("serviceAccountName")
        .or(spec.get("serviceAccount"));
    match account.and_then(Node::as_str) {
        None => {
            spec.set("serviceAccountName", Node::text(sidecar.account()));
            remarks.push(format!(
                "its account is {} now, so that its sidecar may read rules and instances",
                sidecar.account()
            ));
        }
        Some(ROLE) => {}
        Some(other) => remarks.push(format!(
            "its account {other} needs the role {ROLE}: kubectl create rolebinding \
             {ROLE}-{other} --role={ROLE} --serviceaccount=NAMESPACE:{other}"
        )),
    }
    let own_token = is(spec, "automountServiceAccountToken", "false");
    named(spec, "volumes", VOLUME, own_token.then(volume))?;
    let mut container = sidecar.container(own_token);
    keep(spec, &mut container);
    // As a container that is none of the init containers it was none that starts first.
    named(spec, "containers", NAME, None)?;
    named(spec, "initContainers", NAME, Some(container))?;
    Ok(Put::Done(remarks))
}

/// The containers of a pod, by name.
fn containers(spec: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let lists = ["containers", "initContainers"].into_iter();
    let containers = lists.filter_map(|list| spec.get(list)?.as_list()).flatten();
    containers.map(|one| {
        (
            one.get("name").and_then(Node::as_str).unwrap_or_default(),
            one,
        )
    })
}

/// Keeps what somebody has set at an older sidecar: its resources, and settings that the new
/// one does not have.
fn keep(spec: &Node, container: &mut Node) {
    let Some((_, old)) = containers(spec).find(|(name, _)| *name == NAME) else {
        return;
    };
    if let Some(resources) = old.get("resources") {
        container.set("resources", resources.clone());
    }
    let old = old.get("env").and_then(Node::as_list);
    let Some(env) = container.list_at("env") else {
        return;
    };
    let name = |one: &Node| one.get("name").and_then(Node::as_str).map(str::to_owned);
    let known: Vec<_> = env.iter().filter_map(name).collect();
    let more = old.into_iter().flatten();
    env.extend(
        more.filter(|one| name(one).is_some_and(|n| !known.contains(&n)))
            .cloned(),
    );
}

/// A sidecar that this command has not made.
fn another(spec: &Node) -> Option<&str> {
    let mut others = containers(spec).filter(|(name, _)| *name != NAME);
    let own = others.find(|(name, container)| {
        let image = container.get("image").and_then(Node::as_str);
        is_sidecar(name, image.unwrap_or_default())
    });
    own.map(|(name, _)| name)
}

/// A boolean, as the readers of YAML 1.1 take it.
fn is(spec: &Node, name: &str, wanted: &str) -> bool {
    let words: &[&str] = match wanted {
        "true" => &["true", "yes", "on", "y"],
        _ => &["false", "no", "off", "n"],
    };
    let said = spec.get(name).and_then(Node::as_str).unwrap_or_default();
    words.contains(&said.to_ascii_lowercase().as_str())
}

/// Which of the sidecar's ports another container has.
fn taken(spec: &Node) -> Option<String> {
    for (name, container) in containers(spec) {
        let ports = container.get("ports").and_then(Node::as_list);
        for port in ports.into_iter().flatten() {
            let number = port.get("containerPort").and_then(Node::as_str);
            let number: Option<u16> = number.and_then(|text| text.parse().ok());
            if let Some(number) = number.filter(|n| name != NAME && PORTS.contains(n)) {
                return Some(format!(
                    "its container {name} has port {number}, which a sidecar takes, too"
                ));
            }
        }
    }
    None
}

/// Sees to it that the list has `entry`, and no other of its name: in the place of the first
/// that has it, or before all others. Without one there is none of the name.
fn named(spec: &mut Node, list: &str, name: &str, entry: Option<Node>) -> Result<(), String> {
    if entry.is_none() && spec.get(list).is_none_or(Node::is_null) {
        return Ok(());
    }
    let entries = spec.list_at(list);
    let entries = entries.ok_or_else(|| format!("{list} of a pod is no list"))?;
    let has = |entry: &Node| entry.get("name").and_then(Node::as_str) == Some(name);
    let at = entries.iter().position(has).unwrap_or(0);
    entries.retain(|entry| !has(entry));
    if let Some(entry) = entry {
        entries.insert(at, entry);
    }
    Ok(())
}

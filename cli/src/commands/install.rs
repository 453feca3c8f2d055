//! `install`: the manifests for a cluster, printed for kubectl, or applied here.

mod apply;
mod manifests;

use crate::args::{Install, Servers};
use crate::cluster;
use crate::console::Console;
use crate::error::Error;
use crate::yaml;

/// Where objects go when nobody says it.
const NAMESPACE: &str = "default";

pub(super) async fn run(
    servers: &Servers,
    install: &Install,
    console: &mut Console,
) -> Result<(), Error> {
    let place = &servers.place;
    let opened = cluster::open(servers).await;
    if install.apply {
        let cluster = opened?;
        let manifests = manifests::all(install, &cluster.namespace);
        return apply::run(&cluster, install, &manifests, console).await;
    }
    // To print them takes no cluster, unless one is named.
    let namespace = match (&place.namespace, opened) {
        (Some(namespace), _) => namespace.clone(),
        (None, Ok(cluster)) => cluster.namespace,
        (None, Err(e)) if place.context.is_some() || place.kubeconfig.is_some() => return Err(e),
        (None, Err(_)) => NAMESPACE.to_owned(),
    };
    let manifests = manifests::all(install, &namespace);
    write!(console.output, "{}", yaml::print(&manifests))?;
    Ok(())
}

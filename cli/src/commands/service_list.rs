//! `service-list`: which versions of each service are there, and how many of each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::args::{Listing, Servers};
use crate::catalog::{Catalog, Which};
use crate::console::Console;
use crate::error::Error;
use crate::output;
use crate::wire::{Instance, Instances};

#[derive(Debug, PartialEq, Serialize)]
struct Row {
    service: String,
    instances: Vec<String>,
}

pub(super) async fn run(
    servers: &Servers,
    listing: &Listing,
    console: &mut Console,
) -> Result<(), Error> {
    let catalog = Catalog::open(servers).await?;
    let found = catalog.list(Which::Usual, &mut console.notes).await?;
    let found = Instances::deserialize(found).map_err(|e| Error::Listing {
        what: "instances",
        reason: e.to_string(),
    })?;
    let rows = rows(&found.instances);
    output::listing(&mut console.output, listing.output, &rows, |out| {
        let cells = rows
            .iter()
            .map(|row| vec![row.service.clone(), row.instances.join(", ")]);
        output::table(out, &["Service", "Instances"], cells)
    })?;
    Ok(())
}

/// Labels by which controllers of Kubernetes tell their pods apart. No rule goes by them.
const CLUSTERS: [&str; 6] = [
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/controller-uid",
    "controller-revision-hash",
    "pod-template-generation",
    "pod-template-hash",
    "statefulset.kubernetes.io/pod-name",
];

fn is_the_clusters(tag: &str) -> bool {
    CLUSTERS.contains(&tag.split_once('=').map_or(tag, |(key, _)| key))
}

fn rows(instances: &[Instance]) -> Vec<Row> {
    let mut services: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
    for instance in instances {
        let tags = instance.tags.iter().map(String::as_str);
        let tags: Vec<&str> = tags.filter(|tag| !is_the_clusters(tag)).collect();
        let version = tags.join(",");
        *services
            .entry(&instance.service_name)
            .or_default()
            .entry(version)
            .or_default() += 1;
    }
    let cell = |(version, count)| format!("{version}({count})");
    services
        .into_iter()
        .map(|(service, versions)| Row {
            service: service.to_owned(),
            instances: versions.into_iter().map(cell).collect(),
        })
        .collect()
}

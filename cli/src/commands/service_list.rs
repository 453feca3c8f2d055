//! `service-list`: which versions of each service are there, and how many of each.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Serialize;

use crate::args::{Listing, Servers};
use crate::client::{Call, Client};
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
    let call = Call::new(Method::GET, "/api/v1/instances");
    let found: Instances = Client::registry(servers)?
        .send(call, &mut console.notes)
        .await?;
    let rows = rows(&found.instances);
    output::listing(&mut console.output, listing.output, &rows, |out| {
        let cells = rows
            .iter()
            .map(|row| vec![row.service.clone(), row.instances.join(", ")]);
        output::table(out, &["Service", "Instances"], cells)
    })?;
    Ok(())
}

fn rows(instances: &[Instance]) -> Vec<Row> {
    let mut services: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
    for instance in instances {
        let version = instance.tags.join(",");
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

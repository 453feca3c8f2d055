//! Prints the definition of the RoutingRule resource: `make generate` keeps it in
//! `kubernetes/crd.yaml`.

use std::io::Write;

use a8_common::kubernetes::routing_rule;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = routing_rule::crd_yaml()?;
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

//! `info`: the settings in effect, tokens masked.

use serde_json::{Map, Value};

use crate::args::{Listing, Servers};
use crate::console::Console;
use crate::error::Error;
use crate::output;

pub(super) fn run(
    servers: &Servers,
    listing: &Listing,
    console: &mut Console,
) -> Result<(), Error> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let masked = |value: &Option<String>| match value.as_deref() {
        None | Some("") => String::new(),
        Some(_) => "***".to_owned(),
    };
    let settings = [
        ("A8_CONTROLLER_URL", text(&servers.controller_url)),
        ("A8_CONTROLLER_TOKEN", masked(&servers.controller_token)),
        ("A8_REGISTRY_URL", text(&servers.registry_url)),
        ("A8_REGISTRY_TOKEN", masked(&servers.registry_token)),
        ("A8_DEBUG", servers.debug.to_string()),
    ];
    #[cfg(feature = "kubernetes")]
    let of_cluster = servers.place.is_meant();
    #[cfg(not(feature = "kubernetes"))]
    let of_cluster = false;
    let settings: Vec<_> = settings
        .into_iter()
        .chain(of_cluster.then(|| ("A8_KUBERNETES", "true".to_owned())))
        .collect();
    let members = settings.iter().cloned();
    let document: Map<String, Value> = members
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    output::listing(&mut console.output, listing.output, &document, |out| {
        let cells = settings.iter();
        let cells = cells.map(|(name, value)| vec![(*name).to_owned(), value.clone()]);
        output::table(out, &["Env. Variable", "Value"], cells)
    })?;
    Ok(())
}

//! `info`: the settings in effect, tokens masked.

use std::collections::BTreeMap;

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
    let settings = BTreeMap::from([
        ("A8_CONTROLLER_URL", text(&servers.controller_url)),
        ("A8_CONTROLLER_TOKEN", masked(&servers.controller_token)),
        ("A8_REGISTRY_URL", text(&servers.registry_url)),
        ("A8_REGISTRY_TOKEN", masked(&servers.registry_token)),
        ("A8_DEBUG", servers.debug.to_string()),
    ]);
    output::listing(&mut console.output, listing.output, &settings, |out| {
        let cells = settings
            .iter()
            .map(|(name, value)| vec![(*name).to_owned(), value.clone()]);
        output::table(out, &["Env. Variable", "Value"], cells)
    })?;
    Ok(())
}

//! `export`: all that controller and registry hold, as one document.

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::args::{Export, Part, Servers};
use crate::client::{Call, Client};
use crate::console::Console;
use crate::error::Error;
use crate::output;
use crate::wire::Contents;

#[derive(Deserialize)]
struct Rules {
    rules: Vec<Value>,
}

#[derive(Deserialize)]
struct Instances {
    instances: Vec<Value>,
}

pub(super) async fn run(
    servers: &Servers,
    export: &Export,
    console: &mut Console,
) -> Result<(), Error> {
    let wanted = |part| export.only.is_none_or(|only| only == part);
    // Both first: half of an export looks like a whole one.
    let controller = wanted(Part::Rules).then(|| Client::controller(servers));
    let registry = wanted(Part::Instances).then(|| Client::registry(servers));
    let (controller, registry) = (controller.transpose()?, registry.transpose()?);
    let mut contents = Contents::default();
    if let Some(controller) = controller {
        let call = Call::new(Method::GET, "/v1/rules");
        let found: Rules = controller.send(call, &mut console.notes).await?;
        contents.rules = found.rules;
    }
    if let Some(registry) = registry {
        let mut call = Call::new(Method::GET, "/api/v1/instances");
        call.query = vec![("status", "ALL")];
        let found: Instances = registry.send(call, &mut console.notes).await?;
        contents.instances = found.instances;
    }
    output::document(&mut console.output, export.output, &contents)?;
    let (rules, instances) = (contents.rules.len(), contents.instances.len());
    writeln!(console.notes, "{rules} rules, {instances} instances")?;
    Ok(())
}

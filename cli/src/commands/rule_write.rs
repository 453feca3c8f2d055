//! `rule-create` and `rule-update`: a document goes to the controller as it stands.

use reqwest::Method;
use serde_json::Value;

use crate::args::{Document, Servers, Write};
use crate::client::{Call, Client};
use crate::console::Console;
use crate::error::Error;
use crate::{input, output};

pub(super) async fn run(
    servers: &Servers,
    method: Method,
    write: &Write,
    console: &mut Console,
) -> Result<(), Error> {
    // Asked for first: nobody should type a document for a server that has no address.
    let controller = Client::controller(servers)?;
    let rules = input::rules(&write.file, console)?;
    let creates = method == Method::POST;
    let mut call = Call::new(method, "/v1/rules");
    call.body = Some(&*rules);
    call.if_revision = write.if_revision;
    if write.dry_run {
        call.query.push(("dry_run", "true"));
    }
    let answer: Value = controller.send(call, &mut console.notes).await?;
    if creates || write.dry_run {
        output::document(&mut console.output, Document::Json, &answer)?;
    } else {
        writeln!(console.output, "Request Completed")?;
    }
    Ok(())
}

//! `rule-get`: the rules as documents, ready to be edited and sent back.

use reqwest::Method;
use serde_json::Value;

use crate::args::{Get, Servers};
use crate::client::{Call, Client};
use crate::console::Console;
use crate::error::Error;
use crate::output;

pub(super) async fn run(servers: &Servers, get: &Get, console: &mut Console) -> Result<(), Error> {
    let mut call = Call::new(Method::GET, "/v1/rules");
    if !get.all {
        call.query = get.filter.query();
    }
    let rules: Value = Client::controller(servers)?
        .send(call, &mut console.notes)
        .await?;
    Ok(output::document(&mut console.output, get.output, &rules)?)
}

//! Bookinfo's product page.

use std::process::ExitCode;

use a8_examples::peers::{Peers, Sidecar};
use a8_examples::productpage;
use a8_examples::service::{self, Listen};
use clap::Parser;

/// Shows a book, its details and its reviews, on /productpage.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    sidecar: Sidecar,
    /// The version it says it is
    #[arg(long, env = "SERVICE_VERSION", default_value = "v1")]
    service_version: String,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let peers = Peers::new(&args.sidecar);
    let router = productpage::router(&args.service_version, peers);
    service::main(&args.listen, "productpage", router)
}

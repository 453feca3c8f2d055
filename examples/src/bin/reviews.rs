//! Bookinfo's reviews service.

use std::process::ExitCode;

use a8_examples::peers::{Peers, Sidecar};
use a8_examples::reviews::{self, Version};
use a8_examples::service::{self, Listen};
use clap::Parser;

/// Answers what readers think of the book, on /reviews: v1 without ratings, v2 with black
/// stars, v3 with red ones.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    sidecar: Sidecar,
    /// Which of the three it is
    #[arg(long, env = "SERVICE_VERSION", default_value = "v1")]
    service_version: Version,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let peers = Peers::new(&args.sidecar);
    let router = reviews::router(args.service_version, peers);
    service::main(&args.listen, "reviews", router)
}

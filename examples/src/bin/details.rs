//! Bookinfo's details service.

use std::process::ExitCode;

use a8_examples::details;
use a8_examples::service::{self, Listen};
use clap::Parser;

/// Answers what stands on the imprint page of the book, on /details.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    listen: Listen,
    /// The version it says it is
    #[arg(long, env = "SERVICE_VERSION", default_value = "v1")]
    service_version: String,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let router = details::router(&args.service_version);
    service::main(&args.listen, "details", router)
}

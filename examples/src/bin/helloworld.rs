//! The helloworld service.

use std::process::ExitCode;

use a8_examples::helloworld;
use a8_examples::service::{self, Listen};
use clap::Parser;

/// Says which version and which instance of it answers, on /hello.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    listen: Listen,
    /// The version it says it is
    #[arg(long, env = "SERVICE_VERSION", default_value = "v1")]
    service_version: String,
    /// The instance it says it is [default: the name of this host]
    #[arg(long, env = "INSTANCE")]
    instance: Option<String>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let instance = args.instance.unwrap_or_else(service::host_name);
    let router = helloworld::router(&args.service_version, &instance);
    service::main(&args.listen, "helloworld", router)
}

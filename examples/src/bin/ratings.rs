//! Bookinfo's ratings service.

use std::process::ExitCode;

use a8_examples::ratings;
use a8_examples::service::{self, Listen};
use clap::Parser;

/// Answers how many stars each reviewer gave, on /ratings.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    listen: Listen,
}

fn main() -> ExitCode {
    let args = Args::parse();
    service::main(&args.listen, "ratings", ratings::router())
}

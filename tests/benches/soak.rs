//! A long run under load and churn, over the release binaries: `make soak`.
#![allow(missing_docs, reason = "a program")]

use std::process::ExitCode;
use std::time::Duration;

use a8_tests::soak::{self, Plan};
use clap::Parser;

/// Runs the fabric under load and churn, and judges errors, memory and open files.
#[derive(Parser)]
struct Args {
    /// How long there is load.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Said by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let plan = Plan {
        lasts: Duration::from_secs_f64(args.minutes * 60.0),
        every: Duration::from_secs(2),
        // More than registry, controller and sidecar remember.
        changes_before: 9_000,
    };
    let report = soak::run(&plan, |line| println!("{line}")).await;
    println!("\n{report}");
    match report.faults.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

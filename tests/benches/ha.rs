//! The test of high availability with a load as it may be in earnest: `make bench.ha`.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a failed step is a failed run"
)]

use std::process::ExitCode;
use std::time::Duration;

use a8_tests::ha::{Scale, run};

#[tokio::main]
async fn main() -> ExitCode {
    let scale = Scale {
        instances: 5000,
        ttl: 30,
        watchers: 25,
        writes: 200,
        pause: Duration::from_secs(10),
    };
    println!("{scale:?}");
    let report = run(scale, |step| println!("{step}")).await;
    println!("{report:#?}");
    match report.faults.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

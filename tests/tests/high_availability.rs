//! Servers that share an etcd, each of which may die; see `a8_tests::ha` for what must hold.
//! The same with more load: `make bench.ha`.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::time::Duration;

use a8_tests::ha::{Scale, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nobody_expires_while_one_after_the_other_fails() {
    let scale = Scale {
        instances: 300,
        ttl: 15,
        watchers: 10,
        writes: 100,
        pause: Duration::from_secs(5),
    };
    let report = run(scale, |step| eprintln!("{step}")).await;
    eprintln!("{report:#?}");
    assert!(report.faults.is_empty(), "{:#?}", report.faults);
    assert!(
        report.writes > 500 && report.beats > 1000,
        "the test did nothing: {report:#?}"
    );
}

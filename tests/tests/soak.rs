//! The soak in short: too short to judge memory by, long enough for what is left open.
#![allow(clippy::panic, reason = "a failed step is a failed test")]

use std::time::Duration;

use a8_tests::soak::{self, Plan};

#[tokio::test(flavor = "multi_thread")]
async fn load_and_churn_fail_no_request_and_leave_nothing_open() {
    let plan = Plan {
        lasts: Duration::from_secs(10),
        every: Duration::from_secs(1),
        changes_before: 0,
    };
    let report = soak::run(&plan, |line| println!("{line}")).await;
    assert!(report.faults.is_empty(), "{report}");
}

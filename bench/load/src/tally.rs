//! How the requests of a run went.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::client::{Answer, Error};

/// The longest time that is told apart, in microseconds; longer ones count as this one.
const LONGEST: u64 = 60_000_000;

/// Counts answers while the run goes on.
pub(crate) struct Tally {
    times: Histogram<u64>,
    errors: u64,
    refused: u64,
    first: Option<String>,
}

/// What is printed in the end. Times are in microseconds.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Answers that came, whatever their status.
    pub count: u64,
    /// Requests without a whole answer, those that the end of the run cut off included.
    pub errors: u64,
    /// Answers with a status other than 2xx (gRPC: other than 0).
    pub non_2xx: u64,
    /// The first error, or the first such status.
    pub first_problem: Option<String>,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Answers for each second.
    pub rate: f64,
    /// Half of the answers took at most this long.
    pub p50_us: u64,
    /// Nine in ten.
    pub p90_us: u64,
    /// 99 in 100.
    pub p99_us: u64,
    /// 999 in 1,000.
    pub p999_us: u64,
    /// The slowest one.
    pub max_us: u64,
}

impl Tally {
    pub(crate) fn new() -> Self {
        let times = Histogram::new_with_bounds(1, LONGEST, 3);
        Self {
            times: times.expect("1 is below LONGEST, and 3 is a precision that exists"),
            errors: 0,
            refused: 0,
            first: None,
        }
    }

    pub(crate) fn answer(&mut self, took: Duration, answer: Answer) {
        let took = u64::try_from(took.as_micros()).unwrap_or(LONGEST);
        self.times.saturating_record(took.max(1));
        if let Answer::Refused(status) = answer {
            self.refused += 1;
            self.first.get_or_insert_with(|| format!("status {status}"));
        }
    }

    pub(crate) fn error(&mut self, error: &Error) {
        self.errors += 1;
        self.first.get_or_insert_with(|| error.to_string());
    }

    pub(crate) fn summary(&self, took: Duration) -> Summary {
        let seconds = took.as_secs_f64();
        let within = |share| self.times.value_at_quantile(share);
        Summary {
            count: self.times.len(),
            errors: self.errors,
            non_2xx: self.refused,
            first_problem: self.first.clone(),
            seconds,
            rate: self.times.len() as f64 / seconds,
            p50_us: within(0.5),
            p90_us: within(0.9),
            p99_us: within(0.99),
            p999_us: within(0.999),
            max_us: self.times.max(),
        }
    }
}

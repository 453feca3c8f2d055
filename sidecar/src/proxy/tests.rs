//! The proxy over real sockets.

mod addressing;
mod draining;
mod ejection;
mod faults;
mod forwarding;
mod limits;
mod logging;
mod names;
mod pooling;
mod retries;
mod upstream_failures;

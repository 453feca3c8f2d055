//! The proxy over real sockets.

mod addressing;
mod draining;
mod faults;
mod forwarding;
mod logging;
mod names;
mod pooling;
mod retries;
mod upstream_failures;

//! The proxy over real sockets.

mod addressing;
mod affinity;
mod agreement;
mod bodies;
mod body_limits;
mod connections;
mod draining;
mod ejection;
mod ends;
mod faults;
mod forwarding;
mod http2;
mod limits;
mod logging;
mod names;
mod papers;
mod pooling;
mod renewal;
mod retries;
mod safety;
mod streams;
mod tls;
mod upgrades;
mod uploads;
mod upstream_failures;
mod windows;

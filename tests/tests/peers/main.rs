//! The sidecar between callers and instances that others wrote: curl, nc, h2load, gRPC and
//! WebSocket clients on one side; nginx, nghttpd, gRPC, WebSocket and Python servers on the
//! other. What is theirs comes through unharmed, in either version of HTTP on either side.
//!
//! The sidecar is the real binary, with instances and rules from files. `make test` installs
//! the peers; without them these tests fail.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use a8_tests::{faulty, papers, setup, tools};

mod callers;
mod instances;

mod bodies;
mod faults;
mod grpc;
mod heads;
mod load;
mod log;
mod raw;
mod stalls;
mod streams;
mod websocket;

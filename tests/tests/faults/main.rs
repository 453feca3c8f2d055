//! The real sidecar between callers and instances that break the rules of HTTP, byte by byte.
//! Each fault is answered as documented and harms nobody else, and when all is over nothing
//! is left open. What programs of others do wrong is in `peers`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod bench;

mod callers;
mod drain;
mod grpc;
mod http2_callers;
mod instances;
mod slow;

//! What the proxies are measured with.
//!
//! [`run()`] makes requests and tells how they went, [`backend`] is what answers them on the other
//! side of the proxy. Both take one thread, since they share the machine's cores with the proxy.
//! The program `a8load` is for `bench/run`; see `bench/README.md`.

pub mod backend;
mod client;
mod pace;
mod run;
mod tally;

pub use client::Protocol;
pub use run::{Plan, run};
pub use tally::Summary;

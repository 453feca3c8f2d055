//! The double as clients see it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "tests, and what they share"
)]

mod custom;
mod faults;
mod kit;
mod objects;
mod permissions;

//! A sidecar that lacks what it can do without: open files, room on the disk, a network, a clock
//! that only goes forward. It goes on working, and takes no more than before.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod clock;
mod disk;
mod files;
mod network;

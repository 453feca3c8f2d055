//! The bounds of connections in HTTP/2, towards callers and towards instances.
//!
//! The window of a connection is that of all its streams together: a reader that stalls on
//! one of them must not hold up the others.

use std::time::Duration;

/// Requests at a time on one connection.
pub(super) const MAX_STREAMS: u32 = 100;
/// What a caller may send ahead on one stream, in bytes.
pub(super) const CALLER_WINDOW: u32 = 128 * 1024;
/// What an instance may send ahead on one stream, in bytes.
pub(super) const INSTANCE_WINDOW: u32 = 256 * 1024;
/// What is kept of one stream for a peer that reads slowly, in bytes.
pub(super) const SEND_BUFFER: usize = 128 * 1024;
/// How often a connection with open streams is tried when nothing moves, and how long the
/// peer has for its answer.
pub(super) const PING_EVERY: Duration = Duration::from_secs(20);
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(20);

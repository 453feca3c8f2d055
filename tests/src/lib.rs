//! The kit of the black-box tests: real binaries, real sockets, real HTTP.
//!
//! | module | owns |
//! |---|---|
//! | [`process`] | one child process: its log, its signals, its end |
//! | [`server`] | a registry or a controller under test, and calls of its API |
//! | [`fabric`] | a whole fabric: both servers, services with their sidecars, a gateway |
//! | [`setup`] | a sidecar by itself, by files; with [`papers`] for TLS |
//! | [`faulty`] | an instance that does not do what it should |
//! | [`instance`] | an instance in the test's own process, which can vanish |
//! | [`caller`] | a caller in the test's own process, in either version of HTTP |
//! | [`epochs`] | which versions may answer while weights change |
//! | [`etcd`] | a real etcd of three members, over a [`net`] that can be cut |
//! | [`ha`] | servers over that etcd under load, while all these fail in turn |
//! | [`soak`] | a long run under load and churn, and its judgement |
//! | [`ports`] | ports for processes that have to be told theirs |
//! | [`kubernetes`] | a cluster without nodes: an API server, pods, controllers and sidecars that ask it |
//! | [`jwt`] | tokens, good and bad |
//! | [`watch`] | a reader of a watch stream |
//! | [`tools`] | programs of others: what `make test` installs |
//! | [`wait`] | waiting for something that becomes true |
//!
//! A failure here is a failed test, so the kit panics with what it saw instead of handing
//! errors to callers that could do nothing else. Whatever a test starts is killed when the
//! test ends, and its log is shown when the test fails.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a kit for tests: see above"
)]

pub mod caller;
pub mod epochs;
pub mod etcd;
pub mod fabric;
pub mod faulty;
pub mod ha;
pub mod instance;
pub mod jwt;
pub mod kubernetes;
pub mod net;
pub mod papers;
pub mod ports;
pub mod process;
pub mod server;
pub mod setup;
pub mod soak;
pub mod tools;
pub mod wait;
pub mod watch;

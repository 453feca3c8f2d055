//! What the Amalgam8 servers, sidecar and command share.
//!
//! | module | owns |
//! |---|---|
//! | [`model`] | the nouns: service, instance, endpoint, tags, identity, revision |
//! | [`rule`] | the rule engine: documents, matching, deciding, explaining |
//! | [`view`] | a revisioned set of items: one writer, many readers |
//! | [`source`] | the ports through which a sidecar learns of instances and rules |
//! | [`store`] | the port of the versioned key-value store, and its adapters |
//! | [`changes`] | says when files may have changed |
//! | [`peer`] | a control-plane server as its clients know it |
//! | [`registration`] | the port through which a service makes itself known |
//! | [`task`] | background work: an owner, a name and an end |
//! | [`watch`] | the wire form of a view: stream, list and the client that reads them |
//! | [`config`] | settings from flags, environment and file; the only reader of the environment |
//! | [`auth`] | who a request acts for |
//! | [`http`] | what servers share of HTTP: stack, replies, health, metrics, listener |
//! | [`kubernetes`] | what the adapters for Kubernetes share: the RoutingRule resource, the client |
//! | [`host`] | what makes a process of a server: its settings, its start and its end |
//! | [`telemetry`] | the log |
//! | [`manager`] | what the process and its service manager say to each other |
//! | [`run`] | a process from its start to its exit code |
//!
//! Dependencies point inwards: nothing here knows a server, the sidecar or the command.

pub mod auth;
pub mod changes;
pub mod config;
pub mod host;
pub mod http;
pub mod kubernetes;
pub mod manager;
pub mod model;
pub mod peer;
pub mod registration;
pub mod rule;
pub mod run;
pub mod source;
pub mod store;
pub mod task;
pub mod telemetry;
pub mod view;
pub mod watch;

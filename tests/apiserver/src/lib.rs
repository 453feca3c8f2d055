//! An API server of Kubernetes for tests: objects in memory, the real protocol on the wire.
//!
//! It takes what a real one takes, and no more: schemas, rules, roles, revisions, patches and
//! conflicts are checked, and refused in the same words. It runs nothing: there are no nodes, and
//! no controllers.
//!
//! ```no_run
//! use a8_apiserver::{ApiServer, Options};
//!
//! # async fn example() {
//! let api = ApiServer::start(Options::default()).await;
//! api.apply_yaml("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}").await;
//! let (url, token, ca) = (api.url(), api.token("alice"), api.ca_pem());
//! // Give these to a client; then make something fail:
//! api.drop_watches();
//! api.throttle(3, 1, |asked| asked.is("list", "pods"));
//! # drop((url, token, ca));
//! # }
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`server`] | the listener, and the handle that tests hold |
//! | [`api`] | one request from its head to its answer |
//! | [`wire`] | requests as they are understood, answers as they are written |
//! | [`access`] | tokens, roles, and questions about them |
//! | [`kinds`] | what is served: the table of built-in kinds, and custom ones |
//! | [`store`] | the objects, and the history of their changes |
//! | [`verbs`] | what can be done with them |
//! | [`patch`], [`fields`] | patches, and who wrote which field |
//! | [`schema`], [`builtin`], [`crd`] | what objects may say |
//! | [`view`], [`shape`] | what is shown of them |
//! | [`discovery`], [`openapi`] | what clients read to find out |
//! | [`faults`], [`record`] | what goes wrong on demand, and what was asked |
//!
//! A failure here is a failed test, so the kit panics with what it saw.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a kit for tests: see above"
)]

mod access;
mod api;
mod builtin;
mod crd;
mod discovery;
mod failure;
mod faults;
mod field;
mod fields;
mod kinds;
mod metadata;
mod names;
mod object;
mod openapi;
mod patch;
mod record;
mod schema;
mod selector;
mod server;
mod shape;
mod store;
mod verbs;
mod view;
mod wire;

pub use access::User;
pub use record::Asked;
pub use server::{ApiServer, Options};

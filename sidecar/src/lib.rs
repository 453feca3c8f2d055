//! The sidecar: registers a service and routes its calls.
//!
//! | module | owns |
//! |---|---|
//! | [`app`] | from a configuration to a running sidecar, and to its end |
//! | [`config`] | the settings |
//! | [`admin`] | what the sidecar says of itself |
//! | [`dns`] | services by name |
//! | [`health`] | whether the service beside the sidecar is well |
//! | [`identity`] | who the sidecar is, by configuration and pod |
//! | [`register`] | keeps the service registered |
//! | [`proxy`] | the data plane: one thread per core |
//! | [`state`] | the one owner of what is routed by |
//! | [`supervise`] | processes beside the sidecar, and all its children |

pub mod admin;
pub mod app;
pub mod config;
pub mod dns;
pub mod health;
pub mod identity;
pub mod proxy;
pub mod register;
pub mod state;
pub mod supervise;

#[cfg(test)]
mod testkit;

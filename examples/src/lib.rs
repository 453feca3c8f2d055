//! The demo services and the one-command demos.
//!
//! | module | owns |
//! |---|---|
//! | [`service`] | what every demo service does alike: flags, serving, ending |
//! | [`peers`] | calling other services through the sidecar |
//! | [`book`] | what the bookinfo services say to each other |
//! | [`rules`] | the rule files of the walks |
//! | [`demo`] | the one-command demos |
//! | [`helloworld`], [`details`], [`ratings`], [`reviews`], [`productpage`] | one service each |
//!
//! The services know nothing of Amalgam8 but one address: that of their sidecar. Each binary
//! in `src/bin` is a page that reads its flags and serves the router of its module.

pub mod book;
pub mod demo;
pub mod details;
pub mod helloworld;
pub mod peers;
pub mod productpage;
pub mod ratings;
pub mod reviews;
pub mod rules;
pub mod service;

#[cfg(test)]
mod tests;

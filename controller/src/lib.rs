//! The controller: the book of routing and fault rules.
//!
//! Operators write rules here by the REST API ([`api`]); the [`rulebook`] checks them, keeps
//! them in a store and fans every change out to the sidecars that watch.

pub mod api;
pub mod app;
pub mod config;
pub mod rulebook;

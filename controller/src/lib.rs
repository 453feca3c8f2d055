//! The controller: the book of routing and fault rules.
//!
//! Operators write rules here by the REST API ([`api`]); the [`rulebook`] checks them, keeps
//! them in a store or in a cluster, and fans every change out to the sidecars that watch. Over
//! a cluster, one of several controllers ([`lease`]) tells on each rule how it stands
//! ([`reconcile`]), and each may install the [`definition`] of rules.

pub mod api;
pub mod app;
pub mod config;
#[cfg(feature = "kubernetes")]
pub mod definition;
#[cfg(feature = "kubernetes")]
pub mod lease;
#[cfg(feature = "kubernetes")]
pub mod reconcile;
pub mod rulebook;

//! The catalog of service instances: who is there, where, and until when.
//!
//! | module | owns |
//! |---|---|
//! | [`catalog`] | registering, renewing, leaving and expiring, over a store |
//! | [`api`] | the REST API over the catalog |
//! | [`config`] | the settings of `a8registry` |
//! | [`app`] | how these become a running server |

pub mod api;
pub mod app;
pub mod catalog;
pub mod config;

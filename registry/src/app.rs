//! From a configuration to a running server.

use std::sync::Arc;

use a8_common::host::{self, StartError};
use a8_common::task::Stop;

use crate::api;
use crate::catalog::Catalog;
use crate::config::Config;

/// Serves until `stop` fires and what was in flight has ended.
///
/// # Errors
/// [`StartError`] when there is no port or no store to serve from.
pub async fn serve(config: Config, stop: Stop) -> Result<(), StartError> {
    let Config { host, limits } = &config;
    host::serve(host, api::shape, stop, |ground| {
        Ok(api::router(Arc::new(Catalog::start(ground, *limits)?)))
    })
    .await
}

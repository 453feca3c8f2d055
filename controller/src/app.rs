//! From a configuration to a running server.

use std::sync::Arc;

use a8_common::host::{self, StartError};
use a8_common::task::Stop;

use crate::api;
use crate::config::{Config, Database};
use crate::rulebook::RuleBook;

/// Serves until `stop` fires and what was in flight has ended.
///
/// # Errors
/// [`StartError`] when there is no port or no place to keep rules in.
pub async fn serve(config: Config, stop: Stop) -> Result<(), StartError> {
    match config.store.clone() {
        Database::Store(store) => {
            let config = config.with(|_| store);
            host::serve(&config, api::shape, stop, |ground| {
                Ok(api::router(Arc::new(RuleBook::start(ground)?)))
            })
            .await
        }
        #[cfg(feature = "kubernetes")]
        Database::Kubernetes(cluster) => {
            let config = config.with(|_| cluster);
            host::serve_on_site(&config, api::shape, stop, async |site| {
                on_kubernetes(&config, &site).await
            })
            .await
        }
    }
}

#[cfg(feature = "kubernetes")]
async fn on_kubernetes(
    config: &host::Config<a8_common::kubernetes::Config>,
    site: &host::Site<'_>,
) -> Result<axum::Router, StartError> {
    use crate::rulebook::kubernetes::Book;
    use crate::{definition, reconcile};

    let cluster = a8_common::kubernetes::Cluster::open(&config.store).await?;
    let everybody = config.auth.lets_everybody_in();
    let book = Book::start(&cluster, site, everybody)?;
    definition::start(&cluster, site);
    reconcile::start(&cluster, book.contents(), site)?;
    Ok(api::router(Arc::new(book.into())))
}

//! Whom the sidecar calls for. It may change while requests are served.

use std::sync::Arc;

use a8_common::model::Identity;
use arc_swap::ArcSwap;

/// The caller, and how the log writes it.
#[derive(Debug)]
pub struct Me {
    /// The service and its tags, which rules look at.
    pub identity: Identity,
    /// `name:tag,tag`.
    pub label: Box<str>,
}

impl Me {
    /// Ready to be read by every worker, and to be replaced.
    pub fn shared(identity: Identity) -> Arc<ArcSwap<Self>> {
        Arc::new(ArcSwap::from_pointee(Self::from(identity)))
    }
}

impl From<Identity> for Me {
    fn from(identity: Identity) -> Self {
        Self {
            label: identity.to_string().into(),
            identity,
        }
    }
}

//! One small thing that is kept beside the state.

use std::io;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::spawn_blocking;
use tracing::warn;

use super::sealed::{self, Damage};

/// Where something is kept that a source does not tell, such as who the sidecar is.
#[derive(Debug, Clone)]
pub struct Record {
    /// The folder, that of the states.
    pub folder: PathBuf,
    /// What it is: the name of the file.
    pub kind: &'static str,
    /// Whose it is: what is of another origin is not used.
    pub origin: String,
}

impl Record {
    /// What was kept, if anything was that can be used; what cannot is told in the log.
    pub async fn load<T: DeserializeOwned + Send + 'static>(&self) -> Option<T> {
        let place = self.clone();
        let read = spawn_blocking(move || {
            sealed::read(&place.folder, place.kind, &place.origin, |line| {
                serde_json::from_slice(line).map_err(|_| Damage::Other("it is not understood"))
            })
        });
        match read.await {
            Ok(Ok(found)) => found,
            Ok(Err(e)) => {
                warn!(what = self.kind, reason = %e, "what is kept on disk is not used");
                None
            }
            Err(_) => None,
        }
    }

    /// Keeps `content` in the place of what was there. That it cannot be kept is told in the
    /// log, and is no reason to stop.
    pub async fn save<T: Serialize + Send + 'static>(&self, content: T) {
        let place = self.clone();
        let written = spawn_blocking(move || {
            sealed::write(&place.folder, place.kind, &place.origin, |to| {
                Ok(serde_json::to_writer(to, &content)?)
            })
        });
        if let Ok(Err(e)) = written.await.map_err(io::Error::other) {
            let folder = self.folder.display();
            warn!(what = self.kind, %folder, error = %e, "this cannot be kept on disk");
        }
    }
}

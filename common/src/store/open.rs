//! Picks and opens an adapter.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::Store;
use super::embedded::Embedded;
use super::memory::Memory;
use crate::task::Tasks;

/// Which adapter holds the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Config {
    /// In memory, gone with the process.
    Memory,
    /// In one local file.
    Embedded {
        /// The folder of the file; made when it is not there. One server at a time has it.
        data_dir: PathBuf,
    },
    /// In etcd.
    Etcd,
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The adapter is not built.
    #[error("the etcd store is not in this version yet; take memory or embedded")]
    NoEtcd,
    /// Another process has the folder.
    #[error("data_dir {} is in use by {holder}", .data_dir.display())]
    InUse {
        /// The folder.
        data_dir: PathBuf,
        /// Who has it, for people.
        holder: String,
    },
    /// A file or folder could not be made, opened or locked.
    #[error("cannot open {}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is no store of ours, or damaged. It is left as it is: starting afresh could
    /// turn a mistake into a loss.
    #[error("{} is not a usable store: {reason}; move it away to start with an empty one", .path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What is wrong, for people.
        reason: String,
    },
}

/// Opens the store. Its background work runs on `tasks` and outlives every other user of the
/// store: finish those first.
///
/// # Errors
/// [`OpenError`].
pub async fn open(config: &Config, tasks: &Tasks) -> Result<Arc<dyn Store>, OpenError> {
    match config {
        Config::Memory => Ok(Arc::new(Memory::start(tasks))),
        Config::Embedded { data_dir } => Ok(Arc::new(Embedded::open(data_dir, tasks).await?)),
        Config::Etcd => Err(OpenError::NoEtcd),
    }
}
